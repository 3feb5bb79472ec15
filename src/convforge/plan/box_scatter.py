"""Where the elements of whole rows go in a packed box (kernels/pack/box.py), as tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convforge.plan.boxes import Sizes
from convforge.problem.gather import Axis
from convforge.schedule import Layout


def scatters(layout: Layout, steps: tuple[int, ...], box: Sizes) -> bool:
    """Whether rows of an array of these element steps lie one behind the other, and a box holds whole ones of
    a map padded by zeros.
    """
    d, h, w = layout.gather.axes
    dense = (w.in_size == 1 or steps[4] == 1) and (h.in_size == 1 or steps[3] == w.in_size)
    flat = d.in_size == 1 and d.columns == 1 and d.reach == 0
    plain = all(axis.mode == "zeros" and not axis.planes_apart for axis in (h, w))
    return dense and flat and plain and box[3] == w.columns


def scatter_tables(
    layout: Layout, box: Sizes, plane: int, lanes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(records of SCATTER_FIELDS, places): where in an image of a panel each element of a box's rows goes.

    -1 for what no output reads, and for the lanes beyond the last element.
    """
    _, h, w = layout.gather.axes
    heights, row = box[2], box[3] + w.reach
    # Of every element of a side: its plane and its place there; -1 where none reads it.
    column, column_plane = _places(w, row)
    real_row, row_plane = _places(h, h.columns + h.reach)
    records: list[tuple[int, int, int]] = []
    tables: list[NDArray[np.int64]] = []
    total = 0
    for first in range(0, h.columns, heights):
        inside = (real_row >= first) & (real_row < first + min(heights, h.columns - first) + h.reach)
        rows = np.flatnonzero(inside)
        begin, stop = (int(rows[0]), int(rows[-1]) + 1) if rows.size else (0, 0)
        planes = row_plane[begin:stop, None] * len(w.residues) + column_plane
        at = planes * plane + ((real_row[begin:stop, None] - first) * row + column) * lanes
        read = inside[begin:stop, None] & (column >= 0)
        table = np.where(read, at, -1).ravel()
        tables.append(np.append(table, np.full(lanes, -1)))
        records.append((begin * w.in_size, table.size, total))
        total += table.size + lanes
    return np.array(records, np.int64), np.concatenate(tables).astype(np.int64)


def _places(axis: Axis, length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(position in a plane, plane) of every element of an axis; position -1 where no plane holds it."""
    position = np.full(axis.in_size, -1, np.int64)
    plane = np.zeros(axis.in_size, np.int64)
    for residue in range(len(axis.residues)):
        sources = axis.sources(residue, length)
        held = np.flatnonzero(sources >= 0)
        position[sources[held]], plane[sources[held]] = held, residue
    return position, plane
