"""Writes an input band into planes: padding, strides, layout and dtype are dealt with here, and only here.

    packed[channel][residue][row][column] = x[channel][source row][source column]    or 0

Source rows come from a table. A row's columns are one run of the input, with zeros before and after it, or
margins that reflect, replicate or circular padding fills from elsewhere, by tables. Where the input is one
long row, a window of `row_length` columns from `first_column` on is packed.

    x:  a b c d e f g     stride 1:  0 a b c d e f g 0     stride 2:  0 b d f   a c e g, read once for both

Contract: `target` has room for `slack` vectors after the last plane; input rows may have any stride and
are read only where they exist; nothing aliases.
"""

from __future__ import annotations

from dataclasses import dataclass

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import COLUMN_FIELDS, MARGIN_FIELDS, ZERO_ROW, Columns
from convforge.kernels.parameters import Parameters


def find_window(e: Emitter, p: Parameters, first: Int) -> tuple[Int, Int, Int]:
    """(row, column, position) with which planes begin that have position `first` of the flat run: rows are
    whole, but where there is only one.
    """
    one_row = e.differ(p.one_row, 0)
    row, column = e.select(one_row, 0, e.div(first, p.pitch)), e.select(one_row, first, 0)
    return row, column, e.add(e.mul(row, p.pitch), column)


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
    if columns == "dense":
        begin, count = dense_run(e, p, first_row, first_column, rows)
        with e.loop(0, channels, name="pack_channel") as channel:
            line = e.at(source, v.element.storage, e.add(e.mul(channel.index, p.x_channel), begin))
            _emit_run(
                e, v, "unit", line, e.at(target, v.element.compute, e.mul(channel.index, p.plane)), count, 1
            )
        return
    row_table, records = p.pointer("row_table"), p.pointer("column_table")

    def find_run(residue: Int) -> _Run:
        step = _step_of(columns) or p.x_column
        return _find_run(e, p, records, residue, first_column, step)

    # Below AVX-512 half of what is loaded costs as much as all of it: columns are read once for two planes.
    shared = columns == "pair" and not v.masks_are_free
    pair = _Pair(e, v, p, find_run(0), find_run(e.sub(p.column_residues, 1))) if shared else None
    with (
        e.loop(0, channels, name="pack_channel") as channel,
        e.loop(0, p.row_residues, name="row_residue") as row_residue,
    ):
        x = e.at(source, v.element.storage, e.mul(channel.index, p.x_channel))
        offsets = e.at(row_table, "i64", e.add(e.mul(row_residue.index, p.total_rows), first_row))
        index = e.add(e.mul(channel.index, p.planes), e.mul(row_residue.index, p.column_residues))
        planes = e.at(target, v.element.compute, e.mul(index, p.plane))

        def emit_planes() -> None:
            with e.loop(0, p.column_residues, name="col_residue") as residue:
                run = find_run(residue.index)
                plane = e.at(planes, v.element.compute, e.mul(residue.index, p.plane))
                with e.loop(0, rows, name="pack_row") as row:
                    _emit_row(e, v, columns, p, x, plane, offsets, row.index, run, first_column)

        if pair is None:
            emit_planes()
        else:
            with e.b.if_else(pair.alternate) as (together, apart):
                with together, e.loop(0, rows, name="pack_row") as row:
                    pair.emit_row(x, planes, offsets, row.index, first_column)
                with apart:
                    emit_planes()


def _step_of(columns: Columns) -> int | None:
    """Elements from a column to the next, where the code knows them."""
    return columns if isinstance(columns, int) else {"unit": 1, "pair": 2}.get(columns)


def dense_run(e: Emitter, p: Parameters, first_row: Int, first_column: Int, rows: Int) -> tuple[Int, Int]:
    """(begin, length) of what `rows` rows from first_row on, or a window from first_column on, are of a plane
    that the input holds as it is.
    """
    begin = e.add(e.mul(first_row, p.pitch), first_column)
    written = e.add(e.mul(e.sub(rows, 1), p.pitch), p.row_length)
    return begin, e.minimum(written, e.sub(e.mul(p.total_rows, p.pitch), begin))


