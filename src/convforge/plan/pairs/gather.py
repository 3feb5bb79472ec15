"""The family on pairs of bf16 numbers (kernels/pairs/gather.py): processors that multiply two at once in a
lane.

At `medium`, and for bfloat16 arrays at all settings. As many products as the direct family's, in half as
many steps; the input is packed always, as it becomes words.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import ELEMENTS
from convforge.kernels.pairs.contract import PAIRS_PARAMETERS, PairInstruction, PairsKernel
from convforge.kernels.split_bf16.contract import SUM_LIMIT
from convforge.plan.direct.gather import GatherPlan
from convforge.plan.direct.gather_candidates import gather_candidates
from convforge.plan.element import element_of
from convforge.plan.heuristic import direct_cycles, gather_schedule
from convforge.plan.job import Job
from convforge.plan.kernel_plan import WatchedPlan
from convforge.plan.pairs.weights import PairWeights
from convforge.plan.pairs.words import Words, partners, words_of
from convforge.plan.request import OutputRequest
from convforge.plan.sizes import aligned, element_steps
from convforge.plan.split_bf16.products import parts_of, why_no_parts
from convforge.plan.streaming import streams
from convforge.plan.tables import packed_columns, tiles_along, way_out
from convforge.problem.gather import gather_of
from convforge.schedule import GatherSchedule, Layout, RunTiles, layout_of
from convforge.target import Target

NAME = "bf16 pairs"

# Numbers of a word.
WAYS = 2

# Beside a tile unit, on other processors than were measured, vectors are taken for half as fast: the unit
# serves nearly all that they could.
_UNIT_CYCLES = 2.0
# For a vector of words to be made of two channels' planes; for each of these, whatever its size: 960 -> 240
# channels of one pixel took 18 us, by the small-map family 8.
_WORD_CYCLES, _PLANE_CYCLES = 8.0, 40.0
# For one that is made where its channels lie in the input as they are.
_DENSE_WORD_CYCLES = 4.0


def why_illegal(request: OutputRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a request, or None."""
    return why_no_instruction(target) or why_unfit(request)


def why_no_instruction(target: Target) -> str | None:
    """The reason why a processor is no faster on pairs, or None."""
    if instruction_of(target) == "plain":
        return "the processor multiplies no pairs of bf16 numbers in its vectors (avx512bf16)"
    return None


def instruction_of(target: Target) -> PairInstruction:
    """What multiplies pairs on a processor."""
    return "vdpbf16ps" if "avx512bf16" in target.features and target.vector_bytes == 64 else "plain"


def why_unfit(request: OutputRequest) -> str | None:
    """The reason why a request is not for pairs on any processor, or None."""
    reason = why_no_parts(request)
    if reason is not None:
        return reason
    name = request.spec.dtype.name
    if parts_of(name, request.precision) != 1:
        hint = ": at 'medium' it is one" if name == "float32" else ""
        return f"{name} at precision {request.precision!r} is more than one bf16 part{hint}"
    gather = gather_of(request.spec)
    if gather.in_channels == 1 and words_of(gather).ways == 2:
        return "one input channel a group, and no two taps of a row to pair, leave half of each pair empty"
    products = gather.in_channels * max((len(taps) for taps in gather.taps_by_phase), default=0)
    if products > SUM_LIMIT:
        return f"sums of {products} products may leave fp32's range, those of {SUM_LIMIT} do not"
    return None


def words_cycles(layout: Layout, target: Target) -> float:
    """Cycles for an image's planes to become words. layout: of pairs."""
    gather = layout.gather
    planes = gather.in_channels * layout.planes * gather.groups
    vectors = layout.total_rows * layout.pitch * 4 / target.vector_bytes
    word = _DENSE_WORD_CYCLES if layout.is_the_input else _WORD_CYCLES
    return planes * (word * vectors + _PLANE_CYCLES)


def step_cycles(target: Target) -> float:
    """Of a step of the products, in units of one of multiply-adds."""
    return _UNIT_CYCLES if "amx-bf16" in target.features else 1.0


