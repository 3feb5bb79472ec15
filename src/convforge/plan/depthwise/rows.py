"""The depthwise family that reads rows in place (kernels/depthwise/rows.py): maps and volumes of any size."""

from __future__ import annotations

from convforge.ir.element import ELEMENTS, Element
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.depthwise.contract import DEPTHWISE_ROWS_PARAMETERS, DepthwiseRowsKernel
from convforge.plan.depthwise.common import (
    MEASURED,
    MEASURED_NARROW,
    TILE_LIMIT,
    is_narrow,
    reads_words,
    share_groups,
    why_not_in_place,
)
from convforge.plan.depthwise.weights import DepthwiseWeights
from convforge.plan.element import element_of
from convforge.plan.job import Job
from convforge.plan.kernel_plan import KernelPlan
from convforge.plan.request import OutputRequest
from convforge.plan.sizes import aligned, element_steps
from convforge.plan.streaming import streams, streams_runs
from convforge.plan.tables import rows_follow
from convforge.problem.gather import Gather, gather_of
from convforge.schedule import layout_of
from convforge.target import Target

NAME = "depthwise rows"

# All taps are unrolled, twice.
TAP_LIMIT = 128
# The row of zeros is written for every task, and shares the first-level cache with the rows.
ROW_LIMIT_BYTES = 16 << 10
# Cycles of Zen 1 to copy a vector of a row with zeros around it.
_COPIED_CYCLES = 6.6
# What woven vectors may be more than others.
_WOVEN_MORE = 0.15
# Kernels of several slices, 512 bits: 1 -> 32 channels of 3x3x3 at 64x64x64 took 4.0 ms (two cores of Zen 4),
# by the direct kernel 2.2, 54 channels at 16x56x56 1.3 times what 2-d layers take for their cycles.
_VOLUME_TIMES = 1.25


