"""Sums, products and powers, with broadcasting and PyTorch's promotion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .dtype import BOOL, FLOAT
from .node import Node, attach
from .promotion import NARROW, as_operand, broadcast_error, pair, result_dtype, to_array
from .quiet import quiet
from .reduction import sum_to
from .tensor import Tensor, from_data, recording

Operand = Any


def run(ufunc: Callable[..., Any], first: Operand, second: Operand) -> Tensor:
    """ufunc of both operands in the dtype they meet in. Raises RuntimeError where they do not broadcast."""
    x, y = pair(first, second)
    try:
        return from_data(quiet.run(ufunc, x, y))
    except ValueError:
        error = broadcast_error(first, second)
        if error is None:
            raise
        raise error from None


def both(first: Operand, second: Operand) -> tuple[Any, Any]:
    """The operands as Tensors and Python numbers."""
    if not isinstance(first, Tensor):
        first = as_operand(first)
    if not isinstance(second, Tensor):
        second = as_operand(second)
    return first, second


def conj_of(factor: Any) -> Any:
    """The conjugate, which complex gradients are multiplied with; a real factor as it is."""
    if isinstance(factor, Tensor):
        return factor.conj() if factor._data.dtype.kind == "c" else factor
    return factor.conjugate() if isinstance(factor, complex) else factor


def tensor_or_none(operand: Any) -> Any:
    """The operand where it is a Tensor; a number has no place on the tape."""
    return operand if isinstance(operand, Tensor) else None


def shape_of(operand: Any) -> tuple[int, ...]:
    """The size of an operand; () for a number."""
    return operand._data.shape if isinstance(operand, Tensor) else ()


def add(input: Operand, other: Operand, *, alpha: Any = 1) -> Tensor:
    """input + alpha * other."""
    input, other = both(input, other)
    if alpha != 1:
        other = _scaled(other, alpha, input)
    out = run(np.add, input, other)
    if recording(input, other):
        node = attach(out, "AddBackward0", _add_backward, (tensor_or_none(input), tensor_or_none(other)))
        node.shapes = shape_of(input), shape_of(other)
    return out


def _scaled(other: Operand, alpha: Any, input: Operand) -> Operand:
    category = result_dtype(input, other).category
    if isinstance(alpha, bool) and category != BOOL:
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if category < FLOAT and isinstance(alpha, float):
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    return mul(other, alpha) if isinstance(other, Tensor) else other * alpha


def _add_backward(node: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    first, second = node.shapes
    return (
        sum_to(grad, first) if node.edges[0] else None,
        sum_to(grad, second) if node.edges[1] else None,
    )


def sub(input: Operand, other: Operand, *, alpha: Any = 1) -> Tensor:
    """input - alpha * other. Raises RuntimeError for bool tensors."""
    input, other = both(input, other)
    for each in (input, other):
        if isinstance(each, bool) or (isinstance(each, Tensor) and each._data.dtype.kind == "b"):
            raise RuntimeError(
                "Subtraction, the `-` operator, with a bool tensor is not supported. If you are "
                "trying to invert a mask, use the `~` or `logical_not()` operator instead."
            )
    if alpha != 1:
        other = _scaled(other, alpha, input)
    out = run(np.subtract, input, other)
    if recording(input, other):
        node = attach(out, "SubBackward0", _sub_backward, (tensor_or_none(input), tensor_or_none(other)))
        node.shapes = shape_of(input), shape_of(other)
    return out


def _sub_backward(node: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    first, second = node.shapes
    return (
        sum_to(grad, first) if node.edges[0] else None,
        sum_to(neg(grad), second) if node.edges[1] else None,
    )


def rsub(input: Operand, other: Operand, *, alpha: Any = 1) -> Tensor:
    """other - alpha * input."""
    return sub(other, input, alpha=alpha)


def mul(input: Operand, other: Operand) -> Tensor:
    """input * other."""
    input, other = both(input, other)
    out = run(np.multiply, input, other)
    if recording(input, other):
        attach_pair(out, "MulBackward0", _mul_backward, input, other, (requires(other), requires(input)))
    return out


def requires(operand: Any) -> bool:
    """Whether the operand is a Tensor that requires grad."""
    return isinstance(operand, Tensor) and operand._req


def attach_pair(
    out: Tensor,
    name: str,
    backward: Any,
    input: Any,
    other: Any,
    keep: tuple[bool, bool],
    result: bool = False,
) -> None:
    """Record an operation of two operands, keeping those that its backward reads: `keep` says which.

    What is not kept may be changed in place afterwards, as in PyTorch.
    """
    first, second = tensor_or_none(input), tensor_or_none(other)
    saved = (first if keep[0] else None, second if keep[1] else None, out if result else None)
    node = attach(out, name, backward, (first, second), saved)
    node.shapes = shape_of(input), shape_of(other)
    # A number is kept as it is; a Tensor comes back through `saved`, which checks it.
    node.numbers = None if first is not None else input, None if second is not None else other


def operands_of(node: Any) -> tuple[Any, Any, Any]:
    """Both operands and the result, as `attach_pair` kept them."""
    input, other, result = node.saved
    first, second = node.numbers
    return (first if input is None else input), (second if other is None else other), result


def _mul_backward(node: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    input, other, _ = operands_of(node)
    return (
        sum_to(mul(grad, conj_of(other)), node.shapes[0]) if node.edges[0] else None,
        sum_to(mul(grad, conj_of(input)), node.shapes[1]) if node.edges[1] else None,
    )


def neg(input: Tensor) -> Tensor:
    """-input. Raises RuntimeError for bool tensors."""
    if input._data.dtype.kind == "b":
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
            "invert a mask, use the `~` or `logical_not()` operator instead."
        )
    out = from_data(np.negative(input._data))
    if recording(input):
        attach(out, "NegBackward0", _neg_backward, (input,))
    return out


def _neg_backward(node: Node, grad: Tensor) -> Tensor:  # noqa: ARG001 - the form of all backward functions
    return neg(grad)


def positive(input: Tensor) -> Tensor:
    """The tensor itself. Raises RuntimeError for bool tensors."""
    if input._data.dtype.kind == "b":
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


def pow(input: Operand, exponent: Operand) -> Tensor:
    """input ** exponent. Raises RuntimeError for an integer to a negative number."""
    input, exponent = both(input, exponent)
    dtype = result_dtype(input, exponent)
    if dtype.category < FLOAT and not isinstance(exponent, Tensor) and exponent < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    if dtype.category < FLOAT:
        x, y = to_array(input, dtype.numpy), to_array(exponent, dtype.numpy)
        out = from_data(_integer_power(x, y))
    elif not isinstance(exponent, Tensor) and exponent == 2:
        x = to_array(input, dtype.numpy)
        out = from_data(quiet.run(np.multiply, x, x))
    else:
        x, y = pair(input, exponent)
        if dtype.numpy in NARROW:
            wide = quiet.run(np.power, x.astype(np.float32), np.asarray(y, np.float32))
            out = from_data(np.asarray(wide).astype(dtype.numpy))
        else:
            out = run(np.power, input, exponent)
    if recording(input, exponent):
        name = "PowBackward1" if isinstance(exponent, Tensor) else "PowBackward0"
        plain_slope = not isinstance(exponent, Tensor) and exponent in (0, 1)
        attach_pair(out, name, _pow_backward, input, exponent, (not plain_slope, True), requires(exponent))
    return out


def _integer_power(x: Any, y: Any) -> Any:
    """x ** y of integers; a negative power is 0, or ±1 for ±1, as PyTorch's tensors give."""
    negative = np.less(y, 0)
    if not np.any(negative):
        return np.power(x, y)
    inverse = np.where(x == 1, 1, np.where(x == -1, np.where(np.mod(y, 2) == 0, 1, -1), 0))
    return np.where(negative, inverse, np.power(x, np.where(negative, 0, y))).astype(x.dtype)


