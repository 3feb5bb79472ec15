"""The plan of the gradient of depthwise weights, map by map (kernels/grad_weight/depthwise.py)."""

from __future__ import annotations

from math import prod

from convforge.ir.element import ELEMENTS
from convforge.kernels.contract import HEADER_BYTES, fill
from convforge.kernels.grad_weight.contract import (
    GRAD_WEIGHT_DEPTHWISE_PARAMETERS,
    GradWeightDepthwiseKernel,
)
from convforge.plan.bands import Band
from convforge.plan.cut import TASKS_PER_THREAD
from convforge.plan.depthwise.planes import band_of_rows, packing_cycles, plane_elements
from convforge.plan.depthwise.row_copy import copied_rows
from convforge.plan.grad_weight.boxes import GradWeightArrays, position_in_kernel, run_parts
from convforge.plan.job import Job
from convforge.plan.request import Array, GradWeightRequest
from convforge.plan.sizes import aligned
from convforge.plan.tables import column_kind, input_tables, packing_values
from convforge.problem import ConvSpec
from convforge.problem.gather import Gather, gather_of
from convforge.schedule import layout_of
from convforge.target import Target

NAME = "depthwise"

# All taps of a channel are unrolled.
TAP_LIMIT = 128
# Tasks that keep any sensible number of threads busy: fewer channels share out the batch.
_TASKS = 16
# Cycles of a multiply-add, its loads across cache lines included, and how much dearer packing is than for an
# output: where rows of a tile share most of what they read, and where they are a stride apart.
_STEP_CYCLES, _PACKED = (1.2, 2.0), (1.2, 1.6)
# Cycles of a row of a pass, and of a map; how many of groups.py's cycles one is. Measured on 14
# layers of 3x3 to 9x9 (Zen 1): where this family is chosen it takes 0.6 to 0.97 of the other's time.
_ROW_CYCLES, _MAP_CYCLES, _SCALE = 11.0, 30.0, 0.33
# The sums of a task's channels: a share of the second-level cache.
_SUMS_BYTES = 128 << 10
# Rows of grad-output of a tile.
_ROWS = 4