@dataclass(frozen=True, slots=True)
class _Run:
    """What a row of a plane has of the input: positions first … stop - 1, which are the elements of x's row
    from `source` on, `step` apart; and its column record.
    """

    first: Int
    stop: Int
    source: Int
    record: Value
    margins: Value


def _find_run(e: Emitter, p: Parameters, records: Value, residue: Int, first_column: Int, step: Int) -> _Run:
    """The run of a plane, as far as it lies in the window from first_column on."""
    record = e.at(records, "i64", e.mul(residue, len(COLUMN_FIELDS)))
    lead, count, start = (e.load("i64", record, i) for i in range(3))
    lead = e.sub(lead, first_column)
    # The window may end before the run begins, or begin behind its end.
    first = e.minimum(e.maximum(lead, 0), p.row_length)
    stop = e.maximum(e.minimum(e.add(lead, count), p.row_length), first)
    source = e.add(start, e.mul(e.sub(first, lead), step))
    left, right = (
        e.less(*(e.load("i64", record, COLUMN_FIELDS.index(f"{side}_{at}")) for at in ("first", "stop")))
        for side in ("left", "right")
    )
    return _Run(first, stop, source, record, e.b.or_(left, right))


def _emit_row(
    e: Emitter,
    v: Vectors,
    columns: Columns,
    p: Parameters,
    x: Value,
    plane: Value,
    offsets: Value,
    row: Int,
    run: _Run,
    first_column: Int,
) -> None:
    """A row of one plane: a run of the input, and two margins."""
    storage, compute = v.element.storage, v.element.compute
    offset = e.load("i64", offsets, row)
    to = e.at(plane, compute, e.mul(row, p.pitch))
    with e.b.if_else(e.differ(offset, ZERO_ROW)) as (real, empty):
        with empty:
            _emit_zeros(e, v, to, 0, p.row_length)
        with real:
            line = e.at(x, storage, e.add(offset, run.source))
            _emit_zeros(e, v, to, 0, run.first)
            _emit_run(
                e, v, columns, line, e.at(to, compute, run.first), e.sub(run.stop, run.first), p.x_column
            )
            _emit_zeros(e, v, to, run.stop, p.row_length)
            with e.when(run.margins):
                emit_margins(e, v, p, x, offset, to, run.record, first_column)


def _emit_zeros(e: Emitter, v: Vectors, to: Value, first: Int, stop: Int) -> None:
    """Zeros from `first` to `stop`, and a few more."""
    with e.loop(first, stop, step=v.lanes, name="zero") as j:
        v.store(v.zero(), to, j.index)


def _emit_run(
    e: Emitter, v: Vectors, columns: Columns, line: Value, to: Value, count: Int, stride: Int
) -> None:
    """to[j] = line[j * step] for j < count, and a few zeros.

    Where masked loads are dear only runs shorter than a vector have one: longer ones end with a vector that
    begins early. With masks in the first and the last vector of each row, MobileNet's first layer spent a
    third of its time here (AVX2, Zen 1).
    """
    kind = v.element.compute
    step = _step_of(columns)
    if step is None:
        with e.loop(0, count, name="element") as j:
            value = e.load(v.element.storage, line, e.mul(j.index, stride))
            e.store(v.widen(value), kind, to, j.index)
        return
    span = e.sub(e.mul(count, step), step - 1)

    def emit_masked(first: Int = 0) -> None:
        with e.loop(first, count, step=v.lanes, name="column") as j:
            v.store(_load_run(v, line, e.mul(j.index, step), span, step), to, j.index)

    if v.masks_are_free:
        # Free they are beside other work; here they are most of it. Of no element the span is negative.
        whole = e.mul(e.div(e.maximum(span, 0), step * v.lanes), v.lanes)
        with e.loop(0, whole, step=v.lanes, name="whole") as j:
            v.store(_load_run(v, line, e.mul(j.index, step), None, step), to, j.index)
        emit_masked(whole)
        return
    # Behind the last of every second element there may be no memory: its vector is read from one before on.
    with e.b.if_else(e.no_less(count, v.lanes + step - 1)) as (whole, part):
        with whole:
            last = e.sub(count, v.lanes)
            with e.loop(0, last, step=v.lanes, name="column") as j:
                value = (
                    v.load_stored(line, j.index) if step == 1 else v.load_pairs(line, e.mul(j.index, 2))[0]
                )
                v.store(value, to, j.index)
            value = (
                v.load_stored(line, last) if step == 1 else v.load_pairs(line, e.sub(e.mul(last, 2), 1))[1]
            )
            v.store(value, to, last)
        with part:
            emit_masked()


