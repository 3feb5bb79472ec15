"""How a kernel that serves ordinary values only says that it has met others."""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Value
from convforge.kernels.contract import FLAG_BYTES


def emit_flag(e: Emitter, scratch: Value, bad: Value) -> None:
    """Set the flag in the header of scratch where the bit is set."""
    with e.when(bad):
        e.store(e.i64(1), "i64", e.at(scratch, "i8", FLAG_BYTES))
