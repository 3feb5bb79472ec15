"""The plan of a weight gradient along groups (kernels/grad_weight/groups.py)."""

from __future__ import annotations

from math import prod

import numpy as np

from convforge.ir.element import ELEMENTS
from convforge.kernels.contract import HEADER_BYTES, fill
from convforge.kernels.grad_weight.contract import (
    GRAD_WEIGHT_GROUPS_PARAMETERS,
    GradWeightGroupsKernel,
)
from convforge.plan.box_scatter import scatter_tables, scatters
from convforge.plan.boxes import Sizes, box_of_outputs
from convforge.plan.grad_weight.boxes import (
    GradWeightArrays,
    box_values,
    distance_in_box,
    flattened,
    position_in_kernel,
    run_parts,
    steps_of,
)
from convforge.plan.job import Job
from convforge.plan.request import Array, GradWeightRequest
from convforge.plan.sizes import aligned
from convforge.plan.tables import input_tables
from convforge.problem import ConvSpec
from convforge.problem.gather import gather_of
from convforge.schedule import Layout, layout_of
from convforge.target import Target

NAME = "groups"

# All weights of a group are unrolled: four channels by four of 3x3 are 144.
_WEIGHT_LIMIT = 256
# Tasks that keep any sensible number of threads busy to the end.
_TASKS = 16
# Outputs of a step: its panels fit the second-level cache, and of 112 columns there are 9 rows.
_LENGTHS = (1024, 512, 256, 128, 64, 32, 16)
_PANEL_SHARE = 0.3
# Cycles to write one element into a panel.
_PACK_CYCLES = 0.5
_NONE = np.zeros(1, np.int64)


