"""The small-map family (kernels/direct/channels.py): vectors along output channels, outputs in any number."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import ELEMENTS, Element
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.direct.contract import CHANNELS_PARAMETERS, ChannelsKernel
from convforge.memory import LINE_BYTES
from convforge.plan.bands import band_of
from convforge.plan.direct.channels_cut import nest_candidates, nest_schedule
from convforge.plan.direct.channels_reading import (
    nest_cycles,
    packed_layout,
    reading_of,
    why_too_large,
    why_unfit,
)
from convforge.plan.direct.channels_tiles import BY_MET_TAPS, IN_PLACE, Reading, fetches_ahead, is_copied
from convforge.plan.direct.met_taps import AHEAD, steps_to_taps, tiles_of
from convforge.plan.element import element_of
from convforge.plan.job import Job
from convforge.plan.kernel_plan import KernelPlan
from convforge.plan.request import OutputRequest
from convforge.plan.selections import distinct_rows, needed_columns, needed_taps
from convforge.plan.sizes import aligned, element_steps
from convforge.plan.tables import (
    along_channels,
    distances,
    input_tables,
    packed_columns,
    rows_follow,
    weight_rows,
)
from convforge.plan.weights import WeightPacking
from convforge.problem.gather import Gather, gather_of
from convforge.schedule import ChannelsSchedule, Layout, layout_of
from convforge.target import Target

NAME = "channels"

# With 16 registers, channels read in place so far apart take so much longer: each step is on another page.
# 256 -> 128 channels of 1x1 on AVX2, time over the direct kernel's, which the model has equal: 14x14 0.99 and
# 1.01 (batch 1 and 16), 20x20 1.06 and 1.12, 28x28 1.06 and 1.14, 31x31 1.16 and 1.27.
_FAR_BYTES, _FAR_SLOWER = 1536, 1.1
# Products whose input is read by what they meet, and does not stay in the second level (512 bits, Zen 4):
# signals of stride 2, 240 -> 384 channels 5.97 ms and by Winograd's algorithm 5.49, 512 -> 512 11.3 and 10.1.
_FAR_INPUT_SLOWER = 1.05


def why_illegal(request: OutputRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a request, or None."""
    gather, element = gather_of(request.spec), ELEMENTS[request.spec.dtype.name]
    x_steps = element_steps(request.x_strides, request.spec)
    return why_too_large(gather) or why_unfit(
        gather, element, target, reading_of(gather, element, target, x_steps)
    )


def cost_cycles(request: OutputRequest, target: Target) -> float:
    """Cycles of one core, the turning round of the outputs included."""
    gather, element = gather_of(request.spec), ELEMENTS[request.spec.dtype.name]
    x_steps = element_steps(request.x_strides, request.spec)
    reading = reading_of(gather, element, target, x_steps)
    is_far = reading in IN_PLACE and x_steps[1] * element.storage_bytes > _FAR_BYTES
    slower = _FAR_SLOWER if is_far and target.vector_registers == 16 else 1.0
    size = gather.in_channels * prod(axis.in_size for axis in gather.axes) * element.compute_bytes
    if reading == "met" and size > target.l2_bytes and target.vector_bytes == 64:
        slower = _FAR_INPUT_SLOWER
    return nest_cycles(gather, element, target, reading, slower=slower)


