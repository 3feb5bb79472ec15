"""The packed depthwise family (kernels/depthwise/planes.py): one input channel a group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convforge.ir.element import ELEMENTS
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.depthwise.contract import (
    DEPTHWISE_PARAMETERS,
    DepthwiseKernel,
    DepthwiseLargeKernel,
    DepthwisePhasesKernel,
    RowCopy,
    RowEnds,
)
from convforge.plan.cut import ROW_CYCLES, SERIAL_MULTIPLY_ADDS, TASKS_PER_THREAD
from convforge.plan.depthwise.common import MEASURED, MEASURED_NARROW, TILE_LIMIT, is_narrow, lanes_of
from convforge.plan.depthwise.row_copy import can_copy, copied_rows
from convforge.plan.depthwise.weights import DepthwiseWeights
from convforge.plan.element import element_of
from convforge.plan.job import Job
from convforge.plan.kernel_plan import KernelPlan
from convforge.plan.request import OutputRequest
from convforge.plan.sizes import aligned, element_steps
from convforge.plan.streaming import streams
from convforge.plan.tables import column_kind, input_tables
from convforge.problem.gather import Gather, Tap, gather_of
from convforge.schedule import Layout, layout_of
from convforge.target import Target

NAME = "depthwise"

# All taps are unrolled.
TAP_LIMIT = 128
# The planes of one channel's band take at most so many times the first-level cache; the second level holds
# them. With bands that fit the first level, rows of 1920 were packed three times: 5x5 at 1080x1920 15.0 and
# 12.2 ms, 7x7 at 480x640 4.2 and 3.4, and 112x112 as long as before (Zen 1).
_BAND_CACHES = 4
# Outputs of a channel for whose sake it may be packed again, which takes as long as 5 taps of one of them.
_SHARED_OUTPUTS = 8
# Sums of a tile with 16 registers.
_FEW_SUMS = 8


def why_illegal(request: OutputRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a request, or None."""
    del target
    taps = len(gather_of(request.spec).taps_by_phase[0])
    if taps > TAP_LIMIT:
        return f"{taps} taps are more than {TAP_LIMIT}"
    return why_not_packed(request)


def why_not_packed(request: OutputRequest) -> str | None:
    """The reason why no depthwise kernel of one tap list can serve a request from packed planes, or None."""
    spec = request.spec
    reason = why_no_planes(request)
    if reason is None and spec.transposed and set(spec.stride) != {1}:
        reason = f"a transposed convolution of stride {max(spec.stride)} has several tap lists"
    if reason is None and len(gather_of(spec).taps_by_phase[0]) < 2:
        reason = "a single tap has nothing to share"
    return reason


def why_no_planes(request: OutputRequest) -> str | None:
    """The reason why no depthwise kernel can serve a request from packed planes, or None."""
    spec = request.spec
    if spec.in_channels != spec.groups:
        return f"a group has {spec.in_channels // spec.groups} input channels, not 1"
    gather = gather_of(spec)
    steps = element_steps(request.y_strides, spec)
    if steps[4] != 1 and gather.axes[2].out_size > 1:
        return "neighbouring outputs are not neighbours in memory"
    layout = layout_of(gather)
    if layout.is_one_row:
        return "a signal has no rows to share loads between"
    if layout.planes * (layout.reach_rows + 1) * layout.pitch > 1 << 20:
        return "the rows of one tile do not fit the second-level cache"
    return None


