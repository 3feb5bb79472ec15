"""Cuts the work of a tile unit's kernel of one tap, whose input is split step by step, without a clock.

Beside products the split takes hardly any time, so what counts is that threads end together: 784 positions
are 25 tiles, and 512 output channels in two blocks of 8 tiles take 25 * 8 each, in two bands 13 * 16.

    two cores, us                      two bands    two blocks of output channels
    128 -> 512 at 28x28                   167          154
    256 -> 512 at 56x56, stride 2         396          339
    1024 -> 256 at 14x14, 7 tiles         236          210
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from convforge.kernels.tile_unit.contract import UNIT_BYTES
from convforge.plan.cut import SERIAL_MULTIPLY_ADDS, TASK_CYCLES, TASKS_PER_THREAD, WEIGHT_BYTES, counts
from convforge.plan.tile_unit.cost import PLANE_CYCLES, STEPS_SHARE, TileWork, shape_cycles
from convforge.plan.tile_unit.windows import Windows, windows_of
from convforge.schedule import Layout
from convforge.schedule.tile_unit import STEP_POSITIONS, TILE_NUMBERS, TILE_ROWS, WayIn, channel_blocks
from convforge.target import Target

# Planes of a band keep to this share of the second-level cache. Weights beyond the other have windows and
# outputs drive them out: 256 -> 512 channels have 0.8 MB.
_PLANES_SHARE, _NEAR_SHARE = 1.0, 0.35


@dataclass(frozen=True)
class StepsCut:
    """The ways to cut one plan's work. shape: rows and columns of tiles of sums. plane_bytes: of what is
    packed for an output of a band, 0 where nothing is.
    """

    layout: Layout
    target: Target
    threads: int
    work: TileWork
    shape: tuple[int, int]
    way_in: WayIn
    plane_bytes: int

    @property
    def _length(self) -> int:
        return self.shape[1] * TILE_NUMBERS

    @property
    def _tiles(self) -> int:
        return -(-self.layout.flat // self._length)

    @property
    def _out_tiles(self) -> int:
        return -(-self.layout.gather.out_channels // (self.shape[0] * TILE_ROWS))

    @property
    def _blocks(self) -> int:
        return channel_blocks(self.layout.gather.in_channels, self.work.ways)[0]

    @property
    def _position_bytes(self) -> int:
        return self.work.parts * self._blocks * UNIT_BYTES

    @property
    def _phases(self) -> int:
        return len(self.layout.gather.taps_by_phase)

    @cached_property
    def _tile_cycles(self) -> float:
        """Of rows x columns tiles of sums, packing aside."""
        one = shape_cycles(self.layout, self.work, self.shape, self._length, self.way_in)
        return one / self._out_tiles

    def weight_bytes(self, channel_tiles: int) -> int:
        """Of so many tiles of output channels, in all phases."""
        return channel_tiles * self.shape[0] * TILE_ROWS * self._position_bytes * self._phases

    def best(self) -> tuple[int, int]:
        """(tiles of a band, tiles of output channels of a task)."""
        gather = self.layout.gather
        many = self.threads if gather.multiply_adds > SERIAL_MULTIPLY_ADDS else 1
        wanted = -(-many * TASKS_PER_THREAD // (gather.batch * gather.groups)) if many > 1 else 1
        planes = self.plane_bytes * self.layout.flat
        least = max(1, -(-planes // int(_PLANES_SHARE * self.target.l2_bytes)))
        pairs = {
            (-(-self._tiles // bands), -(-self._out_tiles // out_blocks)): None
            for bands in counts(self._tiles, min(least, self._tiles), wanted)
            for out_blocks in counts(self._out_tiles, 1, wanted)
            if out_blocks == 1 or bands * out_blocks <= max(wanted, least)
        }
        return min(pairs, key=lambda pair: self.cycles(*pair, many))

    def cycles(self, band_tiles: int, channel_tiles: int, threads: int) -> float:
        """Of the thread that is done last."""
        layout, work = self.layout, self.work
        gather, lanes = layout.gather, self.target.vector_bytes // 4
        windows = self.windows(band_tiles, channel_tiles)
        before, beside = STEPS_SHARE[self.way_in]
        length = band_tiles * self._length
        first = min(1.0, STEP_POSITIONS / length) if windows.beside else 1.0
        share = beside + (before - beside) * first
        split = length * gather.in_channels / lanes * work.pack_cycles * share
        planes = self.plane_bytes * length / self.target.vector_bytes * PLANE_CYCLES
        task = band_tiles * channel_tiles * self._tile_cycles
        out_blocks, bands = -(-self._out_tiles // channel_tiles), -(-self._tiles // band_tiles)
        # A thread splits a band of one window once for all its tasks, any other for each.
        times = gather.batch * gather.groups
        packs = -(-bands * times * min(threads, out_blocks) // threads)
        whole = self._tiles / band_tiles * self._out_tiles / channel_tiles * times
        rounds = max(-(-round(whole, 3) // threads), whole / threads)
        task += TASK_CYCLES + self._far_weights(channel_tiles, -(-band_tiles // windows.tiles))
        if windows.tiles < band_tiles:
            return rounds * (task + split) + packs * planes
        return rounds * task + packs * (planes + split)

    def _far_weights(self, channel_tiles: int, windows: int) -> float:
        """Cycles to fetch a task's weights where not all of them stay near: for each window where its own do
        not.
        """
        near = _NEAR_SHARE * self.target.l2_bytes
        if self.weight_bytes(self._out_tiles) <= near:
            return 0.0
        own = self.weight_bytes(channel_tiles)
        return (windows if own > near else 1) * own / WEIGHT_BYTES

    def windows(self, band_tiles: int, channel_tiles: int) -> Windows:
        """Those of a band."""
        return windows_of(
            self.target, band_tiles=band_tiles, length=self._length,
            channels=self.layout.gather.in_channels, position_bytes=self._position_bytes,
            weight_bytes=self.weight_bytes(channel_tiles), steps=channel_tiles * self._blocks * self._phases,
            shared=-(-self._out_tiles // channel_tiles) > self.threads,
        )  # fmt: skip
