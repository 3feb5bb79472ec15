"""The plan of a weight gradient along channels (kernels/grad_weight/outer.py)."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import ELEMENTS
from convforge.kernels.contract import HEADER_BYTES, fill
from convforge.kernels.grad_weight.contract import (
    GRAD_WEIGHT_OUTER_PARAMETERS,
    OUTER_RUN_FIELDS,
    GradWeightOuterKernel,
)
from convforge.plan.grad_weight.boxes import (
    GradWeightArrays,
    box_values,
    distance_in_box,
    flattened,
    position_in_kernel,
    run_parts,
    steps_of,
)
from convforge.plan.grad_weight.outer_blocks import (
    gradient_panel_elements,
    outer_cycles,
    outer_schedule,
    plane_elements,
    scratch_elements,
    sums_elements,
)
from convforge.plan.grad_weight.tap_runs import TapRuns, tap_runs
from convforge.plan.job import Job
from convforge.plan.request import Array, GradWeightRequest
from convforge.plan.sizes import aligned
from convforge.plan.tables import input_tables
from convforge.problem import ConvSpec
from convforge.problem.gather import Axis, Tap, gather_of
from convforge.schedule import Layout, layout_of
from convforge.target import Target

NAME = "outer"

# Long kernels keep sums of all their taps in scratch: beyond this many bytes another family is used.
_SCRATCH_LIMIT = 12 << 20


def why_illegal(request: GradWeightRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a plain convolution, or None."""
    return why_nest_illegal(request.spec, target, 1)


def why_nest_illegal(spec: ConvSpec, target: Target, together: int) -> str | None:
    """The reason why this loop nest cannot serve, or None. together: images that are summed at once."""
    spec = flattened(spec)
    layout, element = layout_of(gather_of(spec)), ELEMENTS[spec.dtype.name]
    if not layout.gather.taps_by_phase[0]:
        return "no tap reaches the input"
    positions = prod(spec.kernel_size)
    schedule = outer_schedule(together_of(layout, together), positions, element, target, together)
    size = sum(scratch_elements(layout, positions, schedule)) * element.compute_bytes
    return f"{size} bytes of scratch are above {_SCRATCH_LIMIT}" if size > _SCRATCH_LIMIT else None


def cost_cycles(request: GradWeightRequest, target: Target) -> float:
    """Cycles of one core that the gradient should take."""
    return nest_cycles(request.spec, target, 1)


def nest_cycles(spec: ConvSpec, target: Target, together: int) -> float:
    """Cycles of one core for this loop nest, the taps beside the map left out."""
    spec = flattened(spec)
    layout = together_of(layout_of(gather_of(spec)), together)
    cycles = outer_cycles(layout, prod(spec.kernel_size), ELEMENTS[spec.dtype.name], target, together)
    return cycles * prod(map(_share_reached, layout.gather.axes))