def candidates(request: OutputRequest, target: Target, threads: int) -> list[ChannelsSchedule]:
    """Schedules worth trying, the one that `plan` takes by itself first."""
    gather, element = gather_of(request.spec), ELEMENTS[request.spec.dtype.name]
    reading = reading_of(gather, element, target, element_steps(request.x_strides, request.spec))
    return nest_candidates(gather, element, target, threads, reading)


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
    reading: Reading
    schedule: ChannelsSchedule
    element: Element
    starts: Sequence[int]  # where the packed weights of each phase begin
    _keep: list[Any]

    def _values(self, x_steps: tuple[int, ...], y_steps: tuple[int, ...]) -> dict[str, int]:
        """The values of CHANNELS_PARAMETERS, and what they point at kept."""
        layout, schedule, kernel = packed_layout(self.layout.gather, self.reading), self.schedule, self.kernel
        gather, size, pixels, mr = self.layout.gather, self.element.compute_bytes, schedule.pixels, kernel.mr
        out_tiles = -(-gather.out_channels // mr)
        out_blocks = -(-out_tiles // schedule.channel_tiles)
        self.tasks = gather.batch * gather.groups * out_blocks * schedule.map_pieces
        if self.reading in IN_PLACE:
            plane, planes, packed, read = x_steps[1], 1, 0, x_steps[1:]
        else:
            plane, planes = band_of(layout, layout.flat, kernel.lanes, 0).plane, layout.planes
            packed = gather.in_channels * planes * plane * size
            read = (plane, layout.slice_rows * layout.pitch, layout.pitch, 1)
        tables = input_tables(layout, (x_steps[2], x_steps[3], x_steps[4]))
        self._keep = [tables]
        listed = [i for i, taps in enumerate(gather.taps_by_phase) if taps or not kernel.fills]
        records = [self._phase_record(i, read, plane, y_steps) for i in listed]
        phases = np.array(records, np.int64)
        self._keep.append(phases)
        copies = aligned(HEADER_BYTES + packed)
        steps = gather.in_channels * int(phases[0][0]) * int(phases[0][2]) if kernel.copied else 0
        accumulators = aligned(copies + steps * pixels * size)
        # Between blocks of channels the sums of all tiles are held; of one block, each on its way out.
        held = schedule.channel_block < gather.in_channels
        tiles = max(-(-int(record[2]) // schedule.map_pieces) for record in phases) if held else 1
        self.workspace_bytes = aligned(accumulators + tiles * pixels * mr * size + 64)
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
            "planes": planes,
            "plane_rows": layout.total_rows,
            "total_rows": layout.total_rows,
            "row_length": layout.row_length,
            "one_row": 0,
            "row_residues": layout.row_residues,
            "column_residues": len(layout.gather.axes[2].residues),
            "row_table": tables.rows.ctypes.data,
            "column_table": tables.columns.ctypes.data,
            "x_column": x_steps[4] * layout.gather.axes[2].in_step,
            "phases": len(phases),
            "phase_table": phases.ctypes.data,
            "map_pieces": schedule.map_pieces,
            "copies": copies,
            "accumulators": accumulators,
            "held_step": pixels * mr if held else 0,
            "run": prod(axis.out_size for axis in gather.axes),
        }

    def _phase_record(
        self, phase: int, steps: Sequence[int], plane: int, y_steps: tuple[int, ...]
    ) -> list[int]:
        """Tables of one phase: its outputs in tiles, each with the taps that it needs.

        steps: elements from a channel, a slice, a row, a column of what is read to the next.
        """
        layout, kernel = self.layout, self.kernel
        taps, block = len(layout.gather.taps_by_phase[phase]), self.schedule.channel_block
        by_met_taps = self.reading in BY_MET_TAPS
        if by_met_taps:
            order, needed = tiles_of(layout.gather, phase, kernel.pixels)
            places = self._positions(phase, [a.in_step * s for a, s in zip(layout.gather.axes, steps[1:])])
            each, channel_step = steps_to_taps(layout.gather, phase, steps[1:]), steps[0]
        else:
            order, needed = self._packed_tiles(phase)
            places = self._positions(phase, [layout.slice_rows * layout.pitch, layout.pitch, 1])
            each, channel_step = distances(layout, phase, plane), layout.planes * plane
        d, h, w = layout.gather.phase_triples[phase]
        first = sum(each.first * step for each, step in zip((d, h, w), y_steps[2:]))
        apart = [axis.out_step * step for axis, step in zip(layout.gather.axes, y_steps[2:])]
        count, outputs = len(order), first + self._positions(phase, apart)[order]
        kinds, alike = distinct_rows(needed)
        tables: list[tuple[int, int, int]] = []
        for kind in kinds:
            chosen = np.flatnonzero(needed[kind])
            # Where the kernel fetches ahead it looks up steps behind the last one.
            beyond = -(-kernel.ahead // max(1, len(chosen)))
            reach = along_channels(each[chosen], block + beyond, channel_step)
            at = weight_rows(taps, block, chosen, kernel.mr)
            self._keep += [reach, at]
            tables.append((len(chosen), reach.ctypes.data, at.ctypes.data))
        is_run = np.all(np.diff(outputs, axis=1) == 1, axis=1)[:, None]
        records = np.hstack([np.array(tables, np.int64)[alike], is_run, places[order], outputs])
        self._keep.append(records)
        lines = -(-block * taps * kernel.mr * self.element.compute_bytes // LINE_BYTES)
        fetched = -(-lines * self.schedule.map_pieces // max(count, 1))
        return [taps, self.starts[phase], count, records.ctypes.data, fetched]

    def _packed_tiles(self, phase: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """As `tiles_of`, of neighbours in packed planes: tiles need what any of their outputs does."""
        layout, kernel = self.layout, self.kernel
        places = self._positions(phase, [layout.slice_rows * layout.pitch, layout.pitch, 1])
        rows, columns = np.divmod(places, layout.pitch)
        by_column = needed_columns(layout, phase)
        # Outputs whose columns need the same taps are neighbours: those at the edges make tiles of their own.
        _, alike = distinct_rows(by_column)
        order = np.argsort(alike[columns], kind="stable")
        count = -(-len(places) // kernel.pixels)
        # The last tile is filled up with its last output, or with those before it where only neighbours can
        # be copied: they are computed and written again.
        order = np.pad(order, (0, count * kernel.pixels - len(places)), mode="edge")
        if kernel.copied:
            order[-kernel.pixels :] = np.arange(len(places) - kernel.pixels, len(places))
        each = (needed_taps(layout, phase, rows, rows) & by_column[columns])[order]
        needed: NDArray[np.bool_] = np.any(each.reshape(count, kernel.pixels, -1), axis=1)
        return order.reshape(count, kernel.pixels), needed

    def _positions(self, phase: int, steps: Sequence[int]) -> NDArray[np.int64]:
        """Where each output of a phase lies behind the first, by the steps along each axis."""
        counts = [along.count for along in self.layout.gather.phase_triples[phase]]
        d, h, w = (np.arange(count, dtype=np.int64) * step for count, step in zip(counts, steps))
        return (d[:, None, None] + h[:, None] + w).ravel()


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
        self.reading = reading_of(gather, self.element, target, x_steps)
        self.schedule = schedule or nest_schedule(gather, self.element, target, threads, self.reading)
        in_place, by_met_taps = self.reading in IN_PLACE, self.reading in BY_MET_TAPS
        packed = packed_layout(gather, self.reading)
        self.kernel = ChannelsKernel(
            element=self.element,
            lanes=self.schedule.lanes,
            pixels=self.schedule.pixels,
            nv=self.schedule.nv,
            fused=target.fused,
            columns=None if in_place else packed_columns(packed, x_steps, target),
            has_bias=request.has_bias,
            activation=request.activation,
            copied=not by_met_taps and is_copied(layout, self.schedule.pixels),
            runs=leaves_in_runs(gather, self.schedule, y_steps),
            fetches=fetches_ahead(gather, self.element.compute_bytes, target),
            ahead=AHEAD if self.reading == "met" else 0,
            fills=fills_first(gather, y_steps),
        )
        self._job = Job(self.kernel, target)
        self.weights = WeightPacking(layout, self.element, target, self.kernel.mr, transposed=spec.transposed)
        self.starts = self.weights.starts
        self.reads_in_place = in_place
        self._give(CHANNELS_PARAMETERS, self._values(x_steps, y_steps))


def fills_first(gather: Gather, y_steps: tuple[int, ...]) -> bool:
    """Whether some phases have no taps, so that their outputs are the bias alone, and a channel's are a run.

    The input's gradient of 1x1 layers of stride 2 has three such of four. Batch 16, two cores of Zen 4,
    written one by one and filled: 512 -> 256 at 28x28 6.5 and 4.8 ms, 1024 -> 512 at 14x14 4.8 and 4.0, 512
    -> 1024 at 28x28 18.3 and 16.8.
    """
    d, h, w = gather.axes
    runs = zip((d.out_size, h.out_size, w.out_size), y_steps[2:], (h.out_size * w.out_size, w.out_size, 1))
    are = [bool(taps) for taps in gather.taps_by_phase]
    return any(are) and not all(are) and all(size == 1 or step == run for size, step, run in runs)


def leaves_in_runs(gather: Gather, schedule: ChannelsSchedule, y_steps: tuple[int, ...]) -> bool:
    """Whether outputs of a tile can lie side by side: those of a row do, and there are as many."""
    width = gather.axes[2]
    enough = width.columns >= schedule.pixels or rows_follow(gather, y_steps)
    return y_steps[4] == width.out_step == 1 and enough and 1 < schedule.pixels <= schedule.lanes
