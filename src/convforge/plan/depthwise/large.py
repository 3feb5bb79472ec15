"""The depthwise family of large kernels (kernels/depthwise/large.py): 9x9 to 51x51 and beyond."""

from __future__ import annotations

from convforge.ir.element import ELEMENTS
from convforge.kernels.depthwise.contract import DepthwiseLargeKernel, RowCopy
from convforge.plan.cut import ROW_CYCLES
from convforge.plan.depthwise.common import MEASURED, MEASURED_NARROW, is_narrow, lanes_of
from convforge.plan.depthwise.planes import DepthwisePlan, TileShape, packing_cycles, why_not_packed
from convforge.plan.request import OutputRequest
from convforge.plan.sizes import element_steps
from convforge.plan.streaming import streams
from convforge.plan.tables import column_kind
from convforge.problem.gather import Gather, gather_of
from convforge.schedule import Layout, layout_of
from convforge.target import Target

NAME = "depthwise large"

# What it costs to start a loop over the taps of an input row, and to end it mispredicted.
_LOOP_CYCLES = 12


def why_illegal(request: OutputRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a request, or None."""
    del target
    for axis in gather_of(request.spec).axes:
        offsets = [tap.offset for tap in axis.phases[0].taps]
        if axis.in_step != 1 or offsets != list(range(axis.lowest, axis.lowest + len(offsets))):
            return "taps that are neighbours in the kernel are not neighbours in the input"
    return why_not_packed(request)


def cost_cycles(request: OutputRequest, target: Target) -> float:
    """Cycles of one core: the loops over taps, and the rows on their way in."""
    gather = gather_of(request.spec)
    size = ELEMENTS[request.spec.dtype.name].compute_bytes
    lanes = lanes_of(gather, target, size)
    rows, vectors = _tile(gather, target, lanes)
    d, h, w = gather.axes
    height, width = len(h.phases[0].taps), len(w.phases[0].taps)
    # Input rows on padding are left out: this share of the kernel's rows is met.
    met = sum(0 <= r + tap.offset < h.in_size for tap in h.phases[0].taps for r in range(h.columns))
    share = met / max(1, height * h.columns)
    tiles = -(-w.columns // (vectors * lanes)) * -(-h.columns // rows) * d.columns
    if is_narrow(target):
        # A weight's multiply-adds with up to 3 vectors of a row; a vector of an input row loaded for all rows
        # of the tile; a loop over the taps of an input row. 83 layers of 1x3 to 31x31, one channel of 16
        # outputs or 16 of one: within a fifth, and 40 % off for 14x14 maps, which other families serve.
        row_vectors = -(-w.columns // lanes) / -(-w.columns // (vectors * lanes))
        loaded = height * share + rows - 1
        slice_cycles = rows * height * share * width * 2.1 + loaded * (width * 0.63 * row_vectors + 0.9)
        tile = slice_cycles * len(d.phases[0].taps) + 85
        group = gather.out_channels * tiles * tile + packing_cycles(layout_of(gather), lanes)
        return MEASURED_NARROW * gather.batch * gather.groups * group
    # Half vectors start two a cycle, whole ones one.
    one = max(0.5, lanes * size / target.vector_bytes)
    tap = max(rows * vectors * one, rows + 1.65 * vectors * one)
    tile = (height * width * tap * 1.1 + (height + rows) * _LOOP_CYCLES) * share * len(d.phases[0].taps)
    packing = ROW_CYCLES * layout_of(gather).total_rows
    return (
        MEASURED
        * gather.batch
        * gather.groups
        * gather.out_channels
        * (tiles * (tile + rows * vectors) + packing)
    )


def plan(request: OutputRequest, target: Target, threads: int) -> DepthwiseLargePlan:
    """Schedule a request and prepare all that its kernel reads."""
    return DepthwiseLargePlan(request, target, threads)


class DepthwiseLargePlan(DepthwisePlan):
    """How one depthwise convolution with a large kernel is computed for inputs of one shape."""

    def _tile(self, layout: Layout, target: Target, lanes: int) -> tuple[int, int]:
        return _tile(layout.gather, target, lanes)

    def _kernel(
        self,
        request: OutputRequest,
        target: Target,
        layout: Layout,
        lanes: int,
        tile: TileShape,
        plane: int,
        copy: RowCopy | None,
    ) -> DepthwiseLargeKernel:
        depth, height, width = (len(axis.phases[0].taps) for axis in layout.gather.axes)
        return DepthwiseLargeKernel(
            element=self.element,
            lanes=lanes,
            rows=tile.rows,
            vectors=tile.vectors,
            narrow=tile.narrow,
            ends=tile.ends,
            fused=target.fused,
            size=(depth, height, width),
            pitch=layout.pitch,
            plane=plane,
            columns=column_kind(layout, element_steps(request.x_strides, request.spec)[4]),
            copy=copy,
            has_bias=request.has_bias,
            activation=request.activation,
            streams=streams(request, target, lanes, axis=-2),
        )


def _tile(gather: Gather, target: Target, lanes: int) -> tuple[int, int]:
    """(output rows, vectors of columns) of a tile: up to 8x2, 20 of 32 registers; 4x3, 5x2 or 8x1 of 16.

    Vectors share the broadcast of a weight, which else costs as much as a multiply-add. 31x31 at 56x56 took
    10.3 ms in tiles of 6x2 with 16 registers, 10.0 in 4x2, 9.5 in 4x3 (Zen 1).
    """
    _, h, w = gather.axes
    count = -(-w.columns // lanes)
    if is_narrow(target):
        vectors = -(-count // -(-count // 3))
        choices = {1: (8,), 2: (4, 5), 3: (4,)}[vectors]
        most = min(choices, key=lambda rows: -(-h.columns // rows) * rows)
    else:
        vectors = min(2, count)
        most = min(8, (target.vector_registers - 4) // vectors)
    tiles = -(-h.columns // most)
    return -(-h.columns // tiles), vectors
