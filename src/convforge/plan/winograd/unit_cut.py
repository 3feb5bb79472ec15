"""How Winograd's work on a tile unit is cut, and what it costs, in the cycles of plan/tile_unit/cost.py."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from convforge.kernels.tile_unit.contract import UNIT_BYTES, UNIT_WORDS
from convforge.plan.tile_unit.cost import bf16_work, block_cycles
from convforge.plan.winograd.channels_cut import ChannelsCut, Cutter
from convforge.schedule.tile_unit import TILE_NUMBERS

# Channels of a block, vectors of output channels of a tile, Winograd tiles of one.
BLOCK_CHANNELS, NV, ROWS = 2 * UNIT_WORDS, 2, 2 * TILE_NUMBERS
_PARTS = 3
# Values and sums keep to this share of the second-level cache: weights pass through it too.
_L2_SHARE = 0.5
# Fitted on 28 layers of two tables on one core of a Granite Rapids: beside split bf16's costs they choose
# right on 25, and on the others what takes at most 8 % longer. How much longer products take than steps on
# their own; transforms of outputs, and of inputs, which split them too, than those of
# plan/winograd/channels_cut.py; a box.
_PRODUCTS, _OUT, _IN, _TASK_CYCLES = 1.1, 1.04, 2.0, 2800.0
# Where weights, values and sums are more than this share of the second-level cache: for a byte of weights,
# which each box then fetches from the last level anew, and of sums, which have values fetched again. 128
# channels have 1.6 MB of weights, 256 have 6. Where they are not: for a byte of values that products of the
# next group of output channels read again: 64 channels at 56x56 in one group 335 us, in two 371.
_NEAR_SHARE, _FAR_CYCLES, _FAR_SUM_CYCLES, _AGAIN_CYCLES = 0.7, 0.07, 0.1, 0.023


def in_tiles(tiles: int) -> int:
    """Winograd tiles, and those that whole tiles of the unit have room for."""
    return -(-tiles // ROWS) * ROWS


@dataclass(frozen=True)
class TilesCutter(Cutter):
    """The ways to cut one plan's work for a tile unit."""

    @cached_property
    def _room(self) -> int:
        return int(_L2_SHARE * self.target.l2_bytes) // (self.size * _PARTS // 2)

    def rows(self, tiles: int) -> int:  # noqa: ARG002 - one shape of tiles
        """Winograd tiles of two tiles of the unit."""
        return ROWS

    def cost(self, cut: ChannelsCut) -> float:
        """When the busiest thread is done, in cycles; the next block of a box may be another thread's, which
        transforms it again.
        """
        gather, work, points = self.gather, self._work, self._points
        tiles = work.tiles(cut.box)
        blocks = -(-gather.in_channels // BLOCK_CHANNELS)
        outs = min(cut.task_tiles * NV * UNIT_WORDS, gather.out_channels)
        step = block_cycles(bf16_work(_PARTS), (NV, ROWS // TILE_NUMBERS))
        task = _PRODUCTS * points * in_tiles(tiles) // ROWS * cut.task_tiles * blocks * step
        weights = points * blocks * _PARTS * NV * UNIT_WORDS * UNIT_BYTES * cut.task_tiles
        values = points * tiles * blocks * _PARTS * UNIT_BYTES
        sums = points * in_tiles(tiles) * cut.out_group * NV * UNIT_BYTES
        # One box after the other meets each block of output channels.
        if weights * cut.out_blocks + values + sums > _NEAR_SHARE * self.target.l2_bytes:
            task += _FAR_CYCLES * weights + _FAR_SUM_CYCLES * sums
        else:
            task += _AGAIN_CYCLES * values * (-(-cut.task_tiles // cut.out_group) - 1)
        task += _OUT * work.out_cycles(tiles, outs) + _TASK_CYCLES
        packing = _IN * work.in_cycles(cut.box)
        rounds = -(-cut.boxes * gather.groups * cut.out_blocks // self.threads)
        return task * (rounds + 0.05) + rounds * packing
