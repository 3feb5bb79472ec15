"""The plan of a weight gradient along channels (kernels/grad_weight_outer.py)."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import ELEMENTS
from convforge.kernels.contract import (
    GRAD_WEIGHT_OUTER_PARAMETERS,
    HEADER_BYTES,
    OUTER_RUN_FIELDS,
    GradWeightOuterKernel,
    Side,
    fill,
)
from convforge.plan.grad_weight_blocks import (
    gradient_panel_elements,
    outer_cycles,
    outer_schedule,
    plane_elements,
    scratch_elements,
    sums_elements,
)
from convforge.plan.job import Job
from convforge.plan.request import Array, GradWeightRequest
from convforge.plan.sizes import aligned, element_steps
from convforge.plan.tables import input_tables
from convforge.plan.tap_runs import TapRuns, tap_runs
from convforge.problem import ConvSpec
from convforge.problem.gather import Axis, Tap, gather_of
from convforge.runtime import address_of
from convforge.schedule import Layout, layout_of
from convforge.target import Target

NAME = "outer"

_COMPUTE = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64}
# Long kernels keep sums of all their taps in scratch: beyond this many bytes another family is used.
_SCRATCH_LIMIT = 12 << 20


def why_illegal(spec: ConvSpec, target: Target) -> str | None:
    """The reason why this family cannot serve a plain convolution, or None."""
    spec = flattened(spec)
    layout, element = layout_of(gather_of(spec)), ELEMENTS[spec.dtype.name]
    if not layout.gather.taps_by_phase[0]:
        return "no tap reaches the input"
    positions = prod(spec.kernel_size)
    schedule = outer_schedule(layout, positions, element, target)
    size = sum(scratch_elements(layout, positions, schedule)) * element.compute_bytes
    return f"{size} bytes of scratch are above {_SCRATCH_LIMIT}" if size > _SCRATCH_LIMIT else None


def cost_cycles(spec: ConvSpec, target: Target) -> float:
    """Cycles of one core that the gradient should take."""
    spec = flattened(spec)
    layout = layout_of(gather_of(spec))
    return outer_cycles(layout, prod(spec.kernel_size), ELEMENTS[spec.dtype.name], target)


def flattened(spec: ConvSpec) -> ConvSpec:
    """A pointwise convolution as one over a signal: its positions need no rows."""
    ones = (1,) * spec.rank
    unpadded = spec.padding == ((0, 0),) * spec.rank and spec.input_size == spec.output_size
    if spec.rank == 1 or spec.kernel_size != ones or spec.stride != ones or not unpadded:
        return spec
    size = (prod(spec.input_size),)
    return replace(
        spec, input_size=size, output_size=size, kernel_size=(1,), stride=(1,), padding=((0, 0),),
        dilation=(1,), output_padding=(0,),
    )  # fmt: skip


class GradWeightOuterPlan:
    """How the weight gradient of one plain convolution is computed for arrays of these strides (bytes)."""

    def __init__(self, request: GradWeightRequest, target: Target, threads: int) -> None:
        spec, x_strides, g_strides = request.spec, request.x_strides, request.g_strides
        assert not spec.transposed
        self.spec, self.threads = spec, threads
        flat = flattened(spec)
        x_shape, g_shape = spec.input_shape, spec.output_shape
        self._copies_g = _run_step(g_shape, g_strides) is None
        if self._copies_g:
            g_strides = _contiguous(g_shape, spec.dtype.itemsize)
        g_strides = _flattened_strides(g_shape, g_strides, flat.rank)
        self._copies_x = flat is not spec and _run_step(x_shape, x_strides) is None
        if self._copies_x:
            x_strides = _contiguous(x_shape, spec.dtype.itemsize)
        if flat is not spec:
            x_strides = _flattened_strides(x_shape, x_strides, flat.rank)
        element = ELEMENTS[spec.dtype.name]
        self.layout = layout = layout_of(gather_of(flat))
        x_steps, g_steps = element_steps(x_strides, flat), element_steps(g_strides, flat)
        self._positions = positions = prod(spec.kernel_size)
        self.schedule = schedule = outer_schedule(layout, positions, element, target)
        runs = tap_runs(layout, schedule.tile_taps)
        width = layout.gather.axes[2]
        self.kernel = GradWeightOuterKernel(
            element=element,
            lanes=schedule.lanes,
            ways=schedule.ways,
            picks=tuple(
                (tap, channel, tap * runs.shift * schedule.ways + channel)
                for tap in range(schedule.tile_taps)
                for channel in range(schedule.tile_channels)
            ),
            nv=schedule.nv,
            fused=target.fused,
            x_side=_side(x_steps, width.in_size, width.in_step, schedule.ways),
            g_side=_side(g_steps, prod(spec.output_size), 1, schedule.lanes),
        )
        self._job = Job(self.kernel, target)
        self._compute = _COMPUTE[element.compute]
        self._parts_needed = schedule.parts > 1 or element.storage != element.compute
        self._fill(x_steps, g_steps, runs)

    def _fill(self, x_steps: tuple[int, ...], g_steps: tuple[int, ...], runs: TapRuns) -> None:
        layout, schedule, kernel = self.layout, self.schedule, self.kernel
        gather = layout.gather
        d, h, w = gather.axes
        images, depths, heights, widths = schedule.box
        boxes = [-(-axis.columns // size) for axis, size in zip(gather.axes, schedule.box[1:])]
        steps = -(-gather.batch // images) * prod(boxes)
        part_steps = -(-steps // schedule.parts)
        self.parts = -(-steps // part_steps)
        tables = input_tables(layout, (x_steps[2], x_steps[3], x_steps[4]))
        plane = plane_elements(layout, schedule)
        table = self._run_table(runs, plane)
        size = kernel.element.compute_bytes
        x_panels, g_panels, sums = (
            n * size for n in scratch_elements(layout, self._positions, schedule)
        )
        g_packed = aligned(HEADER_BYTES + x_panels)
        sums_at = aligned(g_packed + g_panels)
        self.scratch_bytes = aligned(sums_at + sums)
        channel_blocks = -(-gather.in_channels // schedule.channel_block)
        out_blocks = -(-gather.out_channels // schedule.output_block)
        self._total = gather.groups * channel_blocks * out_blocks * self.parts
        pairs = gather.in_channels * self._positions
        values = {
            "batch": gather.batch,
            "channels": gather.in_channels,
            "out_channels": gather.out_channels,
            "channel_block": schedule.channel_block,
            "channel_blocks": channel_blocks,
            "out_block": schedule.output_block,
            "out_blocks": out_blocks,
            "parts": self.parts,
            "steps": steps,
            "part_steps": part_steps,
            "images": images,
            "depths": depths,
            "heights": heights,
            "widths": widths,
            "depth": d.columns,
            "height": h.columns,
            "width": w.columns,
            "depth_boxes": boxes[0],
            "height_boxes": boxes[1],
            "width_boxes": boxes[2],
            "x_batch": x_steps[0],
            "x_channel": x_steps[1],
            "x_column": x_steps[4] * w.in_step,
            "row_residues": layout.row_residues,
            "column_residues": len(w.residues),
            "row_table": tables.rows.ctypes.data,
            "total_rows": layout.total_rows,
            "slice_rows": layout.slice_rows,
            "column_table": tables.columns.ctypes.data,
            "reach_d": d.reach,
            "reach_h": h.reach,
            "reach_w": w.reach,
            "in_depths": depths + d.reach,
            "in_heights": heights + h.reach,
            "in_row": (widths + w.reach) * schedule.ways,
            "tile_channels": schedule.tile_channels,
            "plane": plane,
            "panel": layout.planes * plane,
            "g_batch": g_steps[0],
            "g_channel": g_steps[1],
            "g_column": g_steps[4],
            "g_row": g_steps[3],
            "g_slice": g_steps[2],
            "g_panel": gradient_panel_elements(schedule),
            "runs": len(table),
            "run_table": table.ctypes.data,
            "run_step": runs.step,
            "taps": self._positions,
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
        layout, schedule = self.layout, self.schedule
        gather = layout.gather
        _, _, heights, widths = schedule.box
        d, h, w = gather.axes
        sizes = [1] * (3 - self.spec.rank) + list(self.spec.kernel_size)
        records: list[list[int]] = []
        for run in runs.runs:
            taps = [gather.taps_by_phase[0][i] for i in run]
            td, th, tw = taps[0]
            (rd, sd), (rh, sh), (rw, sw) = (axis.split(t) for axis, t in zip(gather.axes, taps[0]))
            at = (sd * (heights + h.reach) + sh) * (widths + w.reach) + sw
            residue = (rd * len(h.residues) + rh) * len(w.residues) + rw
            position = (td.kernel * sizes[1] + th.kernel) * sizes[2] + tw.kernel
            ends = [_reached(axis, {t[i] for t in taps}) for i, axis in enumerate(gather.axes)]
            records.append(
                [residue * plane + at * schedule.ways, len(run), position, *ends[0], *ends[1], *ends[2]]
            )
        table = np.array(records, np.int64)
        assert table.shape[1] == len(OUTER_RUN_FIELDS)
        return table

    def __call__(self, x: Array, grad_output: Array, grad_weight: Array) -> None:
        """Fill grad_weight, which is contiguous."""
        if self._copies_x:
            x = np.ascontiguousarray(x)
        if self._copies_g:
            grad_output = np.ascontiguousarray(grad_output)
        to = grad_weight
        if self._parts_needed:
            to = np.empty((self.parts, *self.spec.weight_shape), self._compute)
        self._job.run(
            self._total,
            self.threads,
            self.scratch_bytes,
            address_of(self._parameters),
            address_of(x),
            0,
            address_of(grad_output),
            address_of(to),
        )
        if self._parts_needed:
            # Integers wrap around in the type that they were summed in.
            total = to[0] if self.parts == 1 else np.add.reduce(to, axis=0, dtype=self._compute)
            grad_weight[...] = total.astype(grad_weight.dtype, copy=False)


def _reached(axis: Axis, taps: set[Tap]) -> tuple[int, int]:
    """The outputs first … stop - 1 whose taps, any of them, meet data."""
    if axis.mode != "zeros":
        return 0, axis.columns
    low, high = min(t.offset for t in taps), max(t.offset for t in taps)
    first = max(0, -(high // axis.in_step))
    return first, min(axis.columns, (axis.in_size - 1 - low) // axis.in_step + 1)


def _side(steps: tuple[int, ...], columns: int, in_step: int, ways: int) -> Side:
    """What lies side by side in an array of these element steps."""
    if (steps[4] == 1 or columns == 1) and in_step <= 2:
        return "unit" if in_step == 1 else "pair"
    # Vectors of one or two lanes are not worth a kernel of their own.
    return "channels" if steps[1] == 1 and ways >= 4 else "strided"


def _run_step(shape: tuple[int, ...], strides: tuple[int, ...]) -> int | None:
    """Bytes from a position to the next if all positions of a channel are equally far apart, else None."""
    step, size = None, 1
    for length, stride in zip(reversed(shape[2:]), reversed(strides[2:])):
        if length == 1:
            continue
        if step is None:
            step = stride
        elif stride != step * size:
            return None
        size *= length
    return 0 if step is None else step


def _flattened_strides(shape: tuple[int, ...], strides: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Strides of batch, channel and `rank` spatial axes, those of length 1 as if they were longer."""
    step = _run_step(shape, strides)
    assert step is not None
    spatial = [step]
    for length in reversed(shape[-rank + 1 :] if rank > 1 else ()):
        spatial.insert(0, spatial[0] * length)
    return (strides[0], strides[1], *spatial)


def _contiguous(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    strides = [itemsize]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * size)
    return tuple(strides)
