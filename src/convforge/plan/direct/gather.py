"""The direct family (kernels/direct/gather.py): serves every spec on every processor.

A family is a file like this one, listed in planner.FAMILIES: `why_illegal`, `cost_cycles` and `plan`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from convforge.ir.element import ELEMENTS, Element
from convforge.kernels.contract import HEADER_BYTES, WayOut
from convforge.kernels.direct.contract import GATHER_PARAMETERS, GatherKernel
from convforge.kernels.dot.contract import DotKernel
from convforge.plan.bands import band_of
from convforge.plan.cut import is_copied, is_fetched
from convforge.plan.direct.gather_candidates import gather_candidates
from convforge.plan.direct.whole_rows import WholeRows, whole_rows
from convforge.plan.element import element_of
from convforge.plan.heuristic import direct_cycles, gather_schedule
from convforge.plan.job import Job
from convforge.plan.kernel_plan import KernelPlan
from convforge.plan.phase_table import phase_table
from convforge.plan.request import OutputRequest
from convforge.plan.sizes import aligned, element_steps
from convforge.plan.streaming import streams
from convforge.plan.tables import (
    input_tables,
    leaving_values,
    packed_columns,
    packing_values,
    reads_in_place,
    rows_collide,
    tiles_along,
    way_out,
)
from convforge.plan.tiles import gather_tile
from convforge.plan.weights import WeightPacking
from convforge.problem.gather import Gather, gather_of
from convforge.schedule import Along, GatherSchedule, Layout, RunTiles, layout_of
from convforge.target import Target

NAME = "direct"


def why_illegal(request: OutputRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a request, or None: it serves all."""
    del request, target
    return None


def cost_cycles(request: OutputRequest, target: Target) -> float:
    """Cycles of one core that the request should take."""
    return _seen(request, target).cycles(ELEMENTS[request.spec.dtype.name], target)


