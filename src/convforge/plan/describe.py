"""Says in words what the planner did, and why: for float32, at the precision given, else the one in force."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from math import prod
from typing import Any

import numpy as np

from convforge.kernels.dot.contract import QuantizedOutput
from convforge.plan.arrays import wide_spec
from convforge.plan.cache import output_plan
from convforge.plan.complex_parts import ComplexParts
from convforge.plan.dot.gather import DotPlan
from convforge.plan.dot.planner import dot_plan, dot_verdicts
from convforge.plan.dot.quantized import QuantizedProduct
from convforge.plan.dot.unit import DotTilesPlan
from convforge.plan.explanation import Explanation, operation_counts
from convforge.plan.fallback import executable_memory_refused
from convforge.plan.machine import known_machine
from convforge.plan.planner import Choice, Verdict, tuned_choice, verdicts
from convforge.plan.prepared import Prepared
from convforge.plan.request import DotRequest, OutputPlan, OutputRequest, contiguous_strides
from convforge.problem import ConvSpec, Precision, precision_of
from convforge.problem.gather import gather_of
from convforge.runtime import get_num_threads
from convforge.target import Target

_MEASURE_S = 0.2


def plan_of(spec: ConvSpec, *, has_bias: bool = True, precision: Precision | None = None) -> OutputPlan:
    """The plan for contiguous arrays."""
    return output_plan(_request(spec, has_bias, precision))


def workspace_bytes(spec: ConvSpec, *, precision: Precision | None = None) -> int:
    """Memory of one thread beyond input, output and packed weights, in bytes."""
    return plan_of(spec, precision=precision).workspace_bytes


def describe(spec: ConvSpec, *, precision: Precision | None = None) -> str:
    """One line: which kernel runs, how the work is cut, how much memory it needs.

    "direct 6x4 float32 (512-bit vectors), 8 tasks on 2 threads, input packed, 0.40 MB a thread"
    """
    unplanned = _why_no_plan(spec)
    return unplanned or plan_of(_real(spec), precision=precision_of(spec.dtype, precision)).describe()


def _why_no_plan(spec: ConvSpec) -> str | None:
    """What computes a convolution that is not planned, or None."""
    if 0 in spec.input_shape or 0 in spec.output_shape:
        return "nothing to compute: an array is empty"
    return "NumPy reference: memory cannot be made executable here" if executable_memory_refused() else None


def explain(
    spec: ConvSpec, *, has_bias: bool = True, precision: Precision | None = None, measure: bool = False
) -> Explanation:
    """What was chosen for contiguous arrays and why, what it costs, and what the limits are.

    measure: time the product, and the processor's limits if they were not measured here before.
    """
    real = _real(spec)
    precision = precision_of(spec.dtype, precision)
    unplanned = _unplanned(spec, real, spec.dtype, precision)
    if unplanned.kernel:
        return unplanned
    request, target = _request(real, has_bias, precision), Target.host()
    plan = output_plan(request)
    ranked = sorted(verdicts(request, target), key=lambda v: (v.cycles is None, v.cycles))
    tuned = tuned_choice(request, target, get_num_threads())
    planned = replace(
        unplanned,
        kernel=plan.describe(),
        family=ranked[0].family if tuned is None else tuned.family.NAME,
        why=_why(ranked, tuned),
        verdicts=tuple(ranked),
        machine=known_machine(measure=measure),
        measured_s=_measured_s(_prepared(spec, has_bias, precision)) if measure else None,
    )
    return _with_plan(planned, plan)


def explain_bytes(
    spec: ConvSpec, output: QuantizedOutput, kept: QuantizedProduct, *, measure: bool = False
) -> Explanation:
    """The same of a convolution of contiguous bytes. spec.dtype: uint8 or int8; kept: its weights."""
    dtype = np.dtype(output)
    unplanned = _unplanned(spec, spec, dtype, "highest")
    if unplanned.kernel:
        return unplanned
    y_strides = contiguous_strides(spec.output_shape, dtype.itemsize)
    request = DotRequest(spec, contiguous_strides(spec.input_shape, 1), y_strides, output)
    plan, ranked = dot_plan(request), dot_verdicts(request, Target.host())
    planned = replace(
        unplanned,
        kernel=plan.describe(),
        family=ranked[0].family,
        why=_why(ranked, None),
        verdicts=tuple(ranked),
        machine=known_machine(measure=measure),
        measured_s=_measured_s(_quantized_call(spec, dtype, kept)) if measure else None,
    )
    return _with_plan(planned, plan)


def _unplanned(spec: ConvSpec, real: ConvSpec, y_dtype: np.dtype[Any], precision: Precision) -> Explanation:
    """What is so whatever the plan; kernel "" where there is one. real: the spec of the real product."""
    empty = 0 in spec.input_shape or 0 in spec.output_shape
    operations, nominal = (0, 0) if empty else operation_counts(gather_of(real))
    size = spec.dtype.itemsize
    return Explanation(
        spec=spec,
        precision=precision,
        threads=get_num_threads(),
        family="",
        kernel=_why_no_plan(spec) or "",
        schedule=None,
        why="",
        verdicts=(),
        operations=operations,
        nominal_operations=nominal,
        input_bytes=prod(spec.input_shape) * size,
        weight_bytes=prod(spec.weight_shape) * size,
        output_bytes=prod(spec.output_shape) * y_dtype.itemsize,
        workspace_bytes=0,
        machine=None,
        expected_s=None,
        measured_s=None,
    )


def _with_plan(explanation: Explanation, plan: OutputPlan | DotPlan | DotTilesPlan) -> Explanation:
    """The schedule and workspace of the plan chosen, and the time expected of it."""
    workspace, schedule = plan.workspace_bytes, getattr(plan, "schedule", None)
    explanation = replace(explanation, workspace_bytes=workspace, schedule=schedule)
    machine, limit_s = explanation.machine, explanation.limit_s
    cycles = next(v.cycles for v in explanation.verdicts if v.family == explanation.family)
    if machine is None or cycles is None or limit_s is None:
        return explanation
    model_s = cycles / min(get_num_threads(), plan.tasks) / machine.model_cycles_per_s(Target.host())
    return replace(explanation, expected_s=max(model_s, limit_s))


def _why(ranked: list[Verdict], tuned: Choice | None) -> str:
    legal = sum(verdict.cycles is not None for verdict in ranked)
    if tuned is not None:
        return "measured before, by tuning, to be the fastest"
    if legal == 1:
        return "the only family that can serve it; tiles by the cost model, nothing was measured"
    return f"the cheapest of {legal} families by the cost model, nothing was measured"


def _quantized_call(spec: ConvSpec, y_dtype: np.dtype[Any], kept: QuantizedProduct) -> Callable[[], object]:
    """A call of a convolution of bytes."""
    x, out = np.zeros(spec.input_shape, spec.dtype), np.empty(spec.output_shape, y_dtype)
    return lambda: kept(spec, x, out)


def _prepared(spec: ConvSpec, has_bias: bool, precision: Precision) -> Callable[[], object]:
    """A call of the product with weights that it packs once."""
    generator = np.random.default_rng(0)
    shapes = (spec.input_shape, spec.weight_shape, (spec.out_channels,))
    x, weight, bias = (generator.standard_normal(s).astype(spec.dtype) for s in shapes)
    prepared = Prepared(spec, precision=precision)
    out = np.empty(spec.output_shape, spec.dtype)
    return lambda: prepared(x, weight, bias if has_bias else None, "explained", out=out)


def _measured_s(call: Callable[[], object]) -> float:
    """The shortest of the calls that fit a fifth of a second."""
    best_s, deadline = float("inf"), time.perf_counter() + _MEASURE_S
    for number in count():
        start = time.perf_counter()
        call()
        now = time.perf_counter()
        if number > 0:  # the first one compiles and packs
            best_s = min(best_s, now - start)
        if number > 2 and now > deadline:
            return best_s
    raise AssertionError("count() ends")


def _real(spec: ConvSpec) -> ConvSpec:
    """The spec of the real product that kernels compute."""
    return ComplexParts(spec).spec if spec.dtype.kind == "c" else wide_spec(spec)


def _request(spec: ConvSpec, has_bias: bool, precision: Precision | None) -> OutputRequest:
    size = spec.dtype.itemsize
    return OutputRequest(
        spec,
        contiguous_strides(spec.input_shape, size),
        contiguous_strides(spec.output_shape, size),
        has_bias,
        "none",
        precision_of(spec.dtype, precision),
    )
