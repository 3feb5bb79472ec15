"""Which dtype an operation computes in: PyTorch's rules, where NumPy's differ.

Three classes of operand, each weaker than the one before: tensors with dimensions, tensors without,
Python numbers. A weaker class changes the dtype only where its category (bool < integer < float <
complex) is higher.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .dtype import (
    BY_NUMPY,
    COMPLEX,
    FLOAT,
    DType,
    bfloat16,
    bool_,
    float16,
    float32,
    from_numpy_dtype,
    get_default_dtype,
    int64,
)
from .tensor import Tensor, from_data

Array = np.ndarray[Any, Any]


def promote_types(first: DType, second: DType) -> DType:
    """The smallest dtype that holds both; an integer with a float gives that float."""
    if first is second:
        return first
    low, high = (first, second) if first.category <= second.category else (second, first)
    if high.category == COMPLEX:
        return (
            high
            if low.category < FLOAT
            else from_numpy_dtype(np.promote_types(high.numpy, low.to_complex().numpy))
        )
    if high.category == FLOAT:
        if low.category < FLOAT:
            return high
        if {low, high} == {float16, bfloat16}:
            return float32
        return high if high.itemsize > low.itemsize else low
    promoted = np.promote_types(low.numpy, high.numpy)
    if promoted.kind == "f":
        raise RuntimeError(
            "Promotion for uint16, uint32, uint64 types is not supported, attempted to promote "
            f"{low} and {high}"
        )
    return from_numpy_dtype(promoted)


def scalar_dtype(value: Any) -> DType:
    """The dtype a Python number stands for: int64, the default float, its complex, or bool."""
    if isinstance(value, (bool, np.bool_)):
        return bool_
    if isinstance(value, (int, np.integer)):
        return int64
    if isinstance(value, (float, np.floating)):
        return get_default_dtype()
    return get_default_dtype().to_complex()


def _combine(strong: DType | None, weak: DType | None) -> DType | None:
    if strong is None or weak is None:
        return strong or weak
    if weak.category <= strong.category:
        return strong
    if strong.category == FLOAT:
        return strong.to_complex()
    return promote_types(strong, weak)


def result_dtype(*operands: Any) -> DType:
    """The dtype in which tensors and Python numbers meet. `torch.result_type`."""
    sized: DType | None = None
    unsized: DType | None = None
    plain: DType | None = None
    for each in operands:
        if isinstance(each, Tensor):
            dtype = BY_NUMPY[each._data.dtype]
            if each._data.ndim:
                sized = dtype if sized is None else promote_types(sized, dtype)
            else:
                unsized = dtype if unsized is None else promote_types(unsized, dtype)
        else:
            dtype = scalar_dtype(each)
            plain = dtype if plain is None else promote_types(plain, dtype)
    found = _combine(sized, _combine(unsized, plain))
    assert found is not None
    return found


def as_operand(value: Any) -> Any:
    """A Tensor or Python number from what a user wrote beside an operator. Raises TypeError otherwise."""
    if isinstance(value, (Tensor, int, float, complex)):
        return value
    if isinstance(value, np.ndarray):
        return from_data(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(
        "unsupported operand type: a Tensor, a number or an ndarray is expected, not "
        f"{type(value).__name__} (={value!r})"
    )


def to_array(value: Any, dtype: np.dtype[Any]) -> Array:
    """The operand in `dtype`. Integers wrap, as PyTorch's do."""
    if isinstance(value, Tensor):
        data = value._data
        return data if data.dtype == dtype else data.astype(dtype)
    if dtype.kind in "iu" and isinstance(value, int):
        bits = dtype.itemsize * 8
        return np.asarray(value & ((1 << bits) - 1), np.dtype(f"u{dtype.itemsize}")).astype(dtype)
    return np.asarray(value).astype(dtype)


def pair(first: Any, second: Any) -> tuple[Any, Any]:
    """Both operands as arrays of the dtype they meet in (or a number that NumPy treats alike)."""
    if isinstance(first, Tensor):
        x = first._data
        if isinstance(second, Tensor):
            y = second._data
            if x.dtype is y.dtype:
                return x, y
        elif second.__class__ is float or second.__class__ is int:
            # NumPy takes Python numbers in the array's own dtype, as PyTorch does.
            kind = x.dtype.kind
            if kind == "f" and x.dtype.itemsize > 2:
                return x, second
    dtype = result_dtype(first, second).numpy
    return to_array(first, dtype), to_array(second, dtype)


def broadcast_error(first: Any, second: Any) -> RuntimeError | None:
    """PyTorch's error for sizes that do not broadcast; None where they do."""
    return size_error(
        first._data.shape if isinstance(first, Tensor) else (),
        second._data.shape if isinstance(second, Tensor) else (),
    )


def size_error(a: tuple[int, ...], b: tuple[int, ...]) -> RuntimeError | None:
    """The same of two sizes."""
    for back in range(1, min(len(a), len(b)) + 1):
        if a[-back] != b[-back] and 1 not in (a[-back], b[-back]):
            where = max(len(a), len(b)) - back
            return RuntimeError(
                f"The size of tensor a ({a[-back]}) must match the size of tensor b ({b[-back]}) "
                f"at non-singleton dimension {where}"
            )
    return None


def to_floating(operand: Any) -> Any:
    """An integer tensor in the default float; anything else as it is. For sqrt, mean, true division."""
    if isinstance(operand, Tensor) and BY_NUMPY[operand._data.dtype].category < FLOAT:
        from .casting import cast

        return cast(operand, get_default_dtype().numpy)
    return operand


# Half precision is computed in float32 and rounded once, as PyTorch does.
NARROW = frozenset((float16.numpy, bfloat16.numpy))


def widened(function: Callable[..., Array], array: Array, *arguments: Any, **options: Any) -> Array:
    """function(array, …), in float32 where the array is of half precision."""
    if array.dtype in NARROW:
        return np.asarray(function(array.astype(np.float32), *arguments, **options)).astype(array.dtype)
    return function(array, *arguments, **options)
