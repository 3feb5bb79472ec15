"""The direct family (kernels/gather.py): serves every spec on every processor.

A family is a file like this one, listed in planner.FAMILIES: `why_illegal`, `cost_cycles` and `plan`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from convforge.ir.element import ELEMENTS, Element
from convforge.kernels.contract import (
    GATHER_PARAMETERS,
    HEADER_BYTES,
    PHASE_FIELDS,
    GatherKernel,
    WayOut,
)
from convforge.kernels.contract_dot import DotKernel
from convforge.plan.gather_candidates import gather_candidates
from convforge.plan.heuristic import band_of, direct_cycles, gather_schedule
from convforge.plan.job import Job
from convforge.plan.kernel_plan import KernelPlan
from convforge.plan.request import OutputRequest
from convforge.plan.selections import Selections, select_taps
from convforge.plan.sizes import aligned, element_steps
from convforge.plan.tables import (
    column_kind,
    distances,
    input_tables,
    reads_in_place,
    rows_collide,
    weight_rows,
)
from convforge.plan.weights import WeightPacking
from convforge.problem.gather import Gather, gather_of
from convforge.schedule import GatherSchedule, Layout, layout_of
from convforge.target import Target

NAME = "direct"


def why_illegal(request: OutputRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a request, or None: it serves all."""
    del request, target
    return None


def cost_cycles(request: OutputRequest, target: Target) -> float:
    """Cycles of one core that the request should take."""
    spec = request.spec
    layout, element = layout_of(gather_of(spec)), ELEMENTS[spec.dtype.name]
    return direct_cycles(
        layout,
        element,
        target,
        in_place=_in_place(layout, element, target, element_steps(request.x_strides, spec)),
        flat_output=way_out(layout, element_steps(request.y_strides, spec)) == "flat",
    )


def candidates(request: OutputRequest, target: Target, threads: int) -> list[GatherSchedule]:
    """Schedules worth trying, the one that `plan` takes by itself first.

    Tiles, pieces and groups of tiles change no bit; other blocks of channels, the last ones, do.
    """
    layout = layout_of(gather_of(request.spec))
    element = ELEMENTS[request.spec.dtype.name]
    in_place = _in_place(layout, element, target, element_steps(request.x_strides, request.spec))
    return gather_candidates(layout, element, target, threads, in_place=in_place)


def plan(
    request: OutputRequest, target: Target, threads: int, schedule: GatherSchedule | None = None
) -> DirectPlan:
    """Schedule a request, or take a schedule of `candidates`, and prepare all that its kernel reads."""
    return DirectPlan(request, target, threads, schedule)


K = TypeVar("K", bound=GatherKernel | DotKernel)


