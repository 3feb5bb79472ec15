"""The dtype that arithmetic runs in: half precision is summed in float32, as PyTorch does on a CPU."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, Any]

_HALF = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


def widen(x: Array) -> Array:
    """Return float16 and bfloat16 arrays as float32, any other array as it is."""
    return x.astype(np.float32) if x.dtype in _HALF else x


def narrow(x: Array, dtype: np.dtype[Any]) -> Array:
    """Return `x` in `dtype`, without a copy where it is in that dtype already."""
    return x.astype(dtype, copy=False)


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Say whether `dtype` is a real floating-point dtype, bfloat16 included."""
    return dtype.kind == "f" or dtype in _HALF
