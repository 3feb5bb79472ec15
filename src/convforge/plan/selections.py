"""Which taps each tile needs: those that lie wholly on padding, for all of its outputs, are left out.

A 3x3 kernel of dilation 6 on 33 rows meets only zeros with a third of its taps in the first and the last
six rows; a volume of two slices with a third of its taps everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convforge.problem.gather import Tap
from convforge.schedule import Layout, RunTiles

Int64s = NDArray[np.int64]
TapRow = tuple[Tap, Tap]

# Below this share of the multiply-adds, leaving taps out is not worth a table of tiles.
_WORTH = 0.02
# Rows of taps beyond which looking, row by row, takes longer than a first call should.
_ROWS_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Selections:
    """Tap selections of one phase.

    taps: for each selection, the numbers of its taps in `gather.taps_by_phase[phase]`.
    tiles: the selection of each tile, or of all of them where there is but one.
    """

    taps: tuple[Int64s, ...]
    tiles: Int64s


def select_taps(tiles: RunTiles, phase: int, *, exact: bool = False) -> Selections:
    """The selections of a phase. exact: however little is left out."""
    layout = tiles.layout
    gather = layout.gather
    taps = gather.taps_by_phase[phase]
    everything = Selections((np.arange(len(taps)),), np.zeros(1, np.int64))
    rows, row_of = tap_rows(taps)
    few = len(taps) < 2 or len(rows) > _ROWS_LIMIT or tiles.count < 2 or layout.is_one_row
    if few and not exact:
        return everything
    needed = _needed_rows(layout, rows, *tiles.rows())
    if needed[:, row_of].mean() > 1 - _WORTH and not exact:
        return everything
    first, alike = distinct_rows(needed)
    return Selections(tuple(np.flatnonzero(needed[i][row_of]) for i in first), alike)


def distinct_rows(rows: NDArray[np.bool_]) -> tuple[list[int], Int64s]:
    """The first row of each kind, in their order, and the kind of each row.

    Not numpy.unique, whose first call in a process imports numpy.ma: 13 of the 18 to 25 ms that layers took
    for their first call from disk.
    """
    kinds: dict[bytes, int] = {}
    alike = [kinds.setdefault(row.tobytes(), len(kinds)) for row in np.packbits(rows, axis=1)]
    first: dict[int, int] = {}
    for i, kind in enumerate(alike):
        first.setdefault(kind, i)
    return list(first.values()), np.array(alike, np.int64)


def needed_columns(layout: Layout, phase: int) -> NDArray[np.bool_]:
    """[column, tap]: whether the element that the tap reads for an output of the column is data."""
    width = layout.gather.axes[2]
    real = [width.sources(r, width.columns + width.reach) >= 0 for r in range(len(width.residues))]
    needed = np.empty((width.columns, len(layout.gather.taps_by_phase[phase])), np.bool_)
    for t, (_, _, tap) in enumerate(layout.gather.taps_by_phase[phase]):
        residue, steps = width.split(tap)
        needed[:, t] = real[residue][steps : steps + width.columns]
    return needed


def tap_rows(taps: Sequence[tuple[Tap, Tap, Tap]]) -> tuple[list[TapRow], Int64s]:
    """The rows (depth, height) that taps lie in, and the number of each tap's row among them."""
    rows: dict[TapRow, int] = {}
    row_of = [rows.setdefault((depth, height), len(rows)) for depth, height, _ in taps]
    return list(rows), np.array(row_of, np.int64)


def needed_taps(layout: Layout, phase: int, first: Int64s, last: Int64s) -> NDArray[np.bool_]:
    """[tile, tap]: whether any row that the tap reads for the tile's rows first … last holds data."""
    rows, row_of = tap_rows(layout.gather.taps_by_phase[phase])
    return _needed_rows(layout, rows, first, last)[:, row_of]


def _needed_rows(layout: Layout, rows: Sequence[TapRow], first: Int64s, last: Int64s) -> NDArray[np.bool_]:
    """The same, [tile, row of taps]."""
    d, h, _ = layout.gather.axes
    _, real = layout.row_sources(0, 0)
    # How many rows with data lie before each row: a range holds some where the count grows.
    counts = np.concatenate([np.zeros((len(real), 1), np.int64), np.cumsum(real, axis=1)], axis=1)
    needed = np.zeros((len(first), len(rows)), np.bool_)
    for number, (depth, height) in enumerate(rows):
        (rd, sd), (rh, sh) = d.split(depth), h.split(height)
        shift = sd * layout.slice_rows + sh
        residue = counts[rd * len(h.residues) + rh]
        low = np.minimum(first + shift, layout.total_rows)
        high = np.minimum(last + shift + 1, layout.total_rows)
        needed[:, number] = residue[high] > residue[low]
    return needed
