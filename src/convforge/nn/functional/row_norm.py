"""Normalisation within a sample: layer, group and RMS norm, and division by a norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from convforge.autograd.arrays import array_api
from convforge.autograd.function import Function
from convforge.autograd.grad_mode import is_grad_enabled
from convforge.autograd.naming import named
from convforge.autograd.tensor import Tensor, from_data
from convforge.nn.functional.avg_pool import avg_pool2d, avg_pool3d
from convforge.nn.functional.norm import check_batch_size
from convforge.nn.functional.padding import pad
from convforge.nn.functional.precision import narrow, widen
from convforge.nn.functional.refusal import require_floating

__all__ = ["group_norm", "layer_norm", "local_response_norm", "normalize", "rms_norm"]


class _NormalRows(Function):
    """Each row of (rows, length) minus its mean, over its standard deviation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        ctx.save_for_backward(x)
        data = widen(x._data)
        with np.errstate(all="ignore"):
            centred = data - data.mean(axis=1, keepdims=True)
            variance = np.einsum("rl,rl->r", centred, centred)[:, None] / data.shape[1]
            ctx.invstd = 1 / np.sqrt(variance + data.dtype.type(eps))
            centred *= ctx.invstd
        ctx.eps = eps
        return from_data(narrow(centred, x._data.dtype))

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        (x,) = ctx.saved_tensors
        grad: Tensor = grad_outputs[0]
        if is_grad_enabled():
            centred = x - x.mean(1, keepdim=True)
            invstd = ((centred * centred).mean(1, keepdim=True) + ctx.eps) ** -0.5
            normal = centred * invstd
            inner = grad - grad.mean(1, keepdim=True) - normal * (grad * normal).mean(1, keepdim=True)
            return inner * invstd, None
        data, g = widen(x._data), widen(grad._data)
        with np.errstate(all="ignore"):
            result = data - data.mean(axis=1, keepdims=True)
            result *= ctx.invstd
            result *= -np.einsum("rl,rl->r", g, result)[:, None] / data.shape[1]
            result += g
            result -= g.mean(axis=1, keepdims=True)
            result *= ctx.invstd
        return from_data(narrow(result, x._data.dtype)), None


def _normal(input: Tensor, rows: int, eps: float) -> Tensor:
    """Normalise `rows` equal runs of the flattened input."""
    if input.numel() == 0:
        return input * 1
    return _NormalRows.apply(input.reshape([rows, -1]), eps).reshape(input.shape)


def _check_dtypes(function: str, input: Tensor, *parameters: Tensor | None) -> None:
    """Raise NotImplementedError for integers, RuntimeError where a parameter is of another dtype."""
    wanted = input._data.dtype
    for parameter in parameters:
        # Half-precision inputs may go with float32 parameters.
        if parameter is not None and parameter._data.dtype not in (
            wanted,
            np.float32 if wanted.itemsize == 2 else wanted,
        ):
            raise RuntimeError(
                f"mixed dtype (CPU): all inputs must share same datatype: {function}() got an input of "
                f"{input.dtype} and a parameter of {parameter.dtype}: convert one of them with .to()"
            )
    require_floating({"layer_norm": "LayerNormKernelImpl"}.get(function, "GroupNormKernelImpl"), input)


def _trailing(function: str, input: Tensor, normalized_shape: Any, **parameters: Tensor | None) -> list[int]:
    """Return normalized_shape as a list. Raises RuntimeError unless input ends in it, as parameters do."""
    shape = (
        [normalized_shape] if isinstance(normalized_shape, int) else [int(size) for size in normalized_shape]
    )
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            f"element, but got normalized_shape = {shape}"
        )
    for name, parameter in parameters.items():
        if parameter is not None and list(parameter.shape) != shape:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(parameter.shape)} and normalized_shape = {shape}"
            )
    if list(input.shape[-len(shape) :]) != shape:
        raise RuntimeError(
            f"{function}: Given normalized_shape={shape}, expected input with shape "
            f"[*{''.join(f', {size}' for size in shape)}], but got input of size{list(input.shape)}"
        )
    return shape


