"""How far a sum of products may be from the exact one: from dtype and reduction length, by one function."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

_HALVES = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


def tolerance(dtype: npt.DTypeLike, length: int) -> float:
    """Largest |error| / Σ|products| of a sum of `length` products, rounded once to `dtype`.

    One rounding of the result; and a random walk of `length` roundings in the accumulator, which is fp32 for
    half precision, taken four times as wide as its standard deviation.
    """
    dtype = np.dtype(dtype)
    if dtype.kind in "iub":
        return 0.0
    accumulator = np.dtype(np.float32) if dtype in _HALVES else dtype
    return _epsilon(dtype) + 4 * _epsilon(accumulator) * math.sqrt(max(length, 1))


def _epsilon(dtype: np.dtype[Any]) -> float:
    return float(ml_dtypes.finfo(dtype).eps)


def assert_close(
    actual: npt.NDArray[Any], exact: npt.NDArray[Any], magnitude: npt.NDArray[Any], length: int
) -> None:
    """`actual` is `exact`, a sum of `length` products whose absolute values add up to `magnitude`.

    The tolerance is that of actual's dtype. Integers must agree exactly.
    """
    assert actual.shape == exact.shape, f"shape {actual.shape}, expected {exact.shape}"
    if actual.dtype.kind in "iu":
        np.testing.assert_array_equal(actual, exact.astype(actual.dtype))
        return
    wide = np.complex128 if actual.dtype.kind == "c" else np.float64
    error = np.abs(actual.astype(wide) - exact)
    # The smallest normal number: below it, relative precision ends.
    bound = tolerance(actual.dtype, length) * np.abs(magnitude) + float(ml_dtypes.finfo(actual.dtype).tiny)
    worst = np.max(error / bound, initial=0.0)
    assert worst <= 1, f"error is {worst:.3g} times the tolerance of {actual.dtype} for sums of {length}"
