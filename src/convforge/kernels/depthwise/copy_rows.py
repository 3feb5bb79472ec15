"""Copies rows of an input into planes whose zeros stay: padding costs nothing, for it is written once.

    plane:  0 0 0 0 0 0 0     the zeros of all channels
            0 a b c d e 0     one channel's rows between them, the next channel's over them
            0 f g h i j 0

Of every second column there are two planes, and both are filled from what is read once (kernel 3, stride 2,
padding 1: the first taps read the odd columns, with a zero before them):

    x:  a b c d e f g h     odd:  0 b d f h     even:  a c e g

pack/planes.py serves every other input. This takes 35 cycles for a row of 56 columns at stride 2 (Zen 1).

Contract: columns of x lie side by side, what pads rows is zeros, a row of x fills `step` vectors of `lanes`.
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import ZERO_ROW
from convforge.kernels.depthwise.contract import RowCopy
from convforge.kernels.parameters import Parameters


def emit_zeros(e: Emitter, v: Vectors, target: Value, elements: Int) -> None:
    """Planes without rows; elements: whole vectors."""
    with e.loop(0, elements, step=v.lanes, name="zero") as at:
        v.store(v.zero(), target, at.index)


def emit_copy(
    e: Emitter, v: Vectors, copy: RowCopy, p: Parameters, *, source: Value, target: Value, first_row: Int
) -> None:
    """One channel's rows from first_row on, of all planes, every `step`-th column in a plane of its own."""
    v, step = Vectors(e, v.element, copy.lanes, fused=v.fused), copy.step
    storage, compute = v.element.storage, v.element.compute
    rows = e.minimum(p.plane_rows, e.sub(p.total_rows, first_row))
    table = p.pointer("row_table")
    with e.loop(0, p.row_residues, name="row_residue") as residue:
        offsets = e.at(table, "i64", e.add(e.mul(residue.index, p.total_rows), first_row))
        planes = e.at(target, compute, e.mul(residue.index, step, p.plane))
        targets = [e.at(planes, compute, at) for at in (p.copy_first, p.copy_second)]
        columns = p.copy_columns
        with e.loop(0, rows, name="copied_row") as row:
            offset = e.load("i64", offsets, row.index)
            with e.when(e.differ(offset, ZERO_ROW)):
                line = e.at(source, storage, e.add(offset, p.copy_start))
                to = e.mul(row.index, p.pitch)
                here = [e.at(target, compute, to) for target in targets[:step]]
                _emit_line(e, v, line, here, columns, copy.chunks)


# Chunks of a row that are unrolled; of longer rows so many at a time.
_UNROLLED, _AT_ONCE = 8, 4


def _emit_line(e: Emitter, v: Vectors, line: Value, targets: list[Value], columns: Int, chunks: int) -> None:
    """A row, its columns dealt out to the targets by turns. The last chunk begins early."""
    step = len(targets)
    span = step * v.lanes
    whole = columns if step == 1 else e.mul(e.div(columns, 2), 2)

    def copy(at: Int, to: Int) -> None:
        vectors = [v.load_stored(line, at)] if step == 1 else v.load_pairs(line, at)
        for vector, target in zip(vectors, targets, strict=True):
            v.store(vector, target, to)

    looped = (chunks - 1) // _AT_ONCE * _AT_ONCE if chunks > _UNROLLED else 0
    if looped:
        with e.loop(0, looped * span, step=_AT_ONCE * span, name="copied") as column:
            to = e.div(column.index, step)
            for i in range(_AT_ONCE):
                copy(e.add(column.index, i * span), e.add(to, i * v.lanes))
    for i in range(looped, chunks - 1):
        copy(i * span, i * v.lanes)
    last = e.sub(whole, span)
    copy(last, e.div(last, step))
    if step == 2:
        with e.when(e.differ(whole, columns)):
            single = v.widen(e.load(v.element.storage, line, whole))
            e.store(single, v.element.compute, targets[0], e.div(whole, 2))
