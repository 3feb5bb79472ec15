"""The small-map family on pairs of bf16 numbers (kernels/channels_pairs.py): as plan/pairs.py, where outputs
are so few that vectors along output channels waste fewer lanes.
"""

from __future__ import annotations

from dataclasses import replace

from convforge.ir.element import ELEMENTS
from convforge.kernels.contract_pairs import (
    CHANNELS_PAIRS_PARAMETERS,
    ChannelsPairsKernel,
)
from convforge.plan import channels, pairs
from convforge.plan.channels import ChannelsNestPlan
from convforge.plan.channels_tiles import fetches_ahead, is_copied
from convforge.plan.element import element_of
from convforge.plan.job import Job
from convforge.plan.kernel_plan import WatchedPlan
from convforge.plan.pair_weights import PairWeights
from convforge.plan.request import OutputRequest
from convforge.plan.sizes import element_steps
from convforge.plan.tables import column_kind
from convforge.problem.gather import gather_of
from convforge.schedule import ChannelsSchedule, layout_of
from convforge.target import Target

NAME = "bf16 channels"


def why_illegal(request: OutputRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a request, or None."""
    reason = pairs.why_illegal(request, target)
    if reason is not None:
        return reason
    gather = pairs.paired(gather_of(request.spec))
    return channels.why_unfit(gather, ELEMENTS[request.spec.dtype.name], target, "packed")


def cost_cycles(request: OutputRequest, target: Target) -> float:
    """Cycles of one core, the turning round of the outputs included."""
    gather = pairs.paired(gather_of(request.spec))
    cycles = channels.nest_cycles(gather, ELEMENTS[request.spec.dtype.name], target, "packed")
    words = pairs.words_cycles(layout_of(gather), target) * gather.batch
    return cycles * pairs.step_cycles(target) + words


def candidates(request: OutputRequest, target: Target, threads: int) -> list[ChannelsSchedule]:
    """Schedules worth trying, the one that `plan` takes by itself first. All of one order."""
    gather = pairs.paired(gather_of(request.spec))
    found = channels.nest_candidates(gather, ELEMENTS[request.spec.dtype.name], target, threads, "packed")
    return [replace(schedule, ways=pairs.WAYS) for schedule in found]


def plan(
    request: OutputRequest, target: Target, threads: int, schedule: ChannelsSchedule | None = None
) -> ChannelsPairsPlan:
    """Schedule a request, or take a schedule of `candidates`, and prepare all that its kernel reads."""
    return ChannelsPairsPlan(request, target, threads, schedule)


class ChannelsPairsPlan(ChannelsNestPlan[ChannelsPairsKernel], WatchedPlan[ChannelsPairsKernel]):
    """How one convolution on small maps is computed for inputs of one shape and one set of strides."""

    def __init__(
        self,
        request: OutputRequest,
        target: Target,
        threads: int,
        schedule: ChannelsSchedule | None = None,
    ) -> None:
        spec, whole = request.spec, gather_of(request.spec)
        self.threads = threads
        gather, self.element = pairs.paired(whole), element_of(spec, target)
        self.layout, self.reading = layout_of(gather), "packed"
        layout = self.layout
        x_steps, y_steps = (
            element_steps(strides, spec) for strides in (request.x_strides, request.y_strides)
        )
        self.schedule = schedule or replace(
            channels.nest_schedule(gather, self.element, target, threads, self.reading), ways=pairs.WAYS
        )
        self.kernel = ChannelsPairsKernel(
            element=self.element,
            lanes=self.schedule.lanes,
            pixels=self.schedule.pixels,
            nv=self.schedule.nv,
            fused=target.fused,
            columns=column_kind(layout, x_steps[4]),
            has_bias=request.has_bias,
            activation=request.activation,
            copied=is_copied(layout, self.schedule.pixels),
            runs=channels.leaves_in_runs(layout, self.schedule, y_steps),
            fetches=fetches_ahead(gather, self.element.compute_bytes, target),
            instruction=pairs.instruction_of(target),
        )
        self._job = Job(self.kernel, target)
        self.weights = PairWeights(
            layout_of(whole), self.element, target, self.kernel.mr, transposed=spec.transposed
        )
        self.starts = self.weights.starts
        values = self._values(x_steps, y_steps)
        held = self.workspace_bytes
        self.workspace_bytes = held + pairs.held_bytes(layout, values["plane"])
        self._give(CHANNELS_PAIRS_PARAMETERS, {**values, "group_channels": whole.in_channels, "held": held})
