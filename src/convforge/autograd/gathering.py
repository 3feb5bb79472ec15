"""Reading and adding along a dimension by an index tensor: gather, scatter and their kin."""

from __future__ import annotations

from typing import Any

import numpy as np

from .dims import wrap_dim
from .indexing import ALL, embed, getitem, index_put, take_at
from .naming import named
from .promotion import size_error, to_array
from .tensor import Tensor, from_data


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The entries of a dimension that `index` (a vector of integers) lists, a copy."""
    if index._data.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if index._data.dtype.kind not in "i":
        raise RuntimeError("index_select(): Expected dtype int32/int64 for index")
    dim = wrap_dim(dim, input._data.ndim)
    array = np.atleast_1d(index._data)
    size = input._data.shape[dim] if input._data.ndim else 1
    if array.size and (array.min() < 0 or array.max() >= size):
        raise IndexError("index out of range in self")
    return named(take_at(input, (*[ALL] * dim, array)), "IndexSelectBackward0")


def along(index: Any, dim: int) -> tuple[Any, ...]:
    """The index that reads index[i, j, …] along `dim` and i, j, … along the others."""
    grid = list(np.ogrid[tuple(slice(size) for size in index.shape)])
    grid[dim] = index
    return tuple(np.broadcast_arrays(*grid))


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """out[i][j] = input[index[i][j]][j] for dim 0, and so on."""
    data = input._data
    if index._data.dtype != np.int64:
        raise RuntimeError("gather(): Expected dtype int64 for index")
    if index._data.ndim != data.ndim:
        raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
    dim = wrap_dim(dim, data.ndim)
    for axis, (wanted, given) in enumerate(zip(index._data.shape, data.shape, strict=True)):
        if axis != dim and wanted > given:
            raise RuntimeError(
                f"Size does not match at dimension {axis} expected index {list(index._data.shape)} "
                f"to be no larger than self {list(data.shape)} apart from dimension {dim}"
            )
    if not data.ndim:
        return input.clone()
    if index._data.size and (index._data.min() < 0 or index._data.max() >= data.shape[dim]):
        wrong = index._data[(index._data < 0) | (index._data >= data.shape[dim])].flat[0]
        raise RuntimeError(f"index {wrong} is out of bounds for dimension {dim} with size {data.shape[dim]}")
    return take_at(input, along(index._data, dim))


def _place(input: Tensor, dim: int, index: Tensor) -> tuple[Any, ...]:
    """Where scatter writes. Raises RuntimeError unless the index is int64, of input's rank and in range."""
    data, wanted = input._data, index._data
    if wanted.dtype != np.int64:
        raise RuntimeError("scatter(): Expected dtype int64 for index")
    if wanted.ndim != data.ndim:
        raise RuntimeError("Index tensor must have the same number of dimensions as self tensor")
    dim = wrap_dim(dim, data.ndim)
    size = data.shape[dim]
    beyond = (wanted < 0) | (wanted >= size)
    if beyond.any():
        wrong = wanted[beyond].flat[0]
        raise RuntimeError(f"index {wrong} is out of bounds for dimension {dim} with size {size}")
    return along(wanted, dim)


def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """A copy with out[index[i][j]][j] = src[i][j] for dim 0; reduce='add' adds instead."""
    if reduce == "add":
        return scatter_add(input, dim, index, src if src is not None else value)
    if reduce is not None:
        raise RuntimeError(f"reduce argument must be 'add' or None, got {reduce!r}")
    place = _place(input, dim, index)
    given = src if src is not None else value
    if not isinstance(given, Tensor):
        given = from_data(to_array(given, input._data.dtype))
    else:
        given = _corner(given, index) if given._data.ndim else given
    return index_put(input, place, given)


def _corner(src: Tensor, index: Tensor) -> Tensor:
    return getitem(src, tuple([slice(size) for size in index._data.shape]))


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy with out[index[i][j]][j] += src[i][j] for dim 0."""
    place = _place(input, dim, index)
    return input + embed(_corner(src, index), place, input._data.shape)


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """A copy with the entries of `source` added at `index` of a dimension."""
    place = (*[ALL] * wrap_dim(dim, input._data.ndim), index._data)
    return input + embed(source if alpha == 1 else source * alpha, place, input._data.shape)


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask holds, in one dimension."""
    if mask._data.dtype.kind != "b":
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = np.broadcast_shapes(input._data.shape, mask._data.shape)
    return take_at(input.expand(shape), (np.broadcast_to(mask._data, shape),))


def _broadcast(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(first, second)
    except ValueError as error:
        raise size_error(first, second) or error from None


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather`, with the sizes broadcast; dim None reads both flat."""
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    dim = wrap_dim(dim, input._data.ndim)
    wide = list(_broadcast(
        tuple(1 if i == dim else s for i, s in enumerate(input._data.shape)),
        tuple(1 if i == dim else s for i, s in enumerate(indices._data.shape)),
    ))  # fmt: skip
    source, wanted = [*wide], [*wide]
    source[dim], wanted[dim] = input._data.shape[dim], indices._data.shape[dim]
    return gather(input.expand(source), dim, indices.expand(wanted))
