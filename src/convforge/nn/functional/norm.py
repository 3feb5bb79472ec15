"""Batch normalisation: one fused pass forward, one backward.

    y = (x - mean) / sqrt(var + eps) · weight + bias        mean, var: one a channel, over batch and space

For fixed statistics that is y = x · scale + shift, with one scale and one shift a channel; and with
c = x - mean, its gradient in training is g · a + c · b + d, again with one a, b and d a channel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from convforge.autograd.arrays import array_api
from convforge.autograd.function import Function
from convforge.autograd.grad_mode import is_grad_enabled
from convforge.autograd.tensor import Tensor, from_data
from convforge.nn.functional.precision import Array, narrow, widen
from convforge.nn.functional.refusal import require_floating

__all__ = ["batch_norm", "instance_norm"]


def _planes(x: Array) -> Array:
    """Return x, (N, C, *), as (N, C, L), or (1, C, N) where L is 1, which keeps the inner loops long."""
    flat = x.reshape(x.shape[0], x.shape[1], math.prod(x.shape[2:]))
    return flat.transpose(2, 1, 0) if flat.shape[2] == 1 else flat


def _channel_sum(x: Array) -> Array:
    """Σ over batch and space, in float64 from plane to plane."""
    inner = np.float64 if x.shape[0] == 1 else None
    return x.sum(axis=2, dtype=inner).sum(axis=0, dtype=np.float64)


def _channel_dot(x: Array, y: Array) -> Array:
    """Σ x·y over batch and space, in float64 from plane to plane."""
    return np.einsum("ncl,ncl->nc", x, y).sum(axis=0, dtype=np.float64)


def _column(values: Array, dtype: np.dtype[Any]) -> Array:
    """One number a channel, shaped to broadcast over (N, C, L)."""
    return values.astype(dtype)[:, None]


def moments(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance of each channel of (N, C, *), float64."""
    planes = _planes(widen(x))
    count = planes.shape[0] * planes.shape[2]
    with np.errstate(all="ignore"):
        mean = _channel_sum(planes) / count
        centred = planes - _column(mean, planes.dtype)
        return mean, _channel_dot(centred, centred) / count


class NativeBatchNorm(Function):
    """y = (x - mean) · invstd · weight + bias; with `training`, mean and invstd depend on x."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Array,
        variance: Array,
        training: bool,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.mean, ctx.variance, ctx.training, ctx.eps = mean, variance, training, eps
        ctx.has_bias, ctx._name = bias is not None, "NativeBatchNormBackward0"
        data = x._data
        wide = widen(data)
        with np.errstate(all="ignore"):
            scale = 1 / np.sqrt(variance + eps)
            if weight is not None:
                scale = scale * widen(weight._data)
            shift = -mean * scale
            if bias is not None:
                shift = shift + widen(bias._data)
            column = (-1,) + (1,) * (data.ndim - 2)
            y = wide * scale.astype(wide.dtype).reshape(column)
            y += shift.astype(wide.dtype).reshape(column)
        return from_data(narrow(y, data.dtype))

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        x, weight = ctx.saved_tensors
        grads = _tensor_gradients if is_grad_enabled() else _array_gradients
        grad_x, grad_weight, grad_bias = grads(ctx, grad_outputs[0], x, weight)
        return grad_x, grad_weight, grad_bias if ctx.has_bias else None, None, None, None, None


def _array_gradients(ctx: Any, grad: Tensor, x: Tensor, weight: Tensor | None) -> tuple[Any, Any, Any]:
    """The three gradients in a few passes over the arrays."""
    wide = widen(x._data)
    planes, g = _planes(wide), _planes(widen(grad._data))
    dtype = np.result_type(planes.dtype, g.dtype)
    with np.errstate(all="ignore"):
        invstd = 1 / np.sqrt(ctx.variance + ctx.eps)
        centred = planes - _column(ctx.mean, dtype)
        sum_g = _channel_sum(g)
        sum_gx = _channel_dot(g, centred) * invstd
        grad_x = None
        if ctx.needs_input_grad[0]:
            a = invstd if weight is None else invstd * widen(weight._data)
            result = g * _column(a, dtype)
            if ctx.training:
                count = planes.shape[0] * planes.shape[2]
                centred *= _column(-a * invstd * sum_gx / count, dtype)
                result += centred
                result -= _column(a * sum_g / count, dtype)
            if result.shape[0] == 1 and x._data.shape[0] != 1:
                result = result.transpose(2, 1, 0)
            grad_x = from_data(narrow(result.reshape(x._data.shape), x._data.dtype))
    parameter = x._data.dtype if weight is None else weight._data.dtype
    return (
        grad_x,
        from_data(sum_gx.astype(parameter)) if weight is not None else None,
        from_data(sum_g.astype(parameter)),
    )


def _tensor_gradients(ctx: Any, grad: Tensor, x: Tensor, weight: Tensor | None) -> tuple[Any, Any, Any]:
    """The same gradients in Tensor operations, so that they can be differentiated again."""
    axes = [0, *range(2, x.ndim)]
    column = [1, -1] + [1] * (x.ndim - 2)
    if ctx.training:
        centred = x - x.mean(axes, keepdim=True)
        variance = (centred * centred).mean(axes, keepdim=True)
    else:
        centred = x - from_data(ctx.mean.astype(x._data.dtype)).reshape(column)
        variance = from_data(ctx.variance.astype(x._data.dtype)).reshape(column)
    invstd = (variance + ctx.eps) ** -0.5
    normal = centred * invstd
    scale = invstd if weight is None else invstd * weight.reshape(column)
    inner = grad
    if ctx.training:
        inner = grad - grad.mean(axes, keepdim=True) - normal * (grad * normal).mean(axes, keepdim=True)
    return scale * inner, (grad * normal).sum(axes) if weight is not None else None, grad.sum(axes)


def check_batch_size(sizes: Sequence[int]) -> None:
    """Raise ValueError where each channel has one value only: its variance would be 0."""
    if math.prod([sizes[0], *sizes[2:]]) == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {sizes}: use a "
            f"larger batch, or .eval()"
        )


def _check_parameters(input: Tensor, **parameters: Tensor | None) -> None:
    """Raise RuntimeError where a parameter has another length or dtype than the input's channels need."""
    channels = input.shape[1]
    for name, parameter in parameters.items():
        if parameter is None:
            continue
        if parameter.numel() != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {parameter.numel()}")
        given, wanted = parameter._data.dtype, input._data.dtype
        if given != wanted and not (wanted.itemsize == 2 and given == np.float32):
            raise RuntimeError(
                f"mixed dtype (CPU): expected {name} of the input's dtype {input.dtype}, but got "
                f"{parameter.dtype}: convert one of them with .to()"
            )


