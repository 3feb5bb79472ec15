"""Making tensors from values, sizes, ranges and arrays."""

# ruff: noqa: ARG001 - PyTorch's signatures are kept whole

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .creation_arguments import storage_arguments
from .device import require_cpu
from .dims import sizes_of
from .dtype import FLOAT, get_default_dtype, numpy_of, resolve
from .nested import array_of, native
from .promotion import scalar_dtype, to_array
from .tensor import Tensor, from_data


def finished(array: Any, requires_grad: bool, device: Any = None) -> Tensor:
    """A tensor on a new array. Raises RuntimeError where integers should require grad."""
    require_cpu(device)
    made = from_data(array)
    if not requires_grad:
        return made
    if made.dtype.category < FLOAT:
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
    return made.requires_grad_()


@storage_arguments(takes_out=False)
def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor holding a copy of nested values, an array or a tensor.

    Raises ValueError for ragged sequences, TypeError for arrays of objects.
    """
    return finished(array_of(data, dtype), requires_grad, device)


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
    """A tensor on the array's memory: changing one changes the other.

    Raises TypeError for what is no array or holds other types, ValueError for the other byte order.
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    if not ndarray.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion between byte "
            "orders is currently not supported: use array.astype(array.dtype.newbyteorder('='))"
        )
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
    return np.empty(checked_sizes(sizes) if sizes else (0,), default)


def checked_sizes(sizes: tuple[Any, ...], size: Any = None) -> tuple[int, ...]:
    """The sizes of a new tensor, given in a row or as `size`. Raises RuntimeError for negative ones."""
    shape = sizes_of(sizes if size is None else (*sizes, size))
    for each in shape:
        if each < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {each}: {list(shape)}")
    return shape


@storage_arguments()
def empty(
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
    memory_format: Any = None,
) -> Tensor:
    """Uninitialised memory."""
    return finished(np.empty(checked_sizes(sizes, size), numpy_of(dtype)), requires_grad, device)


@storage_arguments()
def zeros(
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """All 0."""
    return finished(np.zeros(checked_sizes(sizes, size), numpy_of(dtype)), requires_grad, device)


@storage_arguments()
def ones(
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """All 1."""
    return finished(np.ones(checked_sizes(sizes, size), numpy_of(dtype)), requires_grad, device)


@storage_arguments()
def full(
    size: Any, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """All `fill_value`, of its dtype. size: a sequence, as in PyTorch."""
    if not isinstance(size, Iterable):
        raise TypeError(
            f"full(): argument 'size' must be tuple of ints, not {type(size).__name__}: use ({size},)"
        )
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    target = numpy_of(dtype, scalar_dtype(fill_value))
    array = np.empty(checked_sizes((size,)), target)
    array[...] = to_array(fill_value, target)
    return finished(array, requires_grad, device)


@storage_arguments(takes_out=False)
def empty_like(
    input: Tensor,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
    memory_format: Any = None,
) -> Tensor:
    """Uninitialised memory of the size and dtype of `input`."""
    return finished(
        np.empty_like(input._data, None if dtype is None else numpy_of(dtype)), requires_grad, device
    )


@storage_arguments(takes_out=False)
def zeros_like(
    input: Tensor,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
    memory_format: Any = None,
) -> Tensor:
    """All 0, of the size and dtype of `input`."""
    return finished(
        np.zeros_like(input._data, None if dtype is None else numpy_of(dtype)), requires_grad, device
    )


@storage_arguments(takes_out=False)
def ones_like(
    input: Tensor,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
    memory_format: Any = None,
) -> Tensor:
    """All 1, of the size and dtype of `input`."""
    return finished(
        np.ones_like(input._data, None if dtype is None else numpy_of(dtype)), requires_grad, device
    )


@storage_arguments(takes_out=False)
def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """All `fill_value`, of the size and dtype of `input`."""
    return full(
        input._data.shape, fill_value, dtype=dtype or input.dtype, requires_grad=requires_grad, device=device
    )


@storage_arguments()
def arange(
    start: Any = 0,
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
    if not (np.isfinite(start) and np.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    integers = all(isinstance(each, int) for each in (start, end, step))
    target = numpy_of(dtype, scalar_dtype(0 if integers else 0.0))
    count = -(-(end - start) // step) if integers else int(np.ceil((end - start) / step))
    array = start + step * np.arange(count, dtype=np.int64 if integers else np.float64)
    return finished(array.astype(target), requires_grad, device)


@storage_arguments()
def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """`steps` values from start to end, both included."""
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    start, end = (each.item() if isinstance(each, Tensor) else each for each in (start, end))
    target = numpy_of(dtype)
    return finished(np.linspace(start, end, steps).astype(target), requires_grad, device)


@storage_arguments()
def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """base ** linspace(start, end)."""
    return finished(np.power(base, np.linspace(start, end, steps)).astype(numpy_of(dtype)), requires_grad)


@storage_arguments()
def eye(
    n: int, m: int | None = None, *, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """1 on the diagonal, 0 elsewhere. Raises RuntimeError for negative sizes."""
    for name, size in (("n", n), ("m", m)):
        if size is not None and size < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {size}")
    return finished(np.eye(n, m, dtype=numpy_of(dtype)), requires_grad, device)


@storage_arguments(takes_out=False)
def scalar_tensor(s: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A 0-dimensional tensor of the default dtype."""
    return finished(to_array(s, numpy_of(dtype)), requires_grad)


def complex(real: Tensor, imag: Tensor) -> Tensor:
    """real + i · imag. Raises RuntimeError where the dtypes differ."""
    if real._data.dtype != imag._data.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {real.dtype.scalar_name} but got scalar type "
            f"{imag.dtype.scalar_name} for second argument"
        )
    return real + imag * 1j
