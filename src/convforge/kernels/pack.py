"""Writes an input band into planes: padding, strides, layout and dtype are dealt with here, and only here.

    packed[channel][residue][row][column] = x[channel][source row][source column]    or 0

Source rows come from a table. A row's columns are one run of the input, with zeros before and after it, or
margins that reflect, replicate or circular padding fills from elsewhere, by tables. Where the input is one
long row, a window of `row_length` columns from `first_column` on is packed.

Contract: `target` has room for `slack` vectors after the last plane; input rows may have any stride and
are read only where they exist; nothing aliases.
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import COLUMN_FIELDS, MARGIN_FIELDS, ZERO_ROW, Columns
from convforge.kernels.parameters import Parameters


def emit_pack(
    e: Emitter,
    v: Vectors,
    columns: Columns,
    p: Parameters,
    *,
    source: Value,
    target: Value,
    channels: Int,
    first_row: Int,
    first_column: Int,
    rows: Int | None = None,
) -> None:
    """Pack `channels` channels: `rows` rows from first_row on, by default p.plane_rows, of all planes."""
    rows = e.minimum(p.plane_rows if rows is None else rows, e.sub(p.total_rows, first_row))
    row_table, column_table = p.pointer("row_table"), p.pointer("column_table")
    with (
        e.loop(0, channels, name="pack_channel") as channel,
        e.loop(0, p.row_residues, name="row_residue") as row_residue,
        e.loop(0, p.column_residues, name="col_residue") as residue,
    ):
        x = e.at(source, v.element.storage, e.mul(channel.index, p.x_channel))
        index = e.add(e.mul(row_residue.index, p.column_residues), residue.index)
        plane_index = e.add(e.mul(channel.index, p.planes), index)
        plane = e.at(target, v.element.compute, e.mul(plane_index, p.plane))
        offsets = e.at(row_table, "i64", e.add(e.mul(row_residue.index, p.total_rows), first_row))
        record = e.at(column_table, "i64", e.mul(residue.index, len(COLUMN_FIELDS)))
        _emit_plane(e, v, columns, p, x, plane, offsets, record, rows, first_column)


def _emit_plane(
    e: Emitter,
    v: Vectors,
    columns: Columns,
    p: Parameters,
    x: Value,
    plane: Value,
    offsets: Value,
    record: Value,
    rows: Int,
    first_column: Int,
) -> None:
    """The rows of one plane: a run of the input each, and two margins."""
    storage, compute = v.element.storage, v.element.compute
    lead, count, start = (e.load("i64", record, i) for i in range(3))
    lead = e.sub(lead, first_column)
    with e.loop(0, rows, name="pack_row") as row:
        offset = e.load("i64", offsets, row.index)
        to = e.at(plane, compute, e.mul(row.index, p.pitch))
        # A row of zeros is a run of length 0; its offset is never used.
        real = e.differ(offset, ZERO_ROW)
        here = e.select(real, count, 0)
        line = e.at(x, storage, e.select(real, e.add(offset, start), 0))
        _emit_run(e, v, columns, line, to, lead, here, p.row_length, p.x_column)
        with e.when(real):
            emit_margins(e, v, p, x, offset, to, record, first_column)


def emit_margins(
    e: Emitter,
    v: Vectors,
    p: Parameters,
    x: Value,
    offset: Value,
    to: Value,
    record: Value,
    first_column: Int,
) -> None:
    """Fill what a padding mode fills of one row of one plane, as far as it lies in the window.

    offset: of the source row in x. record: the plane's column record.
    """
    storage, compute = v.element.storage, v.element.compute
    for side in ("left", "right"):
        first, stop, offsets = (
            e.load("i64", record, COLUMN_FIELDS.index(f"{side}_{field}")) for field in MARGIN_FIELDS
        )
        table = e.b.inttoptr(offsets, x.type)
        begin = e.maximum(first, first_column)
        end = e.minimum(stop, e.add(first_column, p.row_length))
        with e.loop(begin, end, name="margin") as at:
            source = e.load("i64", table, e.sub(at.index, first))
            value = e.load(storage, x, e.add(offset, source))
            e.store(v.widen(value), compute, to, e.sub(at.index, first_column))


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
    # A run's elements `begin` … are read, `span` of them there are, `size` for a vector.
    step = 1 if columns == "unit" else 2
    size, span = step * v.lanes, e.maximum(e.sub(e.mul(count, step), step - 1), 0)
    with e.loop(0, length, step=v.lanes, name="column") as j:
        begin = e.mul(e.sub(j.index, lead), step)
        if v.masks_are_free:
            v.store(_load_run(v, line, begin, span, step), to, j.index)
        else:
            # Masked loads were 27 % of the time of MobileNet's first layer (AVX2, Zen 1), these are 6 %.
            inside = e.b.and_(e.no_less(begin, 0), e.no_less(span, e.add(begin, size)))
            with e.b.if_else(inside) as (whole, part):
                with whole:
                    v.store(_load_run(v, line, begin, None, step), to, j.index)
                with part:
                    v.store(_load_run(v, line, begin, span, step), to, j.index)


def _load_run(v: Vectors, line: Value, begin: Int, span: Int | None, step: int) -> Value:
    """Every `step`-th element of a line from `begin` on, zero where it has none; span None: it has all."""
    e = v.e

    def load(at: Int) -> Value:
        return v.load_stored(line, at, None if span is None else v.between(at, span))

    if step == 1:
        return load(begin)
    # Twice the lanes are read, and the even ones kept.
    return v.shuffle(load(begin), load(e.add(begin, v.lanes)), list(range(0, 2 * v.lanes, 2)))
