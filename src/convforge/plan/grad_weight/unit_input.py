"""How the input comes to the tiles of a weight gradient (kernels/grad_weight/unit.py): its channels, 16 to a
tile, at every tap some words further on; or windows of few channels, which are channels of one tap.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from convforge.kernels.tile_unit.contract import UNIT_BYTES
from convforge.plan.run_positions import RunPositions, rounded
from convforge.plan.sizes import aligned
from convforge.problem import ConvSpec
from convforge.problem.gather import gather_of
from convforge.schedule import Layout, layout_of
from convforge.schedule.tile_unit import TILE_ROWS
from convforge.schedule.windows import Windows, columns_layout, window_place, window_rows, windows_of

Int64s = NDArray[np.int64]

_TILE_NUMBERS = TILE_ROWS * TILE_ROWS
# Cycles as other families count them, for three parts: for a position of a channel to be split and turned; to
# be split alone, and four channels of a column to be turned (estimated: seven first layers take 0.84 to 1.26
# of all their cycles).
_TURNED_CYCLES, _SPLIT_CYCLES, _COLUMN_CYCLES = 0.84, 0.87, 6.0


class XChannels:
    """Channels as they are, residue by residue of strides; every tap reads its own words of them.

    layout: of the run. windows: that are multiplied. tiles: of channels; taps: columns of each. step: how
    many positions are split for a word. planes: of positions.
    """

    windows, step = None, 1

    def __init__(self, layout: Layout, parts: int) -> None:
        self.layout, self.planes, self._parts = layout, layout.planes, parts
        self.tiles, self.taps = (
            -(-layout.gather.in_channels // TILE_ROWS),
            len(layout.gather.taps_by_phase[0]),
        )

    def blocks(self, words: int) -> int:
        """Blocks of 16 positions that are split of a plane, for so many words."""
        return rounded(words + self.layout.reach) // TILE_ROWS

    def part(self, words: int) -> int:
        """Bytes of a part of a plane."""
        return part_bytes(self.blocks(words) * TILE_ROWS)

    def tile_bytes(self, words: int) -> int:
        """Of a tile of channels of so many words."""
        return self.planes * self._parts * self.part(words)

    def cycles(self, words: int) -> float:
        """For a tile of channels to be split."""
        return 2 * _TILE_NUMBERS * self.planes * self.blocks(words) * _TURNED_CYCLES * self._parts / 3

    def positions(self, steps: tuple[int, ...]) -> RunPositions:
        """What is split. steps: elements between neighbours of the array."""
        return RunPositions.of_input(self.layout, steps)

    def columns(self, words: int) -> Int64s:
        """How many bytes each column of a tile of channels begins behind the tile's first word."""
        plane = self._parts * self.part(words) // UNIT_BYTES
        taps = [self.layout.distance(tap, plane) for tap in self.layout.gather.taps_by_phase[0]]
        return np.array(taps, np.int64) * UNIT_BYTES

    def sums(self, channels: int) -> Iterator[Int64s]:
        """Where the sums of so many channels lie behind the first, tap by tap of the layer, in elements."""
        tile, lane = np.divmod(np.arange(channels), TILE_ROWS)
        for tap in range(self.taps):
            yield (tile * self.taps + tap) * _TILE_NUMBERS + lane


class XWindows:
    """Windows of few channels, in rows of columns.

    layout: of the run of columns. The rest as XChannels has it; columns of tiles are those of windows.
    """

    def __init__(self, layout: Layout, windows: Windows, parts: int) -> None:
        self.layout, self.windows, self._parts = layout, windows, parts
        self.planes, self.step = layout.row_residues, windows.step
        self.tiles, self.taps = 1, len(window_rows(layout)) * windows.tiles

    def blocks(self, words: int) -> int:
        """Blocks of 16 columns that are split of a plane, for so many words."""
        return -(-self.windows.columns(rounded(words + self.layout.reach)) // TILE_ROWS)

    def part(self, words: int) -> int:
        """Bytes of a part of a plane, with what is read and written beyond its last column."""
        return aligned(4 * (self.blocks(words) * self.windows.channels + 1) * TILE_ROWS)

    def tile_bytes(self, words: int) -> int:
        """Of a tile of channels of so many words."""
        return self.planes * self._parts * self.part(words)

    def cycles(self, words: int) -> float:
        """For a tile of channels to be split."""
        channels = self.windows.channels
        split = 2 * channels * _SPLIT_CYCLES + -(-channels // 4) * _COLUMN_CYCLES
        return self.planes * self.blocks(words) * TILE_ROWS * split * self._parts / 3

    def positions(self, steps: tuple[int, ...]) -> RunPositions:
        """What is split. steps: elements between neighbours of the array."""
        return RunPositions.of_columns(self.layout, steps)

    def columns(self, words: int) -> Int64s:
        """How many bytes each tile of each row's windows begins behind the first window."""
        plane, window = self._parts * self.part(words), 4 * self.windows.distance
        begins = [number * plane + distance * window for number, distance in window_rows(self.layout)]
        tiles = np.arange(self.windows.tiles, dtype=np.int64)
        return (np.array(begins, np.int64)[:, None] + tiles * UNIT_BYTES).ravel()

    def sums(self, channels: int) -> Iterator[Int64s]:
        """Where the sums of so many channels lie behind the first, tap by tap of the layer, in elements."""
        for tap in self.layout.gather.taps_by_phase[0]:
            row, value = window_place(self.layout, self.windows, tap)
            tile, lane = np.divmod(value + np.arange(channels), TILE_ROWS)
            yield (row * self.windows.tiles + tile) * _TILE_NUMBERS + lane


def x_of_tiles(spec: ConvSpec, parts: int) -> XChannels | XWindows:
    """How x of a layer is brought to tiles. parts: that its values are split into."""
    gather = gather_of(spec)
    windows = windows_of(gather)
    if windows is None:
        return XChannels(layout_of(gather), parts)
    return XWindows(columns_layout(gather), windows, parts)


def part_bytes(words: int) -> int:
    """Bytes of a part of so many words of a tile of channels. A line more: those an exact power of two apart
    would fall on the same lines of the cache.
    """
    return words * UNIT_BYTES + UNIT_BYTES
