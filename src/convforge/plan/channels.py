"""The small-map family (kernels/channels.py): vectors along output channels, outputs in any number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import ELEMENTS, Element
from convforge.kernels.contract import CHANNELS_PARAMETERS, HEADER_BYTES, ChannelsKernel
from convforge.memory import LINE_BYTES
from convforge.plan.bands import band_of
from convforge.plan.channels_tiles import best_tiles, copies_tiles, fetches_ahead, is_copied, phase_cycles
from convforge.plan.cut import TASKS_PER_THREAD
from convforge.plan.element import element_of
from convforge.plan.heuristic import mesh_cycles, rows_in_cycles
from convforge.plan.job import Job
from convforge.plan.kernel_plan import KernelPlan
from convforge.plan.request import OutputRequest
from convforge.plan.selections import needed_columns, needed_taps
from convforge.plan.sizes import aligned, element_steps
from convforge.plan.tables import (
    column_kind,
    distances,
    input_tables,
    reads_in_place,
    rows_collide,
    rows_follow,
    weight_rows,
)
from convforge.plan.tiles import chain_block, loads_add
from convforge.plan.weights import WeightPacking
from convforge.problem.gather import Gather, gather_of
from convforge.schedule import ChannelsSchedule, Layout, layout_of
from convforge.target import Target

NAME = "channels"

# Outputs of a phase beyond which vectors along the map waste little, and tables of outputs grow long.
OUTPUT_LIMIT = 2048
# The packed input of one group, of each thread.
_PACKED_LIMIT_BYTES = 4 << 20
# Of the sets of the second-level cache that channels read in place fall on, what they may take.
_INPUT_SHARE = 0.5
# With 16 registers, channels read in place so far apart take so much longer: each step is on another page.
# 256 -> 128 channels of 1x1 on AVX2, time over the direct kernel's, which the model has equal: 14x14 0.99 and
# 1.01 (batch 1 and 16), 20x20 1.06 and 1.12, 28x28 1.06 and 1.14, 31x31 1.16 and 1.27.
_FAR_BYTES, _FAR_SLOWER = 1536, 1.1
# Behind a mesh, with 16 registers, products take so much longer beside the direct kernel's: 1024 -> 256
# channels of 1x1 at 14x14 (two cores of Granite Rapids held to AVX2) 641 us, by the direct kernel 540.
_NARROW_MESH_SLOWER = 1.25
# Tiles that a tuner tries.
_TILES_TRIED = 5


def why_illegal(request: OutputRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a request, or None."""
    return why_unfit(gather_of(request.spec), ELEMENTS[request.spec.dtype.name], target)


def why_unfit(gather: Gather, element: Element, target: Target) -> str | None:
    """The reason why this loop nest cannot serve a gather, or None."""
    outputs = max(d.count * h.count * w.count for d, h, w in gather.phase_triples)
    if outputs > OUTPUT_LIMIT:
        return f"{outputs} outputs of a channel are more than {OUTPUT_LIMIT}"
    if gather.out_channels * element.compute_bytes < target.vector_bytes:
        return f"{gather.out_channels} output channels do not fill a vector"
    layout = layout_of(gather)
    band = band_of(layout, layout.flat, 1, 0)
    size = gather.in_channels * layout.planes * band.plane * element.compute_bytes
    if size > _PACKED_LIMIT_BYTES:
        return f"the packed input of a group takes {size} bytes, more than {_PACKED_LIMIT_BYTES}"
    return None


def cost_cycles(request: OutputRequest, target: Target) -> float:
    """Cycles of one core, the turning round of the outputs included."""
    gather, element = gather_of(request.spec), ELEMENTS[request.spec.dtype.name]
    x_steps = element_steps(request.x_strides, request.spec)
    in_place = _in_place(layout_of(gather), element, target, x_steps)
    is_far = in_place and x_steps[1] * element.storage_bytes > _FAR_BYTES
    slower = _FAR_SLOWER if is_far and target.vector_registers == 16 else 1.0
    return nest_cycles(gather, element, target, in_place=in_place, slower=slower)