class GatherPlan(KernelPlan[K], Generic[K]):
    """What the plans of the gather's loop nest share: its parameters and tables.

    A plan sets these and its kernel, and gives the kernel what `_values` returns.
    """

    gather: Gather
    layout: Layout
    schedule: GatherSchedule
    element: Element
    starts: Sequence[int]  # where the packed weights of each phase begin
    _keep: list[Any]

    def _values(self, x_steps: tuple[int, ...], y_steps: tuple[int, ...]) -> dict[str, int]:
        """The values of GATHER_PARAMETERS, and what they point at kept."""
        gather, layout, schedule, kernel = self.gather, self.layout, self.schedule, self.kernel
        tiles = -(-layout.flat // kernel.length)
        bands = -(-tiles // schedule.band_tiles)
        out_tiles = -(-gather.out_channels // schedule.mr)
        out_blocks = -(-out_tiles // schedule.channel_tiles)
        group_blocks = -(-gather.groups // schedule.group_block)
        band = band_of(layout, schedule.band_tiles * kernel.length, schedule.lanes, kernel.length)
        plane = band.plane
        channel_step = layout.planes * plane if schedule.packed else x_steps[1]
        tables = input_tables(layout, (x_steps[2], x_steps[3], x_steps[4]))
        self._keep = [tables]
        phases = np.array(
            [self._phase_record(i, plane, channel_step, y_steps) for i in range(len(gather.taps_by_phase))],
            np.int64,
        )
        size = self.element.compute_bytes
        packed_bytes = gather.in_channels * layout.planes * plane * size if schedule.packed else 0
        tile_bytes = schedule.mr * kernel.length * size * kernel.interleave
        blocked = schedule.channel_block < gather.in_channels
        accumulators = aligned(HEADER_BYTES + packed_bytes)
        tile = aligned(
            accumulators + (schedule.channel_tiles * schedule.tile_group * tile_bytes if blocked else 0)
        )
        self.workspace_bytes = aligned(tile + tile_bytes + 64)
        self.tasks = gather.batch * group_blocks * bands * out_blocks
        d, h, w = gather.axes
        self._keep.append(phases)
        return {
            "groups": gather.groups,
            "group_block": schedule.group_block,
            "group_blocks": group_blocks,
            "channels": gather.in_channels,
            "out_channels": gather.out_channels,
            "out_tiles": out_tiles,
            "task_tiles": schedule.channel_tiles,
            "out_blocks": out_blocks,
            "bands": bands,
            "band_tiles": schedule.band_tiles,
            "flat": layout.flat,
            "channel_block": schedule.channel_block,
            "tile_group": schedule.tile_group,
            "x_batch": x_steps[0],
            "x_channel": x_steps[1],
            "y_batch": y_steps[0],
            "y_channel": y_steps[1],
            "y_step": y_steps[4] * w.out_step,
            "y_row": y_steps[3] * h.out_step,
            "y_slice": y_steps[2] * d.out_step,
            "out_width": w.out_size,
            "pitch": layout.pitch,
            "plane": plane,
            "planes": layout.planes,
            "plane_rows": band.rows,
            "total_rows": layout.total_rows,
            "row_length": band.row_length,
            "one_row": int(layout.is_one_row),
            "row_residues": layout.row_residues,
            "column_residues": len(w.residues),
            "row_table": tables.rows.ctypes.data,
            "column_table": tables.columns.ctypes.data,
            "x_column": x_steps[4] * w.in_step,
            "slice_rows": layout.slice_rows,
            "reach_rows": layout.reach_rows,
            "phases": len(phases),
            "phase_table": phases.ctypes.data,
            "accumulators": accumulators,
            "tile": tile,
        }

    def _phase_record(self, phase: int, plane: int, channel_step: int, y_steps: tuple[int, ...]) -> list[int]:
        d, h, w = self.gather.phase_triples[phase]
        taps, block, mr = len(self.gather.taps_by_phase[phase]), self.schedule.channel_block, self.schedule.mr
        selections = self._selections(phase)
        records: list[list[int]] = []
        for chosen in selections.taps:
            reach = distances(self.layout, phase, plane, block, channel_step, chosen)
            rows = weight_rows(taps, block, chosen, mr)
            self._keep += [reach, rows]
            records.append([len(chosen), reach.ctypes.data, rows.ctypes.data])
        table = np.array(records, np.int64)
        self._keep += [selections.tiles, table]
        values = {
            "taps": taps,
            "weights": self.starts[phase],
            "selections": table.ctypes.data,
            "tile_selection": selections.tiles.ctypes.data,
            "tile_step": int(len(selections.tiles) > 1),
            "y_offset": d.first * y_steps[2] + h.first * y_steps[3] + w.first * y_steps[4],
            "depth": d.count,
            "height": h.count,
            "width": w.count,
        }
        return [values[name] for name in PHASE_FIELDS]

    def _selections(self, phase: int) -> Selections:
        """Which taps each tile of a phase needs."""
        return select_taps(self.layout, phase, self.kernel.length)


def _in_place(layout: Layout, element: Element, target: Target, steps: tuple[int, ...]) -> bool:
    """Whether the input can be read where it lies, and better so."""
    return reads_in_place(layout, element, steps) and not rows_collide(layout, element, target, steps)


class DirectPlan(GatherPlan[GatherKernel]):
    """How one convolution is computed for inputs of one shape and one set of strides."""

    def __init__(
        self, request: OutputRequest, target: Target, threads: int, schedule: GatherSchedule | None = None
    ) -> None:
        self.spec, self.target, self.threads = request.spec, target, threads
        spec = request.spec
        self.gather = gather = gather_of(spec)
        self.layout = layout = layout_of(gather)
        self.element = element = ELEMENTS[spec.dtype.name]
        x_steps = element_steps(request.x_strides, spec)
        y_steps = element_steps(request.y_strides, spec)
        if schedule is None:
            in_place = _in_place(layout, element, target, x_steps)
            schedule = gather_schedule(layout, element, target, threads, in_place=in_place)
        self.schedule = schedule
        self.kernel = GatherKernel(
            element=element,
            lanes=schedule.lanes,
            mr=schedule.mr,
            nv=schedule.nv,
            fused=target.fused,
            columns=column_kind(layout, x_steps[4]) if schedule.packed else None,
            way_out=way_out(layout, y_steps),
            has_bias=request.has_bias,
            activation=request.activation,
        )
        self._job = Job(self.kernel, target)
        self.weights = weights = WeightPacking(
            layout, element, target, schedule.mr, transposed=spec.transposed, rank=spec.rank
        )
        self.starts = weights.starts
        self.reads_in_place = not schedule.packed
        self._give(GATHER_PARAMETERS, self._values(x_steps, y_steps))


def way_out(layout: Layout, steps: tuple[int, ...]) -> WayOut:
    """How neighbouring outputs of the flat run lie in an output of these strides."""
    gather = layout.gather
    d, h, w = gather.axes
    if steps[4] != 1 and w.out_size > 1:
        return "strided"
    if w.out_step > 1 and w.out_size > 1:
        return "pair" if len(w.phases) == w.out_step == 2 else "strided"
    whole = all(axis.out_step == 1 for axis in gather.axes)
    no_gaps = layout.pitch == w.columns and (d.columns == 1 or layout.slice_rows == h.columns)
    dense = (h.out_size == 1 or steps[3] == w.out_size) and (
        d.out_size == 1 or steps[2] == w.out_size * h.out_size
    )
    return "flat" if whole and no_gaps and dense else "unit"
