"""Chooses the family that computes a weight gradient: the cheapest of those that can, without a clock.

The choice may not depend on strides or threads: another family adds up in another order.
"""

from __future__ import annotations

from typing import Protocol

from convforge.plan import grad_weight_outer
from convforge.plan.grad_weight_outer import GradWeightOuterPlan
from convforge.plan.grad_weight_plan import GradWeightPlan, flat_cycles
from convforge.plan.request import Array, GradWeightRequest
from convforge.target import Target


class GradWeight(Protocol):
    """A weight gradient with all choices made."""

    def __call__(self, x: Array, grad_output: Array, grad_weight: Array) -> None:
        """Fill grad_weight, which is contiguous and zeros."""
        ...


def plan_grad_weight(request: GradWeightRequest, target: Target, threads: int) -> GradWeight:
    """The plan of the cheapest legal family."""
    spec = request.spec
    if grad_weight_outer.why_illegal(spec, target) is None and (
        grad_weight_outer.cost_cycles(spec, target) < flat_cycles(spec, target)
    ):
        return GradWeightOuterPlan(request, target, threads)
    return GradWeightPlan(request, target, threads)
