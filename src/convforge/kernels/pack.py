"""Writes an input band into planes: padding, strides, layout and dtype are dealt with here, and only here.

    packed[channel][residue][row][column] = x[channel][source row][source column]    or 0

Source rows come from a table. A row's columns are one run of the input (zeros before and after it) and a
list of patches: the columns that reflect, replicate or circular padding fills from elsewhere. Where the
input is one long row, a window of `row_length` columns from `first_column` on is packed.

Contract: `target` has room for `slack` vectors after the last plane; input rows may have any stride and
are read only where they exist; nothing aliases.
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import COLUMN_FIELDS, ZERO_ROW, Columns


def emit_pack_rows(
    e: Emitter,
    v: Vectors,
    columns: Columns,
    *,
    source: Value,
    target: Value,
    row_table: Value,
    column_table: Value,
    column_residues: Int,
    row_residues: Int,
    first_row: Int,
    first_column: Int,
    rows: Int,
    total_rows: Int,
    row_length: Int,
    pitch: Int,
    plane: Int,
    column_stride: Int,
) -> None:
    """Pack all residues of one channel: rows first_row … first_row + rows of each plane."""
    kind = v.element.compute
    with e.loop(0, row_residues, name="row_residue") as row_residue:
        offsets = e.at(row_table, "i64", e.add(e.mul(row_residue.index, total_rows), first_row))
        with e.loop(0, column_residues, name="col_residue") as residue:
            record = e.at(column_table, "i64", e.mul(residue.index, len(COLUMN_FIELDS)))
            lead, count, start = (e.load("i64", record, i) for i in range(3))
            lead = e.sub(lead, first_column)
            index = e.add(e.mul(row_residue.index, column_residues), residue.index)
            plane_start = e.at(target, kind, e.mul(index, plane))
            with e.loop(0, rows, name="pack_row") as row:
                offset = e.load("i64", offsets, row.index)
                to = e.at(plane_start, kind, e.mul(row.index, pitch))
                # A row of zeros is a run of length 0; its offset is never used.
                real = e.b.icmp_signed("!=", offset, e.i64(ZERO_ROW))
                here = e.select(real, count, 0)
                line = e.at(source, v.element.storage, e.select(real, e.add(offset, start), 0))
                _emit_run(e, v, columns, line, to, lead, here, row_length, column_stride)
                patches = e.b.inttoptr(e.load("i64", record, 3), target.type)
                patch_count = e.select(real, e.load("i64", record, 4), 0)
                with e.loop(0, patch_count, name="patch") as patch:
                    at = e.sub(e.load("i64", patches, e.mul(patch.index, 2)), first_column)
                    step = e.load("i64", patches, e.add(e.mul(patch.index, 2), 1))
                    value = e.load(v.element.storage, source, e.add(offset, step))
                    with e.when(e.b.icmp_unsigned("<", e.i64(at), e.i64(row_length))):
                        e.store(v.widen(value), kind, to, at)


def _emit_run(
    e: Emitter,
    v: Vectors,
    columns: Columns,
    line: Value,
    to: Value,
    lead: Int,
    count: Int,
    length: Int,
    stride: Int,
) -> None:
    """to[j] = line[(j - lead) * step] where 0 <= j - lead < count, else 0, for all j < length and a few."""
    kind = v.element.compute
    if columns == "strided":
        with e.loop(0, length, step=v.lanes, name="zero") as j:
            v.store(v.zero(), to, j.index)
        # The run may begin before the window and end behind it.
        begin = e.maximum(lead, 0)
        stop = e.minimum(e.add(lead, count), length)
        with e.loop(begin, stop, name="element") as j:
            value = e.load(v.element.storage, line, e.mul(e.sub(j.index, lead), stride))
            e.store(v.widen(value), kind, to, j.index)
        return
    with e.loop(0, length, step=v.lanes, name="column") as j:
        first = e.sub(j.index, lead)
        if columns == "unit":
            value = v.load_stored(line, first, v.between(first, count))
        else:
            # Twice the lanes are read, and the even ones kept: element 2i of the line is the i-th of the run.
            twice, span = e.mul(first, 2), e.maximum(e.sub(e.mul(count, 2), 1), 0)
            low = v.load_stored(line, twice, v.between(twice, span))
            high_at = e.add(twice, v.lanes)
            high = v.load_stored(line, high_at, v.between(high_at, span))
            value = v.shuffle(low, high, list(range(0, 2 * v.lanes, 2)))
        v.store(value, to, j.index)
