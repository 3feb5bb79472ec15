"""Quantised functions: `torch.ao.nn.quantized.functional`'s convolutions and `linear`.

Each packs its weights anew: a layer keeps them.
"""

from __future__ import annotations

from typing import Any

from convforge.autograd.quantized import QDType, QTensor, quint8
from convforge.nn.quantized.product import QuantizedConvolution, checked_bias, checked_weight

__all__ = ["conv1d", "conv2d", "conv3d", "linear"]


def conv1d(
    input: QTensor,
    weight: QTensor,
    bias: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    scale: float = 1.0,
    zero_point: int = 0,
    dtype: QDType = quint8,
) -> QTensor:
    """The convolution of quantised signals; scale, zero_point, dtype: of the output."""
    return _conv(
        1, input, weight, bias, stride, padding, dilation, groups, padding_mode, scale, zero_point, dtype
    )


def conv2d(
    input: QTensor,
    weight: QTensor,
    bias: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    scale: float = 1.0,
    zero_point: int = 0,
    dtype: QDType = quint8,
) -> QTensor:
    """The convolution of quantised images; scale, zero_point, dtype: of the output."""
    return _conv(
        2, input, weight, bias, stride, padding, dilation, groups, padding_mode, scale, zero_point, dtype
    )


def conv3d(
    input: QTensor,
    weight: QTensor,
    bias: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    scale: float = 1.0,
    zero_point: int = 0,
    dtype: QDType = quint8,
) -> QTensor:
    """The convolution of quantised volumes; scale, zero_point, dtype: of the output."""
    return _conv(
        3, input, weight, bias, stride, padding, dilation, groups, padding_mode, scale, zero_point, dtype
    )


def linear(
    input: QTensor, weight: QTensor, bias: Any = None, scale: Any = None, zero_point: Any = None
) -> QTensor:
    """A linear map of the last axis; scale, zero_point: of the output, the input's by default."""
    product = QuantizedConvolution(
        checked_weight(weight),
        checked_bias(bias),
        rank=1,
        relu=False,
        scale=input.q_scale() if scale is None else scale,
        zero_point=input.q_zero_point() if zero_point is None else zero_point,
        dtype=input.dtype,
    )
    return product.rows(input)


def _conv(
    rank: int,
    input: QTensor,
    weight: QTensor,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    padding_mode: str,
    scale: float,
    zero_point: int,
    dtype: QDType,
) -> QTensor:
    product = QuantizedConvolution(
        checked_weight(weight),
        checked_bias(bias),
        rank=rank,
        relu=False,
        scale=scale,
        zero_point=zero_point,
        dtype=dtype,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        padding_mode=padding_mode,
    )
    return product(input)