@array_api
def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise over the last axes, those of `normalized_shape`.

    input: (*, *normalized_shape); weight, bias: normalized_shape

    Raises RuntimeError where the shapes do not match.
    Source: Ba et al., Layer Normalization, 2016.
    """
    shape = _trailing("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    _check_dtypes("layer_norm", input, weight, bias)
    result = _normal(input, math.prod(input.shape[: -len(shape)]), eps)
    if weight is not None:
        result = result * weight
    if bias is not None:
        result = result + bias
    # Parameters may be float32 beside half-precision inputs.
    return named(result.to(input.dtype), "NativeLayerNormBackward0")


@array_api
def rms_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Divide by the root of the mean square over the last axes. eps None means the dtype's own."""
    wanted = 1 if isinstance(normalized_shape, int) else len(normalized_shape)
    if input.ndim < wanted:
        raise ValueError(
            f"Input tensor must have at least {wanted} dimensions, but got {input.ndim}: normalized_shape "
            f"(={normalized_shape}) names its last ones"
        )
    shape = _trailing("rms_norm", input, normalized_shape, weight=weight)
    require_floating("rms_norm", input)
    if eps is None:
        eps = float(np.finfo(widen(input._data).dtype).eps)
    axes = list(range(-len(shape), 0))
    result = input * ((input * input).mean(axes, keepdim=True) + eps) ** -0.5
    return result if weight is None else (result * weight).to(input.dtype)


@array_api
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each sample over space and each of `num_groups` groups of channels.

    input: (N, C, *); weight, bias: (C,)

    Raises RuntimeError where num_groups does not divide C or a length does not match.
    Source: Wu & He, Group Normalization, 2018.
    """
    if input.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.ndim}")
    if num_groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    batch, channels = input.shape[:2]
    if channels % num_groups:
        raise RuntimeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(input.shape)} and num_groups={num_groups}"
        )
    check_batch_size([batch * channels // num_groups, num_groups, *input.shape[2:]])
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and list(parameter.shape) != [channels]:
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, but "
                f"got {name} of shape {list(parameter.shape)} and input of shape {list(input.shape)}"
            )
    _check_dtypes("group_norm", input, weight, bias)
    result = _normal(input, batch * num_groups, eps)
    column = [1, -1] + [1] * (input.ndim - 2)
    if weight is not None:
        result = result * weight.reshape(column)
    if bias is not None:
        result = result + bias.reshape(column)
    return named(result.to(input.dtype), "NativeGroupNormBackward0")


@array_api
def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha · mean of x² over `size` neighbouring channels)^beta.

    input: (N, C, *) with at least one spatial axis

    Source: Krizhevsky et al., ImageNet Classification with Deep CNNs, 2012.
    """
    if input.ndim < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)")
    if input.numel() == 0:
        return input
    square = input * input
    sides = (size // 2, (size - 1) // 2)
    if input.ndim == 3:
        mean = avg_pool2d(pad(square.unsqueeze(1), (0, 0, *sides)), (size, 1), stride=1).squeeze(1)
    else:
        planes = square.reshape([input.shape[0], 1, input.shape[1], input.shape[2], -1])
        mean = avg_pool3d(pad(planes, (0, 0, 0, 0, *sides)), (size, 1, 1), stride=1).reshape(input.shape)
    return input / (mean * alpha + k) ** beta


@array_api
def normalize(
    input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """Divide by the p-norm along `dim`, or by eps where the norm is smaller.

    Raises RuntimeError for integers.
    """
    if input._data.dtype.kind in "biu":
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{input.dtype.scalar_name}: convert it with .float()"
        )
    if p == math.inf:
        size = input.abs().amax(dim, keepdim=True)
    elif p == 2:
        size = (input * input).sum(dim, keepdim=True).sqrt()
    elif p == 1:
        size = input.abs().sum(dim, keepdim=True)
    else:
        size = (input.abs() ** p).sum(dim, keepdim=True) ** (1 / p)
    result = input / size.clamp(min=eps)
    return result if out is None else out.copy_(result)
