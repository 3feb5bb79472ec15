"""Plans already made, bounded in number: a plan is some kilobytes of tables, its machine code is shared."""

from __future__ import annotations

from functools import lru_cache

from convforge.kernels.contract import Activation
from convforge.plan.grad_weight_plan import GradWeightPlan
from convforge.plan.output_plan import OutputPlan
from convforge.problem import ConvSpec
from convforge.runtime import get_num_threads
from convforge.target import Target

PLAN_LIMIT = 512


def output_plan(
    spec: ConvSpec,
    x_strides: tuple[int, ...],
    y_strides: tuple[int, ...],
    has_bias: bool,
    activation: Activation,
) -> OutputPlan:
    """The plan of an output product for the host and the present number of threads."""
    return _output_plan(spec, x_strides, y_strides, has_bias, activation, get_num_threads(), Target.host())


def grad_weight_plan(
    spec: ConvSpec, x_strides: tuple[int, ...], g_strides: tuple[int, ...]
) -> GradWeightPlan:
    """The plan of a weight gradient for the host and the present number of threads."""
    return _grad_weight_plan(spec, x_strides, g_strides, get_num_threads(), Target.host())


@lru_cache(maxsize=PLAN_LIMIT)
def _output_plan(
    spec: ConvSpec,
    x_strides: tuple[int, ...],
    y_strides: tuple[int, ...],
    has_bias: bool,
    activation: Activation,
    threads: int,
    target: Target,
) -> OutputPlan:
    return OutputPlan(spec, x_strides, y_strides, target, threads, has_bias=has_bias, activation=activation)


@lru_cache(maxsize=PLAN_LIMIT)
def _grad_weight_plan(
    spec: ConvSpec, x_strides: tuple[int, ...], g_strides: tuple[int, ...], threads: int, target: Target
) -> GradWeightPlan:
    return GradWeightPlan(spec, x_strides, g_strides, target, threads)


def clear_plans() -> None:
    """Forget all plans."""
    _output_plan.cache_clear()
    _grad_weight_plan.cache_clear()