def why_illegal(request: GradWeightRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a plain convolution, or None."""
    spec = request.spec
    layout = layout_of(gather_of(flattened(spec)))
    gather = layout.gather
    lanes = _lanes(spec, target)
    weights = gather.in_channels * gather.out_channels * len(gather.taps_by_phase[0])
    if not 0 < weights <= _WEIGHT_LIMIT:
        return f"{weights} weights of a group are not between 1 and {_WEIGHT_LIMIT}"
    room = int(_PANEL_SHARE * target.l2_bytes) // ELEMENTS[spec.dtype.name].compute_bytes
    if _panel_elements(layout, _box(layout, lanes, room), lanes) > 4 * room:
        return "what one row of outputs reads does not fit the second-level cache"
    return None


def cost_cycles(request: GradWeightRequest, target: Target) -> float:
    """Cycles of one core that the gradient should take."""
    spec = request.spec
    gather = layout_of(gather_of(flattened(spec))).gather
    lanes = _lanes(spec, target)
    taps = len(gather.taps_by_phase[0])
    mr, nk = _tile(gather.out_channels, gather.in_channels * taps, target)
    tiles = -(-gather.out_channels // mr) * -(-gather.in_channels * taps // nk)
    position = tiles * max(mr * nk / 2, (mr + nk) / 2, 4.0)
    packing = _PACK_CYCLES * lanes * (gather.in_channels * 1.3 + gather.out_channels)
    outputs = gather.batch * prod(axis.columns for axis in gather.axes)
    return -(-gather.groups // lanes) * outputs * (position + packing)


def plan(request: GradWeightRequest, target: Target, threads: int) -> GradWeightGroupsPlan:
    """Schedule a request and prepare all that its kernel reads."""
    return GradWeightGroupsPlan(request, target, threads)


class GradWeightGroupsPlan:
    """How the weight gradient of one grouped convolution is computed for arrays of these strides (bytes)."""

    def __init__(self, request: GradWeightRequest, target: Target, threads: int) -> None:
        self.spec, self.threads = request.spec, threads
        self._arrays = arrays = GradWeightArrays(request)
        layout, element = arrays.layout, arrays.element
        gather = layout.gather
        lanes = _lanes(self.spec, target)
        box = _box(layout, lanes, int(_PANEL_SHARE * target.l2_bytes) // element.compute_bytes)
        plane = _plane(layout, box, lanes)
        panel, g_panel = layout.planes * plane, (prod(box) + lanes) * lanes
        channels, outs = gather.in_channels, gather.out_channels
        taps = range(len(gather.taps_by_phase[0]))
        in_row = (box[3] + gather.axes[2].reach) * lanes
        x_side, g_side = arrays.sides(lanes, lanes, (channels, outs))
        by_table = scatters(layout, arrays.x_steps, box)
        records, places = scatter_tables(layout, box, plane, lanes) if by_table else (_NONE, _NONE)
        self.kernel = GradWeightGroupsKernel(
            element=element,
            lanes=lanes,
            channels=channels,
            outs=outs,
            taps=tuple(
                (distance_in_box(layout, box, t, plane, lanes), position_in_kernel(self.spec, layout, t))
                for t in taps
            ),
            panel=panel,
            g_panel=g_panel,
            in_row=in_row,
            tile=_tile(outs, channels * len(taps), target),
            fused=target.fused,
            x_side=x_side,
            g_side=g_side,
            scatters=by_table,
        )
        self._job = Job(self.kernel, target)
        blocks = -(-gather.groups // lanes)
        steps = steps_of(layout, box, -(-_TASKS // blocks))
        self.parts, self._total = steps.parts, blocks * steps.parts
        tables = input_tables(layout, (arrays.x_steps[2], arrays.x_steps[3], arrays.x_steps[4]))
        size = element.compute_bytes
        positions = prod(self.spec.kernel_size)
        g_packed = aligned(HEADER_BYTES + channels * panel * size)
        sums = aligned(g_packed + outs * g_panel * size)
        self.scratch_bytes = aligned(sums + outs * channels * positions * lanes * size)
        values = box_values(arrays, box, steps, lanes, tables) | {
            "groups": gather.groups,
            "x_channel": arrays.x_steps[1] * channels,
            "g_channel": arrays.g_steps[1] * outs,
            "x_group_channel": arrays.x_steps[1],
            "g_group_channel": arrays.g_steps[1],
            "tile_channels": lanes,
            "plane": plane,
            "panel": panel,
            "g_panel": g_panel,
            "w_out": channels * positions,
            "y_part": gather.groups * outs * channels * positions,
            "g_packed": g_packed,
            "sums": sums,
            "scatter_table": records.ctypes.data,
            "place_table": places.ctypes.data,
            "panels": channels * panel,
            "box_heights": box[2],
        }
        self._parameters = fill(GRAD_WEIGHT_GROUPS_PARAMETERS, values)
        self._keep = tables, records, places

    def __call__(self, x: Array, grad_output: Array, grad_weight: Array) -> bool:
        """Fill grad_weight, which is contiguous."""
        return run_parts(
            self._arrays, self._job, self._total, self.threads, self.scratch_bytes, self.parts,
            self._parameters, x, grad_output, grad_weight,
        )  # fmt: skip


def _lanes(spec: ConvSpec, target: Target) -> int:
    return target.vector_bytes // ELEMENTS[spec.dtype.name].compute_bytes


def _tile(outs: int, pairs: int, target: Target) -> tuple[int, int]:
    """(grad-output channels, pairs) of a register tile: the fewest loads for all multiply-adds."""
    room = target.vector_registers - 3
    legal = [
        (mr, nk) for mr in range(1, min(outs, 6) + 1) for nk in range(1, pairs + 1) if mr * nk + mr <= room
    ]

    def loads(tile: tuple[int, int]) -> float:
        mr, nk = tile
        tiles = -(-outs // mr) * -(-pairs // nk)
        return tiles * (max(mr * nk, mr + nk, 8) + 2)

    return min(legal, key=loads)


def _box(layout: Layout, lanes: int, room: int) -> Sizes:
    """Outputs packed together: what they and their input take in panels fits `room` elements."""
    gather = layout.gather
    box: Sizes = (1, 1, 1, 1)
    for length in _LENGTHS:
        box = box_of_outputs(gather.batch, tuple(axis.columns for axis in gather.axes), length)
        if _panel_elements(layout, box, lanes) <= room:
            break
    return box


def _panel_elements(layout: Layout, box: Sizes, lanes: int) -> int:
    gather = layout.gather
    return gather.in_channels * layout.planes * _plane(layout, box, lanes) + (
        gather.out_channels * (prod(box) + lanes) * lanes
    )


def _plane(layout: Layout, box: Sizes, lanes: int) -> int:
    """Elements of a packed plane: its box, and the vectors written beyond."""
    sizes = zip(box[1:], layout.gather.axes)
    return (box[0] * prod(size + axis.reach for size, axis in sizes) + lanes) * lanes