def why_illegal(request: OutputRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a request, or None."""
    reason = why_not_in_place(request, target)
    if reason is not None:
        return reason
    gather, element = gather_of(request.spec), ELEMENTS[request.spec.dtype.name]
    if element.storage == "bf16" and not target.masks_loads(element.storage_bytes):
        return "rows of bfloat16 took 1.1 times as long in place as packed, without masked loads of 16 bits"
    taps = len(gather.taps_by_phase[0])
    if taps > TAP_LIMIT:
        return f"{taps} taps are more than {TAP_LIMIT}"
    row_bytes = gather.axes[2].in_size * element.storage_bytes
    if _padded(gather) and row_bytes > ROW_LIMIT_BYTES:
        return f"a row of zeros of {row_bytes} bytes would crowd out the rows it stands beside"
    return None


def cost_cycles(request: OutputRequest, target: Target) -> float:
    """Cycles of one core: multiply-adds, loads and what a tile costs besides."""
    gather, element = gather_of(request.spec), ELEMENTS[request.spec.dtype.name]
    lanes = target.vector_bytes // element.compute_bytes
    rows, _, held = _tile(gather, lanes, target)
    d, h, w = gather.axes
    tiles = -(-w.columns // lanes) * -(-h.columns // rows) * d.columns
    narrow = is_narrow(target)
    cycles = tiles * _tile_cycles(gather, lanes, rows, held, narrow) + 10
    measured = MEASURED_NARROW if narrow else MEASURED * (_VOLUME_TIMES if d.reach > 0 else 1.0)
    return measured * gather.batch * gather.groups * gather.out_channels * cycles


def plan(request: OutputRequest, target: Target, threads: int) -> DepthwiseRowsPlan:
    """Schedule a request and prepare all that its kernel reads."""
    return DepthwiseRowsPlan(request, target, threads)


class DepthwiseRowsPlan(KernelPlan[DepthwiseRowsKernel]):
    """How one depthwise convolution is computed for inputs of one shape and one set of strides."""

    reads_in_place = True

    def __init__(self, request: OutputRequest, target: Target, threads: int) -> None:
        spec = request.spec
        self.threads = threads
        gather, self.element = gather_of(spec), element_of(spec, target)
        lanes = target.vector_bytes // self.element.compute_bytes
        x_steps, y_steps = element_steps(request.x_strides, spec), element_steps(request.y_strides, spec)
        d, h, w = gather.axes
        words = reads_words(self.element, target) and (w.in_step == 2 or _is_woven(gather, lanes))
        woven = words and w.in_step == 1
        rows, vectors, held = _woven_tile(gather, lanes, target) if woven else _tile(gather, lanes, target)
        padded = _padded(gather)
        in_lines = streams(request, target, vectors * lanes, axis=-2)
        # A lone row is cut into strips.
        one_run = h.columns > 1 and rows_follow(gather, y_steps)
        collects = one_run and not in_lines and streams_runs(request, target, rows * w.columns)
        self.kernel = DepthwiseRowsKernel(
            element=self.element,
            lanes=lanes,
            rows=rows,
            vectors=vectors,
            held=held,
            fused=target.fused,
            taps=tuple((td.offset, th.offset, tw.offset) for td, th, tw in gather.taps_by_phase[0]),
            row_step=h.in_step,
            column_step=w.in_step,
            padded=padded,
            has_bias=request.has_bias,
            activation=request.activation,
            staged=_is_staged(gather, self.element, lanes, target),
            words=words,
            streams=in_lines or collects,
            collects=collects,
        )
        self._job = Job(self.kernel, target)
        self.weights = DepthwiseWeights(layout_of(gather), self.element)
        group_block, missing = share_groups(gather, threads)
        band_rows, strip_columns = h.columns, w.columns
        if h.columns >= 2 * rows:
            band_rows = max(1, h.columns // (missing * rows)) * rows
            # The last tile of a band begins early: no band may be shorter than a tile.
            while 0 < h.columns % band_rows < rows:
                band_rows += rows
        elif h.columns == 1:
            strip_columns = -(-w.columns // (missing * vectors * lanes)) * vectors * lanes
        zero_bytes = aligned(w.in_size * self.element.storage_bytes) if padded else 0
        collected = HEADER_BYTES + zero_bytes + aligned(self.kernel.lines_bytes)
        # What is collected is read in whole vectors.
        run = rows * w.columns + lanes if collects else 0
        self.workspace_bytes = collected + aligned(run * self.element.storage_bytes)
        values = {
            "groups": gather.groups,
            "group_block": group_block,
            "group_blocks": -(-gather.groups // group_block),
            "multiplier": gather.out_channels,
            "bands": -(-h.columns // band_rows),
            "band_rows": band_rows,
            "strips": -(-w.columns // strip_columns),
            "strip_columns": strip_columns,
            "x_batch": x_steps[0],
            "x_channel": x_steps[1],
            "x_slice": x_steps[2],
            "x_row": x_steps[3],
            "y_batch": y_steps[0],
            "y_channel": y_steps[1],
            "y_slice": y_steps[2],
            "y_row": y_steps[3],
            "in_depth": d.in_size,
            "in_height": h.in_size,
            "in_width": w.in_size,
            "depth": d.columns,
            "height": h.columns,
            "width": w.columns,
            "depth_step": d.in_step,
            "zero_words": zero_bytes // 8,
            "lines": HEADER_BYTES + zero_bytes,
            "collected": collected,
        }
        self.tasks = gather.batch * values["group_blocks"] * values["bands"] * values["strips"]
        self._give(DEPTHWISE_ROWS_PARAMETERS, values)


def _is_staged(gather: Gather, element: Element, lanes: int, target: Target) -> bool:
    """Whether tiles at the ends of rows copy what they read; with AVX-512 masks cost nothing to speak of."""
    same = element.storage == element.compute
    return target.vector_bytes < 64 and same and gather.axes[2].in_size >= lanes


def _padded(gather: Gather) -> bool:
    """Whether any output needs a row or slice that the input lacks."""
    return any(
        tap.offset < 0 or tap.offset + (axis.columns - 1) * axis.in_step >= axis.in_size
        for axis in gather.axes[:2]
        for tap in axis.phases[0].taps
    )


def _tile(gather: Gather, lanes: int, target: Target) -> tuple[int, int, int]:
    """(output rows, vectors of columns, weights in registers) of a tile: the fewest cycles for the map.

    A signal has one row, and shares its loads between vectors.
    """
    _, h, w = gather.axes
    taps = len(gather.taps_by_phase[0])
    few = is_narrow(target)
    room = target.vector_registers - (3 if few else 4 + 2 * (w.in_step > 1))
    if h.columns == 1:
        vectors = min(-(-w.columns // lanes), 4)
        return 1, vectors, max(0, min(taps, room - vectors))
    # More than 8 rows have more addresses than there are registers.
    most = min(h.columns, 8, max(1, TILE_LIMIT // taps))
    tiles = {
        rows: -(-h.columns // rows) * _tile_cycles(gather, lanes, rows, room - rows, few)
        for rows in range(1, most + 1)
    }
    rows = min(tiles, key=lambda rows: (tiles[rows], rows))
    return rows, 1, max(0, min(taps, room - rows))


def _is_woven(gather: Gather, lanes: int) -> bool:
    """Whether tiles are of woven vectors: rows take few more of these, two by two, than one by one."""
    vectors = -(-gather.axes[2].columns // lanes)
    return vectors > 1 and vectors % 2 / vectors <= _WOVEN_MORE


def _woven_tile(gather: Gather, lanes: int, target: Target) -> tuple[int, int, int]:
    """As `_tile`, of two woven vectors: each column of taps, and one more, is widened once for both."""
    _, h, width = gather.axes
    taps = gather.taps_by_phase[0]
    if h.columns == 1:
        vectors = 4 if width.columns > 2 * lanes else 2
        return 1, vectors, max(0, min(len(taps), target.vector_registers - 5 - vectors))
    widened = len({(d.offset, w.offset) for d, _, w in taps}) + 1
    most = min(h.columns, 8, max(1, TILE_LIMIT // (2 * len(taps))))

    def cycles(rows: int) -> int:
        lines = len({r.offset + i * h.in_step for _, r, _ in taps for i in range(rows)})
        return -(-h.columns // rows) * (2 * rows * len(taps) + lines * widened)

    rows = min(range(1, most + 1), key=lambda rows: (cycles(rows), rows))
    return rows, 2, max(0, min(len(taps), target.vector_registers - 5 - 2 * rows))


def _tile_cycles(gather: Gather, lanes: int, rows: int, held: int, few: bool) -> float:
    """Cycles of a tile of one vector of columns (Zen 4, 512 bits, within 10 % for 3x3 to 7x7, 1 to 8 rows).

    A multiply-add takes one, and so does a shuffle; a load 1.65, since most cross cache lines. Rows at the
    rim of the tile have too few multiply-adds to hide their loads. few: with 16 registers most weights are
    loaded for each multiply-add, and nothing hides behind anything (Zen 1: 3x3 best in 4 rows, 5x5 in 7).
    """
    _, h, w = gather.axes
    taps = gather.taps_by_phase[0]
    lines = {(d.offset, r.offset + i * h.in_step) for d, r, _ in taps for i in range(rows)}
    columns = len({tap.offset for _, _, tap in taps})
    loads = 1.65 * (columns if w.in_step == 1 else 2 * -(-columns // 2))
    shuffles = 0 if w.in_step == 1 else columns
    if few:
        weights = rows * max(0, len(taps) - held)
        # The first tile of a row and the last touch its ends.
        tiles = -(-w.columns // lanes)
        offsets = [tap.offset for _, _, tap in taps]
        copied = -(-(max(offsets) - min(offsets) + lanes * w.in_step) // lanes) * min(2, tiles) / tiles
        reads = columns * (1.4 if w.in_step == 1 else 2.1) + copied * _COPIED_CYCLES
        return 0.54 * rows * len(taps) + 0.58 * weights + len(lines) * reads + 10
    rim = len(lines) - rows * len({d.offset for d, _, _ in taps}) * h.in_step
    computing = rows * (len(taps) + 2) + len(lines) * shuffles + max(0, rim) * loads
    return max(computing, len(lines) * loads + rows * max(0, len(taps) - held)) + 5
