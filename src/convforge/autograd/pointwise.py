"""Functions of one tensor, element by element."""

# ruff: noqa: ARG001, ARG005 - functions in tables share one form

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .arithmetic import conj_of, mul, neg, sub
from .division import div
from .dtype import COMPLEX, FLOAT
from .node import attach
from .promotion import NARROW, to_floating, widened
from .quiet import quiet
from .tensor import Tensor, from_data, recording, view_of

Backward = Callable[[Tensor, Tensor, Tensor], Tensor]


def _floating(name: str, title: str, compute: Callable[[Any], Any], slope: Backward, saves: str) -> Any:
    """A function whose integers become floats. slope(grad, input, result) is its backward.

    saves: 'i' where the slope reads the input, 'r' where it reads the result.
    """

    def backward(node: Any, grad: Tensor) -> Tensor:
        input, result = node.saved
        return slope(grad, input, result)

    def function(input: Tensor) -> Tensor:
        input = to_floating(input)
        out = from_data(quiet.run(widened, compute, input._data))
        if recording(input):
            attach(
                out, f"{title}Backward0", backward, (input,),
                (input if "i" in saves else None, out if "r" in saves else None),
            )  # fmt: skip
        return out

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} of each element; integers give the default float."
    return function


def _sigmoid_of(x: Any) -> Any:
    # exp of the negative magnitude cannot overflow.
    small = np.exp(-np.abs(x.real)) if x.dtype.kind != "c" else None
    if small is None:
        return 1 / (1 + np.exp(-x))
    return np.where(x >= 0, 1, small) / (1 + small)


def _one_minus_square(result: Tensor) -> Tensor:
    return sub(1, mul(result, result))


sqrt = _floating("sqrt", "Sqrt", np.sqrt, lambda g, x, y: div(g, conj_of(mul(y, 2))), "r")
rsqrt = _floating(
    "rsqrt",
    "Rsqrt",
    lambda x: 1 / np.sqrt(x),
    lambda g, x, y: mul(mul(g, -0.5), conj_of(mul(mul(y, y), y))),
    "r",
)
exp = _floating("exp", "Exp", np.exp, lambda g, x, y: mul(g, conj_of(y)), "r")
exp2 = _floating("exp2", "Exp2", np.exp2, lambda g, x, y: mul(g, mul(conj_of(y), math.log(2))), "r")
expm1 = _floating("expm1", "Expm1", np.expm1, lambda g, x, y: mul(g, conj_of(y + 1)), "r")
log = _floating("log", "Log", np.log, lambda g, x, y: div(g, conj_of(x)), "i")
log2 = _floating("log2", "Log2", np.log2, lambda g, x, y: div(g, mul(conj_of(x), math.log(2))), "i")
log10 = _floating("log10", "Log10", np.log10, lambda g, x, y: div(g, mul(conj_of(x), math.log(10))), "i")
log1p = _floating("log1p", "Log1P", np.log1p, lambda g, x, y: div(g, conj_of(x + 1)), "i")
sin = _floating("sin", "Sin", np.sin, lambda g, x, y: mul(g, conj_of(cos(x))), "i")
cos = _floating("cos", "Cos", np.cos, lambda g, x, y: mul(neg(g), conj_of(sin(x))), "i")
tan = _floating("tan", "Tan", np.tan, lambda g, x, y: mul(g, conj_of(mul(y, y) + 1)), "r")
asin = _floating("asin", "Asin", np.arcsin, lambda g, x, y: mul(g, conj_of(rsqrt(_one_minus_square(x)))), "i")
acos = _floating(
    "acos", "Acos", np.arccos, lambda g, x, y: mul(neg(g), conj_of(rsqrt(_one_minus_square(x)))), "i"
)
atan = _floating("atan", "Atan", np.arctan, lambda g, x, y: div(g, conj_of(mul(x, x) + 1)), "i")
sinh = _floating("sinh", "Sinh", np.sinh, lambda g, x, y: mul(g, conj_of(cosh(x))), "i")
cosh = _floating("cosh", "Cosh", np.cosh, lambda g, x, y: mul(g, conj_of(sinh(x))), "i")
tanh = _floating("tanh", "Tanh", np.tanh, lambda g, x, y: mul(g, conj_of(_one_minus_square(y))), "r")
sigmoid = _floating(
    "sigmoid", "Sigmoid", _sigmoid_of, lambda g, x, y: mul(g, conj_of(mul(sub(1, y), y))), "r"
)
reciprocal = _floating(
    "reciprocal", "Reciprocal", lambda x: 1 / x, lambda g, x, y: mul(neg(g), conj_of(mul(y, y))), "r"
)


