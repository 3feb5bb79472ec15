"""What kernels/winograd/box.py reads of one array: WINOGRAD_SIDE_PARAMETERS."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.kernels.contract import fill
from convforge.kernels.winograd.contract import WINOGRAD_SIDE_PARAMETERS
from convforge.plan.box_scatter import scatter_tables, scatters
from convforge.plan.boxes import Sizes, packed_values
from convforge.plan.tables import input_tables
from convforge.schedule import Layout

_NONE = np.zeros(1, np.int64)


@dataclass(frozen=True, slots=True)
class WinogradArray:
    """An array whose boxes are transformed: its layout for whole tiles, its strides in elements.

    sizes: elements that a tile reads along each axis. steps: outputs of a tile. spacing: from one element
    that a tile reads to the next, and tiles of a block of neighbours.
    """

    layout: Layout
    strides: tuple[int, ...]
    box: Sizes
    lanes: int
    sizes: tuple[int, int, int]
    steps: tuple[int, int, int]
    spacing: tuple[int, int, int]

    @property
    def panel(self) -> int:
        """Elements of a packed box of one vector of channels, and of the vectors written beyond."""
        return panel_elements(self.layout, self.box, self.lanes)

    @property
    def tiles(self) -> int:
        """Tiles of a box."""
        return prod(self.box) // prod(self.steps)

    @property
    def scatters(self) -> bool:
        """Whether rows are read as one run, each element to the place that a table says."""
        return scatters(self.layout, self.strides, self.box)

    def distances(self, sizes: tuple[int, int, int], scale: tuple[int, int, int]) -> NDArray[np.int64]:
        """How far from a tile's first position in a panel each of `sizes` inputs lies; scale: positions of
        the panel along each axis for one of a residue's.
        """
        sd, sh, sw = self.spacing
        heights, widths = (
            (size + axis.reach) * times
            for size, axis, times in zip(self.box[2:], self.layout.gather.axes[1:], scale[1:])
        )
        return np.array(
            [
                ((d * sd * heights + h * sh) * widths + w * sw) * self.lanes
                for d, h, w in product(*map(range, sizes))
            ],
            np.int64,
        )

    def record(
        self, *, row: int, residue: int = 0, block: int = 0, part: int = 0, panel_at: int, values_at: int,
        lines_at: int, kept_at: int = 0,
    ) -> Record:  # fmt: skip
        """What the kernel reads. row, residue, block, part: elements from the values of a tile, of a residue
        of it, of a block of channels, of a part of it, to the next's; *_at: in scratch.
        """
        layout, box, lanes = self.layout, self.box, self.lanes
        tables = input_tables(layout, (self.strides[2], self.strides[3], self.strides[4]))
        records, places = (
            scatter_tables(layout, box, plane_elements(layout, box, lanes), lanes)
            if self.scatters
            else (_NONE, _NONE)
        )
        distances = self.distances(self.sizes, (1, 1, 1))
        values = packed_values(layout, box, lanes, tables, self.strides) | {
            "tile_channels": lanes,
            "plane": plane_elements(layout, box, lanes),
            "panel": self.panel,
            "scatter_table": records.ctypes.data,
            "place_table": places.ctypes.data,
            "box_heights": box[2],
            "distances": distances.ctypes.data,
            "panel_at": panel_at,
            "values_at": values_at,
            "lines_at": lines_at,
            "row": row,
            "residue": residue,
            "block": block,
            "part": part,
            "kept_at": kept_at,
            "tiles": self.tiles,
        }
        return Record(fill(WINOGRAD_SIDE_PARAMETERS, values), (tables, records, places, distances))


@dataclass(frozen=True, slots=True)
class Record:
    """Parameters, and what they point at."""

    values: NDArray[np.int64]
    keep: tuple[Any, ...]

    @property
    def address(self) -> int:
        """Where the parameters lie."""
        return self.values.ctypes.data


def plane_elements(layout: Layout, box: Sizes, lanes: int) -> int:
    """Elements of one residue of a box of one vector of channels, and of the vectors written beyond."""
    sizes = zip(box[1:], layout.gather.axes)
    return (box[0] * prod(size + axis.reach for size, axis in sizes) + lanes) * lanes


def panel_elements(layout: Layout, box: Sizes, lanes: int) -> int:
    """Elements of all residues, and of a place for vectors that nobody reads."""
    return layout.planes * plane_elements(layout, box, lanes) + lanes * lanes
