"""Softmax, its logarithm, and log-sum-exp, without overflow."""

from __future__ import annotations

from typing import Any

import numpy as np

from .casting import cast
from .dims import wrap_dim, wrap_dims
from .dtype import FLOAT, resolve
from .node import attach
from .promotion import to_floating, widened
from .quiet import quiet
from .reduction import spread
from .tensor import Tensor, from_data, recording


def _prepared(name: str, input: Tensor, dim: int, dtype: Any) -> tuple[Tensor, int]:
    if dtype is not None:
        input = cast(input, resolve(dtype).numpy)
    if input.dtype.category != FLOAT:
        raise RuntimeError(f"\"{name}_lastdim_kernel_impl\" not implemented for '{input.dtype.scalar_name}'")
    return input, wrap_dim(dim, input._data.ndim)


def _softmax_of(x: Any, dim: int) -> Any:
    if not x.ndim or not x.size:
        return np.ones_like(x)
    raised = np.exp(x - x.max(axis=dim, keepdims=True))
    return raised / raised.sum(axis=dim, keepdims=True)


def _log_softmax_of(x: Any, dim: int) -> Any:
    if not x.ndim or not x.size:
        return np.zeros_like(x)
    shifted = x - x.max(axis=dim, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=dim, keepdims=True))


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """exp(input) divided by its sum along `dim`."""
    input, dim = _prepared("softmax", input, dim, dtype)
    out = from_data(quiet.run(widened, _softmax_of, input._data, dim))
    if recording(input):
        attach(out, "SoftmaxBackward0", _softmax_backward, (input,), (out,)).dim = dim
    return out


def _softmax_backward(node: Any, grad: Tensor) -> Tensor:
    (result,) = node.saved
    weighted = grad * result
    return weighted - result * weighted.sum(node.dim, True)


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The logarithm of `softmax`."""
    input, dim = _prepared("log_softmax", input, dim, dtype)
    out = from_data(quiet.run(widened, _log_softmax_of, input._data, dim))
    if recording(input):
        attach(out, "LogSoftmaxBackward0", _log_softmax_backward, (input,), (out,)).dim = dim
    return out


def _log_softmax_backward(node: Any, grad: Tensor) -> Tensor:
    (result,) = node.saved
    return grad - result.exp() * grad.sum(node.dim, True)


def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """log Σ exp(input) over `dim`."""
    input = to_floating(input)
    data = input._data
    dims = wrap_dims(dim, data.ndim)
    out = from_data(quiet.run(widened, _logsumexp_of, data, dims, keepdim))
    if recording(input):
        node = attach(out, "LogsumexpBackward0", _logsumexp_backward, (input,), (input, out))
        node.spread = data.shape, dims, keepdim
    return out


def _logsumexp_of(x: Any, dims: tuple[int, ...], keepdim: bool) -> Any:
    top = np.max(x, axis=dims, keepdims=True, initial=-np.inf)
    top = np.where(np.isinf(top), 0, top).astype(x.dtype)
    found = np.log(np.sum(np.exp(x - top), axis=dims, keepdims=True)) + top
    return found if keepdim else found.reshape([s for i, s in enumerate(x.shape) if i not in dims])


def _logsumexp_backward(node: Any, grad: Tensor) -> Tensor:
    input, result = node.saved
    return spread(grad, *node.spread) * (input - spread(result, *node.spread)).exp()
