"""Stochastic gradient descent, with momentum.

g ← ∇ + weight_decay p;   b ← momentum b + (1 - dampening) g  (b = g at first);
g ← g + momentum b (nesterov) or b;   p ← p - lr g
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from convforge.autograd.tensor import Tensor, from_data
from convforge.optim.optimizer import (
    Group,
    Optimizer,
    check_lr,
    check_not_negative,
    check_unsupported,
    number,
    widened,
)


class SGD(Optimizer):
    """Stochastic gradient descent: see the module for the equation.

    foreach, fused: taken for PyTorch's sake; there is one way to compute here.

    Raises ValueError where lr, momentum or weight_decay is negative, or nesterov lacks momentum.
    Source: Sutskever et al., On the importance of initialization and momentum in deep learning, 2013.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_not_negative("momentum value", momentum)
        check_not_negative("weight_decay value", weight_decay)
        check_unsupported(differentiable=differentiable)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError(
                "Nesterov momentum requires a momentum and zero dampening: "
                f"got momentum={momentum}, dampening={dampening}"
            )
        _check_exclusive(foreach, fused)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _update(self, param: Any, group: Group) -> None:
        data = widened(param._data)
        grad = widened(param.grad._data)
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"] != 0:
            grad = grad + data * group["weight_decay"]
        if group["momentum"] != 0:
            grad = self._with_momentum(param, grad, group)
        data -= grad * number(group["lr"])
        if data is not param._data:
            param._data[...] = data

    def _with_momentum(self, param: Any, grad: Any, group: Group) -> Any:
        momentum, state = group["momentum"], self.state[param]
        kept = state.get("momentum_buffer")
        if kept is None:
            state["momentum_buffer"] = from_data(grad.astype(param._data.dtype))
            buffer = grad
        else:
            buffer = widened(kept._data)
            buffer *= momentum
            buffer += grad * (1 - group["dampening"])
            kept._data[...] = buffer
        return grad + buffer * momentum if group["nesterov"] else buffer


def _check_exclusive(foreach: bool | None, fused: bool | None) -> None:
    if foreach and fused:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