def why_illegal(request: GradWeightRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a plain convolution, or None."""
    spec = request.spec
    gather = gather_of(spec)
    layout, taps = layout_of(gather), len(gather.taps_by_phase[0])
    if gather.in_channels != 1:
        return f"a group has {gather.in_channels} input channels, not 1"
    if not 1 < taps <= TAP_LIMIT:
        return f"{taps} taps are not between 2 and {TAP_LIMIT}"
    if layout.is_one_row:
        return "a signal has no rows to pack a band of"
    if _lanes(spec, target) * ELEMENTS[spec.dtype.name].compute_bytes < 16:
        return f"rows of {gather.axes[2].columns} outputs fill no vector"
    if layout.planes * (layout.reach_rows + 1) * layout.pitch > 1 << 20:
        return "the rows of one row of outputs do not fit the second-level cache"
    return None


def cost_cycles(request: GradWeightRequest, target: Target) -> float:
    """Cycles of one core that the gradient should take."""
    spec = request.spec
    gather, lanes = gather_of(spec), _lanes(spec, target)
    layout = layout_of(gather, pitch_multiple=lanes)
    d, h, w = gather.axes
    width = max(0.6, lanes * ELEMENTS[spec.dtype.name].compute_bytes / target.vector_bytes)
    strided = h.in_step > 1
    step = _STEP_CYCLES[strided] * width * len(gather.taps_by_phase[0])
    row = -(-w.columns // lanes) * step + _ROW_CYCLES * len(_passes(gather, target))
    rows = d.columns * h.columns * row
    packing = _PACKED[strided] * width * packing_cycles(layout, lanes)
    maps = gather.batch * gather.groups
    return _SCALE * maps * (gather.out_channels * (rows + _MAP_CYCLES) + packing)


def plan(request: GradWeightRequest, target: Target, threads: int) -> GradWeightDepthwisePlan:
    """Schedule a request and prepare all that its kernel reads."""
    return GradWeightDepthwisePlan(request, target, threads)


class GradWeightDepthwisePlan:
    """How the weight gradient of one depthwise layer is computed for arrays of these strides (bytes)."""

    def __init__(self, request: GradWeightRequest, target: Target, threads: int) -> None:
        self.spec, self.threads = request.spec, threads
        spec = request.spec
        self._arrays = arrays = GradWeightArrays(request, unit_columns=True)
        gather, element, lanes = gather_of(spec), arrays.element, _lanes(spec, target)
        layout, size = layout_of(gather, pitch_multiple=lanes), element.compute_bytes
        d, h, w = gather.axes
        x_steps, g_steps = arrays.x_steps, arrays.g_steps
        rows = min(_ROWS, h.columns)
        band_rows, plane_rows = band_of_rows(layout, rows, target, size)
        plane = plane_elements(layout, plane_rows, lanes, 1)
        tables = input_tables(layout, (x_steps[2], x_steps[3], x_steps[4]))
        copied = copied_rows(layout, tables, x_steps[4], plane, lanes)
        taps = gather.taps_by_phase[0]
        self.kernel = GradWeightDepthwiseKernel(
            element=element,
            lanes=lanes,
            fused=target.fused,
            distances=tuple(layout.distance(tap, plane) for tap in taps),
            positions=tuple(position_in_kernel(spec, layout, t) for t in range(len(taps))),
            order=tuple((td.offset, th.offset, tw.offset) for td, th, tw in taps),
            passes=_passes(gather, target),
            rows=rows,
            last=h.columns % rows,
            rest=w.columns % lanes,
            row_step=h.in_step,
            pitch=layout.pitch,
            plane=plane,
            columns=column_kind(layout, x_steps[4]),
            copy=copied.how,
        )
        self._job = Job(self.kernel, target)
        part_images = -(-gather.batch // min(gather.batch, -(-_TASKS // gather.groups)))
        self.parts = -(-gather.batch // part_images)
        positions, multiplier = prod(spec.kernel_size), gather.out_channels
        channel_bytes = multiplier * positions * lanes * size
        blocks = max(
            1, -(-threads * TASKS_PER_THREAD // self.parts), gather.groups * channel_bytes // _SUMS_BYTES
        )
        group_block = -(-gather.groups // min(gather.groups, blocks))
        self._total = -(-gather.groups // group_block) * self.parts
        sums = aligned(HEADER_BYTES + layout.planes * plane * size + 2 * lanes * size)
        self.scratch_bytes = aligned(sums + group_block * channel_bytes)
        values = {
            "groups": gather.groups,
            "group_block": group_block,
            "multiplier": multiplier,
            "batch": gather.batch,
            "parts": self.parts,
            "part_images": part_images,
            "bands": -(-h.columns // band_rows),
            "band_rows": band_rows,
            "x_batch": x_steps[0],
            "x_channel": x_steps[1],
            "g_batch": g_steps[0],
            "g_channel": g_steps[1],
            "g_row": g_steps[3],
            "g_slice": g_steps[2],
            "depth": d.columns,
            "height": h.columns,
            "width": w.columns,
            **packing_values(
                layout, Band(plane_rows, layout.row_length, plane), tables, x_steps[4] * w.in_step
            ),
            **copied.values,
            "slice_rows": layout.slice_rows,
            "positions": positions,
            "y_part": gather.groups * multiplier * positions,
            "sums": sums,
        }
        self._parameters = fill(GRAD_WEIGHT_DEPTHWISE_PARAMETERS, values)
        self._keep = tables

    def __call__(self, x: Array, grad_output: Array, grad_weight: Array) -> bool:
        """Fill grad_weight, which is contiguous."""
        return run_parts(
            self._arrays, self._job, self._total, self.threads, self.scratch_bytes, self.parts,
            self._parameters, x, grad_output, grad_weight,
        )  # fmt: skip


def _lanes(spec: ConvSpec, target: Target) -> int:
    """Lanes of the widest vector that a row of outputs fills."""
    lanes = target.vector_bytes // ELEMENTS[spec.dtype.name].compute_bytes
    while lanes > max(1, gather_of(spec).axes[2].columns):
        lanes //= 2
    return lanes


def _passes(gather: Gather, target: Target) -> tuple[tuple[int, ...], ...]:
    """Taps of each pass: of whole columns of the kernel, for these share what they read."""
    taps = gather.taps_by_phase[0]
    room = target.vector_registers - _ROWS - 2
    column = len({(d.offset, h.offset) for d, h, _ in taps})
    together = max(1, room // column) * column if column <= room else room
    order = sorted(range(len(taps)), key=lambda t: (taps[t][2].offset, taps[t][0].offset, taps[t][1].offset))
    return tuple(tuple(order[i : i + together]) for i in range(0, len(order), together))
