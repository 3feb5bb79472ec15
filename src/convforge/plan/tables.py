"""Tables that kernels read: which source row, which columns, how far each tap."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import Element
from convforge.kernels.contract import COLUMN_FIELDS, ZERO_ROW, Columns, WayOut
from convforge.plan.bands import Band
from convforge.plan.tiles import chain_block
from convforge.problem.gather import Axis, Gather
from convforge.schedule import Along, Layout
from convforge.target import Target

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class InputTables:
    """How to pack one input: addresses are those of the arrays in `keep`."""

    rows: Int64s
    columns: Int64s
    keep: tuple[Any, ...]


def input_tables(layout: Layout, strides: tuple[int, int, int]) -> InputTables:
    """Row offsets and column records for an input of these (depth, height, width) element strides."""
    offsets, real = layout.row_sources(strides[0], strides[1])
    rows = np.ascontiguousarray(np.where(real, offsets, ZERO_ROW))
    width = layout.gather.axes[2]
    records = np.zeros((len(width.residues), len(COLUMN_FIELDS)), np.int64)
    keep: list[Int64s] = []
    for residue in range(len(width.residues)):
        lead, count, start = _run(width, residue, layout.row_length)
        left = _margin(width, residue, 0, lead, strides[2])
        right = _margin(width, residue, lead + count, layout.row_length, strides[2])
        keep += [left.offsets, right.offsets]
        records[residue] = (lead, count, start * strides[2], *left.record(), *right.record())
    return InputTables(rows, records, tuple(keep))


def packing_values(layout: Layout, band: Band, tables: InputTables | None, x_column: int) -> dict[str, int]:
    """The values of PACKING. tables: None where no planes are packed. x_column: elements of the input between
    neighbouring columns of a plane.
    """
    return {
        "pitch": layout.pitch,
        "plane": band.plane,
        "planes": layout.planes,
        "plane_rows": band.rows,
        "total_rows": layout.total_rows,
        "row_length": band.row_length,
        "one_row": int(layout.is_one_row),
        "row_residues": layout.row_residues,
        "column_residues": len(layout.gather.axes[2].residues),
        "row_table": tables.rows.ctypes.data if tables else 0,
        "column_table": tables.columns.ctypes.data if tables else 0,
        "x_column": x_column,
    }


def leaving_values(gather: Gather, y_steps: tuple[int, ...]) -> dict[str, int]:
    """Where neighbours of a phase's outputs lie in an output of these steps."""
    d, h, w = gather.axes
    return {
        "y_batch": y_steps[0],
        "y_channel": y_steps[1],
        "y_step": y_steps[4] * w.out_step,
        "y_row": y_steps[3] * h.out_step,
        "y_slice": y_steps[2] * d.out_step,
        "out_width": w.out_size,
    }


def reads_in_place(layout: Layout, steps: tuple[int, ...]) -> bool:
    """Whether the input as it lies is the packed plane, rows without gaps.

    steps: of the input, in elements: batch, channel, depth, height, width.
    """
    d, h, w = layout.gather.axes
    dense = (
        (w.in_size == 1 or steps[4] == 1)
        and (h.in_size == 1 or steps[3] == w.in_size)
        and (d.in_size == 1 or steps[2] == w.in_size * h.in_size)
    )
    return layout.is_the_input and dense


# Lines that one set of a cache holds.
_WAYS = 8


def rows_collide(
    layout: Layout, element: Element, target: Target, steps: tuple[int, ...], share: float = 1.0
) -> bool:
    """Whether the channels of a chain, read where they lie, would throw each other out of the second level.

    Channels a power of two apart fall on few sets of it: those of a 128x128 map, 64 KB apart, all on the same
    one, which holds 8. U-Net's 128 -> 64 at 128x128 then waits for the third level at every load: 22 GFLOP/s
    in place, 60 packed (two cores of Zen 1). share: of those sets that the channels may take.
    """
    apart, sets = steps[1] * element.storage_bytes, target.l2_bytes // (64 * _WAYS)
    if apart % 64 or not apart:
        return False
    room = share * _WAYS * sets // gcd(apart // 64, sets)
    return min(layout.gather.in_channels, chain_block(layout.gather)) > room


def column_kind(layout: Layout, column_stride: int) -> Columns:
    """How neighbouring packed columns lie in an input whose columns are `column_stride` elements apart."""
    step = layout.gather.axes[2].in_step * column_stride
    return "unit" if step == 1 else "pair" if step == 2 and column_stride == 1 else "strided"


# The longest steps that are taken out of whole vectors, for rows of any length and for those of so many
# columns or more. Cycles of an element (one core of Zen 4), one by one and out of vectors: every third of 18
# columns 3.9 and 1.9, of 37 2.3 and 0.9; every eighth of 8 columns 3.0 and 3.7, of 16 2.6 and 2.2, of 32 2.8
# and 2.1, of 1000 2.0 and 1.3; every 14th of 8 2.7 and 6.9, of 571 2.1 and 1.9.
_SHORT_ROWS_STEP, _LONG_ROWS_STEP, _LONG_ROW = 4, 10, 16


