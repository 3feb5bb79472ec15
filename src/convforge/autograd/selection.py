"""Comparison, logic, and choosing between elements: where, maximum, clamp, masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .arithmetic import both, mul, run, shape_of, tensor_or_none
from .dtype import COMPLEX
from .naming import named
from .node import attach
from .promotion import broadcast_error, pair, result_dtype, to_array
from .quiet import quiet
from .reduction import sum_to
from .tensor import Tensor, from_data, recording


def _comparison(name: str, sign: str, ufunc: Callable[..., Any], ordered: bool) -> Any:
    def function(input: Any, other: Any) -> Tensor:
        input, other = both(input, other)
        if ordered and result_dtype(input, other).category == COMPLEX:
            raise NotImplementedError(
                f"\"{name}_cpu\" not implemented for '{result_dtype(input, other).scalar_name}': it "
                "needs an order"
            )
        return run(ufunc, input, other)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Where input {sign} other, a bool tensor."
    return function


eq = _comparison("eq", "==", np.equal, False)
ne = _comparison("ne", "!=", np.not_equal, False)
lt = _comparison("lt", "<", np.less, True)
le = _comparison("le", "<=", np.less_equal, True)
gt = _comparison("gt", ">", np.greater, True)
ge = _comparison("ge", ">=", np.greater_equal, True)


def _logic(name: str, ufunc: Callable[..., Any]) -> Any:
    def function(input: Any, other: Any) -> Tensor:
        input, other = both(input, other)
        dtype = result_dtype(input, other)
        if dtype.category > 1:
            raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{dtype.scalar_name}'")
        return run(ufunc, input, other)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} of integers or bools, bit by bit."
    return function


bitwise_and = _logic("bitwise_and", np.bitwise_and)
bitwise_or = _logic("bitwise_or", np.bitwise_or)
bitwise_xor = _logic("bitwise_xor", np.bitwise_xor)
bitwise_left_shift = _logic("bitwise_left_shift", np.left_shift)
bitwise_right_shift = _logic("bitwise_right_shift", np.right_shift)


def bitwise_not(input: Tensor) -> Tensor:
    """~input, of integers or bools."""
    if input.dtype.category > 1:
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
    return from_data(np.invert(input._data))


def logical_not(input: Tensor) -> Tensor:
    """Where elements are zero."""
    return from_data(np.logical_not(input._data))


def _truth(name: str, meaning: str, ufunc: Callable[..., Any]) -> Any:
    def function(input: Tensor, other: Any) -> Tensor:
        if not isinstance(other, Tensor):
            raise TypeError(
                f"{name}(): argument 'other' (position 1) must be Tensor, not {type(other).__name__}"
            )
        return run(ufunc, input, other)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Where {meaning} nonzero, a bool tensor. Raises TypeError for numbers."
    return function


logical_and = _truth("logical_and", "both are", np.logical_and)
logical_or = _truth("logical_or", "one of both is", np.logical_or)
logical_xor = _truth("logical_xor", "exactly one of both is", np.logical_xor)


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same size and elements."""
    return bool(np.array_equal(input._data, other._data))


def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor:
    """Where |input - other| <= atol + rtol * |other|. Raises RuntimeError where the dtypes differ."""
    if input._data.dtype != other._data.dtype:
        raise RuntimeError(f"{input.dtype.scalar_name} did not match {other.dtype.scalar_name}")
    return from_data(quiet.run(np.isclose, input._data, other._data, rtol, atol, equal_nan))