def together_of(layout: Layout, images: int) -> Layout:
    """The layout whose batch counts so many images as one."""
    return replace(layout, gather=replace(layout.gather, batch=-(-layout.gather.batch // images)))


def plan(request: GradWeightRequest, target: Target, threads: int) -> GradWeightOuterPlan:
    """Schedule a request and prepare all that its kernel reads."""
    return GradWeightOuterPlan(request, target, threads)


class GradWeightOuterPlan:
    """How the weight gradient of one plain convolution is computed for arrays of these strides (bytes)."""

    together: ClassVar[int] = 1

    def __init__(self, request: GradWeightRequest, target: Target, threads: int) -> None:
        self.spec, self.threads = request.spec, threads
        self._arrays = arrays = GradWeightArrays(request)
        self._positions = positions = prod(self.spec.kernel_size)
        layout = together_of(arrays.layout, self.together)
        self.schedule = schedule = outer_schedule(layout, positions, arrays.element, target, self.together)
        runs = tap_runs(arrays.layout, schedule.tile_taps)
        x_side, g_side = arrays.sides(schedule.ways, schedule.lanes)
        self.kernel = self._kernel(
            target,
            element=arrays.element,
            lanes=schedule.lanes,
            ways=schedule.ways,
            picks=tuple(
                (tap, channel, tap * runs.shift * schedule.ways + channel)
                for tap in range(schedule.tile_taps)
                for channel in range(schedule.tile_channels)
            ),
            nv=schedule.nv,
            fused=target.fused,
            x_side=x_side,
            g_side=g_side,
        )
        self._job = Job(self.kernel, target)
        self._fill(runs)

    def _kernel(self, target: Target, **fields: Any) -> GradWeightOuterKernel:
        """The kernel of these choices."""
        del target
        return GradWeightOuterKernel(**fields)

    def _fill(self, runs: TapRuns) -> None:
        arrays, schedule = self._arrays, self.schedule
        layout = arrays.layout
        gather = layout.gather
        tables = input_tables(layout, (arrays.x_steps[2], arrays.x_steps[3], arrays.x_steps[4]))
        steps = steps_of(layout, schedule.box, schedule.parts)
        self.parts = steps.parts
        plane = plane_elements(layout, schedule)
        table = self._run_table(runs, plane)
        size = arrays.element.compute_bytes
        x_panels, g_panels, sums = (n * size for n in scratch_elements(layout, self._positions, schedule))
        g_packed = aligned(HEADER_BYTES + x_panels)
        sums_at = aligned(g_packed + g_panels)
        self.scratch_bytes = aligned(sums_at + sums)
        channel_blocks = -(-gather.in_channels // schedule.channel_block)
        out_blocks = -(-gather.out_channels // schedule.output_block)
        self._total = gather.groups * channel_blocks * out_blocks * steps.parts
        pairs = gather.in_channels * self._positions
        values = box_values(arrays, schedule.box, steps, schedule.ways, tables) | {
            "channels": gather.in_channels,
            "out_channels": gather.out_channels,
            "channel_block": schedule.channel_block,
            "channel_blocks": channel_blocks,
            "out_block": schedule.output_block,
            "out_blocks": out_blocks,
            "tile_channels": schedule.tile_channels,
            "plane": plane,
            "panel": layout.planes * plane,
            "g_panel": gradient_panel_elements(schedule),
            "runs": len(table),
            "run_table": table.ctypes.data,
            "run_step": runs.step,
            "w_out": pairs,
            "y_part": gather.groups * gather.out_channels * pairs,
            "g_packed": g_packed,
            "sums": sums_at,
            "sums_tile": sums_elements(self._positions, schedule),
        }
        self._parameters = fill(GRAD_WEIGHT_OUTER_PARAMETERS, values)
        self._keep = (tables, table)

    def _run_table(self, runs: TapRuns, plane: int) -> NDArray[np.int64]:
        """The records of OUTER_RUN_FIELDS."""
        layout, schedule = self._arrays.layout, self.schedule
        gather = layout.gather
        records: list[list[int]] = []
        for run in runs.runs:
            taps = [gather.taps_by_phase[0][i] for i in run]
            ends = [_reached(axis, {t[i] for t in taps}) for i, axis in enumerate(gather.axes)]
            distance = distance_in_box(layout, schedule.box, run[0], plane, schedule.ways)
            position = position_in_kernel(self.spec, layout, run[0])
            records.append([distance, len(run), position, *ends[0], *ends[1], *ends[2]])
        table = np.array(records, np.int64)
        assert table.shape[1] == len(OUTER_RUN_FIELDS)
        return table

    def __call__(self, x: Array, grad_output: Array, grad_weight: Array) -> bool:
        """Fill grad_weight, which is contiguous."""
        return run_parts(
            self._arrays, self._job, self._total, self.threads, self.scratch_bytes, self.parts,
            self._parameters, x, grad_output, grad_weight,
        )  # fmt: skip


def _share_reached(axis: Axis) -> float:
    """Of all outputs and taps along an axis, the share that meets data: the others are left out."""
    taps = axis.phases[0].taps
    reached = [_reached(axis, {tap}) for tap in taps]
    return sum(stop - first for first, stop in reached) / (len(taps) * axis.columns)


def _reached(axis: Axis, taps: set[Tap]) -> tuple[int, int]:
    """The outputs first … stop - 1 whose taps, any of them, meet data."""
    if axis.mode != "zeros":
        return 0, axis.columns
    low, high = min(t.offset for t in taps), max(t.offset for t in taps)
    first = max(0, -(high // axis.in_step))
    return first, min(axis.columns, (axis.in_size - 1 - low) // axis.in_step + 1)