def relu(input: Tensor) -> Tensor:
    """max(input, 0). NaN stays NaN."""
    data = input._data
    if data.dtype.kind == "b":
        raise RuntimeError("Boolean inputs not supported for relu")
    if data.dtype.kind == "c":
        raise NotImplementedError("clamp is not supported for complex types")
    out = from_data(np.maximum(data, data.dtype.type(0)))
    if recording(input):
        attach(out, "ReluBackward0", _relu_backward, (input,), (out,))
    return out


def _relu_backward(node: Any, grad: Tensor) -> Tensor:
    (result,) = node.saved
    return mul(grad, from_data(result._data > 0))


def abs(input: Tensor) -> Tensor:
    """The magnitude of each element; of a complex one, real."""
    data = input._data
    if data.dtype.kind == "b":
        raise NotImplementedError("\"abs_cpu\" not implemented for 'Bool': use the tensor itself")
    out = from_data(quiet.run(np.abs, data))
    if recording(input):
        attach(out, "AbsBackward0", _abs_backward, (input,), (input,))
    return out


def _abs_backward(node: Any, grad: Tensor) -> Tensor:
    (input,) = node.saved
    return mul(grad, sgn(input))


def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1."""
    if input.dtype.category == COMPLEX:
        raise NotImplementedError(
            "Unlike NumPy, torch.sign is not intended to support complex numbers. "
            "Please use torch.sgn instead."
        )
    data = input._data
    return _step(input, data.copy() if data.dtype.kind == "b" else _sign_of(data), "SignBackward0")


def _sign_of(data: Any) -> Any:
    # PyTorch's sign of NaN is 0.
    return (np.greater(data, 0).astype(np.int8) - np.less(data, 0).astype(np.int8)).astype(data.dtype)


def sgn(input: Tensor) -> Tensor:
    """sign of a real element, z / |z| of a complex one (0 of 0)."""
    if input.dtype.category != COMPLEX:
        return sign(input)
    size = abs(input)
    return div(input, from_data(np.where(size._data == 0, 1, size._data)) if not recording(input) else size)


def _step(input: Tensor, data: Any, name: str) -> Tensor:
    """Record a step function, whose gradient is zero."""
    out = from_data(data)
    if out._data.dtype.kind == "f" and recording(input):
        attach(out, name, _step_backward, (input,))
    return out


def _step_backward(node: Any, grad: Tensor) -> Tensor:
    return from_data(np.zeros_like(grad._data))


def _refuse_unrounded(name: str, input: Tensor) -> None:
    """Raise NotImplementedError for bool and complex tensors, which have no rounding."""
    if input._data.dtype.kind in "bc":
        raise NotImplementedError(f"\"{name}_vml_cpu\" not implemented for '{input.dtype.scalar_name}'")


def _rounding(name: str, title: str, compute: Callable[[Any], Any]) -> Any:
    def function(input: Tensor) -> Tensor:
        _refuse_unrounded(name, input)
        data = input._data
        if data.dtype.kind in "iu":
            return from_data(data.copy())
        return _step(input, widened(compute, data), f"{title}Backward0")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} of each element; integers stay as they are."
    return function


floor = _rounding("floor", "Floor", np.floor)
ceil = _rounding("ceil", "Ceil", np.ceil)
trunc = _rounding("trunc", "Trunc", np.trunc)


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """Rounded to `decimals`, halves to even."""
    _refuse_unrounded("round", input)
    data = input._data
    if data.dtype.kind in "iu":
        return from_data(data.copy())
    return _step(input, widened(np.round, data, decimals), "RoundBackward0")


def frac(input: Tensor) -> Tensor:
    """input - trunc(input). Raises NotImplementedError unless real and floating, as PyTorch does."""
    if input.dtype.category != FLOAT:
        raise NotImplementedError(f"\"frac_cpu\" not implemented for '{input.dtype.scalar_name}'")
    return sub(input, trunc(input))


def isnan(input: Tensor) -> Tensor:
    """Where elements are NaN."""
    return from_data(input._data != input._data)


def isinf(input: Tensor) -> Tensor:
    """Where elements are infinite."""
    data = input._data
    return from_data(np.zeros(data.shape, np.bool_) if data.dtype.kind in "biu" else np.isinf(data))


def isfinite(input: Tensor) -> Tensor:
    """Where elements are neither infinite nor NaN."""
    data = input._data
    return from_data(np.ones(data.shape, np.bool_) if data.dtype.kind in "biu" else np.isfinite(data))


def nan_to_num(
    input: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN and infinities replaced; infinities by the largest finite values unless given."""
    from .selection import where

    if input.dtype.category < FLOAT:
        return from_data(input._data.copy())
    limit = (
        float(np.finfo(np.float32).max)
        if input._data.dtype in NARROW
        else float(np.finfo(input._data.dtype).max)
    )
    if input._data.dtype.itemsize == 2:
        limit = 65504.0 if input._data.dtype == np.float16 else 3.3895313892515355e38
    data = input._data
    high = from_data(data == np.inf)
    low = from_data(data == -np.inf)
    out = where(isnan(input), nan, input)
    out = where(high, limit if posinf is None else posinf, out)
    return where(low, -limit if neginf is None else neginf, out)


