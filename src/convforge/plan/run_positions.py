"""Which elements of an array lie along a flat run (schedule/layout.py), as a kernel's table of vectors has
it (kernels/tile_unit/run_loading.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convforge.kernels.tile_unit.contract import NOWHERE, RUN_MASK_BITS, RunWay
from convforge.schedule import Layout
from convforge.schedule.tile_unit import TILE_ROWS

Int64s = NDArray[np.int64]


class RunTable(NamedTuple):
    """way: how vectors of positions are loaded. table: what says it. entries: vectors of a plane."""

    way: RunWay
    table: NDArray[Any]
    entries: int


def rounded(positions: int) -> int:
    """Up to whole blocks of 16."""
    return -(-positions // TILE_ROWS) * TILE_ROWS


class RunPositions:
    """Which element of a channel each position holds, counted from the channel's first: [planes, positions of
    an image], NOWHERE for none. step: elements from an image to the next.
    """

    def __init__(self, sources: Int64s, step: int) -> None:
        self._sources, self._step = sources, step

    @classmethod
    def of_input(cls, layout: Layout, steps: tuple[int, ...]) -> RunPositions:
        """What taps read, residue by residue."""
        width = layout.gather.axes[2]
        offsets, real = layout.row_sources(steps[2], steps[3])
        row, column = np.divmod(np.arange(rounded(layout.flat + layout.reach)), layout.pitch)
        inside = row < layout.total_rows
        row = np.where(inside, row, 0)
        planes: list[Int64s] = []
        for residue in range(layout.row_residues):
            for columns in range(len(width.residues)):
                at = width.sources_at(columns, column)
                there = inside & real[residue][row] & (at >= 0)
                planes.append(np.where(there, offsets[residue][row] + at * steps[4], NOWHERE))
        return cls(np.stack(planes), steps[0])

    @classmethod
    def of_columns(cls, layout: Layout, steps: tuple[int, ...]) -> RunPositions:
        """Columns of windows (schedule/windows.py), `in_step` of them for each position. layout: theirs."""
        width = layout.gather.axes[2]
        every = replace(width, in_step=1)
        offsets, real = layout.row_sources(steps[2], steps[3])
        positions = (layout.flat + layout.reach) * width.in_step
        row, column = np.divmod(np.arange(rounded(positions)), layout.pitch * width.in_step)
        inside = row < layout.total_rows
        row, at = np.where(inside, row, 0), every.sources_at(0, column)
        there = inside & (at >= 0) & real[:, row]
        return cls(np.where(there, offsets[:, row] + at * steps[4], NOWHERE), steps[0])

    @classmethod
    def of_output(cls, layout: Layout, steps: tuple[int, ...]) -> RunPositions:
        """Outputs along the same run."""
        d, h, w = layout.gather.axes
        row, column = np.divmod(np.arange(rounded(layout.flat)), layout.pitch)
        depth, height = np.divmod(row, layout.slice_rows) if d.columns > 1 else (np.zeros_like(row), row)
        there = (depth < d.columns) & (height < h.columns) & (column < w.columns)
        at = depth * steps[2] + height * steps[3] + column * steps[4]
        return cls(np.where(there, at, NOWHERE)[None], steps[0])

    def table(self, images: int, run: int, positions: int, lanes: int) -> RunTable:
        """For some images, `run` positions from one to the next, of which the first `positions` are read."""
        length = -(-positions // lanes) * lanes
        found = np.full((len(self._sources), length), NOWHERE, np.int64)
        for image in range(images):
            begins = image * run
            # Beyond its run an image has only zeros, which are those of the next one too.
            own = self._sources[:, : min(run if images > 1 else length, max(0, length - begins))]
            there = np.where(own == NOWHERE, NOWHERE, own + image * self._step)
            found[:, begins : begins + there.shape[1]] = there
        vectors, entries = found.reshape(-1, lanes), length // lanes
        real = vectors != NOWHERE
        ways: dict[RunWay, Int64s] = {"masked": np.arange(lanes), "expanded": real.cumsum(axis=1) - 1}
        for way, places in ways.items():
            begins = np.where(real, vectors - places, 1 << 60).min(axis=1)
            if (~real | (vectors - places == begins[:, None])).all():
                masks = (real << np.arange(lanes)).sum(axis=1)
                known = np.where(real.any(axis=1), begins << RUN_MASK_BITS | masks, 0)
                return RunTable(way, known.astype(np.int64), entries)
        return RunTable("gathered", vectors.astype(np.int32), entries)
