"""Chooses the family that computes a weight gradient: the cheapest of those that can, without a clock.

The choice may not depend on strides or threads: another family adds up in another order.
"""

from __future__ import annotations

from typing import Protocol

from convforge.plan import grad_weight_groups, grad_weight_outer, grad_weight_plan, grad_weight_pointwise
from convforge.plan.grad_weight_groups import GradWeightGroupsPlan
from convforge.plan.grad_weight_outer import GradWeightOuterPlan
from convforge.plan.grad_weight_plan import GradWeightPlan
from convforge.plan.grad_weight_pointwise import GradWeightPointwisePlan
from convforge.plan.request import Array, GradWeightRequest
from convforge.problem import ConvSpec
from convforge.target import Target


class GradWeight(Protocol):
    """A weight gradient with all choices made."""

    def __call__(self, x: Array, grad_output: Array, grad_weight: Array) -> None:
        """Fill grad_weight, which is contiguous and zeros."""
        ...


def grad_weight_costs(spec: ConvSpec, target: Target) -> dict[str, float]:
    """Cycles that each legal family should take for a plain convolution, by its name."""
    costs = {grad_weight_plan.NAME: grad_weight_plan.cost_cycles(spec, target)}
    for family in (grad_weight_groups, grad_weight_pointwise, grad_weight_outer):
        if family.why_illegal(spec, target) is None:
            costs[family.NAME] = family.cost_cycles(spec, target)
    return costs


def plan_grad_weight(request: GradWeightRequest, target: Target, threads: int) -> GradWeight:
    """The plan of the cheapest legal family."""
    costs = grad_weight_costs(request.spec, target)
    name = min(costs, key=lambda family: costs[family])
    if name == grad_weight_groups.NAME:
        return GradWeightGroupsPlan(request, target, threads)
    if name == grad_weight_pointwise.NAME:
        return GradWeightPointwisePlan(request, target, threads)
    if name == grad_weight_outer.NAME:
        return GradWeightOuterPlan(request, target, threads)
    return GradWeightPlan(request, target, threads)
