"""Linear maps on arrays as differentiable functions: the gradient of a linear map is its adjoint.

Pooling by averages, resizing, padding, folding and picking by index are all linear in their input. Each is
written once as a pair of NumPy functions (`forward`, `adjoint`); this file makes them differentiable any
number of times, because the adjoint of the adjoint is the map again.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from convforge.autograd.function import Function
from convforge.autograd.tensor import Tensor, from_data
from convforge.nn.functional.precision import Array, narrow, widen


class LinearMap(Protocol):
    """A linear map between arrays of fixed shapes."""

    def forward(self, x: Array) -> Array:
        """Map an input array to an output array."""
        ...

    def adjoint(self, grad: Array) -> Array:
        """Map an array of the output's shape back: ⟨forward(x), g⟩ = ⟨x, adjoint(g)⟩."""
        ...


class _ApplyMap(Function):
    """y = map(x), or y = map.adjoint(x) if transposed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, linear_map: LinearMap, transposed: bool, name: str) -> Tensor:
        ctx.linear_map, ctx.transposed, ctx._name = linear_map, transposed, name
        run = linear_map.adjoint if transposed else linear_map.forward
        data = x._data
        with np.errstate(all="ignore"):
            return from_data(narrow(run(widen(data)), data.dtype))

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        turned = _ApplyMap.apply(grad_outputs[0], ctx.linear_map, not ctx.transposed, f"{ctx._name}Backward")
        return turned, None, None, None


def apply_map(x: Tensor, linear_map: LinearMap, name: str) -> Tensor:
    """Apply a linear map to a tensor, differentiably. name: of the node, as PyTorch prints it."""
    return _ApplyMap.apply(x, linear_map, False, name)


def apply_adjoint(x: Tensor, linear_map: LinearMap, name: str) -> Tensor:
    """Apply the adjoint of a linear map to a tensor, differentiably. name: as for `apply_map`."""
    return _ApplyMap.apply(x, linear_map, True, name)
