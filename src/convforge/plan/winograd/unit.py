"""The family of Winograd's algorithm on a tile unit (kernels/winograd/unit_products.py): vectors along
channels, as in plan/winograd/channels.py, and points multiplied as bf16 parts.

F(2, 3) alone, whose transforms lose next to nothing, at `highest`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from convforge.kernels.split_bf16.contract import PRODUCTS
from convforge.kernels.tile_unit.contract import UNIT_WORDS
from convforge.plan.request import OutputRequest
from convforge.plan.tile_unit.permission import why_no_unit, why_unusable
from convforge.plan.winograd import channels as winograd_channels, tiles as winograd
from convforge.plan.winograd.box import WinogradArray
from convforge.plan.winograd.channels import TileWeights, ValueRoom, WinogradChannelsPlan, point_elements
from convforge.plan.winograd.channels_cut import ChannelsCut
from convforge.plan.winograd.unit_cut import BLOCK_CHANNELS, NV, ROWS, TilesCutter, in_tiles
from convforge.plan.winograd.unit_weights import WinogradTileWeights
from convforge.problem.gather import Gather, gather_of
from convforge.schedule.tile_unit import TILE_NUMBERS, TILE_ROWS
from convforge.schedule.winograd import Tiling, is_plain
from convforge.target import Target

NAME = "winograd bf16"

# Parts of a value: three keep fp32's accuracy.
_PARTS = 3
# One chain of sums: a product of tiles adds 32 channels' products as one.
_MOST_CHANNELS = 2048


def why_illegal(request: OutputRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a request, or None."""
    return why_no_unit(target, "bf16") or _why_unfit(request, target) or why_unusable(target, "bf16")


def _why_unfit(request: OutputRequest, target: Target) -> str | None:
    spec = request.spec
    if spec.dtype.name != "float32":
        return f"{spec.dtype.name} is not float32"
    if request.precision != "highest":
        return f"only precision 'highest' has kernels here, not {request.precision!r}"
    if target.vector_bytes != 4 * UNIT_WORDS:
        return "vectors are not of 512 bits"
    gather = gather_of(spec)
    if not is_plain(gather):
        return "a stride other than 1"
    if not BLOCK_CHANNELS <= gather.in_channels <= _MOST_CHANNELS:
        return f"{gather.in_channels} input channels a group, not {BLOCK_CHANNELS} to {_MOST_CHANNELS}"
    if gather.out_channels < TILE_ROWS:
        return f"{gather.out_channels} output channels a group fill less than a tile"
    return winograd.why_illegal(request, target) or winograd_channels.why_illegal(
        request, target, _tiling(request)
    )


def _tiling(request: OutputRequest) -> Tiling:
    (tiling,) = winograd.tilings(gather_of(request.spec), "highest")
    return tiling


def cost_cycles(request: OutputRequest, target: Target) -> float:
    """Cycles of one core: of one image, as a choice may not depend on a batch."""
    gather = gather_of(request.spec)
    return _cycles(replace(gather, batch=1), _tiling(request), target) * gather.batch


@lru_cache(maxsize=256)
def _cycles(gather: Gather, tiling: Tiling, target: Target) -> float:
    cutter = TilesCutter(gather, tiling, NV, target, UNIT_WORDS, 4, 1)
    return min(map(cutter.cost, cutter.candidates()))


def plan(request: OutputRequest, target: Target, threads: int) -> WinogradTilesPlan:
    """Schedule a request and prepare all that its kernel reads."""
    return WinogradTilesPlan(request, target, threads, _tiling(request))


class WinogradTilesPlan(WinogradChannelsPlan):
    """How one convolution is computed for inputs of one shape and one set of strides."""

    parts = _PARTS

    def _cut(self, gather: Gather, tiling: Tiling, target: Target, lanes: int) -> tuple[int, ChannelsCut]:
        cutter = TilesCutter(gather, tiling, NV, target, lanes, 4, self.threads)
        return NV, min(cutter.candidates(), key=cutter.cost)

    def _make_room(self, gather: Gather, array: WinogradArray) -> ValueRoom:
        blocks, tiles = -(-gather.in_channels // BLOCK_CHANNELS), in_tiles(array.tiles)
        # A line more than whole tiles, or parts would fall on the same sets of the caches.
        part = (tiles + 1) * UNIT_WORDS
        block = self.parts * part
        # Part of the code: few sizes for signals, whose lengths vary. Of maps that took 2 to 8 % longer.
        is_signal = gather.axes[0].out_size == gather.axes[1].out_size == 1
        point = point_elements(blocks * block, UNIT_WORDS) if is_signal else blocks * block + UNIT_WORDS
        # Each tile of Winograd tiles fetches its share of the lines of a block's weights.
        products = len(PRODUCTS[self.parts]) * NV * (ROWS // TILE_NUMBERS) * (tiles // ROWS)
        return ValueRoom(
            point, row=UNIT_WORDS, residue=gather.in_channels, sum_tiles=tiles,
            block=block, part=part, blocks=blocks,
            fetched=-(-self.parts * NV * TILE_ROWS // products),
        )  # fmt: skip

    def _make_weights(self, request: OutputRequest, target: Target) -> TileWeights:
        gather, mr = gather_of(request.spec), self.kernel.mr
        return WinogradTileWeights(
            self._transformed(request, target, woven=True), target, parts=self.parts, mr=mr,
            points=self.kernel.tiling.points, blocks=-(-gather.in_channels // BLOCK_CHANNELS),
            tiles=gather.groups * -(-gather.out_channels // mr),
        )  # fmt: skip