def candidates(request: OutputRequest, target: Target, threads: int) -> list[GatherSchedule]:
    """Schedules worth trying, the one that `plan` takes by itself first.

    Tiles, pieces and groups of tiles change no bit; other blocks of channels, the last ones, do.
    """
    seen, element = _seen(request, target), ELEMENTS[request.spec.dtype.name]
    return gather_candidates(seen.layout, element, target, threads, in_place=seen.in_place, along=seen.along)


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
    all_taps: bool = False  # whether those that meet only padding count too
    exact_taps: bool = False  # whether no tile has one of them
    first: int = 0  # elements from an input that is read in place to where its planes would begin
    copied: bool = False  # whether tiles of an input that is read in place are copied first
    _keep: list[Any]

    def _values(self, x_steps: tuple[int, ...], y_steps: tuple[int, ...]) -> dict[str, int]:
        """The values of GATHER_PARAMETERS, and what they point at kept."""
        gather, layout, schedule, kernel = self.gather, self.layout, self.schedule, self.kernel
        run = RunTiles(layout, kernel.length, kernel.along_rows)
        bands = -(-run.count // schedule.band_tiles)
        out_tiles = -(-gather.out_channels // schedule.mr)
        out_blocks = -(-out_tiles // schedule.channel_tiles)
        group_blocks = -(-gather.groups // schedule.group_block)
        band = band_of(layout, run.reach(schedule.band_tiles), schedule.lanes, kernel.length)
        plane = band.plane
        channel_step = layout.planes * plane if schedule.packed else x_steps[1]
        if self.copied:
            channel_step = kernel.length
        tables = input_tables(layout, (x_steps[2], x_steps[3], x_steps[4]))
        phases = phase_table(
            run,
            y_steps,
            plane=plane,
            channel_block=schedule.channel_block,
            channel_step=channel_step,
            starts=self.starts,
            row_size=schedule.mr,
            all_taps=self.all_taps,
            exact=self.exact_taps,
            first=self.first,
        )
        self._keep = [tables, phases]
        size = self.element.compute_bytes
        packed_bytes = gather.in_channels * layout.planes * plane * size if schedule.packed else 0
        if self.copied:
            packed_bytes = schedule.channel_block * schedule.tile_group * kernel.length * size
        tile_bytes = schedule.mr * kernel.length * size * kernel.interleave
        blocked = schedule.channel_block < gather.in_channels
        accumulators = aligned(HEADER_BYTES + packed_bytes)
        tile = aligned(
            accumulators + (schedule.channel_tiles * schedule.tile_group * tile_bytes if blocked else 0)
        )
        self.workspace_bytes = aligned(tile + tile_bytes + 64)
        self.tasks = gather.batch * group_blocks * bands * out_blocks
        _, h, w = gather.axes
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
            "tiles": run.count,
            "flat": layout.flat,
            "row_tiles": run.row_tiles,
            "row_outputs": w.columns,
            "slice_outputs": h.columns,
            "channel_block": schedule.channel_block,
            "tile_group": schedule.tile_group,
            "x_batch": x_steps[0],
            "x_channel": x_steps[1],
            **leaving_values(gather, y_steps),
            **packing_values(layout, band, tables, x_steps[4] * w.in_step),
            "slice_rows": layout.slice_rows,
            "reach_rows": layout.reach_rows,
            "phases": len(phases.records),
            "phase_table": phases.records.ctypes.data,
            "accumulators": accumulators,
            "tile": tile,
        }


@dataclass(frozen=True, slots=True)
class _Seen:
    """How the kernel sees a request: the layout of what it reads, and the steps of arrays that go with it.

    whole_rows: whether it is read row by row (whole_rows.py), from `first` on.
    """

    layout: Layout
    x_steps: tuple[int, ...]
    y_steps: tuple[int, ...]
    in_place: bool
    way: WayOut
    along: Along
    whole_rows: bool = False
    first: int = 0

    def cycles(self, element: Element, target: Target) -> float:
        """Cycles of one core."""
        return direct_cycles(
            self.layout, element, target,
            in_place=self.in_place, flat_output=self.way == "flat", along=self.along,
        )  # fmt: skip


def _seen(request: OutputRequest, target: Target, *, packed: bool = False) -> _Seen:
    """How a request is best seen. packed: if its input is to be packed."""
    spec = request.spec
    gather, element = gather_of(spec), ELEMENTS[spec.dtype.name]
    layout = layout_of(gather)
    x_steps, y_steps = (element_steps(strides, spec) for strides in (request.x_strides, request.y_strides))
    way = way_out(layout, y_steps)
    in_place = not packed and _in_place(layout, element, target, x_steps)
    as_planes = _Seen(layout, x_steps, y_steps, in_place, way, tiles_along(layout, way))
    rows = None if packed or in_place or request.every_tap else whole_rows(gather, x_steps, y_steps)
    if rows is None or not _serves_rows(rows, element, target):
        return as_planes
    as_rows = _Seen(
        layout_of(rows.gather), rows.x_steps, rows.y_steps, True, "unit", "rows",
        whole_rows=True, first=rows.first,
    )  # fmt: skip
    return min(as_rows, as_planes, key=lambda each: each.cycles(element, target))


def _serves_rows(rows: WholeRows, element: Element, target: Target) -> bool:
    """Whether rows fill a vector, and channels do not throw each other out of the cache. Where lines are
    copied before they are read from many pages, it was not tried.
    """
    layout = layout_of(rows.gather)
    fill = rows.gather.axes[2].columns * element.compute_bytes >= target.vector_bytes
    return fill and is_fetched(target) and not rows_collide(layout, element, target, rows.x_steps)


def _in_place(layout: Layout, element: Element, target: Target, steps: tuple[int, ...]) -> bool:
    """Whether the input can be read where it lies, and better so.

    Channels that throw each other out of the cache do no harm where each is read but once: by the only tile
    of output channels, or by the copy that all tiles then read. 512 -> 3 at 64x64 took 2.0 ms packed and 0.74
    in place, 256 -> 256 there 6.7 and 6.3 (two cores of Zen 1).
    """
    if not reads_in_place(layout, steps):
        return False
    out_tiles = -(-layout.gather.out_channels // gather_tile(layout, element, target).mr)
    once = out_tiles == 1 or is_copied(layout.gather, target, out_tiles)
    return once or not rows_collide(layout, element, target, steps)


class DirectPlan(GatherPlan[GatherKernel]):
    """How one convolution is computed for inputs of one shape and one set of strides."""

    def __init__(
        self, request: OutputRequest, target: Target, threads: int, schedule: GatherSchedule | None = None
    ) -> None:
        self.spec, self.target, self.threads = request.spec, target, threads
        spec, self.element = request.spec, element_of(request.spec, target)
        seen = _seen(request, target, packed=schedule is not None and schedule.packed)
        self.layout = layout = seen.layout
        self.gather = gather = layout.gather
        if schedule is None:
            schedule = gather_schedule(
                layout, self.element, target, threads, in_place=seen.in_place, along=seen.along
            )
        self.schedule = schedule
        self.all_taps, self.exact_taps, self.first = request.every_tap, seen.whole_rows, seen.first
        # One line of each channel is copied, and whole rows are read in several places.
        one_tap = not (schedule.packed or seen.whole_rows)
        self.copied = one_tap and is_copied(gather, target, schedule.channel_tiles)
        self.kernel = GatherKernel(
            element=self.element,
            lanes=schedule.lanes,
            mr=schedule.mr,
            nv=schedule.nv,
            fused=target.fused,
            columns=packed_columns(layout, seen.x_steps, target) if schedule.packed else None,
            way_out=seen.way,
            has_bias=request.has_bias,
            activation=request.activation,
            copied=self.copied,
            fetches=not (schedule.packed or self.copied) and is_fetched(target),
            along_rows=schedule.along_rows,
            tail=RunTiles(layout, schedule.nv * schedule.lanes, schedule.along_rows).tail(schedule.lanes),
            streams=streams(request, target, schedule.nv * schedule.lanes, axis=1),
        )
        self._job = Job(self.kernel, target)
        self.weights = weights = WeightPacking(
            layout, self.element, target, schedule.mr, transposed=spec.transposed
        )
        self.starts = weights.starts
        self.reads_in_place = not schedule.packed
        self._give(GATHER_PARAMETERS, self._values(seen.x_steps, seen.y_steps))