def packed_columns(layout: Layout, steps: tuple[int, ...], target: Target) -> Columns:
    """The same for kernels that pack by kernels/pack/planes.py alone, of an input of these steps: it takes
    planes that lie there as they are in one run, and with AVX-512 every third to tenth column out of vectors.
    """
    if reads_in_place(layout, steps):
        return "dense"
    step = layout.gather.axes[2].in_step
    longest = _LONG_ROWS_STEP if layout.row_length >= _LONG_ROW else _SHORT_ROWS_STEP
    if 2 < step <= longest and steps[4] == 1 and target.vector_bytes == 64:
        return step
    return column_kind(layout, steps[4])


def way_out(layout: Layout, steps: tuple[int, ...]) -> WayOut:
    """How neighbouring outputs of the flat run lie in an output of these strides."""
    gather = layout.gather
    d, h, w = gather.axes
    if steps[4] != 1 and w.out_size > 1:
        return "strided"
    if w.out_step > 1 and w.out_size > 1:
        return "pair" if len(w.phases) == w.out_step == 2 else "strided"
    whole = all(axis.out_step == 1 for axis in gather.axes)
    no_gaps = layout.pitch == w.columns and (d.columns == 1 or layout.slice_rows == h.columns)
    return "flat" if whole and no_gaps and rows_follow(gather, steps) else "unit"


def rows_follow(gather: Gather, steps: tuple[int, ...]) -> bool:
    """Whether rows and slices of a channel lie one behind the other in an output of these strides."""
    d, h, w = gather.axes
    rows = h.out_size == 1 or steps[3] == w.out_size
    return rows and (d.out_size == 1 or steps[2] == w.out_size * h.out_size)


def tiles_along(layout: Layout, way: WayOut) -> Along:
    """How tiles may lie: along rows too if such leave whole, every phase of the width having as many outputs
    as a row.
    """
    width = layout.gather.axes[2]
    even = {phase.count for phase in width.phases} == {width.columns}
    return "either" if way in ("unit", "pair") and even and not layout.is_one_row else "run"


def distances(layout: Layout, phase: int, plane: int) -> Int64s:
    """How far from an output's position each tap of a phase reads, in planes of so many elements."""
    return np.array([layout.distance(tap, plane) for tap in layout.gather.taps_by_phase[phase]], np.int64)


def along_channels(distances: Int64s, channels: int, channel_step: int) -> Int64s:
    """Those of every (channel, tap), channels slowest."""
    return (np.arange(channels, dtype=np.int64)[:, None] * channel_step + distances).ravel()


def weight_rows(taps: int, channels: int, chosen: Int64s, mr: int) -> Int64s:
    """Where the packed weights of every (channel, chosen tap) lie, in elements from a block's first."""
    return along_channels(chosen, channels, taps) * mr


def tap_offsets(layout: Layout, phase: int, strides: tuple[int, int, int]) -> Int64s:
    """Element offset of every tap of a phase in a weight array of these (depth, height, width) strides."""
    taps = layout.gather.taps_by_phase[phase]
    return np.array([sum(t.kernel * s for t, s in zip(tap, strides)) for tap in taps], np.int64)


def _run(axis: Axis, residue: int, length: int) -> tuple[int, int, int]:
    """(packed positions before the input, positions on it, first source index) along the width."""
    first = axis.residues[residue] + axis.lowest
    lead = min(max(0, -(first // axis.in_step)), length)
    inside = -(-(axis.in_size - first) // axis.in_step)
    return lead, max(0, min(inside, length) - lead), first + lead * axis.in_step


@dataclass(frozen=True, slots=True)
class _Margin:
    """Packed positions from `first` on that hold the elements at `offsets` of the input's row."""

    first: int
    offsets: Int64s

    def record(self) -> tuple[int, int, int]:
        """The values of MARGIN_FIELDS."""
        return self.first, self.first + len(self.offsets), self.offsets.ctypes.data


def _margin(axis: Axis, residue: int, first: int, stop: int, stride: int) -> _Margin:
    """The positions first … stop - 1, beside the run, that a padding mode fills: neighbours of each other."""
    if axis.mode == "zeros" or first >= stop:
        return _Margin(first, np.zeros(0, np.int64))
    sources = axis.sources_at(residue, np.arange(first, stop, dtype=np.int64))
    filled = np.flatnonzero(sources >= 0)
    if len(filled) == 0:
        return _Margin(first, np.zeros(0, np.int64))
    low, high = int(filled[0]), int(filled[-1]) + 1
    return _Margin(first + low, sources[low:high] * stride)
