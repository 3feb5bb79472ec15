"""Truncated normal numbers by rejection: the two ways of torch.nn.init.trunc_normal_, draw for draw.

over 30 % of the normal distribution in [a, b]    draw normal numbers until all are inside
else                                              draw uniform numbers of [a, b], keep each with the chance
                                                  density(number) / density(peak)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.autograd.random import Generator, normal_, uniform_

Array = NDArray[Any]


def fill_truncated(
    array: Array, mean: float, std: float, a: float, b: float, generator: Generator | None
) -> None:
    """Fill `array`, of any shape and strides, with normal numbers of [a, b]."""
    if _below((b - mean) / std) - _below((a - mean) / std) > 0.3:
        _reject_normal(array, mean, std, a, b, generator)
    else:
        _reject_uniform(array, mean, std, a, b, generator)


def _below(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0


def _reject_normal(
    array: Array, mean: float, std: float, a: float, b: float, generator: Generator | None
) -> None:
    # The bounds are rounded to the dtype, so that a number equal to a rounded bound is inside.
    low, high = np.asarray([a, b]).astype(array.dtype)
    normal_(array, mean, std, generator)
    while (outside := (array < low) | (array > high)).any():
        again = normal_(np.empty_like(array), mean, std, generator)
        array[outside] = again[outside]


def _reject_uniform(
    array: Array, mean: float, std: float, a: float, b: float, generator: Generator | None
) -> None:
    log_peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2
    uniform_(array, a, b, generator)
    pending = _is_refused(array, mean, std, log_peak, generator)
    while pending.any():
        candidates = uniform_(np.empty_like(array), a, b, generator)
        array[pending] = candidates[pending]
        pending &= _is_refused(candidates, mean, std, log_peak, generator)


def _is_refused(
    candidates: Array, mean: float, std: float, log_peak: float, generator: Generator | None
) -> NDArray[np.bool_]:
    # Rounded to the dtype after each operation, as PyTorch's in-place operations do.
    log_density = _rounded(np.subtract, candidates, mean)
    log_density = _rounded(np.divide, log_density, std)
    log_density = _rounded(np.square, log_density)
    log_density = _rounded(np.multiply, log_density, -0.5)
    log_density = _rounded(np.subtract, log_density, log_peak)
    chances = uniform_(np.empty_like(candidates), 0.0, 1.0, generator)
    with np.errstate(divide="ignore"):  # log 0 = -inf is a refusal of nothing
        return _rounded(np.log, chances) > log_density


def _rounded(operation: np.ufunc, values: Array, *numbers: float) -> Array:
    if values.dtype.itemsize > 2:
        return operation(values, *numbers)
    return operation(values.astype(np.float32), *numbers).astype(values.dtype)
