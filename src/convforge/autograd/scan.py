"""Running sums and products."""

from __future__ import annotations

from typing import Any

import numpy as np

from .dims import wrap_dim
from .dtype import resolve
from .node import attach
from .promotion import widened
from .quiet import quiet
from .tensor import Tensor, from_data, recording


def _scan(ufunc: Any, input: Tensor, dim: int, dtype: Any) -> Tensor:
    data = input._data
    if not data.ndim:
        return from_data(data.astype(np.int64) if data.dtype.kind in "biu" and dtype is None else data.copy())
    if data.dtype.kind in "biu" and dtype is None:
        data = data.astype(np.int64)
    return from_data(quiet.run(widened, ufunc.accumulate, data, axis=dim))


def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """out[i] = input[0] + … + input[i] along `dim`."""
    if dtype is not None:
        input = input.to(resolve(dtype))
    dim = wrap_dim(dim, input._data.ndim)
    out = _scan(np.add, input, dim, dtype)
    if recording(input):
        attach(out, "CumsumBackward0", _cumsum_backward, (input,)).dim = dim
    return out


def _cumsum_backward(node: Any, grad: Tensor) -> Tensor:
    return _reversed_sum(grad, node.dim)


def _reversed_sum(grad: Tensor, dim: int) -> Tensor:
    return cumsum(grad.flip(dim), dim).flip(dim) if grad._data.ndim else grad


def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """out[i] = input[0] · … · input[i] along `dim`."""
    if dtype is not None:
        input = input.to(resolve(dtype))
    dim = wrap_dim(dim, input._data.ndim)
    out = _scan(np.multiply, input, dim, dtype)
    if recording(input):
        attach(out, "CumprodBackward0", _cumprod_backward, (input,), (input,)).dim = dim
    return out


def _cumprod_backward(node: Any, grad: Tensor) -> Tensor:
    """Σ_{i ≥ k} grad[i] · Π_{j ≤ i, j ≠ k} x[j], element by element, so that zeros do no harm."""
    from .joining import cat, stack

    (input,) = node.saved
    dim = node.dim
    if not input._data.ndim:
        return grad
    size = input._data.shape[dim]
    parts: list[Tensor] = []
    for k in range(size):
        head = input.narrow(dim, 0, k).prod(dim, keepdim=True)
        one = head * 0 + 1
        tail = cumprod(cat([one, input.narrow(dim, k + 1, size - k - 1)], dim), dim)
        parts.append((grad.narrow(dim, k, size - k) * head * tail).sum(dim))
    return stack(parts, dim) if parts else grad
