"""Quotients and what is left of them: true division, rounded division, the two remainders."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arithmetic import (
    Operand,
    attach_pair,
    both,
    conj_of,
    mul,
    neg,
    operands_of,
    requires,
    run,
    shape_of,
    tensor_or_none,
)
from .dtype import BOOL, FLOAT
from .node import attach
from .promotion import result_dtype, to_floating
from .reduction import sum_to
from .tensor import Tensor, from_data, recording


def div(input: Operand, other: Operand, *, rounding_mode: str | None = None) -> Tensor:
    """input / other; integers give the default float. rounding_mode 'trunc' or 'floor' rounds."""
    if rounding_mode == "floor":
        return floor_divide(input, other)
    input, other = both(input, other)
    if rounding_mode == "trunc":
        return _trunc_divide(input, other)
    if rounding_mode is not None:
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'"
        )
    dtype = result_dtype(input, other)
    if dtype.category < FLOAT:
        input, other = to_floating(input), to_floating(other)
    out = run(np.true_divide, input, other)
    if recording(input, other):
        attach_pair(out, "DivBackward0", _div_backward, input, other, (requires(other), True))
    return out


def _div_backward(node: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    input, other, _ = operands_of(node)
    first = div(grad, conj_of(other))
    return (
        sum_to(first, node.shapes[0]) if node.edges[0] else None,
        sum_to(mul(neg(first), conj_of(div(input, other))), node.shapes[1]) if node.edges[1] else None,
    )


def _zero_gradient(out: Tensor, name: str, input: Any, other: Any) -> Tensor:
    """Record a step function: its gradient is zero wherever it has one."""
    if out._data.dtype.kind == "f" and recording(input, other):
        node = attach(out, name, _zeros_backward, (tensor_or_none(input), tensor_or_none(other)))
        node.shapes = shape_of(input), shape_of(other)
    return out


def _zeros_backward(node: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return tuple(
        from_data(np.zeros(shape, grad._data.dtype)) if edge else None
        for shape, edge in zip(node.shapes, node.edges, strict=True)
    )


def _refuse_zero(other: Any, dtype_category: int) -> None:
    if dtype_category < FLOAT:
        values = other._data if isinstance(other, Tensor) else np.asarray(other)
        if not values.all():
            raise RuntimeError("ZeroDivisionError")


def floor_divide(input: Operand, other: Operand) -> Tensor:
    """input / other, rounded down; integers stay integers. Raises RuntimeError for an integer over 0."""
    input, other = both(input, other)
    dtype = result_dtype(input, other)
    if dtype.category == BOOL:
        raise NotImplementedError("\"div_floor_cpu\" not implemented for 'Bool'")
    _refuse_zero(other, dtype.category)
    return _zero_gradient(run(_floor_divide, input, other), "DivBackward1", input, other)


def _floor_divide(x: Any, y: Any) -> Any:
    """NumPy's floor_divide, with infinity where a float is divided by 0."""
    if np.result_type(x, y).kind in "biu":
        return np.floor_divide(x, y)
    quotient = np.floor_divide(x, y)
    by_zero = np.equal(y, 0)
    return np.where(by_zero, np.divide(x, y), quotient) if np.any(by_zero) else quotient


def _trunc_divide(input: Any, other: Any) -> Tensor:
    dtype = result_dtype(input, other)
    _refuse_zero(other, dtype.category)
    if dtype.category < FLOAT:
        out = run(_trunc_divide_integers, input, other)
    else:
        out = from_data(np.trunc(run(np.true_divide, input, other)._data))
    return _zero_gradient(out, "DivBackward1", input, other)


def _trunc_divide_integers(x: Any, y: Any) -> Any:
    quotient, rest = np.floor_divide(x, y), np.remainder(x, y)
    return quotient + ((rest != 0) & ((np.less(x, 0)) != (np.less(y, 0)))).astype(np.asarray(quotient).dtype)


def remainder(input: Operand, other: Operand) -> Tensor:
    """input - floor(input / other) * other: Python's %, of the divisor's sign."""
    input, other = both(input, other)
    dtype = result_dtype(input, other)
    if dtype.category == BOOL:
        raise NotImplementedError("\"remainder_cpu\" not implemented for 'Bool'")
    _refuse_zero(other, dtype.category)
    out = run(np.remainder, input, other)
    if recording(input, other):
        attach_pair(
            out, "RemainderBackward0", _remainder_backward, input, other, (requires(other), requires(other))
        )
    return out


def _remainder_backward(node: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    input, other, _ = operands_of(node)
    return (
        sum_to(grad, node.shapes[0]) if node.edges[0] else None,
        sum_to(mul(neg(grad), floor_divide(input, other)), node.shapes[1]) if node.edges[1] else None,
    )


def fmod(input: Operand, other: Operand) -> Tensor:
    """input - trunc(input / other) * other: C's remainder, of the dividend's sign."""
    input, other = both(input, other)
    _refuse_zero(other, result_dtype(input, other).category)
    out = run(np.fmod, input, other)
    if recording(input, other):
        attach_pair(out, "FmodBackward1", _fmod_backward, input, other, (requires(other), requires(other)))
    return out


def _fmod_backward(node: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    input, other, _ = operands_of(node)
    return (
        sum_to(grad, node.shapes[0]) if node.edges[0] else None,
        sum_to(mul(neg(grad), div(input, other, rounding_mode="trunc")), shape_of(other))
        if node.edges[1]
        else None,
    )
