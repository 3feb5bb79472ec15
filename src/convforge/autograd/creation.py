"""Making tensors from values, sizes, ranges and arrays."""

# ruff: noqa: ARG001 - PyTorch's signatures are kept whole

from __future__ import annotations

import builtins
from collections.abc import Iterable
from typing import Any

import numpy as np

from . import random as _random
from .device import require_cpu
from .dims import sizes_of
from .dtype import BY_NUMPY, DType, from_numpy_dtype, get_default_dtype, resolve
from .promotion import scalar_dtype, to_array
from .tensor import Tensor, from_data


def _finished(array: Any, requires_grad: bool, device: Any = None) -> Tensor:
    require_cpu(device)
    made = from_data(array)
    return made.requires_grad_() if requires_grad else made


def _numpy_of(dtype: Any, default: DType | None = None) -> np.dtype[Any]:
    return (default or get_default_dtype() if dtype is None else resolve(dtype)).numpy


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
        return array.astype(array.dtype if dtype is None else _numpy_of(dtype))
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
        target = _numpy_of(dtype)
    _check_regular(listed, _shape_of(listed))
    if target.kind in "iu" and kinds & {float, builtins.complex}:
        return np.real(np.asarray(listed)).astype(target)
    try:
        return np.array(listed, dtype=target)
    except OverflowError:
        raise RuntimeError(
            f"value cannot be converted to type {BY_NUMPY[target].numpy.name} without overflow"
        ) from None


