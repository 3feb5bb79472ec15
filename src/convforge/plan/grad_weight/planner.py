"""Chooses the family that computes a weight gradient: the cheapest of those that can, without a clock.

The choice may not depend on strides or threads: another family adds up in another order.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Protocol

from convforge.plan.grad_weight import depthwise, flat, groups, outer, pairs, pointwise, unit, winograd
from convforge.plan.request import Array, GradWeightRequest
from convforge.target import Target


class GradWeight(Protocol):
    """A weight gradient with all choices made."""

    def __call__(self, x: Array, grad_output: Array, grad_weight: Array) -> bool:
        """Fill grad_weight, which is contiguous and zeros. False where the plan cannot be used for these
        values: what grad_weight then holds is not of use.
        """
        ...


class GradWeightFamily(Protocol):
    """What a family's file offers."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a module's constant
        """Its name."""
        ...

    def why_illegal(self, request: GradWeightRequest, target: Target) -> str | None:
        """The reason why it cannot serve a request on a processor, or None."""
        ...

    def cost_cycles(self, request: GradWeightRequest, target: Target) -> float:
        """Cycles of one core that it should take."""
        ...

    def plan(self, request: GradWeightRequest, target: Target, threads: int) -> GradWeight:
        """Schedule a legal request."""
        ...


FAMILIES: tuple[GradWeightFamily, ...] = (
    depthwise,
    groups,
    unit,
    pointwise,
    winograd,
    outer,
    pairs,
    flat,
)


def grad_weight_costs(request: GradWeightRequest, target: Target) -> dict[str, float]:
    """Cycles that each legal family should take for a plain convolution, by its name."""
    return {
        family.NAME: family.cost_cycles(request, target)
        for family in FAMILIES
        if family.why_illegal(request, target) is None
    }


def plan_grad_weight(request: GradWeightRequest, target: Target, threads: int) -> GradWeight:
    """The plan of the cheapest legal family; where values are not for it, of the cheapest that serves all."""
    return _Planned(request, target, threads)


class _Planned:
    """The plan of the cheapest family; the one that serves all values is made when it is first needed."""

    def __init__(self, request: GradWeightRequest, target: Target, threads: int) -> None:
        self._request, self._target, self._threads = request, target, threads
        self._plan = self._cheapest(request)

    def __call__(self, x: Array, grad_output: Array, grad_weight: Array) -> bool:
        """Fill grad_weight, which is contiguous and zeros."""
        if self._plan(x, grad_output, grad_weight):
            return True
        grad_weight[...] = 0
        return self._plain(x, grad_output, grad_weight)

    @cached_property
    def _plain(self) -> GradWeight:
        return self._cheapest(replace(self._request, plain=True))

    def _cheapest(self, request: GradWeightRequest) -> GradWeight:
        costs = grad_weight_costs(request, self._target)
        legal = [family for family in FAMILIES if family.NAME in costs]
        cheapest = min(legal, key=lambda family: costs[family.NAME])
        return cheapest.plan(request, self._target, self._threads)
