"""Softmax, its logarithm and its random kin, along one axis."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from convforge.autograd.arrays import array_api
from convforge.autograd.function import Function
from convforge.autograd.grad_mode import is_grad_enabled
from convforge.autograd.random import exponential_
from convforge.autograd.tensor import Tensor, from_data
from convforge.nn.functional.precision import Array, is_floating, narrow, widen
from convforge.nn.functional.refusal import require_floating

__all__ = ["gumbel_softmax", "log_softmax", "softmax", "softmin"]


class Softmax(Function):
    """exp(x) / Σ exp(x) along `dim`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int) -> Tensor:
        ctx.dim, ctx._name = dim, "SoftmaxBackward0"
        data = widen(x._data)
        with np.errstate(all="ignore"):
            result = _shifted(data, dim)
            np.exp(result, out=result)
            result /= result.sum(axis=dim, keepdims=True)
        y = from_data(narrow(result, x._data.dtype))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        (y,) = ctx.saved_tensors
        grad: Tensor = grad_outputs[0]
        if is_grad_enabled():
            return y * (grad - (grad * y).sum(ctx.dim, keepdim=True)), None
        with np.errstate(all="ignore"):
            g, s = widen(grad._data), widen(y._data)
            result = g * s
            result -= s * result.sum(axis=ctx.dim, keepdims=True)
        return from_data(narrow(result, y._data.dtype)), None


class LogSoftmax(Function):
    """x - log Σ exp(x) along `dim`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int) -> Tensor:
        ctx.dim, ctx._name = dim, "LogSoftmaxBackward0"
        data = widen(x._data)
        with np.errstate(all="ignore"):
            result = _shifted(data, dim)
            result -= np.log(np.exp(result).sum(axis=dim, keepdims=True))
        y = from_data(narrow(result, x._data.dtype))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        (y,) = ctx.saved_tensors
        grad: Tensor = grad_outputs[0]
        if is_grad_enabled():
            return grad - y.exp() * grad.sum(ctx.dim, keepdim=True), None
        with np.errstate(all="ignore"):
            g = widen(grad._data)
            result = g - np.exp(widen(y._data)) * g.sum(axis=ctx.dim, keepdims=True)
        return from_data(narrow(result, y._data.dtype)), None


def _shifted(x: Array, dim: int) -> Array:
    """X minus its maximum along `dim`, so that exp cannot overflow."""
    return x - x.max(axis=dim, keepdims=True) if x.size else x.copy()


def _axis(name: str, input: Tensor, dim: int | None, stacklevel: int) -> int:
    """Return `dim` as a non-negative axis; None is the old implicit choice, with a warning."""
    ndim = input.ndim
    if dim is None:
        warnings.warn(
            f"Implicit dimension choice for {name} has been deprecated. Change the call to include "
            f"dim=X as an argument.",
            stacklevel=stacklevel + 1,
        )
        return 0 if ndim in (0, 1, 3) else 1
    reach = max(ndim, 1)
    if not -reach <= dim < reach:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-reach}, {reach - 1}], but got {dim})"
        )
    return dim % reach


def _apply(function: type[Function], name: str, input: Tensor, dim: int, dtype: Any) -> Tensor:
    if dtype is not None:
        input = input.to(dtype)
    last = "_lastdim" if dim == max(input.ndim, 1) - 1 else ""
    require_floating(f"{name}{last}_kernel_impl", input)
    if input.ndim == 0:
        return function.apply(input.reshape([1]), 0).reshape([])
    return function.apply(input, dim)


@array_api
def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(x) / Σ exp(x) along `dim`: positive numbers that sum to 1. dtype: convert the input first."""
    return _apply(Softmax, "softmax", input, _axis("softmax", input, dim, _stacklevel), dtype)


@array_api
def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """`softmax` of -x."""
    return _apply(Softmax, "softmax", -input, _axis("softmin", input, dim, _stacklevel), dtype)


@array_api
def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """log(softmax(x)) along `dim`, without the loss of small probabilities."""
    return _apply(LogSoftmax, "log_softmax", input, _axis("log_softmax", input, dim, _stacklevel), dtype)


@array_api
def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """Softmax of (logits + Gumbel noise) / tau; with `hard` one-hot forward, soft backward.

    eps has no effect.

    Source: Jang et al., Categorical Reparameterization with Gumbel-Softmax, 2017.
    """
    del eps
    if not is_floating(logits._data.dtype):
        raise RuntimeError(
            "Exponential distribution is a continuous probability distribution. dtype must be a "
            "floating point "
            f"but you specified {logits.dtype}: convert it with .float()"
        )
    noise = np.empty(logits.shape, dtype=logits._data.dtype)
    exponential_(noise)
    soft = softmax((logits - from_data(np.log(noise))) / tau, dim)
    if not hard:
        return soft
    one_hot = np.zeros_like(soft._data)
    best = soft._data.argmax(axis=dim)
    np.put_along_axis(one_hot, np.expand_dims(best, dim), one_hot.dtype.type(1), axis=dim)
    return from_data(one_hot) - soft.detach() + soft