def cost_cycles(request: OutputRequest, target: Target) -> float:
    """Cycles of one core that the request should take."""
    spec = request.spec
    layout, element = layout_of(words_of(gather_of(spec)).gather), ELEMENTS[spec.dtype.name]
    way = way_out(layout, element_steps(request.y_strides, spec))
    cycles = direct_cycles(
        layout, element, target,
        in_place=False, flat_output=way == "flat", along=tiles_along(layout, way),
    )  # fmt: skip
    return cycles * step_cycles(target) + words_cycles(layout, target) * layout.gather.batch


def candidates(request: OutputRequest, target: Target, threads: int) -> list[GatherSchedule]:
    """Schedules worth trying, the one that `plan` takes by itself first: as the direct family's."""
    layout = layout_of(words_of(gather_of(request.spec)).gather)
    element = ELEMENTS[request.spec.dtype.name]
    along = tiles_along(layout, way_out(layout, element_steps(request.y_strides, request.spec)))
    found = gather_candidates(layout, element, target, threads, in_place=False, along=along)
    return [replace(schedule, ways=WAYS) for schedule in found]


def plan(
    request: OutputRequest, target: Target, threads: int, schedule: GatherSchedule | None = None
) -> PairsPlan:
    """Schedule a request, or take a schedule of `candidates`, and prepare all that its kernel reads."""
    return PairsPlan(request, target, threads, schedule)


class PairsPlan(GatherPlan[PairsKernel], WatchedPlan[PairsKernel]):
    """How one convolution is computed for inputs of one shape and one set of strides."""

    def __init__(
        self,
        request: OutputRequest,
        target: Target,
        threads: int,
        schedule: GatherSchedule | None = None,
    ) -> None:
        self.spec, self.threads = request.spec, threads
        spec, whole = request.spec, gather_of(request.spec)
        words = words_of(whole)
        self.gather = gather = words.gather
        self.layout = layout = layout_of(gather)
        self.element = element = element_of(spec, target)
        x_steps, y_steps = (
            element_steps(strides, spec) for strides in (request.x_strides, request.y_strides)
        )
        way = way_out(layout, y_steps)
        if schedule is None:
            along = tiles_along(layout, way)
            own = gather_schedule(layout, element, target, threads, in_place=False, along=along)
            schedule = replace(own, ways=WAYS)
        self.schedule = schedule
        self.kernel = PairsKernel(
            element=element,
            lanes=schedule.lanes,
            mr=schedule.mr,
            nv=schedule.nv,
            fused=target.fused,
            columns=packed_columns(layout, x_steps, target),
            way_out=way,
            has_bias=request.has_bias,
            activation=request.activation,
            along_rows=schedule.along_rows,
            tail=RunTiles(layout, schedule.nv * schedule.lanes, schedule.along_rows).tail(schedule.lanes),
            streams=streams(request, target, schedule.nv * schedule.lanes, axis=1),
            instruction=instruction_of(target),
        )
        self._job = Job(self.kernel, target)
        self.weights = PairWeights(words, element, target, schedule.mr, transposed=spec.transposed)
        self.starts = self.weights.starts
        values = self._values(x_steps, y_steps)
        held = held_values(words, layout, values["plane"], self.workspace_bytes)
        self.workspace_bytes += held_bytes(layout, values["plane"])
        self._keep.append(held.partners)
        self._give(PAIRS_PARAMETERS, {**values, **held.values})


@dataclass(frozen=True, slots=True)
class Held:
    """What packing words needs to know, and what that points at."""

    values: dict[str, int]
    partners: NDArray[np.int64]


def held_values(words: Words, layout: Layout, plane: int, held: int) -> Held:
    """For planes of this layout, held in scratch from `held` on."""
    table = partners(layout, words, plane)
    channels = words.halves.in_channels if words.ways == 2 else words.gather.in_channels
    values = {"group_channels": channels, "ways": words.ways, "held": held, "partners": table.ctypes.data}
    return Held(values, table)


def held_bytes(layout: Layout, plane: int) -> int:
    """Scratch for the planes of a pair before they are words, and what the last vectors read behind."""
    return aligned(2 * layout.planes * plane * 4 + 3 * 64)
