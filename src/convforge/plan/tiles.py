"""Chooses register tiles of the direct kernel, and chains of multiply-adds, without a clock.

Fitted to 72 races of 4 to 8 tiles on 44 layers (AVX-512, two threads): the tile chosen took 2.7 % longer than
the best of its race in the mean, about what equal tiles differ by. Without lines
from the second-level cache it was 3.8 %; dearer accumulators, and loads that add to multiply-adds in part,
made it no better; rows out at 10 cycles chose 3x7 for 1x1 layers, a fifth slower. With 16 registers (AVX2, 32
layers, one thread) it is 0.4 %, and was 0.9 without `step_overhead`. All that is Zen; on an Intel server
(Granite Rapids, AVX-512, 20 layers, 14 tiles each, one thread) it was 9 %, at most 27, and is 2 % with
`_MESH_STEP`, which is 3.8 % off the times in the mean square.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from convforge.ir.element import Element
from convforge.problem.gather import Gather
from convforge.schedule import Along, Layout, Tile, why_tile_illegal
from convforge.target import Target

# Steps of k between additions to the accumulators: a chain this long has fp32's usual error, and a tile's
# weights for it (64 channels of a vector tile: 128 KB) stay in the second-level cache.
_CHAIN = 512
# Fixed costs of a tile in cycles: entering the loop, starting and finishing each accumulator, beginning a
# row of the output.
_TILE_CYCLES, _ACCUMULATOR_CYCLES, _ROW_OUT_CYCLES = 60.0, 1.5, 4.0
# Cycles for a row to be packed, or to leave a tile by way of scratch; the latter with 16 registers, where a
# masked store takes 20: 3x3 of 3, 4 and 1 channels, 32 to 320 outputs, 112 to 190 wide, ran 38 to 56 slower
# for each row and channel than with tiles along rows.
ROW_CYCLES, _MASKED_ROW_CYCLES = 15.0, 45.0
# With 16 registers (AVX2, Zen 1) a weight takes longer to be broadcast than its multiply-add with one vector:
# tiles of 13x1 ran 1.3 times as long as others of as many multiply-adds.
_NARROW_BROADCAST_CYCLES = 0.66
# Cycles of a step where the last level lies behind a mesh: for each multiply-add, vector that is loaded, and
# number that is broadcast. There loads add to multiply-adds: 4x4 tiles, of 10 loads to 16, take 12 cycles and
# not 8. A tile's beginning and end are seen where sums are short only: transposed depthwise layers of stride
# 2, 2.25 taps a phase, were thought to take 48 us and took 124. Of small maps (direct/channels.py), 18
# layers, the tile was 8 % over the best without all that, and is 2 %.
_MESH_STEP, _MESH_TILE_CYCLES = (0.295, 0.845, 0.288), 25.0
# A line from the second-level cache, once a tile's input of one chain is beyond this share of the first:
# 3x7 tiles, 8 lines to 21 multiply-adds, ran up to 30 % slower than 10x2 on 1x1 layers of 512 channels.
_LINE_BYTES, _LINE_CYCLES, _FIRST_LEVEL_SHARE = 64, 2.5, 0.5


def step_overhead(target: Target) -> float:
    """Cycles of a step of k besides its multiply-adds, where tiles are small: 16 registers hold 6x2."""
    return 0.3 if target.vector_registers <= 16 else 0.0


def loads_add(target: Target) -> bool:
    """Whether loads add to multiply-adds, as behind a mesh (`_MESH_STEP`)."""
    return target.l3_is_far and target.vector_registers > 16


def mesh_step(products: int, vectors: int, broadcasts: int) -> float:
    """Cycles of a step of k there."""
    product, vector, broadcast = _MESH_STEP
    return product * products + vector * vectors + broadcast * broadcasts


def tile_overhead(tile: Tile) -> float:
    """Cycles of a tile besides its steps."""
    return _TILE_CYCLES + _ACCUMULATOR_CYCLES * tile.mr * tile.nv + _ROW_OUT_CYCLES * tile.mr


def chain_block(gather: Gather) -> int:
    """Input channels of one chain of multiply-adds: as even blocks as need the fewest chains.

    The order of an output's sum, and so its bits, follow from it: it may not depend on threads, batch,
    memory layout or tile. Blocks that held a tile's input in the first-level cache (25 to 90 steps for 1x1)
    spent up to 15 % on taking up and putting down the sums.
    """
    taps = max((len(t) for t in gather.taps_by_phase), default=1)
    blocks = max(1, -(-gather.in_channels * taps // _CHAIN))
    return max(1, -(-gather.in_channels // blocks))


def tiled_length(layout: Layout) -> int:
    """The outputs that tiles are chosen for: those there are, but for a signal the next power of two.

    A signal's length varies from call to call. It takes at most one new kernel for each doubling, and none
    beyond 1024 outputs, where what the last tile wastes is little.
    """
    if not layout.is_one_row:
        return layout.flat
    return min(1 << max(layout.flat - 1, 1).bit_length(), 1024)


def gather_tile(
    layout: Layout, element: Element, target: Target, taps: int | None = None, *, along: Along = "run"
) -> Tile:
    """The tile that needs the fewest cycles for all outputs, lanes and channels wasted included.

    taps: of the phase, those of the longest by default. along: how tiles may lie. A step of k costs the
    largest of: multiply-adds at two a cycle; loads at two a cycle, a vector that crosses cache lines counted
    twice; instructions at five a cycle; lines from the second-level cache.
    """
    cost = TileCost.of(layout, element, target, taps, along=along)
    return min(cost.legal_tiles(target), key=cost.cycles)


def gather_tiles(
    layout: Layout, element: Element, target: Target, count: int, slack: float, *, along: Along
) -> list[Tile]:
    """The `count` best tiles, best first, of those that need at most `slack` times the fewest cycles."""
    cost = TileCost.of(layout, element, target, None, along=along)
    ranked = sorted(cost.legal_tiles(target), key=cost.cycles)
    return [tile for tile in ranked[:count] if cost.cycles(tile) <= slack * cost.cycles(ranked[0])]


@dataclass(frozen=True, slots=True)
class TileCost:
    """What a tile costs in cycles of one core, all tiles of an image together.

    flat: outputs, as `tiled_length` counts them. rows, columns: of the flat run; real_rows: without those
    between the slices of a volume. along: how tiles may lie. steps: of k. chain_steps: those
    of one chain. rows_per_step: packed rows that are read for a channel, shared out among its steps.
    broadcast: cycles for a weight. crossing: for a row of a channel that tiles leave by way of scratch. adds:
    whether loads add to multiply-adds, as behind a mesh.
    """

    lanes: int
    out_channels: int
    flat: int
    rows: int
    real_rows: int
    columns: int
    along: Along
    steps: int
    chain_steps: float
    rows_per_step: float
    vector_bytes: int
    fits_bytes: float
    step_overhead: float
    broadcast: float
    crossing: float
    adds: bool

    @staticmethod
    def of(layout: Layout, element: Element, target: Target, taps: int | None, *, along: Along) -> TileCost:
        """The cost of tiles for the phase with so many taps; None: the longest."""
        gather = layout.gather
        taps = max((len(t) for t in gather.taps_by_phase), default=1) if taps is None else taps
        rows = {
            layout.distance(tap, 1 << 40) // layout.pitch for phase in gather.taps_by_phase for tap in phase
        }
        return TileCost(
            lanes=target.vector_bytes // element.compute_bytes,
            out_channels=gather.out_channels,
            flat=tiled_length(layout),
            rows=layout.out_rows,
            real_rows=gather.axes[0].columns * gather.axes[1].columns,
            columns=gather.axes[2].columns,
            along=along,
            steps=gather.in_channels * taps,
            chain_steps=min(gather.in_channels, chain_block(gather)) * taps,
            rows_per_step=max(len(rows), 1) / max(taps, 1),
            vector_bytes=target.vector_bytes,
            fits_bytes=_FIRST_LEVEL_SHARE * target.l1_bytes,
            step_overhead=step_overhead(target),
            broadcast=_NARROW_BROADCAST_CYCLES if target.vector_registers <= 16 else 0.5,
            crossing=_MASKED_ROW_CYCLES if target.vector_registers <= 16 else ROW_CYCLES,
            adds=loads_add(target),
        )

    def legal_tiles(self, target: Target) -> Iterator[Tile]:
        """All that the registers hold."""
        for nv in range(1, 13):
            for mr in range(1, min(self.out_channels, 16) + 1):
                if why_tile_illegal(target, mr * nv, nv + 1) is None:
                    if self.along != "rows":
                        yield Tile(mr, nv)
                    if self.along != "run" and nv * self.lanes <= self.columns:
                        yield Tile(mr, nv, along_rows=True)

    def cycles(self, tile: Tile) -> float:
        """Of all tiles like this one."""
        count, cost = self.tiles(tile), self._one(tile)
        if not tile.along_rows:
            # Tiles that cross the ends of rows leave by way of scratch.
            crossed = self.rows * self.out_channels if self.along == "either" else 0
            return count * cost + crossed * self.crossing
        length = tile.nv * self.lanes
        tail = -(-(self.columns % length) // self.lanes) or tile.nv
        short = count // -(-self.columns // length)
        return (count - short) * cost + short * self._one(tile._replace(nv=tail))

    def _one(self, tile: Tile) -> float:
        mr, nv = tile.mr, tile.nv
        if self.adds:
            return self.steps * mesh_step(mr * nv, nv, mr) + _MESH_TILE_CYCLES
        # A row seldom begins where a line does: one more.
        lines = (nv * self.vector_bytes / _LINE_BYTES + 1) * self.rows_per_step
        beyond = self.chain_steps * lines * _LINE_BYTES > self.fits_bytes
        fetched = _LINE_CYCLES * lines if beyond else 0.0
        fma, loads, issued = mr * nv / 2, (2 * nv + mr) / 2, (mr * nv + nv + mr + 4) / 5
        step = max(fma, loads, mr * self.broadcast, issued, fetched, 4.0) + self.step_overhead
        return self.steps * step + tile_overhead(tile)

    def tiles(self, tile: Tile) -> int:
        """How many an image has."""
        length, out_tiles = tile.nv * self.lanes, -(-self.out_channels // tile.mr)
        if tile.along_rows:
            return self.real_rows * -(-self.columns // length) * out_tiles
        return -(-self.flat // length) * out_tiles
