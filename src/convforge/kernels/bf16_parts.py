"""fp32 numbers as sums of bf16 parts, and a watch on whether that is exact.

    x = hi + mid + lo        hi = bf16(x), mid = bf16(x - hi), lo = x - hi - mid: 8 of 24 bits each

A part is kept as the fp32 number that it is, whose lower 16 bits are zero. Each difference is exact, and so
is lo: what two parts leave of 24 bits has at most 8. bfloat16 numbers are their own only part. Integer
instructions round, on every processor alike: of two nearest to the one away from zero, which takes two of
them (to the even one five).

Source: Henry, Tang and Heinecke, *Leveraging the bfloat16 Artificial Intelligence Datatype For
Higher-Precision Computations*, arXiv 1904.06376.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convforge.ir.emitter import Value
from convforge.ir.vector import Vectors


def emit_parts(v: Vectors, value: Value, parts: int) -> list[Value]:
    """The bits of the parts, largest first; their sum is the value where there are three."""
    found: list[Value] = []
    for part in range(parts):
        bits = v.e.b.bitcast(value, v.bits_constant(0).type)
        if v.element.storage != "bf16" and part < 2:
            bits = _rounded(v, bits)
        found.append(bits)
        if part + 1 < parts:
            value = v.subtract(value, v.as_float(bits))
    return found


def emit_words(v: Vectors, low: Value, high: Value, parts: int) -> list[Value]:
    """The parts of two vectors, those of a lane side by side in one word of 32 bits."""
    both = zip(emit_parts(v, low, parts), emit_parts(v, high, parts))
    return [v.e.b.or_(v.e.b.lshr(a, v.bits_constant(16)), c) for a, c in both]


def _rounded(v: Vectors, bits: Value) -> Value:
    """To the nearest number whose lower half is zero, to the one away from zero of two."""
    b = v.e.b
    return b.and_(b.add(bits, v.bits_constant(0x8000)), v.bits_constant(-0x10000))


def none_seen(v: Vectors) -> list[Value]:
    """What `emit_seen` begins with."""
    return [v.bits_constant(0)] * 2


def emit_seen(v: Vectors, seen: Sequence[Value], value: Value) -> list[Value]:
    """Note the magnitudes of a vector: the largest so far, and the smallest that is not zero, negated.

    As integers: 0 - magnitude is larger for smaller ones, and 0 for zero, which so never counts.
    """
    largest, smallest = seen
    magnitude = v.magnitude(value)
    negated = v.e.b.sub(v.bits_constant(0), magnitude)
    return [v.larger(largest, magnitude), v.larger(smallest, negated)]


def emit_outside(v: Vectors, seen: Sequence[Value], limits: tuple[float, float]) -> Value:
    """Whether a magnitude lies outside these limits, or is infinite or NaN: one bit."""
    least, most = (int(np.float32(limit).view(np.uint32)) for limit in limits)
    largest, smallest = seen
    too_large = v.e.b.icmp_unsigned(">", largest, v.bits_constant(most))
    too_small = v.e.b.icmp_unsigned(">", smallest, v.bits_constant((1 << 32) - least))
    return v.any(v.e.b.or_(too_large, too_small))
