"""Says in words what the planner did, and why: for float32, at the precision given, else the one in force."""

from __future__ import annotations

from convforge.plan.arrays import wide_spec
from convforge.plan.cache import output_plan
from convforge.plan.complex_parts import ComplexParts
from convforge.plan.fallback import executable_memory_refused
from convforge.plan.planner import verdicts
from convforge.plan.request import OutputPlan, OutputRequest
from convforge.problem import ConvSpec, Precision, precision_of
from convforge.target import Target


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
    if 0 in spec.input_shape or 0 in spec.output_shape:
        return "nothing to compute: an array is empty"
    if executable_memory_refused():
        return "NumPy reference: memory cannot be made executable here"
    real = ComplexParts(spec).spec if spec.dtype.kind == "c" else wide_spec(spec)
    return plan_of(real, precision=precision_of(spec.dtype, precision)).describe()


def explain(spec: ConvSpec, *, precision: Precision | None = None) -> str:
    """What was chosen, what it was expected to cost, and why the other families were not.

    direct      chosen      31,000 cycles   direct 6x4 float32 (512-bit vectors), 8 tasks on 2 threads, …
    """
    request = _request(spec, True, precision)
    chosen = describe(spec, precision=precision)
    lines: list[str] = []
    ranked = sorted(verdicts(request, Target.host()), key=lambda v: (v.cycles is None, v.cycles))
    for i, verdict in enumerate(ranked):
        if verdict.cycles is None:
            lines.append(f"{verdict.family:<12}illegal     {verdict.reason}")
        elif i == 0:
            lines.append(f"{verdict.family:<12}chosen      {verdict.cycles:,.0f} cycles   {chosen}")
        else:
            lines.append(f"{verdict.family:<12}slower      {verdict.cycles:,.0f} cycles")
    return "\n".join(lines)


def _request(spec: ConvSpec, has_bias: bool, precision: Precision | None) -> OutputRequest:
    size = spec.dtype.itemsize
    return OutputRequest(
        spec,
        _contiguous(spec.input_shape, size),
        _contiguous(spec.output_shape, size),
        has_bias,
        "none",
        precision_of(spec.dtype, precision),
    )


def _contiguous(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    strides = [itemsize]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * max(size, 1))
    return tuple(strides)
