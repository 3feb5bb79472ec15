"""The small-map family on pairs of bf16 numbers (kernels/pairs/channels.py): as plan/pairs/gather.py, where
outputs are so few that vectors along output channels waste fewer lanes.
"""

from __future__ import annotations

from dataclasses import replace

from convforge.ir.element import ELEMENTS, Element
from convforge.kernels.pairs.contract import (
    CHANNELS_PAIRS_PARAMETERS,
    ChannelsPairsKernel,
)
from convforge.plan.direct.channels import ChannelsNestPlan, fills_first, leaves_in_runs
from convforge.plan.direct.channels_cut import nest_candidates, nest_schedule
from convforge.plan.direct.channels_reading import (
    nest_cycles,
    packed_layout,
    reading_of,
    why_too_large,
    why_unfit,
)
from convforge.plan.direct.channels_tiles import BY_MET_TAPS, Reading, fetches_ahead, is_copied
from convforge.plan.direct.met_taps import reads_all
from convforge.plan.element import element_of
from convforge.plan.job import Job
from convforge.plan.kernel_plan import WatchedPlan
from convforge.plan.pairs import gather as pairs
from convforge.plan.pairs.weights import PairWeights
from convforge.plan.pairs.words import words_of_channels
from convforge.plan.request import OutputRequest
from convforge.plan.sizes import element_steps
from convforge.plan.tables import packed_columns
from convforge.problem.gather import Gather, gather_of
from convforge.schedule import ChannelsSchedule, layout_of
from convforge.target import Target

NAME = "bf16 channels"


def why_illegal(request: OutputRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a request, or None."""
    reason = pairs.why_illegal(request, target)
    if reason is not None:
        return reason
    if gather_of(request.spec).in_channels == 1:
        return "one input channel a group leaves half of each pair empty"
    gather = words_of_channels(gather_of(request.spec)).gather
    element = ELEMENTS[request.spec.dtype.name]
    return why_too_large(gather) or why_unfit(gather, element, target, _reading(gather, element, target))


def _reading(gather: Gather, element: Element, target: Target) -> Reading:
    """How words are read. Strided layers that leave out some are packed as what they read: hard values beside
    it are none.
    """
    if any(axis.in_step > 1 for axis in gather.axes) and not reads_all(gather):
        return "packed"
    return reading_of(gather, element, target, (0,) * 5, packs=True)


def cost_cycles(request: OutputRequest, target: Target) -> float:
    """Cycles of one core, the turning round of the outputs included."""
    gather = words_of_channels(gather_of(request.spec)).gather
    element = ELEMENTS[request.spec.dtype.name]
    reading = _reading(gather, element, target)
    cycles = nest_cycles(gather, element, target, reading)
    words = pairs.words_cycles(packed_layout(gather, reading), target) * gather.batch
    return cycles * pairs.step_cycles(target) + words


def candidates(request: OutputRequest, target: Target, threads: int) -> list[ChannelsSchedule]:
    """Schedules worth trying, the one that `plan` takes by itself first. All of one order."""
    gather = words_of_channels(gather_of(request.spec)).gather
    element = ELEMENTS[request.spec.dtype.name]
    reading = _reading(gather, element, target)
    found = nest_candidates(gather, element, target, threads, reading)
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
        spec = request.spec
        self.threads = threads
        words, self.element = words_of_channels(gather_of(spec)), element_of(spec, target)
        gather = words.gather
        self.layout = layout = layout_of(gather)
        self.reading = _reading(gather, ELEMENTS[spec.dtype.name], target)
        packed, by_met_taps = packed_layout(gather, self.reading), self.reading in BY_MET_TAPS
        x_steps, y_steps = (
            element_steps(strides, spec) for strides in (request.x_strides, request.y_strides)
        )
        self.schedule = schedule or replace(
            nest_schedule(gather, self.element, target, threads, self.reading), ways=pairs.WAYS
        )
        self.kernel = ChannelsPairsKernel(
            element=self.element,
            lanes=self.schedule.lanes,
            pixels=self.schedule.pixels,
            nv=self.schedule.nv,
            fused=target.fused,
            columns=packed_columns(packed, x_steps, target),
            has_bias=request.has_bias,
            activation=request.activation,
            copied=not by_met_taps and is_copied(layout, self.schedule.pixels),
            runs=leaves_in_runs(gather, self.schedule, y_steps),
            fetches=fetches_ahead(gather, self.element.compute_bytes, target),
            fills=fills_first(gather, y_steps),
            instruction=pairs.instruction_of(target),
        )
        self._job = Job(self.kernel, target)
        self.weights = PairWeights(words, self.element, target, self.kernel.mr, transposed=spec.transposed)
        self.starts = self.weights.starts
        values = self._values(x_steps, y_steps)
        held = pairs.held_values(words, packed, values["plane"], self.workspace_bytes)
        self.workspace_bytes += pairs.held_bytes(packed, values["plane"])
        self._keep.append(held.partners)
        self._give(CHANNELS_PAIRS_PARAMETERS, {**values, **held.values})
