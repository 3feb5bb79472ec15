"""Rounding float32 to integers, on every processor: LLVM's own is a call into C below SSE4.1."""

from __future__ import annotations

from convforge.ir.text import I32, Value, splat, vector
from convforge.ir.vector import Vectors

# 1.5 * 2^23: a float32 between ±2^22 added to it is rounded to the nearest integer, ties to even, and the low
# bits hold it.
_ROUNDER, _ROUNDER_BITS = 12582912.0, 0x4B400000


def emit_round(v: Vectors, value: Value) -> Value:
    """The nearest int32 of float32 between ±2^22, ties to even."""
    kind = vector(I32, v.lanes)
    bits = v.e.b.bitcast(v.e.b.fadd(value, v.constant(_ROUNDER)), kind)
    return v.e.b.sub(bits, splat(kind, _ROUNDER_BITS))