class _Pair:
    """Two planes of every second column each, filled from what is read once.

    alternate: whether their elements alternate in x, and fill a vector.
    """

    def __init__(self, e: Emitter, v: Vectors, p: Parameters, first: _Run, second: _Run) -> None:
        self._e, self._v, self._p = e, v, p
        self._runs = runs = (first, second)
        swapped = e.less(runs[1].source, runs[0].source)

        def ordered(first: Int, second: Int) -> tuple[Int, Int]:
            return e.select(swapped, second, first), e.select(swapped, first, second)

        self._source, other = ordered(*(run.source for run in runs))
        self._count, self._others = ordered(*(e.sub(run.stop, run.first) for run in runs))
        places = [e.add(e.mul(p.plane, i), run.first) for i, run in enumerate(runs)]
        self._places = ordered(*places)
        beside = e.equal(other, e.add(self._source, 1))
        more = e.sub(self._count, self._others)
        paired = e.b.and_(e.no_less(more, 0), e.less(more, 2))
        enough = e.b.and_(e.no_less(self._others, v.lanes), e.equal(p.column_residues, 2))
        self.alternate = e.b.and_(e.b.and_(beside, paired), enough)

    def emit_row(self, x: Value, planes: Value, offsets: Value, row: Int, first_column: Int) -> None:
        """A row of both planes."""
        e, v, p = self._e, self._v, self._p
        storage, compute = v.element.storage, v.element.compute
        offset = e.load("i64", offsets, row)
        to = e.at(planes, compute, e.mul(row, p.pitch))
        both = [to, e.at(to, compute, p.plane)]
        with e.b.if_else(e.differ(offset, ZERO_ROW)) as (real, empty):
            with empty:
                for plane in both:
                    _emit_zeros(e, v, plane, 0, p.row_length)
            with real:
                for plane, run in zip(both, self._runs, strict=True):
                    _emit_zeros(e, v, plane, 0, run.first)
                self._emit_runs(e.at(x, storage, e.add(offset, self._source)), to)
                for plane, run in zip(both, self._runs, strict=True):
                    _emit_zeros(e, v, plane, run.stop, p.row_length)
                    with e.when(run.margins):
                        emit_margins(e, v, p, x, offset, plane, run.record, first_column)

    def _emit_runs(self, line: Value, to: Value) -> None:
        """The elements of both by turns. The last vectors begin early."""
        e, v = self._e, self._v
        targets = [e.at(to, v.element.compute, place) for place in self._places]

        def copy(at: Int) -> None:
            for value, target in zip(v.load_pairs(line, e.mul(at, 2)), targets, strict=True):
                v.store(value, target, at)

        last = e.sub(self._others, v.lanes)
        with e.loop(0, last, step=v.lanes, name="pair") as j:
            copy(j.index)
        copy(last)
        with e.when(e.less(self._others, self._count)):
            single = e.load(v.element.storage, line, e.mul(self._others, 2))
            e.store(v.widen(single), v.element.compute, targets[0], self._others)


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


def _load_run(v: Vectors, line: Value, begin: Int, span: Int | None, step: int) -> Value:
    """Every `step`-th element of a line of `span` elements from `begin` on, zero where it has none. No span:
    it has all.
    """
    e = v.e

    def load(at: Int) -> Value:
        return v.load_stored(line, at, None if span is None else v.between(at, span))

    # So many times the lanes are read, and the first of each few kept.
    return v.deinterleave([load(e.add(begin, i * v.lanes)) for i in range(step)])[0]
