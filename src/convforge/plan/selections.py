"""Which taps each tile needs: those that lie wholly on padding, for all of its outputs, are left out.

A 3x3 kernel of dilation 6 on 33 rows meets only zeros with a third of its taps in the first and the last
six rows; a volume of two slices with a third of its taps everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convforge.schedule import Layout, RunTiles

Int64s = NDArray[np.int64]

# Below this share of the multiply-adds, leaving taps out is not worth a table of tiles.
_WORTH = 0.02
# Taps beyond which looking, tap by tap, takes longer than a first call should.
_KERNEL_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Selections:
    """Tap selections of one phase.

    taps: for each selection, the positions of its taps in `gather.taps_by_phase[phase]`.
    tiles: the selection of each tile, or of all of them where there is but one.
    """

    taps: tuple[tuple[int, ...], ...]
    tiles: Int64s


def select_taps(tiles: RunTiles, phase: int, *, exact: bool = False) -> Selections:
    """The selections of a phase. exact: however little is left out."""
    layout = tiles.layout
    gather = layout.gather
    taps = gather.taps_by_phase[phase]
    everything = Selections((tuple(range(len(taps))),), np.zeros(1, np.int64))
    few = not 1 < len(taps) <= _KERNEL_LIMIT or tiles.count < 2 or layout.is_one_row
    if few and not exact:
        return everything
    needed = needed_taps(layout, phase, *tiles.rows())
    if needed.mean() > 1 - _WORTH and not exact:
        return everything
    first, alike = distinct_rows(needed)
    return Selections(tuple(tuple(np.flatnonzero(needed[i]).tolist()) for i in first), alike)


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


def needed_taps(layout: Layout, phase: int, first: Int64s, last: Int64s) -> NDArray[np.bool_]:
    """[tile, tap]: whether any row that the tap reads for the tile's rows first … last holds data."""
    d, h, _ = layout.gather.axes
    _, real = layout.row_sources(0, 0)
    # How many rows with data lie before each row: a range holds some where the count grows.
    counts = np.concatenate([np.zeros((len(real), 1), np.int64), np.cumsum(real, axis=1)], axis=1)
    needed = np.zeros((len(first), len(layout.gather.taps_by_phase[phase])), np.bool_)
    for t, (td, th, _) in enumerate(layout.gather.taps_by_phase[phase]):
        (rd, sd), (rh, sh) = d.split(td), h.split(th)
        shift = sd * layout.slice_rows + sh
        residue = counts[rd * len(h.residues) + rh]
        low = np.minimum(first + shift, layout.total_rows)
        high = np.minimum(last + shift + 1, layout.total_rows)
        needed[:, t] = residue[high] > residue[low]
    return needed
