"""How a vector of neighbours of the flat run is loaded, as a table tells what they hold
(plan/run_positions.py).

run        0 a b c d 0 e f        zeros of padding between rows
x          a b c d e f            so one load brings what the vector holds, and a mask says where
"""

from __future__ import annotations

from collections.abc import Callable

from convforge.ir.emitter import Value
from convforge.ir.text import I1, Type, vector
from convforge.ir.vector import Vectors
from convforge.kernels.tile_unit.contract import RUN_MASK_BITS, RunWay


def emit_run_load(v: Vectors, way: RunWay, entry: Value) -> tuple[Value, Callable[[Value], Value]]:
    """(where a vector begins in a channel, what loads it, given the channel's first element). way: masked or
    expanded; entry: of the table.
    """
    e = v.e
    mask = e.b.bitcast(e.b.trunc(entry, Type(f"i{v.lanes}")), vector(I1, v.lanes))
    offset = e.b.ashr(entry, e.i64(RUN_MASK_BITS))
    load = v.load_stored if way == "masked" else v.load_expanded
    return offset, lambda channel: load(channel, offset, mask)
