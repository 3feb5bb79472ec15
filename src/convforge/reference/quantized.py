"""The oracle of quantised convolutions: sums in int64, rescaled in NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.problem import ConvSpec
from convforge.problem.quantization import Rescaling, limits
from convforge.reference.convolution import output

Array = NDArray[Any]


def quantized_output(spec: ConvSpec, x: Array, weight: Array, rescaling: Rescaling) -> Array:
    """The output of a convolution of bytes.

    x: spec.input_shape, uint8 or int8, weight: spec.weight_shape, int8 -> spec.output_shape, of
    rescaling.y_dtype
    """
    wide = replace(spec, dtype=np.dtype(np.int64))
    sums = output(wide, x.astype(np.int64) - rescaling.x_zero, weight.astype(np.int64))
    shape = (-1, *(1,) * spec.rank)
    multiplier, bias = rescaling.multiplier.reshape(shape), rescaling.bias.reshape(shape)
    y = np.clip((sums.astype(np.float32) + bias) * multiplier, rescaling.low, rescaling.high)
    if rescaling.y_dtype.kind == "f":
        return y.astype(rescaling.y_dtype)
    return (np.rint(y).astype(np.int64) + rescaling.y_zero).astype(rescaling.y_dtype)


def quantized(x: Array, scale: float, zero_point: int, dtype: np.dtype[Any]) -> Array:
    """float32 x as bytes: clamp(round(x * (1 / scale) + zero_point)), product and sum in one rounding."""
    # float64 holds the product exactly. What no integer holds becomes a limit, and NaN the upper one.
    reciprocal = np.float64(np.float32(1) / np.float32(scale))
    with np.errstate(over="ignore"):
        moved = (x.astype(np.float64) * reciprocal + zero_point).astype(np.float32)
    return rounded(moved, dtype)


def rounded(moved: Array, dtype: np.dtype[Any]) -> Array:
    """float32 to the nearest numbers of a dtype, ties to even; NaN to the largest."""
    low, high = limits(dtype)
    return np.where(np.isnan(moved), high, np.clip(np.rint(moved), low, high)).astype(dtype)
