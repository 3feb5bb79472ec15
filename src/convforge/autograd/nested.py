"""Nested values as arrays: what `tensor([[1, 2], [3, 4]])` holds, of which dtype, and what it refuses."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np

from .dtype import BY_NUMPY, from_numpy_dtype, numpy_of
from .promotion import scalar_dtype
from .tensor import Tensor


def native(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array with a dtype that tensors have, in this machine's byte order. Raises TypeError otherwise."""
    dtype = from_numpy_dtype(array.dtype).numpy
    return array if array.dtype == dtype else array.astype(dtype)


def _plain(values: Any) -> Any:
    """Nested values with Tensors and arrays as lists."""
    if isinstance(values, Tensor):
        return values._data.tolist()
    if isinstance(values, np.ndarray):
        return values.tolist()
    if isinstance(values, np.generic):
        return values.item()
    if isinstance(values, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(values).__name__}'")
    if isinstance(values, (Mapping, Set)):
        raise RuntimeError(f"Could not infer dtype of {type(values).__name__}")
    if isinstance(values, Iterable):
        return [_plain(each) for each in values]
    return values


def _leaf_types(values: Any, found: set[type]) -> None:
    if isinstance(values, list):
        for each in values:
            _leaf_types(each, found)
    else:
        found.add(type(values))


def _shape_of(values: Any) -> tuple[int, ...]:
    shape: list[int] = []
    while isinstance(values, list):
        shape.append(len(values))
        if not values:
            break
        values = values[0]
    return tuple(shape)


def _check_regular(values: Any, shape: tuple[int, ...], dim: int = 0) -> None:
    if not isinstance(values, list):
        if dim < len(shape):
            raise TypeError(f"not a sequence: expected sequence of length {shape[dim]} at dim {dim}")
        return
    if dim >= len(shape) or len(values) != shape[dim]:
        expected = shape[dim] if dim < len(shape) else 0
        raise ValueError(f"expected sequence of length {expected} at dim {dim} (got {len(values)})")
    for each in values:
        _check_regular(each, shape, dim + 1)


def array_of(values: Any, dtype: Any = None) -> np.ndarray[Any, Any]:
    """A new array of nested values; floats get the default dtype, integers int64. Raises as `tensor`."""
    if isinstance(values, Tensor):
        values = values._data
    if isinstance(values, (np.ndarray, np.generic)):
        array = native(np.asarray(values))
        return array.astype(array.dtype if dtype is None else numpy_of(dtype))
    listed = _plain(values)
    kinds: set[type] = set()
    _leaf_types(listed, kinds)
    wrong = [kind for kind in kinds if kind not in (bool, int, float, builtins.complex)]
    if wrong:
        if wrong[0].__name__ == "NoneType":
            raise RuntimeError("Could not infer dtype of NoneType")
        raise RuntimeError(f"Could not infer dtype of {wrong[0].__name__}")
    if dtype is None:
        # An empty list says nothing about its type.
        order: tuple[type, ...] = (builtins.complex, float, int, bool)
        kind = next((each for each in order if each in kinds), float)
        target = scalar_dtype(kind(0)).numpy
        if isinstance(values, (list, tuple)) and values and isinstance(_first(values), (np.generic, Tensor)):
            target = np.asarray(
                _first(values) if not isinstance(_first(values), Tensor) else _first(values)._data
            ).dtype
    else:
        target = numpy_of(dtype)
    _check_regular(listed, _shape_of(listed))
    if target.kind in "iu" and kinds & {float, builtins.complex}:
        return np.real(np.asarray(listed)).astype(target)
    try:
        if target.kind == "u" and target.itemsize < 8:  # -1 is the largest, as in C
            wide = np.array(listed, dtype=np.int64)
            if wide.size and wide.max() <= np.iinfo(target).max and wide.min() >= -np.iinfo(target).max:
                return wide.astype(target)
        return np.array(listed, dtype=target)
    except OverflowError:
        if dtype is None:
            raise ValueError("Overflow when unpacking long long: an integer is beyond int64") from None
        raise RuntimeError(
            f"value cannot be converted to type {BY_NUMPY[target].numpy.name} without overflow"
        ) from None


def _first(values: Any) -> Any:
    while isinstance(values, (list, tuple)) and values:
        values = values[0]
    return values
