"""The plan of a weight gradient along the flat run (kernels/grad_weight/flat.py): serves every layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import ELEMENTS
from convforge.kernels.contract import HEADER_BYTES, fill
from convforge.kernels.grad_weight.contract import GRAD_WEIGHT_PARAMETERS, GradWeightKernel
from convforge.plan.bands import band_of
from convforge.plan.grad_weight.boxes import JUDGED_THREADS
from convforge.plan.heuristic import grad_weight_schedule
from convforge.plan.job import Job
from convforge.plan.request import GradWeightRequest
from convforge.plan.sizes import aligned, element_steps
from convforge.plan.tables import (
    along_channels,
    column_kind,
    distances,
    input_tables,
    packing_values,
    tap_offsets,
)
from convforge.problem.gather import gather_of
from convforge.runtime import address_of
from convforge.schedule import layout_of
from convforge.target import Target

Array = NDArray[Any]

NAME = "flat"


# Measured over its multiply-adds alone: loads across cache lines and masks cost as much again; and cycles to
# pack an element of the input or of grad-output, and to sum up a vector's lanes at the end of a band.
_FLAT_FACTOR, _PACK_CYCLES, _SUM_CYCLES = 2.0, 0.5, 5.0


def why_illegal(request: GradWeightRequest, target: Target) -> str | None:
    """None: this family serves every plain convolution."""
    del request, target
    return None


def cost_cycles(request: GradWeightRequest, target: Target) -> float:
    """Cycles of one core that the gradient should take."""
    spec = request.spec
    layout, element = layout_of(gather_of(spec)), ELEMENTS[spec.dtype.name]
    gather, tile = layout.gather, grad_weight_schedule(layout, element, target)
    pairs = gather.in_channels * max(len(gather.taps_by_phase[0]), 1)
    mr, nk = tile.mr, tile.nk
    step = max(mr * nk / 2, (mr + 2 * nk + 1) / 2, (mr * nk + 2 * nk + mr + 4) / 5) * _FLAT_FACTOR
    tiles = -(-gather.out_channels // mr) * -(-pairs // nk)
    channel_blocks = -(-gather.in_channels // tile.channel_block)
    out_blocks = -(-gather.out_channels // tile.output_block)
    packing = _PACK_CYCLES * (
        gather.in_channels * layout.planes * out_blocks + gather.out_channels * channel_blocks
    )
    bands = -(-layout.flat // tile.band_length)
    vectors = bands * -(-min(tile.band_length, layout.flat) // tile.lanes)
    band = tiles * (step * vectors + _SUM_CYCLES * mr * nk * bands)
    tasks = gather.groups * channel_blocks * out_blocks
    idle = -(-tasks // JUDGED_THREADS) * JUDGED_THREADS / tasks
    return (band + packing * layout.flat) * gather.batch * gather.groups * idle


def plan(request: GradWeightRequest, target: Target, threads: int) -> GradWeightPlan:
    """Schedule a request and prepare all that its kernel reads."""
    return GradWeightPlan(request, target, threads)


class GradWeightPlan:
    """How a weight gradient is computed, whatever its precision: by fp32's own arithmetic.

    A transposed convolution's is that of the plain one with input and grad-output exchanged. The weight
    gradient is contiguous, zero where no tap reaches the input, and has the shape of the weight.
    """

    def __init__(self, request: GradWeightRequest, target: Target, threads: int) -> None:
        spec = request.spec
        assert not spec.transposed
        self.spec, self.threads = spec, threads
        gather, element = gather_of(spec), ELEMENTS[spec.dtype.name]
        layout = layout_of(gather)
        x_steps, g_steps = element_steps(request.x_strides, spec), element_steps(request.g_strides, spec)
        self.schedule = schedule = grad_weight_schedule(layout, element, target)
        self.kernel = GradWeightKernel(
            element=element,
            lanes=schedule.lanes,
            mr=schedule.mr,
            nk=schedule.nk,
            fused=target.fused,
            columns=column_kind(layout, x_steps[4]),
            unit_step=g_steps[4] == 1 or gather.axes[2].out_size == 1,
        )
        self._job = Job(self.kernel, target)
        taps = len(gather.taps_by_phase[0])
        band = schedule.band_length
        # Tiles end where the band does: only whole vectors are read beyond it.
        packed = band_of(layout, band, schedule.lanes, schedule.lanes)
        plane = packed.plane
        channels, outs = schedule.channel_block, schedule.output_block
        pairs = -(-channels * taps // schedule.nk) * schedule.nk
        reach = along_channels(distances(layout, 0, plane), channels, layout.planes * plane)
        reach = np.concatenate([reach, np.repeat(reach[-1:], pairs - len(reach))]) if taps else reach
        tables = input_tables(layout, (x_steps[2], x_steps[3], x_steps[4]))
        w_steps = [1]
        for size in reversed(spec.weight_shape[1:]):
            w_steps.insert(0, w_steps[0] * size)
        spatial = [0] * (3 - spec.rank) + w_steps[2:]
        w_offsets = tap_offsets(layout, 0, (spatial[0], spatial[1], spatial[2]))
        size = element.compute_bytes
        out_rows = -(-outs // schedule.mr) * schedule.mr
        g_plane = -(-(band + schedule.lanes) // schedule.lanes) * schedule.lanes
        g_packed = aligned(HEADER_BYTES + channels * layout.planes * plane * size)
        mask = aligned(g_packed + out_rows * g_plane * size)
        sums = aligned(mask + g_plane * size)
        self.scratch_bytes = aligned(sums + out_rows * pairs * size)
        channel_blocks, out_blocks = -(-gather.in_channels // channels), -(-gather.out_channels // outs)
        self._total = gather.groups * channel_blocks * out_blocks if taps else 0
        d, h, w = gather.axes
        values = {
            "batch": gather.batch,
            "channels": gather.in_channels,
            "out_channels": gather.out_channels,
            "channel_block": channels,
            "channel_blocks": channel_blocks,
            "out_block": outs,
            "out_blocks": out_blocks,
            "x_batch": x_steps[0],
            "x_channel": x_steps[1],
            "g_batch": g_steps[0],
            "g_channel": g_steps[1],
            "g_step": g_steps[4],
            "g_row": g_steps[3],
            "g_slice": g_steps[2],
            **packing_values(layout, packed, tables, x_steps[4] * w.in_step),
            "slice_rows": layout.slice_rows,
            "flat": layout.flat,
            "bands": -(-layout.flat // band),
            "band_length": band,
            "depth": d.columns,
            "height": h.columns,
            "width": w.columns,
            "taps": taps,
            "distances": reach.ctypes.data,
            "w_out": w_steps[0],
            "w_channel": w_steps[1],
            "w_offsets": w_offsets.ctypes.data,
            "g_packed": g_packed,
            "g_plane": g_plane,
            "mask": mask,
            "sums": sums,
        }
        self._parameters = fill(GRAD_WEIGHT_PARAMETERS, values)
        self._keep = (tables, reach, w_offsets)

    def __call__(self, x: Array, grad_output: Array, grad_weight: Array) -> bool:
        """Fill grad_weight, which must be zeros."""
        if self._total:
            self._job.run(
                self._total,
                self.threads,
                self.scratch_bytes,
                address_of(self._parameters),
                address_of(x),
                0,
                address_of(grad_output),
                address_of(grad_weight),
            )
        return True