def nest_cycles(
    gather: Gather, element: Element, target: Target, *, in_place: bool, slower: float = 1.0
) -> float:
    """Cycles of one core for this loop nest. slower: its products."""
    lanes = target.vector_bytes // element.compute_bytes
    pixels, nv = best_tiles(gather, target, lanes, threads=1)[0]
    layout = layout_of(gather)
    rows = rows_in_cycles(layout, element, target, in_place=in_place)
    phases, copies = range(len(gather.taps_by_phase)), copies_tiles(layout)
    products = slower * sum(phase_cycles(gather, target, i, pixels, nv, lanes, copies=copies) for i in phases)
    if target.l3_is_far and not loads_add(target):
        products *= _NARROW_MESH_SLOWER
    far = mesh_cycles(gather, element, target)
    return ((rows + products) * gather.groups + far) * gather.batch


def _in_place(layout: Layout, element: Element, target: Target, steps: tuple[int, ...]) -> bool:
    """Whether the input can be read where it lies, and better so: the weights pass through the second level
    too, and 512 channels of a 16x16 map, 1 KB apart, ran 10 % slower in place than packed.
    """
    if not reads_in_place(layout, element, steps):
        return False
    return not rows_collide(layout, element, target, steps, _INPUT_SHARE)


def candidates(request: OutputRequest, target: Target, threads: int) -> list[ChannelsSchedule]:
    """Schedules worth trying, the one that `plan` takes by itself first."""
    return nest_candidates(gather_of(request.spec), ELEMENTS[request.spec.dtype.name], target, threads)


def nest_candidates(gather: Gather, element: Element, target: Target, threads: int) -> list[ChannelsSchedule]:
    """Schedules of this loop nest, its own first: the best tiles, tasks of two sizes. All of one order."""
    lanes = target.vector_bytes // element.compute_bytes
    tiles = best_tiles(gather, target, lanes, threads)[:_TILES_TRIED]
    found = [_schedule(gather, lanes, tile, threads) for tile in tiles]
    found += [_schedule(gather, lanes, tile, threads, tasks_per_thread=1) for tile in tiles[:2]]
    return list(dict.fromkeys(found))


def nest_schedule(gather: Gather, element: Element, target: Target, threads: int) -> ChannelsSchedule:
    """The schedule that is best by its cost."""
    lanes = target.vector_bytes // element.compute_bytes
    return _schedule(gather, lanes, best_tiles(gather, target, lanes, threads)[0], threads)


def plan(
    request: OutputRequest, target: Target, threads: int, schedule: ChannelsSchedule | None = None
) -> ChannelsPlan:
    """Schedule a request, or take a schedule of `candidates`, and prepare all that its kernel reads."""
    return ChannelsPlan(request, target, threads, schedule)


K = TypeVar("K", bound=ChannelsKernel)