def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether `isclose` holds everywhere."""
    return bool(isclose(input, other, rtol, atol, equal_nan)._data.all())


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """input where the condition holds, else other; with one argument, the indices where it does."""
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    if condition._data.dtype.kind != "b":
        if condition._data.dtype != np.uint8:
            raise RuntimeError(
                "where expected condition to be a boolean tensor, but got a tensor with dtype "
                f"{condition.dtype.scalar_name}"
            )
        condition = from_data(condition._data != 0)
    input, other = both(input, other)
    x, y = pair(input, other)
    dtype = result_dtype(input, other).numpy
    try:
        out = from_data(np.where(condition._data, x, y).astype(dtype, copy=False))
    except ValueError:
        error = (
            broadcast_error(input, other)
            or broadcast_error(condition, input)
            or broadcast_error(condition, other)
        )
        raise error or RuntimeError("where: the sizes do not broadcast") from None
    if recording(input, other):
        node = attach(out, "WhereBackward0", _where_backward, (tensor_or_none(input), tensor_or_none(other)))
        node.condition, node.shapes = condition, (shape_of(input), shape_of(other))
    return out


def _where_backward(node: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    first, second = node.shapes
    return (
        sum_to(where(node.condition, grad, 0.0), first) if node.edges[0] else None,
        sum_to(where(node.condition, 0.0, grad), second) if node.edges[1] else None,
    )


def _extremum(name: str, title: str, ufunc: Callable[..., Any]) -> Any:
    def backward(node: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        input, other = node.saved
        x, y = pair(input, other)
        ties = np.equal(x, y)
        first = from_data(np.asarray(np.where(ties, 0.5, ufunc(x, y) == x), grad._data.dtype))
        return (
            sum_to(mul(grad, first), shape_of(input)) if node.edges[0] else None,
            sum_to(mul(grad, from_data(1 - first._data)), shape_of(other)) if node.edges[1] else None,
        )

    def function(input: Any, other: Any) -> Tensor:
        input, other = both(input, other)
        if not (isinstance(input, Tensor) and isinstance(other, Tensor)):
            raise TypeError(f"{name}(): argument 'other' must be Tensor: use clamp for a number")
        if result_dtype(input, other).category == COMPLEX:
            raise RuntimeError(f"{name} not implemented for complex tensors.")
        out = run(ufunc, input, other)
        if recording(input, other):
            attach(out, f"{title}Backward0", backward, (input, other), (input, other))
        return out

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The {name} of both, element by element; NaN wins. Ties share the gradient."
    return function


maximum = _extremum("maximum", "Maximum", np.maximum)
minimum = _extremum("minimum", "Minimum", np.minimum)


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """input, but no less than `min` and no more than `max` (numbers or tensors)."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    bounds = [each for each in (min, max) if each is not None]
    dtype = result_dtype(input, *bounds)
    if dtype.category == COMPLEX:
        raise NotImplementedError("clamp is not supported for complex types")
    data = to_array(input, dtype.numpy)
    inside: Any = True
    if min is not None:
        low = to_array(min, dtype.numpy)
        inside = data >= low
        data = np.maximum(data, low)
    if max is not None:
        high = to_array(max, dtype.numpy)
        inside = inside & (to_array(input, dtype.numpy) <= high)
        data = np.minimum(data, high)
    out = from_data(data if data is not input._data else data.copy())
    if recording(input, min, max):
        node = attach(
            out, "ClampBackward1", _clamp_backward, (input, tensor_or_none(min), tensor_or_none(max)),
            (input, tensor_or_none(min), tensor_or_none(max)),
        )  # fmt: skip
        node.inside = inside
    return out


def _clamp_backward(node: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    input, low, high = node.saved
    second = third = None
    if low is not None and node.edges[1]:
        under = input._data < low._data
        if high is not None:
            under = under & (low._data < high._data)
        second = sum_to(mul(grad, from_data(under)), low._data.shape)
    if high is not None and node.edges[2]:
        over = input._data > high._data
        if low is not None:
            over = over | (low._data > high._data)
        third = sum_to(mul(grad, from_data(over)), high._data.shape)
    first = (
        sum_to(mul(grad, from_data(np.asarray(node.inside))), input._data.shape) if node.edges[0] else None
    )
    return first, second, third


def clamp_min(input: Tensor, min: Any) -> Tensor:
    """input, but no less than `min`."""
    return clamp(input, min=min)


def clamp_max(input: Tensor, max: Any) -> Tensor:
    """input, but no more than `max`."""
    return clamp(input, max=max)


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """input with `value` where the mask holds."""
    if mask._data.dtype.kind != "b":
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype.scalar_name}"
        )
    if not isinstance(value, Tensor):
        value = from_data(to_array(value, input._data.dtype))
    elif value._data.ndim:
        raise RuntimeError(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value._data.ndim} dimension(s)."
        )
    return named(where(mask, value.to(input.dtype), input), "MaskedFillBackward0")


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of nonzero elements, one row each; as_tuple: one tensor a dimension."""
    data = np.atleast_1d(input._data) if as_tuple else input._data
    found = np.nonzero(data) if data.ndim else ()
    if as_tuple:
        return tuple([from_data(each) for each in found])
    if not data.ndim:
        return from_data(np.zeros((1 if data else 0, 0), np.int64))
    return from_data(np.stack(found, axis=1))