def _blend(running: Tensor | None, batch: Array, momentum: float) -> None:
    """Running ← (1 - momentum)·running + momentum·batch, in place."""
    if running is not None:
        data = running._data
        data[...] = data * (1 - momentum) + batch * momentum
        running._vbox[0] += 1


@array_api
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel over the batch and space.

    input: (N, C, *); running_mean, running_var, weight, bias: (C,)
    training: use the batch's mean and biased variance, and blend them (variance unbiased) into the running
    ones

    Raises ValueError where eps is negative, or a channel has one value in training; RuntimeError where a
    length
    or dtype does not match, or running statistics are missing in evaluation.
    Source: Ioffe & Szegedy, Batch Normalization, 2015.
    """
    if training:
        check_batch_size(input.shape)
    if eps < 0 or (training and eps <= 0):
        rule = "positive during training" if training else "non-negative"
        raise ValueError(f"batch_norm eps must be {rule}, but got {eps}")
    if input.ndim < 2:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-max(input.ndim, 1)}, "
            f"{max(input.ndim, 1) - 1}], but got 1): batch_norm takes (N, C, *)"
        )
    require_floating("batch_norm", input)
    _check_parameters(input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if training:
        if input.numel() == 0:
            empty = input if weight is None else input * weight.sum()
            return empty * 1 if bias is None else empty + bias.sum()
        mean, variance = moments(input._data)
        count = input.numel() // max(1, input.shape[1])
        _blend(running_mean, mean, momentum)
        _blend(running_var, variance * (count / (count - 1)), momentum)
    else:
        for name, running in (("running_mean", running_mean), ("running_var", running_var)):
            if running is None:
                raise RuntimeError(f"{name} must be defined in evaluation mode")
        assert running_mean is not None
        assert running_var is not None
        mean = widen(running_mean._data).astype(np.float64)
        variance = widen(running_var._data).astype(np.float64)
    return NativeBatchNorm.apply(input, weight, bias, mean, variance, training, eps)


@array_api
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel of each sample over space: batch norm of N·C channels of one sample.

    input: (N, C, *); running_mean, running_var, weight, bias: (C,)

    Raises ValueError where there is one spatial element only; RuntimeError as `batch_norm`.
    """
    if use_input_stats and math.prod(input.shape[2:]) == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {input.shape}: it "
            "would become 0"
        )
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError(
            "Expected running_mean and running_var to be defined when use_input_stats is false"
        )
    require_floating("batch_norm", input)
    _check_parameters(input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    batch, channels = input.shape[:2]

    def repeat(values: Tensor | None) -> Tensor | None:
        return None if values is None else values.repeat(batch)

    means, variances = repeat(running_mean), repeat(running_var)
    merged = input.reshape([1, batch * channels, *input.shape[2:]])
    result = batch_norm(
        merged, means, variances, repeat(weight), repeat(bias), use_input_stats, momentum, eps
    )
    if use_input_stats:
        for running, blended in ((running_mean, means), (running_var, variances)):
            if running is not None and blended is not None:
                running._data[...] = blended._data.reshape(batch, channels).mean(axis=0)
                running._vbox[0] += 1
    return result.reshape(input.shape)
