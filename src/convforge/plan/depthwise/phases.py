"""The depthwise family of transposed layers of stride 2 (kernels/depthwise/phases.py): images and volumes."""

from __future__ import annotations

from convforge.ir.element import ELEMENTS
from convforge.kernels.depthwise.contract import DepthwisePhasesKernel, RowCopy
from convforge.memory import LINE_BYTES
from convforge.plan.depthwise.common import MEASURED_NARROW
from convforge.plan.depthwise.planes import TAP_LIMIT, DepthwisePlan, TileShape, packing_cycles, why_no_planes
from convforge.plan.request import OutputRequest
from convforge.plan.sizes import element_steps
from convforge.plan.streaming import streams
from convforge.plan.tables import column_kind
from convforge.problem.gather import Gather, gather_of
from convforge.schedule import Layout, layout_of
from convforge.target import Target

NAME = "depthwise phases"

# Cycles of a map besides, of a vector that leaves, of a multiply-add; sums of each phase of the width.
_MAP_CYCLES, _OUT_CYCLES, _STEP_CYCLES, _SUMS = 250.0, 5.0, 1.4, 4


def why_illegal(request: OutputRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a request, or None."""
    spec = request.spec
    reason = why_no_planes(request)
    if reason is not None:
        return reason
    gather = gather_of(spec)
    width = gather.axes[2]
    if width.out_step != 2 or len(width.phases) != 2 or any(axis.in_step != 1 for axis in gather.axes):
        return "columns of the output are not of two phases"
    for name, axis in zip(("slices", "rows", "columns"), gather.axes):
        whole = [(i, axis.columns) for i in range(axis.out_step)]
        if [(phase.first, phase.count) for phase in axis.phases] != whole:
            return f"{axis.out_size} {name} are not whole phases of {axis.out_step}"
    if gather.kernel_taps > TAP_LIMIT:
        return f"{gather.kernel_taps} taps are more than {TAP_LIMIT}"
    if _lanes(gather, target, ELEMENTS[spec.dtype.name].compute_bytes) < 2:
        return f"{width.out_size} columns fill no vector"
    return None


def cost_cycles(request: OutputRequest, target: Target) -> float:
    """Cycles of one core (Zen 1): multiply-adds, what leaves, and the rows on their way in."""
    gather = gather_of(request.spec)
    lanes = _lanes(gather, target, ELEMENTS[request.spec.dtype.name].compute_bytes)
    d, h, w = gather.axes
    vectors = -(-w.columns // lanes) * h.columns * d.columns
    phases = len(gather.taps_by_phase)
    one = vectors * (gather.kernel_taps * _STEP_CYCLES + phases * _OUT_CYCLES) + _MAP_CYCLES
    packing = packing_cycles(layout_of(gather), lanes)
    return MEASURED_NARROW * gather.batch * gather.groups * (gather.out_channels * one + packing)


def plan(request: OutputRequest, target: Target, threads: int) -> DepthwisePhasesPlan:
    """Schedule a request and prepare all that its kernel reads."""
    return DepthwisePhasesPlan(request, target, threads)


class DepthwisePhasesPlan(DepthwisePlan):
    """How one transposed depthwise convolution is computed for inputs of one shape and one set of strides."""

    def _lanes(self, gather: Gather, target: Target) -> int:
        return _lanes(gather, target, self.element.compute_bytes)

    def _tile(self, layout: Layout, target: Target, lanes: int) -> tuple[int, int]:
        del target
        _, h, w = layout.gather.axes
        vectors = min(2, -(-w.columns // lanes))
        return max(1, min(h.columns, _SUMS // vectors)), vectors

    def _kernel(
        self,
        request: OutputRequest,
        target: Target,
        layout: Layout,
        lanes: int,
        tile: TileShape,
        plane: int,
        copy: RowCopy | None,
    ) -> DepthwisePhasesKernel:
        gather = layout.gather
        d, h, w = gather.axes
        return DepthwisePhasesKernel(
            element=self.element,
            lanes=lanes,
            rows=tile.rows,
            vectors=tile.vectors,
            held=max(0, target.vector_registers - 2 * _SUMS - 4),
            fused=target.fused,
            phases=tuple(
                tuple((d.split(td)[1], h.split(th)[1], w.split(tw)[1]) for td, th, tw in taps)
                for taps in gather.taps_by_phase
            ),
            counts=(d.out_step, h.out_step, w.out_step),
            slice_rows=layout.slice_rows,
            pitch=layout.pitch,
            plane=plane,
            columns=column_kind(layout, element_steps(request.x_strides, request.spec)[4]),
            copy=copy,
            has_bias=request.has_bias,
            activation=request.activation,
            streams=lanes * self.element.compute_bytes == LINE_BYTES
            and streams(request, target, 2 * lanes, axis=-2),
        )


def _lanes(gather: Gather, target: Target, size: int) -> int:
    """Lanes of the widest vector that a phase of a row fills."""
    lanes = target.vector_bytes // size
    while lanes > max(1, gather.axes[2].columns):
        lanes //= 2
    return lanes
