"""Activations made of straight lines: ReLU and its relatives."""

from __future__ import annotations

import numpy as np

from convforge.autograd.arrays import array_api
from convforge.autograd.naming import named
from convforge.autograd.tensor import Tensor, from_data
from convforge.nn.functional.curve import Curve, apply_curve
from convforge.nn.functional.precision import Array, is_floating
from convforge.nn.functional.refusal import not_implemented, require_floating

__all__ = [
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "softshrink",
    "threshold",
    "threshold_",
]


def _clip(x: Array, low: float, high: float) -> Array:
    # minimum and maximum keep NaN, as PyTorch does.
    kind = x.dtype.type
    return np.minimum(np.maximum(x, kind(low)), kind(high))


_RELU = Curve("relu", lambda x: np.maximum(x, x.dtype.type(0)), lambda y: y > 0, from_output=True)
_RELU6 = Curve("relu6", lambda x: _clip(x, 0, 6), lambda y: (y > 0) & (y < 6), from_output=True)


@array_api
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(0, x), elementwise. The gradient at 0 is 0.

    Raises RuntimeError for bools.
    """
    if not is_floating(input._data.dtype):
        return input.relu_() if inplace else input.relu()
    return apply_curve(input, _RELU, inplace)


def relu_(input: Tensor) -> Tensor:
    """`relu`, in place."""
    return relu(input, True)


@array_api
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(0, x), 6), elementwise. Raises RuntimeError for bools."""
    if not is_floating(input._data.dtype):
        return _hardtanh_of_integers(input, 0, 6, inplace)
    return apply_curve(input, _RELU6, inplace)


def _hardtanh_of_integers(input: Tensor, low: float, high: float, inplace: bool) -> Tensor:
    """Clamp to the limits, cut to whole numbers as PyTorch does."""
    kind = input._data.dtype.kind
    if kind == "b":
        raise RuntimeError("Bool inputs not supported for hardtanh: convert it with .float()")
    if kind in "iu":
        low, high = int(low), int(high)
    if kind == "u" and min(low, high) < 0:
        raise RuntimeError(
            f"cannot do hardtanh on an unsigned type with negative limits (={low}, {high}): convert it with "
            ".float()"
        )
    return input.clamp_(low, high) if inplace else input.clamp(low, high)


@array_api
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x between `min_val` and `max_val`, those beyond.

    Raises ValueError where min_val is above max_val; RuntimeError for bools, and for unsigned integers
    where a limit is negative.
    """
    if min_val > max_val:
        raise ValueError(f"min_val (={min_val}) cannot be greater than max_val (={max_val}): swap them")
    if not is_floating(input._data.dtype):
        return _hardtanh_of_integers(input, min_val, max_val, inplace)
    curve = Curve(
        "hardtanh",
        lambda x: _clip(x, min_val, max_val),
        lambda y: (y > min_val) & (y < max_val),
        from_output=True,
    )
    return apply_curve(input, curve, inplace)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`hardtanh`, in place."""
    return hardtanh(input, min_val, max_val, True)


@array_api
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, negative_slope · x elsewhere."""
    if inplace and negative_slope < 0 and input.requires_grad:
        raise RuntimeError(
            f"leaky_relu: negative_slope (={negative_slope}) must not be negative in place, because "
            f"the sign of the input is then lost to the backward pass: use inplace=False"
        )
    curve = Curve(
        "leaky_relu",
        lambda x: np.where(x > 0, x, x * x.dtype.type(negative_slope)),
        lambda x: np.where(x > 0, x.dtype.type(1), x.dtype.type(negative_slope)),
        from_output=negative_slope >= 0,
    )
    return apply_curve(input, curve, inplace)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`leaky_relu`, in place."""
    return leaky_relu(input, negative_slope, True)