class ChannelsNestPlan(KernelPlan[K], Generic[K]):
    """What the plans of this loop nest share: its parameters and tables.

    A plan sets these and its kernel, and gives the kernel what `_values` returns.
    """

    layout: Layout
    schedule: ChannelsSchedule
    element: Element
    starts: Sequence[int]  # where the packed weights of each phase begin
    _keep: list[Any]

    def _values(self, x_steps: tuple[int, ...], y_steps: tuple[int, ...]) -> dict[str, int]:
        """The values of CHANNELS_PARAMETERS, and what they point at kept."""
        layout, schedule, kernel = self.layout, self.schedule, self.kernel
        gather, size, pixels, mr = layout.gather, self.element.compute_bytes, schedule.pixels, kernel.mr
        out_tiles = -(-gather.out_channels // mr)
        out_blocks = -(-out_tiles // schedule.channel_tiles)
        self.tasks = gather.batch * gather.groups * out_blocks
        in_place = kernel.columns is None
        plane = x_steps[1] if in_place else band_of(layout, layout.flat, kernel.lanes, 0).plane
        tables = input_tables(layout, (x_steps[2], x_steps[3], x_steps[4]))
        self._keep = [tables]
        records = [self._phase_record(i, plane, y_steps) for i in range(len(gather.taps_by_phase))]
        phases = np.array(records, np.int64)
        self._keep.append(phases)
        packed = 0 if in_place else gather.in_channels * layout.planes * plane * size
        copies = aligned(HEADER_BYTES + packed)
        steps = gather.in_channels * int(phases[0][0]) * int(phases[0][2]) if kernel.copied else 0
        accumulators = aligned(copies + steps * pixels * size)
        outputs = max(int(record[2]) for record in phases) * pixels
        self.workspace_bytes = aligned(accumulators + outputs * mr * size + 64)
        return {
            "groups": gather.groups,
            "channels": gather.in_channels,
            "out_channels": gather.out_channels,
            "out_tiles": out_tiles,
            "task_tiles": schedule.channel_tiles,
            "out_blocks": out_blocks,
            "channel_block": schedule.channel_block,
            "x_batch": x_steps[0],
            "x_channel": x_steps[1],
            "y_batch": y_steps[0],
            "y_channel": y_steps[1],
            "pitch": layout.pitch,
            "plane": plane,
            "planes": layout.planes,
            "plane_rows": layout.total_rows,
            "total_rows": layout.total_rows,
            "row_length": layout.row_length,
            "one_row": 0,
            "row_residues": layout.row_residues,
            "column_residues": len(gather.axes[2].residues),
            "row_table": tables.rows.ctypes.data,
            "column_table": tables.columns.ctypes.data,
            "x_column": x_steps[4] * gather.axes[2].in_step,
            "phases": len(phases),
            "phase_table": phases.ctypes.data,
            "copies": copies,
            "accumulators": accumulators,
        }

    def _phase_record(self, phase: int, plane: int, y_steps: tuple[int, ...]) -> list[int]:
        """Tables of one phase: its outputs in tiles, each with the taps that it needs."""
        layout, kernel = self.layout, self.kernel
        taps = len(layout.gather.taps_by_phase[phase])
        places, outputs = self._outputs(phase, y_steps)
        rows, columns = np.divmod(places, layout.pitch)
        by_column = needed_columns(layout, phase)
        # Outputs whose columns need the same taps are neighbours: those at the edges make tiles of their own.
        _, first, alike = np.unique(by_column, axis=0, return_index=True, return_inverse=True)
        order = np.argsort(first[alike][columns], kind="stable")
        count = -(-len(places) // kernel.pixels)
        # The last tile is filled up with its last output, or with those before it where only neighbours can
        # be copied: they are computed and written again.
        order = np.pad(order, (0, count * kernel.pixels - len(places)), mode="edge")
        if kernel.copied:
            order[-kernel.pixels :] = np.arange(len(places) - kernel.pixels, len(places))
        places, outputs = places[order], outputs[order]
        each = (needed_taps(layout, phase, rows, rows) & by_column[columns])[order]
        needed: NDArray[np.bool_] = np.any(each.reshape(count, kernel.pixels, taps), axis=1)
        records = np.empty((count, 3 + 2 * kernel.pixels), np.int64)
        tables: dict[tuple[int, ...], tuple[int, int]] = {}
        step = layout.planes * plane
        for i in range(count):
            chosen = tuple(int(t) for t in np.flatnonzero(needed[i]))
            if chosen not in tables:
                reach = distances(layout, phase, plane, self.schedule.channel_block, step, chosen)
                at = weight_rows(taps, self.schedule.channel_block, chosen, kernel.mr)
                self._keep += [reach, at]
                tables[chosen] = (reach.ctypes.data, at.ctypes.data)
            records[i, :3] = (len(chosen), *tables[chosen])
        records[:, 3 : 3 + kernel.pixels] = places.reshape(count, -1)
        records[:, 3 + kernel.pixels :] = outputs.reshape(count, -1)
        self._keep.append(records)
        block = self.schedule.channel_block
        lines = -(-block * taps * kernel.mr * self.element.compute_bytes // LINE_BYTES)
        fetched = -(-lines // max(count, 1))
        return [taps, self.starts[phase], count, records.ctypes.data, fetched]

    def _outputs(self, phase: int, y_steps: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(place in the packed planes, element offset in the output array) of each output of a phase."""
        gather = self.layout.gather
        d, h, w = gather.phase_triples[phase]
        steps = [axis.out_step for axis in gather.axes]
        i, j, k = np.meshgrid(np.arange(d.count), np.arange(h.count), np.arange(w.count), indexing="ij")
        places = (i * self.layout.slice_rows + j) * self.layout.pitch + k
        outputs = (
            (d.first + i * steps[0]) * y_steps[2]
            + (h.first + j * steps[1]) * y_steps[3]
            + (w.first + k * steps[2]) * y_steps[4]
        )
        return places.ravel().astype(np.int64), outputs.ravel().astype(np.int64)


class ChannelsPlan(ChannelsNestPlan[ChannelsKernel]):
    """How one convolution on small maps is computed for inputs of one shape and one set of strides."""

    def __init__(
        self, request: OutputRequest, target: Target, threads: int, schedule: ChannelsSchedule | None = None
    ) -> None:
        spec = request.spec
        self.threads = threads
        gather, self.element = gather_of(spec), element_of(spec, target)
        self.layout = layout = layout_of(gather)
        x_steps, y_steps = (
            element_steps(strides, spec) for strides in (request.x_strides, request.y_strides)
        )
        in_place = _in_place(layout, self.element, target, x_steps)
        self.schedule = schedule or nest_schedule(gather, self.element, target, threads)
        self.kernel = ChannelsKernel(
            element=self.element,
            lanes=self.schedule.lanes,
            pixels=self.schedule.pixels,
            nv=self.schedule.nv,
            fused=target.fused,
            columns=None if in_place else column_kind(layout, x_steps[4]),
            has_bias=request.has_bias,
            activation=request.activation,
            copied=is_copied(layout, self.schedule.pixels),
            runs=leaves_in_runs(layout, self.schedule, y_steps),
            fetches=fetches_ahead(gather, self.element.compute_bytes, target),
        )
        self._job = Job(self.kernel, target)
        self.weights = WeightPacking(layout, self.element, target, self.kernel.mr, transposed=spec.transposed)
        self.starts = self.weights.starts
        self.reads_in_place = in_place
        self._give(CHANNELS_PARAMETERS, self._values(x_steps, y_steps))


def leaves_in_runs(layout: Layout, schedule: ChannelsSchedule, y_steps: tuple[int, ...]) -> bool:
    """Whether the outputs of every tile lie side by side: its pixels do, and rows follow each other."""
    one_run = y_steps[4] == 1 and rows_follow(layout.gather, y_steps)
    few = 1 < schedule.pixels <= schedule.lanes
    return one_run and few and is_copied(layout, schedule.pixels)


def _schedule(
    gather: Gather,
    lanes: int,
    tile: tuple[int, int],
    threads: int,
    tasks_per_thread: int = TASKS_PER_THREAD,
) -> ChannelsSchedule:
    pixels, nv = tile
    out_tiles = -(-gather.out_channels // (nv * lanes))
    wanted = -(-threads * tasks_per_thread // (gather.batch * gather.groups)) if threads > 1 else 1
    return ChannelsSchedule(
        pixels=pixels,
        nv=nv,
        lanes=lanes,
        channel_block=chain_block(gather),
        channel_tiles=_even_pieces(out_tiles, min(out_tiles, wanted), gather.batch * gather.groups, threads),
    )


def _even_pieces(tiles: int, pieces: int, times: int, threads: int) -> int:
    """Tiles of a task for at least so many pieces, `times` over: the most with which the last thread is done
    soonest. 160 channels in ten tiles were five tasks of two, three of them for one of two threads.
    """

    def rounds(size: int) -> int:
        return -(-times * -(-tiles // size) // threads) * size

    return min(range(-(-tiles // pieces), 0, -1), key=rounds)
