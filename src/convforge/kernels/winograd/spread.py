"""Whether Winograd's transforms do harm: magnitudes of inputs that lie too far apart, or are not finite.

An output depends on r inputs along each axis, its window; its rounding errors on the m + r - 1 of its tile:

    F(2, 3)   tile   a b c d      windows  a b c  and  b c d

Were d 1e9 times larger than a, b and c, the first output would drown in d's rounding. So each window's
largest magnitude, over all channels, is compared with its tile's. Magnitudes are compared as integers, the
bits of |x|: exact in any order, and NaN is the largest of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from convforge.ir.emitter import Value
from convforge.ir.vector import Vectors
from convforge.kernels.winograd.separable import Pass

Sizes = tuple[int, int, int]

# Times that a tile's largest input may exceed that of a window in it: pictures of 8 bits pass. It bounds what
# an output can lose to its neighbours to 256 roundings of its own.
SPREAD = 256.0
# Largest inputs of a tile beyond which, or below which, transforms and products might leave the range.
_RANGE = {4: 2.0**60, 8: 2.0**500}


def window_counts(inputs: Sizes, windows: Sizes, steps: Sizes) -> Sizes:
    """Windows of a tile of so many inputs along each axis, each `steps` inputs on from the one before."""
    d, h, w = ((n - window) // step + 1 for n, window, step in zip(inputs, windows, steps))
    return d, h, w


def window_passes(v: Vectors, inputs: Sizes, windows: Sizes, steps: Sizes = (1, 1, 1)) -> list[Pass]:
    """The passes over a tile's magnitudes that leave the largest of each window."""
    counts = window_counts(inputs, windows, steps)
    return [
        Pass(axis, counts[axis], partial(_sliding, v, windows[axis], steps[axis]))
        for axis in (2, 1, 0)
        if inputs[axis] > 1
    ]


def _sliding(v: Vectors, taps: int, step: int, inputs: Sequence[Value]) -> list[Value]:
    """The largest magnitude of `taps` neighbours, from those of half as many, beginning at each step."""
    line, width = [v.magnitude(x) for x in inputs], 1
    while width < taps:
        further = min(width, taps - width)
        line = [v.larger(line[i], line[i + further]) for i in range(len(line) - further)]
        width += further
    return line[::step]


def emit_uneven(v: Vectors, windows: list[Value], real: Value) -> Value:
    """Whether, in a real lane, a window is too small for its tile, or the tile out of range: one bit."""
    b = v.e.b
    tile = windows[0]
    for window in windows[1:]:
        tile = v.larger(tile, window)
    largest, zero = v.as_float(tile), v.zero()
    bad = b.icmp_unsigned(">", tile, v.bits_constant(_bits(v, _RANGE[v.element.compute_bytes])))
    tiny = b.fcmp_ordered("<", largest, v.constant(1 / _RANGE[v.element.compute_bytes]))
    bad = b.or_(bad, b.and_(tiny, b.fcmp_ordered(">", largest, zero)))
    for window in windows:
        size = v.as_float(window)
        drowned = b.fcmp_ordered("<", v.scale(size, SPREAD), largest)
        bad = b.or_(bad, b.and_(drowned, b.fcmp_ordered(">", size, zero)))
    return v.any(b.and_(bad, real))


def emit_largest(v: Vectors, so_far: Value, outputs: list[Value], real: Value) -> Value:
    """The largest magnitude of outputs in the real lanes, as bits."""
    largest = so_far
    for value in outputs:
        largest = v.larger(largest, v.magnitude(value))
    return v.e.b.select(real, largest, so_far)


def emit_unfit(v: Vectors, largest: Value) -> Value:
    """Whether a magnitude is infinite or NaN: one bit."""
    return v.any(v.e.b.icmp_unsigned(">=", largest, v.bits_constant(_bits(v, float("inf")))))


def _bits(v: Vectors, value: float) -> int:
    kind = (np.float32, np.uint32) if v.element.compute_bytes == 4 else (np.float64, np.uint64)
    return int(kind[0](value).view(kind[1]))
