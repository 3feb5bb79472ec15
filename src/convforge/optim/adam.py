"""Adam and AdamW.

m ← β1 m + (1 - β1) g;   v ← β2 v + (1 - β2) g²;   p ← p - lr m̂ / (√v̂ + eps)
with m̂ = m / (1 - β1ᵗ), v̂ = v / (1 - β2ᵗ); amsgrad takes the largest v so far.
weight_decay is added to the gradient (Adam) or taken from the parameter itself (AdamW).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from convforge.autograd.dtype import get_default_dtype
from convforge.autograd.filling import as_real
from convforge.autograd.tensor import Tensor, from_data
from convforge.optim.optimizer import (
    Array,
    Group,
    Optimizer,
    check_lr,
    check_not_negative,
    check_unsupported,
    number,
    widened,
)


class Adam(Optimizer):
    """Adam: see the module for the equation.

    foreach, fused: taken for PyTorch's sake; there is one way to compute here.

    Raises ValueError where lr, eps or weight_decay is negative, or a beta is outside [0, 1).
    Source: Kingma & Ba, Adam: a method for stochastic optimization, 2014; Reddi et al., On the convergence of
    Adam and beyond, 2018, for amsgrad.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative("epsilon value", eps)
        betas = _checked_betas(betas)
        check_not_negative("weight_decay value", weight_decay)
        check_unsupported(capturable=capturable, differentiable=differentiable)
        if foreach and fused:
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _update(self, param: Any, group: Group) -> None:
        state = self.state[param]
        if not state:
            self._begin(state, param, group)
        lr, decay = number(group["lr"]), group["weight_decay"]
        data, grad = widened(param._data), widened(param.grad._data)
        if group["maximize"]:
            grad = -grad
        state["step"]._data[...] += 1
        if decay != 0 and group["decoupled_weight_decay"]:
            data *= 1 - lr * decay
        elif decay != 0:
            grad = grad + data * decay
        self._move(data, grad, state, group)
        if data is not param._data:
            param._data[...] = data

    @staticmethod
    def _begin(state: dict[str, Any], param: Any, group: Group) -> None:
        count_type = np.float64 if get_default_dtype().numpy == np.float64 else np.float32
        state["step"] = from_data(np.zeros((), count_type))
        state["exp_avg"] = from_data(np.zeros_like(param._data))
        state["exp_avg_sq"] = from_data(np.zeros_like(param._data))
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = from_data(np.zeros_like(param._data))

    @staticmethod
    def _move(data: Array, grad: Array, state: dict[str, Any], group: Group) -> None:
        beta1, beta2 = group["betas"]
        step = float(state["step"]._data)
        data, grad = _real(data), _real(grad)
        mean_memory, square_memory = _real(state["exp_avg"]._data), _real(state["exp_avg_sq"]._data)
        mean, square = widened(mean_memory), widened(square_memory)
        _lerp(mean, grad, 1 - beta1)
        square *= beta2
        square += grad * grad * (1 - beta2)
        mean_memory[...], square_memory[...] = mean, square
        if group["amsgrad"]:
            largest = _real(state["max_exp_avg_sq"]._data)
            largest[...] = np.maximum(largest, square)
            square = widened(largest)
        spread = np.sqrt(square) / math.sqrt(1 - beta2**step) + group["eps"]
        data -= number(group["lr"]) / (1 - beta1**step) * (mean / spread)


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameter, not through the gradient.

    Source: Loshchilov & Hutter, Decoupled weight decay regularization, 2017.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        # States saved before PyTorch 2.7 lack the option, and those of Adam have it off.
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True


def _checked_betas(betas: tuple[Any, Any]) -> tuple[float, float]:
    for i, beta in enumerate(betas):
        if not 0.0 <= number(beta) < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}: it must lie in [0, 1)")
    kinds = [isinstance(beta, Tensor) for beta in betas]
    if not (all(kinds) or all(isinstance(beta, float) for beta in betas)):
        raise ValueError(f"betas must be either both floats or both Tensors: got {betas}")
    first, second = betas
    return number(first), number(second)


def _real(array: Array) -> Array:
    return as_real(array) if array.dtype.kind == "c" else array


def _lerp(start: Array, end: Array, weight: float) -> None:
    """start ← start + weight (end - start), from the nearer end as PyTorch's lerp."""
    if weight < 0.5:
        start += (end - start) * weight
    else:
        start[...] = end - (end - start) * (1 - weight)