def conj(input: Tensor) -> Tensor:
    """The complex conjugate; a real tensor itself."""
    if input._data.dtype.kind != "c":
        return input
    out = from_data(np.conjugate(input._data))
    if recording(input):
        attach(out, "ConjBackward0", _conj_backward, (input,))
    return out


def _conj_backward(node: Any, grad: Tensor) -> Tensor:
    return conj(grad)


def real(input: Tensor) -> Tensor:
    """The real part, a view; a real tensor itself."""
    if input._data.dtype.kind != "c":
        return input
    out = view_of(input, input._data.real, real)
    if recording(input):
        attach(out, "RealBackward0", _real_backward, (input,))
    return out


def _real_backward(node: Any, grad: Tensor) -> Tensor:
    return mul(grad, 1 + 0j)


def imag(input: Tensor) -> Tensor:
    """The imaginary part, a view. Raises RuntimeError for real tensors."""
    if input._data.dtype.kind != "c":
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    out = view_of(input, input._data.imag, imag)
    if recording(input):
        attach(out, "ImagBackward0", _imag_backward, (input,))
    return out


def _imag_backward(node: Any, grad: Tensor) -> Tensor:
    return mul(grad, 1j)


def angle(input: Tensor) -> Tensor:
    """The argument of each element, in radians."""
    input = to_floating(input)
    data = input._data
    # PyTorch keeps NaN and gives π for negative numbers.
    out = from_data(np.asarray(quiet.run(np.angle, data)))
    if recording(input):
        attach(out, "AngleBackward0", _angle_backward, (input,), (input,))
    return out


def _angle_backward(node: Any, grad: Tensor) -> Tensor:
    """i·z / |z|² of a complex number, 0 of a real one."""
    (input,) = node.saved
    if input._data.dtype.kind != "c":
        return _step_backward(node, grad)
    from .selection import where

    length = mul(input, conj(input)).real
    return where(length == 0, 0.0, div(mul(mul(input, 1j), grad), length))


def erf(input: Tensor) -> Tensor:
    """The error function of each element. Raises NotImplementedError for complex tensors."""
    if input._data.dtype.kind == "c":
        raise NotImplementedError(f"\"erf_vml_cpu\" not implemented for '{input.dtype.scalar_name}'")
    input = to_floating(input)
    data = input._data
    found = np.fromiter(map(math.erf, data.ravel().tolist()), np.float64, data.size)
    out = from_data(found.reshape(data.shape).astype(data.dtype))
    if recording(input):
        attach(out, "ErfBackward0", _erf_backward, (input,), (input,))
    return out


def _erf_backward(node: Any, grad: Tensor) -> Tensor:
    (input,) = node.saved
    return mul(grad, mul(exp(neg(mul(input, input))), 2 / math.sqrt(math.pi)))