def cost_cycles(request: OutputRequest, target: Target) -> float:
    """Cycles of one core: multiply-adds, what a vector costs besides, and the rows on their way in."""
    gather = gather_of(request.spec)
    lanes = lanes_of(gather, target, ELEMENTS[request.spec.dtype.name].compute_bytes)
    d, h, w = gather.axes
    layout = layout_of(gather)
    if is_narrow(target):
        return MEASURED_NARROW * gather.batch * gather.groups * _narrow_cycles(layout, target, lanes)
    vectors = -(-w.columns // lanes) * h.columns * d.columns * gather.out_channels
    packing = 2 * ROW_CYCLES * layout.total_rows * layout.row_residues * len(w.residues)
    cycles = vectors * (len(gather.taps_by_phase[0]) * 1.2 + 5) + packing
    return MEASURED * gather.batch * gather.groups * cycles


def _narrow_cycles(layout: Layout, target: Target, lanes: int) -> float:
    """Cycles of one group. A step of a chain takes 5.7, a weight for one multiply-add as long as it."""
    gather = layout.gather
    d, h, w = gather.axes
    rows, vectors = _tile(layout, target, lanes)
    step = 1.7 if vectors == 1 else max(1.1, 5.7 / (rows * vectors))
    outputs = -(-h.columns // rows) * rows * d.columns * -(-w.columns // lanes)
    products = step * outputs * len(gather.taps_by_phase[0])
    return gather.out_channels * products + packing_cycles(layout, lanes) + 130


def packing_cycles(layout: Layout, lanes: int) -> float:
    """Cycles to copy or pack one channel (Zen 1)."""
    d, h, w = layout.gather.axes
    if can_copy(w):
        return 4.5 * d.in_size * h.in_size * -(-w.in_size // lanes)
    vectors = -(-layout.row_length // lanes)
    return layout.total_rows * layout.row_residues * len(w.residues) * (25 + 10 * vectors)


def plan(request: OutputRequest, target: Target, threads: int) -> DepthwisePlan:
    """Schedule a request and prepare all that its kernel reads."""
    return DepthwisePlan(request, target, threads)


class DepthwisePlan(KernelPlan[DepthwiseKernel | DepthwiseLargeKernel | DepthwisePhasesKernel]):
    """How one depthwise convolution is computed for inputs of one shape and one set of strides."""

    def __init__(self, request: OutputRequest, target: Target, threads: int) -> None:
        spec = request.spec
        self.threads = threads
        gather, self.element = gather_of(spec), element_of(spec, target)
        size = self.element.compute_bytes
        lanes = self._lanes(gather, target)
        layout = layout_of(gather, pitch_multiple=lanes)
        x_steps, y_steps = element_steps(request.x_strides, spec), element_steps(request.y_strides, spec)
        d, h, w = gather.axes
        rows, vectors = self._tile(layout, target, lanes)
        shape = _shape(gather, rows, vectors, lanes, y_steps[3])
        wanted = threads * TASKS_PER_THREAD if gather.multiply_adds > SERIAL_MULTIPLY_ADDS else 1
        band_rows, plane_rows = band_of_rows(layout, rows, target, size, pieces=wanted)
        plane = plane_elements(layout, plane_rows, lanes, shape.vectors)
        tables = input_tables(layout, (x_steps[2], x_steps[3], x_steps[4]))
        copied = copied_rows(layout, tables, x_steps[4], plane, lanes)
        self.kernel = self._kernel(request, target, layout, lanes, shape, plane, copied.how)
        self._job = Job(self.kernel, target)
        self.weights = DepthwiseWeights(layout, self.element)
        bands = -(-h.columns // band_rows)
        group_blocks = min(gather.groups, max(1, -(-wanted // (gather.batch * bands))))
        group_block = -(-gather.groups // group_blocks)
        group_blocks = -(-gather.groups // group_block)
        multiplier_block = _multiplier_block(
            gather, threads if wanted > 1 else 1, wanted, gather.batch * group_blocks * bands
        )
        multiplier_blocks = -(-gather.out_channels // multiplier_block)
        self.tasks = gather.batch * group_blocks * bands * multiplier_blocks
        self.workspace_bytes = aligned(HEADER_BYTES + layout.planes * plane * size + 2 * lanes * size)
        values = {
            "groups": gather.groups,
            "group_block": group_block,
            "group_blocks": group_blocks,
            "multiplier": gather.out_channels,
            "multiplier_block": multiplier_block,
            "multiplier_blocks": multiplier_blocks,
            "bands": bands,
            "band_rows": band_rows,
            "x_batch": x_steps[0],
            "x_channel": x_steps[1],
            "y_batch": y_steps[0],
            "y_channel": y_steps[1],
            "y_row": y_steps[3],
            "y_slice": y_steps[2],
            "depth": d.columns,
            "height": h.columns,
            "width": w.columns,
            "planes": layout.planes,
            "plane_rows": plane_rows,
            "total_rows": layout.total_rows,
            "row_length": layout.row_length,
            "one_row": 0,
            "slice_rows": layout.slice_rows,
            "row_residues": layout.row_residues,
            "column_residues": len(w.residues),
            "row_table": tables.rows.ctypes.data,
            "column_table": tables.columns.ctypes.data,
            "x_column": x_steps[4] * w.in_step,
            "wide_columns": shape.wide * shape.vectors * lanes,
            **copied.values,
            "first_real": -h.lowest if h.mode == "zeros" else 0,
            "stop_real": h.in_size - h.lowest if h.mode == "zeros" else h.columns + h.reach,
        }
        self._give(DEPTHWISE_PARAMETERS, values)
        self._keep: Any = tables

    def _lanes(self, gather: Gather, target: Target) -> int:
        return lanes_of(gather, target, self.element.compute_bytes)

    def _tile(self, layout: Layout, target: Target, lanes: int) -> tuple[int, int]:
        """(output rows, vectors of columns) of a tile."""
        return _tile(layout, target, lanes)

    def _kernel(
        self,
        request: OutputRequest,
        target: Target,
        layout: Layout,
        lanes: int,
        tile: TileShape,
        plane: int,
        copy: RowCopy | None,
    ) -> DepthwiseKernel | DepthwiseLargeKernel | DepthwisePhasesKernel:
        gather = layout.gather
        d, h, w = gather.axes
        busy = (tile.rows + 1) * tile.vectors
        return DepthwiseKernel(
            element=self.element,
            lanes=lanes,
            rows=tile.rows,
            vectors=tile.vectors,
            narrow=tile.narrow,
            ends=tile.ends,
            held=max(0, min(len(gather.taps_by_phase[0]), target.vector_registers - 3 - busy)),
            fused=target.fused,
            taps=tuple(_place(layout, tap) for tap in gather.taps_by_phase[0]),
            order=tuple(
                (td.offset - d.lowest, th.offset - h.lowest, tw.offset - w.lowest)
                for td, th, tw in gather.taps_by_phase[0]
            ),
            row_step=h.in_step,
            pitch=layout.pitch,
            plane=plane,
            columns=column_kind(layout, element_steps(request.x_strides, request.spec)[4]),
            copy=copy,
            has_bias=request.has_bias,
            activation=request.activation,
            streams=streams(request, target, lanes, axis=-2),
        )


def _multiplier_block(gather: Gather, threads: int, wanted: int, tasks: int) -> int:
    """Outputs of an input channel that a task computes, where its other pieces make so many tasks.

    Each task packs the channel again. So all threads get one, and no more but where each has
    `_SHARED_OUTPUTS` for the sake of which it packs.
    """
    blocks = max(-(-threads // tasks), min(-(-wanted // tasks), gather.out_channels // _SHARED_OUTPUTS))
    return -(-gather.out_channels // min(gather.out_channels, blocks))


def _place(layout: Layout, tap: tuple[Tap, Tap, Tap]) -> tuple[int, int, int]:
    """(plane, row, column) that a tap reads, from its output's own row and column."""
    (rd, sd), (rh, sh), (rw, sw) = (axis.split(t) for axis, t in zip(layout.gather.axes, tap))
    _, h, w = layout.gather.axes
    return (rd * len(h.residues) + rh) * len(w.residues) + rw, sd * layout.slice_rows + sh, sw


def plane_elements(layout: Layout, rows: int, lanes: int, vectors: int) -> int:
    """Elements of a plane of so many rows: a function of the pitch and the rows alone, so that like images
    share the code.
    """
    plane = rows * layout.pitch + 2 * max(lanes, layout.row_length - layout.pitch) + vectors * lanes
    return -(-plane // lanes) * lanes


@dataclass(frozen=True, slots=True)
class TileShape:
    """A tile and how rows of outputs are cut into such: as of DepthwiseKernel. wide: tiles of all vectors."""

    rows: int
    vectors: int
    wide: int
    narrow: bool
    ends: RowEnds


def _shape(gather: Gather, rows: int, vectors: int, lanes: int, y_row: int) -> TileShape:
    """Tiles as even as can be: a row's first ones of `vectors` vectors at most, the others of one less."""
    width = gather.axes[2].columns
    count = -(-width // lanes)
    tiles = -(-count // vectors)
    vectors = -(-count // tiles)
    wide = count - tiles * (vectors - 1)
    ends: RowEnds = "early"
    if width < lanes:
        ends = "over" if y_row == width and lanes <= 2 * width else "masked"
    return TileShape(rows, vectors, wide, wide < tiles, ends)


def _tile(layout: Layout, target: Target, lanes: int) -> tuple[int, int]:
    """(output rows, vectors of columns) of a tile.

    With 16 registers 8 sums of up to 4 vectors, which share the broadcast of a weight: 5x5 at 56x56 took 1120
    us in tiles of 7x1, 950 in 4x2, 869 in 2x4 (Zen 1, one core).

    With 32 rows of one vector, for multiply-adds take weights from memory; as many as take the fewest cycles
    for the whole height, last tile included. A tile's multiply-adds start two a cycle; its loads too, but
    most of them cross cache lines. Weights, sums, a vector of the input, the bias and a constant of the
    activation share the registers.
    """
    gather = layout.gather
    height, taps = gather.axes[1].columns, gather.taps_by_phase[0]
    if is_narrow(target):
        count = -(-gather.axes[2].columns // lanes)
        vectors = -(-count // -(-count // 4))
        rows = max(1, min(height, _FEW_SUMS // vectors, TILE_LIMIT // (len(taps) * vectors)))
        return -(-height // -(-height // rows)), vectors
    starts = {(d.offset, w.offset) for d, _, w in taps}
    room = min(height, 8, max(1, TILE_LIMIT // len(taps)))

    def cycles(rows: int) -> float:
        loads = len(starts) * (rows + len(taps) // len(starts) - 1)
        loads += rows * max(0, len(taps) + rows + 4 - target.vector_registers) // 2
        return -(-height // rows) * (max(rows * len(taps) / 2, loads) + 2 * rows)

    return min(range(1, room + 1), key=lambda rows: (cycles(rows), -rows)), 1


def band_of_rows(layout: Layout, rows: int, target: Target, size: int, pieces: int = 1) -> tuple[int, int]:
    """(output rows of a band, packed rows of its planes), whose elements take `size` bytes.

    A volume is packed whole: its slices share rows. pieces: that all images and groups should make together,
    as long as a band has twice the rows of its halo.
    """
    gather = layout.gather
    d, h, _ = gather.axes
    if d.columns > 1 or d.reach > 0:
        return h.columns, layout.total_rows
    fits = _BAND_CACHES * target.l1_bytes // size // (layout.planes * layout.pitch) - layout.reach_rows
    tiles = max(1, fits // rows)
    # Bands of equal size, each of whole tiles but the last: and that one no shorter than a tile.
    bands = max(1, -(-h.columns // (tiles * rows)))
    few = -(-pieces // (gather.batch * gather.groups))
    bands = max(bands, min(few, h.columns // max(rows, 2 * layout.reach_rows)))
    band_rows = -(-h.columns // (bands * rows)) * rows
    while 0 < h.columns % band_rows < rows:
        band_rows += rows
    band_rows = min(h.columns, band_rows)
    return band_rows, band_rows + layout.reach_rows