@array_api
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, weight · x elsewhere.

    weight: one number, or one a channel (axis 1 of `input`)

    Raises RuntimeError where weight has another dtype or number of elements, NotImplementedError for
    integers.
    """
    if weight._data.dtype != input._data.dtype:
        raise RuntimeError(
            f"prelu: Type promoting not supported. Got {input.dtype.scalar_name} and "
            f"{weight.dtype.scalar_name}"
        )
    if weight.ndim > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}"
        )
    count = weight.numel()
    if count != 1:
        if input.ndim == 0:
            raise RuntimeError("prelu: Not allow zero-dim input tensor: use a weight of one element")
        channels = input.shape[1] if input.ndim >= 2 else 1
        if channels != count:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{count} and channel size = {channels}: use num_parameters={channels} or 1"
            )
        weight = weight.reshape([1, -1] + [1] * (input.ndim - 2))
    elif input.ndim:
        weight = weight.reshape([1] * input.ndim)
    else:
        weight = weight.reshape([])
    require_floating("prelu_cpu", input)
    positive = input.detach() > 0
    slopes = positive.to(input.dtype) + (~positive).to(input.dtype) * weight
    return named(input * slopes, "PreluKernelBackward0")


@array_api
def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(0, x + 3), 6) / 6, elementwise."""
    curve = Curve(
        "hardsigmoid",
        lambda x: _clip(x + x.dtype.type(3), 0, 6) / x.dtype.type(6),
        lambda x: ((x > -3) & (x < 3)) * x.dtype.type(1 / 6),
    )
    return apply_curve(input, curve, inplace)


def _hardswish_slope(x: Array) -> Array:
    kind = x.dtype.type
    return np.where(x <= -3, kind(0), np.where(x < 3, x / kind(3) + kind(0.5), kind(1)))


_HARDSWISH = Curve(
    "hardswish",
    lambda x: x * _clip(x + x.dtype.type(3), 0, 6) / x.dtype.type(6),
    _hardswish_slope,
    lambda x: ((x > -3) & (x < 3)) * x.dtype.type(1 / 3),
)


@array_api
def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · relu6(x + 3) / 6, elementwise (MobileNetV3)."""
    return apply_curve(input, _HARDSWISH, inplace)


def _whole(number: float, input: Tensor) -> int:
    """The number cut to a whole one. Raises RuntimeError where the dtype of `input` has no such number."""
    limits = np.iinfo(input._data.dtype)
    whole = int(number)
    if not limits.min <= whole <= limits.max:
        raise RuntimeError(
            f"value cannot be converted to type {input.dtype} without overflow: {number} is not in "
            f"{limits.min} … {limits.max}"
        )
    return whole


@array_api
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, `value` elsewhere. Of integers, both numbers are cut to whole ones.

    Raises RuntimeError where one is out of the range of the integers, NotImplementedError for bools.
    """
    data = input._data
    if data.dtype.kind in "iu":
        threshold, value = _whole(threshold, input), _whole(value, input)
        result = from_data(np.where(data <= threshold, data.dtype.type(value), data))
        return input.copy_(result) if inplace else result
    if not is_floating(data.dtype):
        raise not_implemented("threshold_cpu", input)
    curve = Curve(
        "threshold",
        # Written with <= so that NaN passes through.
        lambda x: np.where(x <= threshold, x.dtype.type(value), x),
        lambda x: ~(x <= threshold),
    )
    return apply_curve(input, curve, inplace)


# Inside threshold_, as in PyTorch, the name `threshold` is the argument.
_threshold = threshold


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """The function `threshold`, in place."""
    return _threshold(input, threshold, value, True)


@array_api
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """0 where |x| <= lambd, x elsewhere."""
    curve = Curve(
        "hardshrink",
        lambda x: np.where(np.abs(x) <= lambd, x.dtype.type(0), x),
        lambda x: ~(np.abs(x) <= lambd),
    )
    return apply_curve(input, curve)


@array_api
def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """X moved towards 0 by lambd, 0 where |x| <= lambd.

    Raises RuntimeError where lambd is negative.
    """
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}")
    curve = Curve(
        "softshrink",
        lambda x: x - _clip(x, -lambd, lambd),
        lambda x: ~(np.abs(x) <= lambd),
    )
    return apply_curve(input, curve)
