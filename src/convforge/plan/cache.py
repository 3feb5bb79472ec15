"""Plans already made, bounded in number: a plan is some kilobytes of tables, its machine code is shared."""

from __future__ import annotations

from functools import lru_cache

from convforge.plan.grad_weight.planner import GradWeight, plan_grad_weight
from convforge.plan.planner import plan_output
from convforge.plan.request import GradWeightRequest, OutputPlan, OutputRequest
from convforge.runtime import get_num_threads, notes
from convforge.target import Target

PLAN_LIMIT = 512


def output_plan(request: OutputRequest) -> OutputPlan:
    """The plan of an output product for the host and the present number of threads."""
    return _output_plan(request, get_num_threads(), Target.host(), notes.epoch)


def grad_weight_plan(request: GradWeightRequest) -> GradWeight:
    """The plan of a weight gradient for the host and the present number of threads."""
    return _grad_weight_plan(request, get_num_threads(), Target.host())


@lru_cache(maxsize=PLAN_LIMIT)
def _output_plan(request: OutputRequest, threads: int, target: Target, epoch: int) -> OutputPlan:
    # Notes of a later epoch may hold a better choice.
    del epoch
    return plan_output(request, target, threads)


@lru_cache(maxsize=PLAN_LIMIT)
def _grad_weight_plan(request: GradWeightRequest, threads: int, target: Target) -> GradWeight:
    return plan_grad_weight(request, target, threads)


def clear_plans() -> None:
    """Forget all plans."""
    _output_plan.cache_clear()
    _grad_weight_plan.cache_clear()
