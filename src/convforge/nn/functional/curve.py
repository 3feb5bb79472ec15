"""Elementwise functions with their derivatives, applied differentiably twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from convforge.autograd.function import Function
from convforge.autograd.tensor import Tensor, from_data
from convforge.nn.functional.precision import Array, narrow, widen
from convforge.nn.functional.refusal import require_floating


@dataclass(frozen=True, slots=True)
class Curve:
    """A real function and its first two derivatives, on arrays of float32 or float64.

    value: x -> f(x)
    slope: x -> f'(x); a boolean array is fine where the slope is 0 or 1
    bend:  x -> f''(x), or None where f is made of straight lines
    from_output: slope(f(x)) equals slope(x), so the output alone is kept, and in-place forms need no copy
    """

    name: str
    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    bend: Callable[[Array], Array] | None = None
    from_output: bool = False


# Where PyTorch's node has another name than the function.
_NODE_TITLES = {
    "relu6": "Hardtanh",
    "selu": "Elu",
    "logsigmoid": "LogSigmoid",
    "softsign": "Div",
    "tanhshrink": "Sub",
}
# PyTorch's kernels, as its errors name them, where that is not the curve's name and "_cpu".
_KERNELS = {
    "celu": "elu_cpu",
    "gelu": "GeluKernelImpl",
    "huber_loss": "huber_cpu",
    "logsigmoid": "log_sigmoid_cpu",
    "mse_loss": "mse_cpu",
    "selu": "elu_cpu",
    "smooth_l1_loss": "smooth_l1_cpu",
    "softshrink": "softshrink_check",
}


# Whose in-place form has a derivative formula of its own in PyTorch, and so another number.
_OWN_IN_PLACE = ("celu", "elu", "leaky_relu", "selu", "threshold")


def _node_name(curve: Curve, inplace: bool) -> str:
    """'LeakyReluBackward0' of the curve 'leaky_relu', as it is printed behind a tensor."""
    title = _NODE_TITLES.get(curve.name) or curve.name.replace("_", " ").title().replace(" ", "")
    return f"{title}Backward{int(inplace and curve.name in _OWN_IN_PLACE)}"


class _Apply(Function):
    """y = f(x); in place if asked."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, curve: Curve, inplace: bool) -> Tensor:
        data = x._data
        ctx.curve, ctx._name = curve, _node_name(curve, inplace)
        kept: Tensor | None = None
        if not curve.from_output:
            kept = from_data(data.copy()) if inplace else x
        with np.errstate(all="ignore"):
            result = narrow(curve.value(widen(data)), data.dtype)
        if inplace:
            data[...] = result
            ctx.mark_dirty(x)
            y = x
        else:
            y = from_data(result)
        ctx.save_for_backward(y if kept is None else kept)
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        (at,) = ctx.saved_tensors
        return _ApplySlope.apply(grad_outputs[0], at, ctx.curve), None, None


class _ApplySlope(Function):
    """g · f'(x)."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, at: Tensor, curve: Curve) -> Tensor:
        ctx.curve = curve
        ctx.save_for_backward(grad, at)
        data = grad._data
        with np.errstate(all="ignore"):
            # A boolean slope selects rather than multiplies: inf · 0 would be NaN where PyTorch has 0.
            slope = curve.slope(widen(at._data))
            if slope.dtype == np.bool_:
                return from_data(np.where(slope, data, data.dtype.type(0)))
            return from_data(narrow(widen(data) * slope, data.dtype))

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        grad, at = ctx.saved_tensors
        curve: Curve = ctx.curve
        grad_grad = _ApplySlope.apply(grad_outputs[0], at, curve) if ctx.needs_input_grad[0] else None
        grad_at = None
        if ctx.needs_input_grad[1] and curve.bend is not None:
            # f'' is applied as the slope of a curve that has no further derivative.
            bend = Curve(f"{curve.name}'", curve.slope, curve.bend)
            grad_at = _ApplySlope.apply(grad_outputs[0] * grad, at, bend)
        return grad_grad, grad_at, None


def apply_curve(x: Tensor, curve: Curve, inplace: bool = False) -> Tensor:
    """Apply a curve to each element of a floating-point tensor.

    Raises NotImplementedError for other dtypes, as PyTorch: an integer has no place for the result.
    """
    require_floating(_KERNELS.get(curve.name) or f"{curve.name}_cpu", x)
    return _Apply.apply(x, curve, inplace)
