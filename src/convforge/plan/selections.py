"""Which taps each tile needs: those that lie wholly on padding, for all of its outputs, are left out.

A 3x3 kernel of dilation 6 on 33 rows meets only zeros with a third of its taps in the first and the last
six rows; a volume of two slices with a third of its taps everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convforge.schedule import Layout

Int64s = NDArray[np.int64]

# Below this share of the multiply-adds, leaving taps out is not worth a table of tiles.
_WORTH = 0.02
_KERNEL_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Selections:
    """Tap selections of one phase.

    taps: for each selection, the positions of its taps in `gather.taps_by_phase[phase]`.
    tiles: the selection of each tile, or of all of them where there is but one.
    """

    taps: tuple[tuple[int, ...], ...]
    tiles: Int64s


def select_taps(layout: Layout, phase: int, tile_length: int) -> Selections:
    """The selections of a phase, for tiles of `tile_length` outputs of the flat run."""
    gather = layout.gather
    taps = gather.taps_by_phase[phase]
    everything = Selections((tuple(range(len(taps))),), np.zeros(1, np.int64))
    tiles = -(-layout.flat // tile_length)
    if not 1 < len(taps) <= _KERNEL_LIMIT or tiles < 2 or layout.is_one_row:
        return everything
    starts = np.arange(tiles, dtype=np.int64) * tile_length
    stops = np.minimum(starts + tile_length, layout.flat) - 1
    needed = needed_taps(layout, phase, starts // layout.pitch, stops // layout.pitch)
    if needed.mean() > 1 - _WORTH:
        return everything
    # As bits of one word: finding equal rows of a matrix took 4 ms for the 1300 tiles of a volume.
    words = needed @ (np.uint64(1) << np.arange(len(taps), dtype=np.uint64))
    patterns, tile_patterns = np.unique(words, return_inverse=True)
    chosen = tuple(tuple(t for t in range(len(taps)) if int(word) >> t & 1) for word in patterns)
    return Selections(chosen, tile_patterns.astype(np.int64))


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
