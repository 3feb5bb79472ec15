"""Quantised numbers, x = (q - zero_point) * scale: their ranges, and how sums of products become them.

    acc = sum of (x - x_zero) * w        int32, exact
    y   = clamp(round((acc + bias) * multiplier)) + y_zero
        multiplier = x_scale * w_scale / y_scale,  bias in units of acc: b / (x_scale * w_scale)

in float32 and in this order, which is FBGEMM's, and so PyTorch's on x86: the same bits come out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.errors import ConvArgumentError, ConvDtypeError
from convforge.problem.arguments import integer

Array = NDArray[Any]
Floats = NDArray[np.float32]

# Of bytes that are inputs or outputs; weights are int8.
QUANTIZED_DTYPES = (np.dtype(np.uint8), np.dtype(np.int8))


@dataclass(frozen=True, slots=True, eq=False)
class Rescaling:
    """How the sums of each output channel become outputs.

    x_zero: zero point of the inputs. multiplier, bias: (out_channels,). y_dtype: uint8, int8 or float32.
    low, high: limits of an output before its zero point is added.
    """

    x_zero: int
    multiplier: Floats
    bias: Floats
    y_dtype: np.dtype[Any]
    y_zero: int
    low: float
    high: float

    @staticmethod
    def of(
        *,
        x_scale: float,
        x_zero: int,
        weight_scales: Array,
        bias: Array | None,
        relu: bool,
        y_dtype: np.dtype[Any],
        y_scale: float = 1.0,
        y_zero: int = 0,
    ) -> Rescaling:
        """The rescaling between these scales; weight_scales: (out_channels,). float32 outputs have none."""
        scales = np.float32(x_scale) * weight_scales.astype(np.float32)
        low, high = -math.inf, math.inf
        if y_dtype.kind != "f":
            low, high = (float(limit - y_zero) for limit in limits(y_dtype))
        shift = np.zeros_like(scales) if bias is None else bias.astype(np.float32) / scales
        return Rescaling(
            x_zero=x_zero,
            multiplier=scales / np.float32(y_scale),
            bias=shift,
            y_dtype=y_dtype,
            y_zero=y_zero,
            low=max(low, 0.0) if relu else low,
            high=high,
        )


def limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    """The smallest and the largest quantised number of a dtype."""
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def checked_quantized_dtype(dtype: np.dtype[Any], name: str) -> np.dtype[Any]:
    """uint8 or int8. Raises ConvDtypeError for others."""
    if dtype not in QUANTIZED_DTYPES:
        raise ConvDtypeError(
            f"{name} (={dtype}) must be a quantised dtype: use quint8 (uint8) or qint8 (int8)"
        )
    return dtype


def checked_scale(scale: Any, name: str = "scale") -> float:
    """A positive number whose float32 is neither 0 nor infinite. Raises ConvArgumentError for others."""
    try:
        value = float(scale)
    except (TypeError, ValueError):
        value = math.nan
    with np.errstate(over="ignore", under="ignore"):
        held = float(np.float32(value))
    if not (math.isfinite(held) and held > 0):
        raise ConvArgumentError(
            f"{name} (={scale!r}) must be a positive, finite number: use the range of the values "
            "divided by 255"
        )
    return value


def checked_scales(scales: Any, channels: int, name: str = "scales") -> NDArray[np.float64]:
    """One scale for each channel, as `checked_scale` wants them. Raises ConvArgumentError."""
    array = np.asarray(scales, np.float64)
    if array.shape != (channels,):
        raise ConvArgumentError(
            f"{name} has shape {array.shape}, but there are {channels} channels: use one for each"
        )
    for i, scale in enumerate(array.tolist()):
        checked_scale(scale, f"{name}[{i}]")
    return array


def checked_zero_point(zero_point: Any, dtype: np.dtype[Any], name: str = "zero_point") -> int:
    """A quantised number of the dtype. Raises ConvTypeError, ConvArgumentError."""
    value = integer(zero_point, name)
    low, high = limits(dtype)
    if not low <= value <= high:
        raise ConvArgumentError(
            f"{name} (={value}) must be a number that {dtype} holds, {low} to {high}: use "
            f"{min(max(value, low), high)} or another dtype"
        )
    return value
