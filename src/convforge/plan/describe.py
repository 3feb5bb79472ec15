"""Says in words what a plan does."""

from __future__ import annotations

import numpy as np

from convforge.plan.cache import output_plan
from convforge.plan.output_plan import OutputPlan
from convforge.problem import ConvSpec


def plan_of(spec: ConvSpec, *, has_bias: bool = True) -> OutputPlan:
    """The plan for contiguous arrays."""
    return output_plan(
        spec, _strides(spec, spec.input_shape), _strides(spec, spec.output_shape), has_bias, "none"
    )


def workspace_bytes(spec: ConvSpec) -> int:
    """Memory of one thread beyond input, output and packed weights, in bytes."""
    return plan_of(spec).workspace_bytes


def describe(spec: ConvSpec) -> str:
    """One line: which kernel runs, how the work is cut, how much memory it needs.

    "direct 6x4 float32 (512-bit vectors), 8 tasks on 2 threads, input packed in bands, 0.4 MB a thread"
    """
    plan = plan_of(spec)
    schedule = plan.schedule
    way = "input packed" if schedule.packed else "input read in place"
    bits = 8 * schedule.lanes * plan.element.compute_bytes
    return (
        f"{plan.kernel.name} ({bits}-bit vectors), {plan.tasks} tasks on {plan.threads} threads, {way}, "
        f"{plan.workspace_bytes / 1e6:.2f} MB a thread"
    )


def _strides(spec: ConvSpec, shape: tuple[int, ...]) -> tuple[int, ...]:
    return np.empty(shape, np.int8).strides if 0 in shape else _contiguous(shape, spec.dtype.itemsize)


def _contiguous(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    strides = [itemsize]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * size)
    return tuple(strides)
