"""Sums and means of the numbers that are there: NaN counts for nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from .dtype import COMPLEX, FLOAT, resolve
from .naming import named
from .reduction import sum as total
from .selection import where
from .tensor import Tensor, from_data


def nansum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum over `dim` or all, NaN taken as 0. Raises RuntimeError for complex tensors."""
    if input.dtype.category == COMPLEX:
        raise RuntimeError("nansum on CPU does not support complex inputs")
    if input.dtype.category < FLOAT:
        return total(input, dim, keepdim, dtype=dtype)
    counted = where(from_data(np.isnan(input._data)), 0.0, input)
    return named(total(counted, dim, keepdim, dtype=dtype), "NansumBackward0")


def nanmean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over `dim` or all of what is not NaN; NaN where nothing is left.

    Raises RuntimeError for integers and complex tensors.
    """
    if input.dtype.category < FLOAT:
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{input.dtype.scalar_name}: convert it with .float()"
        )
    if dtype is not None:
        input = input.to(resolve(dtype))
    count = total(from_data(~np.isnan(input._data)), dim, keepdim)
    return nansum(input, dim, keepdim) / count
