"""Outputs that are too large to be found in a cache again, written past them.

An ordinary store reads the line that it writes to, and one day that line is written back: twice the traffic,
and what the next tiles need is thrown out for it. A whole line that is written at once, by a nontemporal
store, goes to memory by itself.

    56 x 56 outputs of 256 channels, 16 images     no cache keeps 51 MB
    |======|======|======|==                       lines of 64 bytes: past the caches
                           ...                     what does not fill one: as ever

Rows of outputs that do not begin on lines are put together near first, as many as make a long run.

Such stores are not in order with others: a task waits for its own before it ends (`emit_drain`).
"""

from __future__ import annotations

from collections.abc import Callable

from convforge.ir.emitter import Emitter, Int
from convforge.ir.text import I64, VOID, Value
from convforge.ir.vector import Vectors
from convforge.memory import LINE_BYTES

# Given a value, where, and an offset in elements of storage: all lanes are written.
Store = Callable[[Value, Value, Int], None]


def emit_whole(v: Vectors, pointer: Value, emit: Callable[[Store], None]) -> None:
    """Have whole vectors written that begin at `pointer`, and whole lines of the cache from it.

    emit: writes by the store that it is given, the vectors of a line one behind the other. It is emitted
    twice where outputs are streamed: for arrays that begin on a line, and for others.
    """
    if not v.streams:
        emit(v.store_stored)
        return
    with v.e.b.if_else(_begins_line(v.e, pointer)) as (past, near):
        with past:
            emit(v.store_streamed)
        with near:
            emit(v.store_stored)


def emit_run(v: Vectors, source: Value, pointer: Value, count: Int) -> None:
    """Copy `count` elements of storage that lie one behind the other in scratch: whole lines past the caches.

    Whole vectors are read of `source`.
    """
    e, size = v.e, v.element.storage_bytes
    line = LINE_BYTES // size
    behind = e.b.and_(e.b.sub(I64(0), e.b.ptrtoint(pointer, I64)), I64(LINE_BYTES - 1))
    lead = e.minimum(e.div(behind, size), count)
    stop = e.sub(count, e.rem(e.sub(count, lead), line))

    def load(at: Int) -> Value:
        return v.load_stored(source, at)

    v.store_run(load, pointer, lead)
    with e.loop(lead, stop, step=line, name="streamed") as i:
        for j in range(0, line, v.lanes):
            v.store_streamed(load(e.add(i.index, j)), pointer, e.add(i.index, j))
    rest = e.at(pointer, v.element.storage, stop)
    v.store_run(lambda at: load(e.add(stop, at)), rest, e.sub(count, stop))


def emit_drain(e: Emitter) -> None:
    """Wait until all that this task has streamed can be seen by others."""
    e.b.call(e.module.declare("llvm.x86.sse.sfence", VOID, []), [])


def _begins_line(e: Emitter, pointer: Value) -> Value:
    return e.equal(e.b.and_(e.b.ptrtoint(pointer, I64), I64(LINE_BYTES - 1)), 0)