def _first(values: Any) -> Any:
    while isinstance(values, (list, tuple)) and values:
        values = values[0]
    return values


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A new tensor holding a copy of nested values, an array or a tensor.

    Raises ValueError for ragged sequences, TypeError for arrays of objects.
    """
    return _finished(array_of(data, dtype), requires_grad, device)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor on the memory of an array or tensor where the dtype allows it, else a copy."""
    require_cpu(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(resolve(dtype))
    if isinstance(data, np.ndarray):
        made = from_data(native(data))
        return made if dtype is None else made.to(resolve(dtype))
    return tensor(data, dtype=dtype)


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """`as_tensor`, with copy=True for memory of its own."""
    made = as_tensor(obj, dtype, device)
    made = made.detach().clone() if copy else made
    return made.requires_grad_() if requires_grad else made


def from_numpy(ndarray: Any) -> Tensor:
    """A tensor on the array's memory: changing one changes the other."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    return from_data(native(ndarray))


def legacy_array(sizes: tuple[Any, ...]) -> Any:
    """The array of Tensor(…): uninitialised for sizes, holding the values of one sequence."""
    default = get_default_dtype().numpy
    if len(sizes) == 1 and not hasattr(sizes[0], "__index__"):
        values = sizes[0]
        if isinstance(values, Tensor):
            return values._data
        if not isinstance(values, Iterable):
            raise TypeError(f"new(): data must be a sequence (got {type(values).__name__})")
        from .size import Size

        if not isinstance(values, Size):
            return array_of(values, default)
    elif len(sizes) == 1 and isinstance(sizes[0], (Tensor, np.ndarray)) and sizes[0].ndim:
        return array_of(sizes[0], default)
    return np.empty(_sizes(sizes) if sizes else (0,), default)


def _sizes(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    shape = sizes_of(sizes)
    for each in shape:
        if each < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {each}: {list(shape)}")
    return shape


def empty(
    *size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None, memory_format: Any = None
) -> Tensor:
    """Uninitialised memory."""
    return _finished(np.empty(_sizes(size), _numpy_of(dtype)), requires_grad, device)


def zeros(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """All 0."""
    return _finished(np.zeros(_sizes(size), _numpy_of(dtype)), requires_grad, device)


def ones(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """All 1."""
    return _finished(np.ones(_sizes(size), _numpy_of(dtype)), requires_grad, device)


def full(
    size: Any, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """All `fill_value`, of its dtype."""
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    target = _numpy_of(dtype, scalar_dtype(fill_value))
    array = np.empty(_sizes((size,)), target)
    array[...] = to_array(fill_value, target)
    return _finished(array, requires_grad, device)


def empty_like(
    input: Tensor,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
    memory_format: Any = None,
) -> Tensor:
    """Uninitialised memory of the size and dtype of `input`."""
    return _finished(
        np.empty_like(input._data, None if dtype is None else _numpy_of(dtype)), requires_grad, device
    )


def zeros_like(
    input: Tensor,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
    memory_format: Any = None,
) -> Tensor:
    """All 0, of the size and dtype of `input`."""
    return _finished(
        np.zeros_like(input._data, None if dtype is None else _numpy_of(dtype)), requires_grad, device
    )


def ones_like(
    input: Tensor,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
    memory_format: Any = None,
) -> Tensor:
    """All 1, of the size and dtype of `input`."""
    return _finished(
        np.ones_like(input._data, None if dtype is None else _numpy_of(dtype)), requires_grad, device
    )


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """All `fill_value`, of the size and dtype of `input`."""
    return full(
        input._data.shape, fill_value, dtype=dtype or input.dtype, requires_grad=requires_grad, device=device
    )


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """start, start + step, … below `end`; int64 where all are integers."""
    if end is None:
        start, end = 0, start
    start, end, step = (
        each.item() if isinstance(each, (Tensor, np.generic)) else each for each in (start, end, step)
    )
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    integers = all(isinstance(each, int) for each in (start, end, step))
    target = _numpy_of(dtype, scalar_dtype(0 if integers else 0.0))
    count = -(-(end - start) // step) if integers else int(np.ceil((end - start) / step))
    array = start + step * np.arange(count, dtype=np.int64 if integers else np.float64)
    return _finished(array.astype(target), requires_grad, device)


def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """`steps` values from start to end, both included."""
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    start, end = (each.item() if isinstance(each, Tensor) else each for each in (start, end))
    target = _numpy_of(dtype)
    return _finished(np.linspace(start, end, steps).astype(target), requires_grad, device)


def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """base ** linspace(start, end)."""
    return _finished(np.power(base, np.linspace(start, end, steps)).astype(_numpy_of(dtype)), requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """1 on the diagonal, 0 elsewhere."""
    return _finished(np.eye(n, m, dtype=_numpy_of(dtype)), requires_grad, device)


def scalar_tensor(s: Any, *, dtype: Any = None) -> Tensor:
    """A 0-dimensional tensor of the default dtype."""
    return from_data(to_array(s, _numpy_of(dtype)))


def complex(real: Tensor, imag: Tensor) -> Tensor:
    """real + i · imag."""
    return real + imag * 1j


def rand(
    *size: Any, generator: Any = None, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """Uniform draws from [0, 1), PyTorch's for the same seed."""
    array = np.empty(_sizes(size), _numpy_of(dtype))
    _random.uniform_(array, 0.0, 1.0, generator)
    return _finished(array, requires_grad, device)


def randn(
    *size: Any, generator: Any = None, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """Draws from the standard normal distribution, PyTorch's for the same seed."""
    array = np.empty(_sizes(size), _numpy_of(dtype))
    _random.normal_(array, 0.0, 1.0, generator)
    return _finished(array, requires_grad, device)


def randint(
    *bounds: Any,
    size: Any = None,
    generator: Any = None,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
    low: int = 0,
    high: int | None = None,
) -> Tensor:
    """randint(high, size) and randint(low, high, size): integers from low up to, not including, high."""
    given = list(bounds)
    if size is None:
        if not given:
            raise TypeError("randint() missing 1 required argument: 'size'")
        size = given.pop()
    if given:
        low, high = (0, given[0]) if len(given) == 1 else (given[0], given[1])
    if high is None:
        raise TypeError("randint() missing 1 required argument: 'high'")
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    array = np.empty(_sizes((size,)), _numpy_of(np.int64 if dtype is None else dtype))
    _random.random_(array, low, high, generator)
    return _finished(array, requires_grad, device)


def randperm(
    n: int, *, generator: Any = None, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """A random order of 0 … n - 1."""
    order = _random.randperm(n, generator)
    return _finished(order.astype(_numpy_of(np.int64 if dtype is None else dtype)), requires_grad, device)


def rand_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`rand` of the size and dtype of `input`."""
    return rand(input._data.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def randn_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`randn` of the size and dtype of `input`."""
    return randn(input._data.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def randint_like(input: Tensor, *bounds: int, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`randint` of the size and dtype of `input`."""
    return randint(*bounds, size=input._data.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def normal(
    mean: Any, std: Any = 1.0, size: Any = None, *, generator: Any = None, dtype: Any = None
) -> Tensor:
    """Normal draws: of a size for numbers, else of the size of the tensors."""
    if size is None:
        shape = np.broadcast_shapes(*[each._data.shape for each in (mean, std) if isinstance(each, Tensor)])
        return randn(shape, generator=generator, dtype=dtype) * std + mean
    array = np.empty(_sizes((size,)), _numpy_of(dtype))
    _random.normal_(array, float(mean), float(std), generator)
    return from_data(array)


def bernoulli(input: Tensor, p: float | None = None, *, generator: Any = None) -> Tensor:
    """1 with the probability that each element (or p) gives, else 0."""
    out = np.empty_like(input._data)
    _random.bernoulli_(out, input._data if p is None else p, generator)
    return from_data(out)
