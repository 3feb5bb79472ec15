"""Writing along a dimension, or at places, that index tensors list: index_put, index_fill, index_copy."""

from __future__ import annotations

from typing import Any

import numpy as np

from .dims import wrap_dim
from .indexing import ALL, embed, index_array, index_error, index_put as _put, misfit
from .naming import named
from .promotion import to_array
from .tensor import Tensor, from_data


def index_put(input: Tensor, indices: Any, values: Any, accumulate: bool = False) -> Tensor:
    """A copy with `values` at input[indices]; accumulate adds, also where a place comes twice.

    indices: a tuple of tensors, of integers or masks, one a dimension; values: broadcasts to input[indices]

    Raises IndexError where an index is out of range, RuntimeError where values do not fit or have another
    dtype.
    """
    if not isinstance(indices, (tuple, list)):
        raise TypeError(
            "index_put_(): argument 'indices' (position 1) must be tuple of Tensors, not "
            f"{type(indices).__name__}"
        )
    for position, each in enumerate(indices):
        if not isinstance(each, Tensor):
            raise TypeError(
                f"expected Tensor as element {position} in argument 0, but got {type(each).__name__}"
            )
    if not isinstance(values, Tensor):
        raise TypeError(
            f"index_put_(): argument 'values' (position 2) must be Tensor, not {type(values).__name__}"
        )
    if values.dtype is not input.dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{input.dtype.scalar_name} for the destination and {values.dtype.scalar_name} for the source."
        )
    place = tuple([index_array(each._data) for each in indices])
    try:
        shape = input._data[place].shape
    except IndexError as error:
        raise index_error(error, input._data.ndim) from None
    try:
        np.broadcast_shapes(values._data.shape, shape)
    except ValueError:
        raise misfit(values, shape) from None
    if accumulate:
        return named(input + embed(values.expand(shape), place, input._data.shape), "IndexPutBackward0")
    return _put(input, place, values)


def _places(name: str, input: Tensor, dim: int, index: Tensor) -> tuple[int, Any]:
    """The dimension, and the index as a vector of places counted from the front."""
    if index._data.ndim > 1:
        raise RuntimeError("Index has to be a vector/scalar")
    dim = wrap_dim(dim, input._data.ndim)
    places = np.atleast_1d(index._data)
    size = input._data.shape[dim] if input._data.ndim else 1
    beyond = (places < -size) | (places >= size)
    if beyond.any():
        raise IndexError(
            f"{name}index {places[beyond][0]} is out of bounds for dimension {dim} with size {size}"
        )
    return dim, places


def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy with `value`, a number or 0-dimensional tensor, at entries of a dimension that `index` lists.

    Raises IndexError where an index is out of range or not int64, RuntimeError where value has dimensions.
    """
    if index._data.dtype != np.int64:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    dim, places = _places("", input, dim, index)
    if isinstance(value, Tensor) and value._data.ndim:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value._data.ndim} dimension(s)."
        )
    given = value if isinstance(value, Tensor) else from_data(to_array(value, input._data.dtype))
    return _written(input, dim, places, given.to(input.dtype), "IndexFillBackward0")


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy with the entries of `source` at those of a dimension that `index` lists.

    Raises IndexError where an index is out of range or the numbers of dimensions or entries do not match,
    RuntimeError where other sizes or dtypes do not.
    """
    name = "index_copy_(): "
    shape, given = input._data.shape, source._data.shape
    if index._data.ndim > 1:
        raise IndexError(f"{name}Index should have dimension 1 or 0 (got {index._data.ndim})")
    if shape and given and len(shape) != len(given):
        raise IndexError(
            f"{name}When source and destination are not scalars, their dimensionality must match. Source "
            f"dimensionality ({len(given)}), destination dimensionality ({len(shape)})"
        )
    if index._data.dtype != np.int64:
        raise RuntimeError(f"{name}Expected a long tensor for index, but got {index.dtype.scalar_name}")
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}self and source expected to have the same dtype, but got (self) "
            f"{input.dtype.scalar_name} "
            f"and (source) {source.dtype.scalar_name}"
        )
    dim = wrap_dim(dim, len(shape))
    rest = shape[:dim] + shape[dim + 1 :]
    if given and given[:dim] + given[dim + 1 :] != rest:
        raise RuntimeError(
            f"{name}Source/destination tensor must have same slice shapes. Destination slice shape: "
            f"{list(rest)} at dimension {dim} and source slice shape: "
            f"{list(given[:dim] + given[dim + 1 :])} at "
            f"dimension {dim}."
        )
    entries = given[dim] if given else 1
    if index._data.size != entries:
        raise IndexError(
            f"{name}Number of indices ({index._data.size}) should be equal to source.size(dim) ({entries})"
        )
    if index._data.size and index._data.min() < 0:
        wrong = index._data.min()
        raise IndexError(f"{name}index {wrong} is out of bounds for dimension {dim} with size {shape[dim]}")
    dim, places = _places(name, input, dim, index)
    return _written(input, dim, places, source, "IndexCopyBackward0")


def _written(input: Tensor, dim: int, places: Any, value: Tensor, name: str) -> Tensor:
    if not input._data.ndim:
        return _written(input.reshape([1]), 0, places, value, name).reshape([])
    return named(_put(input, (*[ALL] * dim, places), value), name)
