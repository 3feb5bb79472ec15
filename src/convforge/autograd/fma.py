"""Fused multiply-add in NumPy, to the last bit.

PyTorch's uniform draws are `x * (to - from) + from` compiled with contraction: one rounding, not two. NumPy
has no such operation, and a third of the draws would differ in their last bit without it.
Source: Boldo & Melquiond, Emulation of a FMA and correctly-rounded sums: proved algorithms using rounding to
odd, 2008.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_SPLITTER = float(2**27 + 1)


def fma32(x: NDArray[np.float32], factor: float, addend: float) -> NDArray[np.float32]:
    """x * factor + addend with one rounding. x: (n,) float32; factor and addend are float32 values."""
    if addend == 0:
        return x * np.float32(factor)
    product = x.astype(np.float64) * factor  # exact: 24 + 24 bits
    total = product + addend
    result = total.astype(np.float32)
    # Rounding twice is wrong only where the first rounding lands on the middle of two float32 neighbours.
    is_tie = (total.view(np.uint64) & np.uint64(0x1FFFFFFF)) == np.uint64(0x10000000)
    if is_tie.any():
        ties = np.flatnonzero(is_tie)
        result[ties] = _to_odd(total[ties], _error_of_sum(product[ties], addend, total[ties])).astype(
            np.float32
        )
    return result


def fma64(x: NDArray[np.float64], factor: float, addend: float) -> NDArray[np.float64]:
    """x * factor + addend with one rounding. x: (n,) float64 in [0, 1)."""
    if addend == 0:
        return x * factor
    # Exponents are brought near 0 first, so that neither the splitting overflows nor its errors underflow.
    shift = -math.frexp(max(abs(factor), abs(addend)))[1]
    scaled_factor, scaled_addend = math.ldexp(factor, shift), math.ldexp(addend, shift)
    product = x * scaled_factor
    product_error = _error_of_product(x, scaled_factor, product)
    low = product_error + scaled_addend
    low_error = _error_of_sum(product_error, scaled_addend, low)
    high = product + low
    high_error = _error_of_sum(product, low, high)
    rest = high_error + low_error
    return np.ldexp(high + _to_odd(rest, _error_of_sum(high_error, low_error, rest)), -shift)


def _error_of_sum(
    a: NDArray[np.float64], b: NDArray[np.float64] | float, total: NDArray[np.float64]
) -> NDArray[np.float64]:
    from_b = total - a
    return (a - (total - from_b)) + (b - from_b)


def _error_of_product(
    x: NDArray[np.float64], factor: float, product: NDArray[np.float64]
) -> NDArray[np.float64]:
    high = x * _SPLITTER
    high = high - (high - x)
    low = x - high
    factor_high = factor * _SPLITTER
    factor_high = factor_high - (factor_high - factor)
    factor_low = factor - factor_high
    return ((high * factor_high - product) + high * factor_low + low * factor_high) + low * factor_low


def _to_odd(total: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to odd: where a sum was inexact and its last bit is even, step towards the exact value."""
    must_step = (error != 0) & ((total.view(np.uint64) & np.uint64(1)) == 0)
    if must_step.any():
        return np.where(must_step, np.nextafter(total, np.copysign(np.inf, error)), total)
    return total
