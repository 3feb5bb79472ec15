"""How the outputs of a packed layout are cut into tiles of neighbours: along the flat run, or along its rows.

    width 20, tiles of 8      0       8       16  20
    along the flat run        ├───0───┼───1───┼───2───┼───3─ …     tile 2 lies in two rows
    along rows                ├───0───┼───1───┤
                                          ├───2───┤                the last one computes 4 outputs again

Where a tile is several vectors, the last one of a row has no more than it needs.

Along the flat run no lane is idle but at the very end, and tiles that cross the end of a row leave in pieces.
Along rows all tiles leave whole, and the rows of zeros between the slices of a volume are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convforge.schedule.layout import Layout

# How the tiles of a layout may lie: along its flat run, along its rows, or either way.
Along = Literal["run", "rows", "either"]


class Tile(NamedTuple):
    """A tile of outputs: mr channels, nv vectors of neighbours."""

    mr: int
    nv: int
    along_rows: bool = False


@dataclass(frozen=True, slots=True)
class RunTiles:
    """All tiles of `length` neighbours of an image and an output channel."""

    layout: Layout
    length: int
    along_rows: bool = False

    @property
    def row_tiles(self) -> int:
        """Tiles of one row, if they lie along rows."""
        return -(-self.layout.gather.axes[2].columns // self.length)

    @property
    def count(self) -> int:
        """How many there are."""
        if self.along_rows:
            d, h, _ = self.layout.gather.axes
            return d.columns * h.columns * self.row_tiles
        return -(-self.layout.flat // self.length)

    def tail(self, lanes: int) -> int:
        """Vectors of the last tile of a row, 0 where it has as many as the others."""
        vectors = -(-(self.layout.gather.axes[2].columns % self.length) // lanes)
        return vectors if self.along_rows and vectors < self.length // lanes else 0

    def rows(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first row and the last that each tile has outputs in."""
        numbers = np.arange(self.count, dtype=np.int64)
        if self.along_rows:
            slices, heights = np.divmod(numbers // self.row_tiles, self.layout.gather.axes[1].columns)
            rows = slices * self.layout.slice_rows + heights
            return rows, rows
        starts = numbers * self.length
        stops = np.minimum(starts + self.length, self.layout.flat) - 1
        return starts // self.layout.pitch, stops // self.layout.pitch

    def reach(self, tiles: int) -> int:
        """Outputs of the flat run that so many neighbouring tiles lie among, at most."""
        if self.along_rows:
            d, h, _ = self.layout.gather.axes
            rows = -(-tiles // self.row_tiles)
            slices = min(-(-rows // h.columns), d.columns - 1)
            return (rows + slices * (self.layout.slice_rows - h.columns)) * self.layout.pitch
        return tiles * self.length
