"""The oracle of quantised convolutions: sums in int64, rescaled in NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.problem import ConvSpec
from convforge.problem.quantization import Rescaling
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
