"""What the planner did with a convolution, and why, in numbers: for reading, and as JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from math import prod
from typing import Any

from convforge.plan.machine import Machine
from convforge.plan.planner import Verdict
from convforge.problem import ConvSpec, Precision
from convforge.problem.gather import Axis, Gather
from convforge.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Explanation:
    """A plan explained. Sizes are bytes, times seconds; what was not measured is None.

    family "" : nothing is planned, and `kernel` says why. why: of the choice. verdicts: cheapest first,
    illegal ones last; cycles of one core. operations: multiplications and additions with data;
    nominal_operations: those of whole kernels, which meet padding too. workspace_bytes: of one thread.
    expected_s: the longest of the cost model's time and the two limits, which `machine` gives.
    """

    spec: ConvSpec
    precision: Precision
    threads: int
    family: str
    kernel: str
    schedule: Schedule | None
    why: str
    verdicts: tuple[Verdict, ...]
    operations: int
    nominal_operations: int
    input_bytes: int
    weight_bytes: int
    output_bytes: int
    workspace_bytes: int
    machine: Machine | None
    expected_s: float | None
    measured_s: float | None

    @property
    def moved_bytes(self) -> int:
        """Input, weights and output, once each: no schedule moves less."""
        return self.input_bytes + self.weight_bytes + self.output_bytes

    @property
    def operations_limit_s(self) -> float | None:
        """The operations at the processor's multiply-add peak."""
        return None if self.machine is None else self.operations / self.machine.flops_per_s

    @property
    def bytes_limit_s(self) -> float | None:
        """The bytes at the rate of memory of that size."""
        if self.machine is None:
            return None
        return self.moved_bytes / self.machine.bytes_per_s(self.moved_bytes)

    @property
    def limit_s(self) -> float | None:
        """The larger of the two limits."""
        if self.operations_limit_s is None or self.bytes_limit_s is None:
            return None
        return max(self.operations_limit_s, self.bytes_limit_s)

    @property
    def share_of_limit(self) -> float | None:
        """The limit as a part of the measured time: 1 is as fast as can be."""
        if self.limit_s is None or self.measured_s is None:
            return None
        return self.limit_s / self.measured_s

    def as_dict(self) -> dict[str, Any]:
        """All of it, the derived values too, as JSON can hold it."""
        found: dict[str, Any] = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        found["spec"] = dataclasses.asdict(self.spec) | {"dtype": self.spec.dtype.name}
        found["verdicts"] = [dataclasses.asdict(verdict) for verdict in self.verdicts]
        for name in ("schedule", "machine"):
            found[name] = None if found[name] is None else dataclasses.asdict(found[name])
        for name in ("moved_bytes", "operations_limit_s", "bytes_limit_s", "limit_s", "share_of_limit"):
            found[name] = getattr(self, name)
        return found

    def __str__(self) -> str:
        spec = self.spec
        shapes = (spec.input_shape, spec.weight_shape, spec.output_shape)
        x, weight, y = ("x".join(map(str, shape)) for shape in shapes)
        kind = "transposed" if spec.transposed else "convolution"
        lines = [(kind, f"{x}, weight {weight} -> {y}, {spec.dtype.name}, {self.precision}")]
        lines += [("kernel", self.kernel)]
        if self.family:
            lines += [("why", self.why)]
        lines += [
            ("families" if i == 0 else "", _verdict(v, self.family)) for i, v in enumerate(self.verdicts)
        ]
        lines += [
            ("operations", f"{_metric(self.operations)} ({_metric(self.nominal_operations)} with padding)"),
            (
                "bytes",
                f"input {_metric(self.input_bytes)}, weights {_metric(self.weight_bytes)}, "
                f"output {_metric(self.output_bytes)}; workspace {_metric(self.workspace_bytes)} a thread",
            ),
            ("limits", self._limits()),
        ]
        if self.expected_s is not None:
            lines += [("expected", f"{1e3 * self.expected_s:.3f} ms")]
        if self.measured_s is not None:
            share = "" if self.share_of_limit is None else f", {self.share_of_limit:.0%} of the limit"
            lines += [("measured", f"{1e3 * self.measured_s:.3f} ms{share}")]
        return "\n".join(f"{name:<13}{text}" for name, text in lines)

    def _limits(self) -> str:
        machine, arithmetic, memory = self.machine, self.operations_limit_s, self.bytes_limit_s
        if machine is None or arithmetic is None or memory is None:
            return "not measured on this machine yet: explain with measure=True"
        return (
            f"{1e3 * arithmetic:.3f} ms of operations ({machine.flops_per_s / 1e9:.0f} GFLOP/s), "
            f"{1e3 * memory:.3f} ms of bytes ({machine.bytes_per_s(self.moved_bytes) / 1e9:.0f} GB/s), "
            f"{machine.threads} threads"
        )


def operation_counts(gather: Gather) -> tuple[int, int]:
    """(operations with data, operations with padding too): two for each product."""
    channels = gather.batch * gather.groups * gather.in_channels * gather.out_channels
    return 2 * channels * prod(_products(axis) for axis in gather.axes), 2 * gather.multiply_adds


def _products(axis: Axis) -> int:
    """(output, tap) pairs along one axis whose input is data; a padding mode's copies are."""
    total = 0
    for phase in axis.phases:
        for tap in phase.taps:
            if axis.mode != "zeros":
                total += phase.count
                continue
            # 0 <= q * in_step + offset < in_size
            first = max(0, -(tap.offset // axis.in_step))
            stop = -(-(axis.in_size - tap.offset) // axis.in_step)
            total += max(0, min(stop, phase.count) - first)
    return total


def _verdict(verdict: Verdict, chosen: str) -> str:
    if verdict.cycles is None:
        return f"{verdict.family:<17}illegal     {verdict.reason}"
    word = "chosen" if verdict.family == chosen else "not chosen"
    return f"{verdict.family:<17}{word:<12}{verdict.cycles:,.0f} cycles"


def _metric(value: float) -> str:
    """Three digits and a unit: 3.21 M."""
    for unit in ("", " k", " M", " G"):
        if value < 1000 or unit == " G":
            break
        value /= 1000
    return f"{value:.3g}{unit}" if value < 1000 else f"{value:,.0f}{unit}"