def _pow_backward(node: Any, grad: Any) -> tuple[Tensor | None, ...]:
    from .selection import where

    input, exponent, result = operands_of(node)
    first = second = None
    if node.edges[0]:
        if isinstance(exponent, Tensor):
            slope = where(exponent == 0, 0.0, mul(exponent, pow(input, sub(exponent, 1))))
            first = sum_to(mul(grad, conj_of(slope)), node.shapes[0])
        elif exponent == 0:
            first = from_data(np.zeros_like(grad._data))
        elif exponent == 1:
            first = grad
        elif exponent == 2:
            first = mul(grad, mul(conj_of(input), 2))
        else:
            first = mul(grad, conj_of(mul(pow(input, exponent - 1), exponent)))
    if node.edges[1]:
        base: Tensor = (
            input if isinstance(input, Tensor) else from_data(np.asarray(input, result._data.dtype))
        )
        slope = mul(result, where(base == 0, 0.0, _log(base)))
        second = sum_to(mul(grad, conj_of(slope)), node.shapes[1])
    return first, second


def _log(base: Tensor) -> Tensor:
    from .pointwise import log

    return log(base)


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """input + value * tensor1 * tensor2."""
    product = mul(tensor1, tensor2)
    return add(input, product if value == 1 else mul(product, value))


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """input + value * tensor1 / tensor2."""
    from .division import div

    quotient = div(tensor1, tensor2)
    return add(input, quotient if value == 1 else mul(quotient, value))


def lerp(input: Tensor, end: Tensor, weight: Operand) -> Tensor:
    """input + weight * (end - input)."""
    return add(input, mul(sub(end, input), weight))


def square(input: Tensor) -> Tensor:
    """input ** 2."""
    return pow(input, 2)
