"""The plan of a weight gradient on pairs of bf16 numbers (kernels/grad_weight/pairs.py): at `medium`, and for
bfloat16 arrays, on processors that multiply two at once in a lane (plan/pairs/gather.py).
"""

from __future__ import annotations

from typing import Any, ClassVar

from convforge.kernels.grad_weight.contract import GradWeightPairsKernel
from convforge.plan.grad_weight import outer as grad_weight_outer
from convforge.plan.grad_weight.outer import GradWeightOuterPlan
from convforge.plan.pairs import gather as pairs
from convforge.plan.request import GradWeightRequest
from convforge.plan.split_bf16.products import parts_of
from convforge.target import Target

NAME = "bf16 pairs"

_IMAGES = 2


def why_illegal(request: GradWeightRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a plain convolution, or None."""
    return pairs.why_no_instruction(target) or why_unfit(request, target)


def why_unfit(request: GradWeightRequest, target: Target) -> str | None:
    """The reason why a request is not for pairs on any processor, or None."""
    spec = request.spec
    if request.plain:
        return "the arrays hold values whose parts are not exact"
    if parts_of(spec.dtype.name, request.precision) != 1:
        return f"{spec.dtype.name} at precision {request.precision!r} is not one bf16 part"
    if spec.batch == 1:
        return "one image is half of a pair"
    return grad_weight_outer.why_nest_illegal(spec, target, _IMAGES)


def cost_cycles(request: GradWeightRequest, target: Target) -> float:
    """Cycles of one core that the gradient should take."""
    return grad_weight_outer.nest_cycles(request.spec, target, _IMAGES) * pairs.step_cycles(target)


def plan(request: GradWeightRequest, target: Target, threads: int) -> GradWeightPairsPlan:
    """Schedule a request and prepare all that its kernel reads."""
    return GradWeightPairsPlan(request, target, threads)


class GradWeightPairsPlan(GradWeightOuterPlan):
    """How the weight gradient of one plain convolution is computed for arrays of these strides (bytes)."""

    together: ClassVar[int] = _IMAGES

    def _kernel(self, target: Target, **fields: Any) -> GradWeightPairsKernel:
        return GradWeightPairsKernel(**fields, instruction=pairs.instruction_of(target))
