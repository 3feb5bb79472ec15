"""Sums, means and the like over some dimensions or all."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from .dims import wrap_dims
from .dtype import FLOAT, resolve
from .naming import named
from .node import attach
from .promotion import NARROW
from .quiet import quiet
from .tensor import Tensor, from_data, recording


def sums_to(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether `target` broadcasts to `shape`."""
    if len(target) > len(shape):
        return False
    return builtins.all(
        small in (1, large) for small, large in zip(reversed(target), reversed(shape), strict=False)
    )


def sum_to(grad: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The gradient of a broadcast: summed over the dimensions that were stretched to it."""
    given = grad._data.shape
    if given == shape:
        return grad
    lead = len(given) - len(shape)
    dims = tuple(range(lead)) + tuple(
        index for index in range(lead, len(given)) if shape[index - lead] == 1 and given[index] != 1
    )
    if dims:
        grad = sum(grad, dims, keepdim=True)
    return grad.reshape(shape) if lead else grad


def spread(grad: Tensor, shape: tuple[int, ...], dims: tuple[int, ...], keepdim: bool) -> Tensor:
    """A reduced gradient stretched over the dimensions that were reduced."""
    if not keepdim:
        kept = tuple(1 if index in dims else size for index, size in enumerate(shape))
        grad = grad.reshape(kept)
    return grad.expand(shape)


def _reduce(ufunc: Any, data: Any, dims: tuple[int, ...], keepdim: bool, dtype: Any) -> Any:
    """ufunc.reduce; half precision is added up in float32 and rounded once."""
    if dtype in NARROW:
        wide = ufunc.reduce(data, axis=dims, dtype=np.float32, keepdims=keepdim)
        return np.asarray(wide).astype(dtype)
    return ufunc.reduce(data, axis=dims, dtype=dtype, keepdims=keepdim)


def sum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum over `dim` (an int, several, or None for all). Integers and bools give int64."""
    if dtype is not None:
        from .casting import cast

        input = cast(input, resolve(dtype).numpy)
    data = input._data
    dims = wrap_dims(dim, data.ndim)
    kind = data.dtype.kind
    target = (np.dtype(np.int64) if dtype is None else data.dtype) if kind in "biu" else data.dtype
    out = from_data(quiet.run(_reduce, np.add, data, dims, keepdim, target))
    if recording(input):
        node = attach(out, "SumBackward0" if dim is None else "SumBackward1", _sum_backward, (input,))
        node.spread = data.shape, dims, keepdim
    return out


def _sum_backward(node: Any, grad: Tensor) -> Tensor:
    return spread(grad, *node.spread)


def _floating_only(name: str, input: Tensor) -> None:
    if input.dtype.category < FLOAT:
        raise RuntimeError(
            f"{name}(): could not infer output dtype. Input dtype must be either a floating point "
            f"or complex dtype. Got: {input.dtype.scalar_name}"
        )


def mean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over `dim`. Raises RuntimeError for integers, as PyTorch does: call float() first."""
    if dtype is not None:
        from .casting import cast

        input = cast(input, resolve(dtype).numpy)
    _floating_only("mean", input)
    data = input._data
    dims = wrap_dims(dim, data.ndim)
    count = math.prod(data.shape[each] for each in dims)
    out = from_data(quiet.run(_mean, data, dims, keepdim, count))
    if recording(input):
        node = attach(out, "MeanBackward0" if dim is None else "MeanBackward1", _mean_backward, (input,))
        node.spread, node.count = (data.shape, dims, keepdim), count
    return out


def _mean(data: Any, dims: tuple[int, ...], keepdim: bool, count: int) -> Any:
    if data.dtype in NARROW:
        return np.asarray(_mean(data.astype(np.float32), dims, keepdim, count)).astype(data.dtype)
    total = np.add.reduce(data, axis=dims, keepdims=keepdim)
    return np.true_divide(total, np.asarray(count, total.dtype.type(0).real.dtype))


def _mean_backward(node: Any, grad: Tensor) -> Tensor:
    return spread(grad, *node.spread) / node.count


def prod(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product over one dimension or all. Integers and bools give int64."""
    if dtype is not None:
        from .casting import cast

        input = cast(input, resolve(dtype).numpy)
    data = input._data
    dims = wrap_dims(dim, data.ndim)
    target = np.dtype(np.int64) if data.dtype.kind in "biu" and dtype is None else data.dtype
    out = from_data(quiet.run(_reduce, np.multiply, data, dims, keepdim, target))
    if recording(input):
        node = attach(
            out, "ProdBackward0" if dim is None else "ProdBackward1", _prod_backward, (input,), (input,)
        )
        node.spread = data.shape, dims, keepdim
    return out


def _prod_backward(node: Any, grad: Tensor) -> Tensor:
    """The product of all the others, built from both sides so that zeros do no harm."""
    from .arithmetic import conj_of
    from .joining import cat
    from .scan import cumprod

    (input,) = node.saved
    shape, dims, keepdim = node.spread
    if not input._data.size:
        return from_data(np.zeros(shape, input._data.dtype))
    rest = tuple(index for index in range(len(shape)) if index not in dims)
    flat = input.permute(*rest, *dims).reshape(
        [*[shape[each] for each in rest], math.prod(shape[each] for each in dims)]
    )
    one = from_data(np.ones((*flat._data.shape[:-1], 1), flat._data.dtype))
    before = cumprod(cat([one, flat[..., :-1]], -1), -1)
    after = cumprod(cat([one, flat.flip(-1)[..., :-1]], -1), -1).flip(-1)
    others = (before * after).reshape([shape[each] for each in (*rest, *dims)])
    back = [0] * len(shape)
    for position, index in enumerate((*rest, *dims)):
        back[index] = position
    return spread(grad, shape, dims, keepdim) * conj_of(others.permute(*back))


def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> Tensor:
    """The variance over `dim`, divided by n - correction (1 unless given)."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if input.dtype.category < FLOAT:
        raise RuntimeError("std and var only support floating point and complex dtypes")
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    data = input._data
    dims = wrap_dims(dim, data.ndim)
    out = from_data(quiet.run(_var, data, dims, keepdim, correction))
    if recording(input):
        node = attach(out, "VarBackward0", _var_backward, (input,), (input,))
        node.spread, node.correction = (data.shape, dims, keepdim), correction
    return out


def _var(data: Any, dims: tuple[int, ...], keepdim: bool, correction: float) -> Any:
    if data.dtype in NARROW:
        return np.asarray(_var(data.astype(np.float32), dims, keepdim, correction)).astype(data.dtype)
    count = math.prod(data.shape[each] for each in dims)
    # float32 sums of squares lose digits that PyTorch's Welford keeps; float64 sums keep more.
    wide = data.astype(np.complex128 if data.dtype.kind == "c" else np.float64)
    centred = wide - np.true_divide(np.add.reduce(wide, axis=dims, keepdims=True), count)
    squares = np.add.reduce((centred * centred.conj()).real, axis=dims, keepdims=keepdim)
    return np.asarray(np.true_divide(squares, max(count - correction, 0))).astype(data.real.dtype)


def _var_backward(node: Any, grad: Tensor) -> Tensor:
    (input,) = node.saved
    shape, dims, keepdim = node.spread
    count = math.prod(shape[each] for each in dims)
    centred = input - mean(input, dims, True) if dims else input - input
    below = max(count - node.correction, 0)
    scale = 2 / below if below else math.inf
    return spread(grad, shape, dims, keepdim) * centred * scale


def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> Tensor:
    """The standard deviation: the square root of `var`."""
    from .pointwise import sqrt

    return named(sqrt(var(input, dim, unbiased, keepdim, correction=correction)), "StdBackward0")


def var_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> tuple[Tensor, Tensor]:
    """(variance, mean)."""
    return var(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


def std_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> tuple[Tensor, Tensor]:
    """(standard deviation, mean)."""
    return std(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


def all(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether every element is nonzero; bool, or uint8 for uint8."""
    return _truth(np.logical_and, input, dim, keepdim)


def any(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether an element is nonzero; bool, or uint8 for uint8."""
    return _truth(np.logical_or, input, dim, keepdim)


def _truth(ufunc: Any, input: Tensor, dim: Any, keepdim: bool) -> Tensor:
    data = input._data
    found = np.asarray(ufunc.reduce(data, axis=wrap_dims(dim, data.ndim), keepdims=keepdim))
    return from_data(found.astype(np.uint8 if data.dtype == np.uint8 else np.bool_))


def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """How many elements are nonzero, over `dim` or all."""
    return sum(from_data(input._data != 0), dim)


def norm(
    input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """(Σ |x|^p)^(1/p); p may be 'fro' (2), 0, inf or -inf."""
    from .extrema import amax, amin
    from .pointwise import abs as magnitude, sqrt

    if dtype is not None:
        from .casting import cast

        input = cast(input, resolve(dtype).numpy)
    if input.dtype.category < FLOAT:
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{input.dtype.scalar_name}"
        )
    if isinstance(p, str):
        if p not in ("fro", "nuc"):
            raise RuntimeError(f"norm: p (={p!r}) must be a number or 'fro'")
        p = 2
    if p == 2:
        return _norm2(input, dim, keepdim)
    size = magnitude(input)
    if p == math.inf:
        return amax(size, () if dim is None else dim, keepdim)
    if p == -math.inf:
        return amin(size, () if dim is None else dim, keepdim)
    if p == 1:
        return sum(size, dim, keepdim)
    if p == 0:
        count = sum((size != 0).to(size.dtype), dim, keepdim)
        if recording(input):
            # It counts: on the tape, but nothing goes back, as in PyTorch.
            attach(count, "LinalgVectorNormBackward0", _no_gradient, (input,))
        return count
    return sum(size**p, dim, keepdim) ** (1 / p) if p != 2 else sqrt(sum(size * size, dim, keepdim))


def _no_gradient(node: Any, grad: Tensor) -> None:  # noqa: ARG001 - the form of all backward functions
    return None


def _norm2(input: Tensor, dim: Any, keepdim: bool) -> Tensor:
    data = input._data
    dims = wrap_dims(dim, data.ndim)
    wide = np.abs(data).astype(np.float32 if data.dtype in NARROW else np.abs(data).dtype)
    found = quiet.run(lambda: np.sqrt(np.add.reduce(wide * wide, axis=dims, keepdims=keepdim)))
    out = from_data(np.asarray(found).astype(data.real.dtype if data.dtype.kind == "c" else data.dtype))
    if recording(input):
        node = attach(out, "LinalgVectorNormBackward0", _norm2_backward, (input,), (input, out))
        node.spread = data.shape, dims, keepdim
    return out


def _norm2_backward(node: Any, grad: Tensor) -> Tensor:
    """x / ‖x‖, and 0 at 0 where the norm has no gradient."""
    from .selection import where

    input, length = node.saved
    length = spread(length, *node.spread)
    return where(length == 0, 0.0, spread(grad, *node.spread) * (input / length))
