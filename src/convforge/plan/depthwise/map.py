"""The depthwise family of small maps (kernels/depthwise/map.py): read where they lie, all unrolled."""

from __future__ import annotations

from convforge.ir.element import ELEMENTS, Element
from convforge.kernels.depthwise.contract import DEPTHWISE_MAP_PARAMETERS, DepthwiseMapKernel, MapReading
from convforge.plan.depthwise.common import (
    MEASURED,
    MEASURED_NARROW,
    is_narrow,
    lanes_of,
    reads_words,
    share_groups,
    why_not_in_place,
)
from convforge.plan.depthwise.weights import DepthwiseWeights
from convforge.plan.element import element_of
from convforge.plan.job import Job
from convforge.plan.kernel_plan import KernelPlan
from convforge.plan.request import OutputRequest
from convforge.plan.sizes import element_steps
from convforge.problem.gather import Gather, gather_of
from convforge.schedule import layout_of
from convforge.target import Target

NAME = "depthwise map"

# Multiply-adds of the unrolled code: 8 KB of 32 in the first-level cache, and 100 ms to compile.
UNROLLED_LIMIT = 1000
# A masked load, and a vector that is loaded and stored, without AVX-512 (Zen 1).
_MASKED_CYCLES, _COPY_CYCLES = 9.0, 5.0


def why_illegal(request: OutputRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a request, or None."""
    reason = why_not_in_place(request, target)
    if reason is not None:
        return reason
    gather, element = gather_of(request.spec), ELEMENTS[request.spec.dtype.name]
    if _is_signal(gather):
        return "a signal's length varies from call to call, and this family's code is for one size of a map"
    depth = gather.axes[0]
    if depth.columns * len(depth.phases[0].taps) * depth.in_size != 1:
        return "a volume has more than one map"
    lanes = lanes_of(gather, target, element.compute_bytes)
    unrolled = _unrolled(gather, lanes)
    # With halves that are not shuffled across, every second column is as much code again: 28x28 outputs of
    # stride 2 took 260 ms to compile, and run as fast packed, compiled in 60.
    limit = UNROLLED_LIMIT // (gather.axes[2].in_step if is_narrow(target) else 1)
    if unrolled > limit:
        return f"{unrolled} multiply-adds of a map are more than {limit}"
    return None


def _is_signal(gather: Gather) -> bool:
    """Whether all inputs lie in one row."""
    depth, height, _ = gather.axes
    return depth.in_size * height.in_size * depth.columns * height.columns == 1


def cost_cycles(request: OutputRequest, target: Target) -> float:
    """Cycles of one core: multiply-adds, and what an output vector costs besides."""
    gather, element = gather_of(request.spec), ELEMENTS[request.spec.dtype.name]
    lanes = lanes_of(gather, target, element.compute_bytes)
    share = max(lanes * element.compute_bytes / target.vector_bytes, 0.5)
    outputs = gather.batch * gather.groups * gather.out_channels
    if is_narrow(target):
        return MEASURED_NARROW * outputs * (share * _narrow_cycles(gather, lanes, target) + 34)
    vectors = -(-gather.axes[2].columns // lanes) * gather.axes[1].columns
    return MEASURED * outputs * ((_unrolled(gather, lanes) + vectors * 3) * share + 10)


def _narrow_cycles(gather: Gather, lanes: int, target: Target) -> float:
    """Cycles of one map: multiply-adds, vectors of the input read for a tile, and copied."""
    _, h, w = gather.axes
    taps = gather.taps_by_phase[0]
    rows, _, _ = _tile(gather, lanes, target, shifted=False)
    lines = -(-h.columns // rows) * (len({tap.offset for _, tap, _ in taps}) + (rows - 1) * h.in_step)
    reads = lines * len({tap.offset for _, _, tap in taps}) * -(-w.columns // lanes)
    copies = h.in_size * -(-w.in_size // lanes) if _copying_pays(gather, lanes) else 0
    return 1.1 * _unrolled(gather, lanes) + (0.43 if w.in_step == 1 else 2.0) * reads + 1.8 * copies


def plan(request: OutputRequest, target: Target, threads: int) -> DepthwiseMapPlan:
    """Schedule a request and prepare all that its kernel reads."""
    return DepthwiseMapPlan(request, target, threads)


class DepthwiseMapPlan(KernelPlan[DepthwiseMapKernel]):
    """How one depthwise convolution of small maps is computed for inputs of one shape and set of strides."""

    reads_in_place = True

    def __init__(self, request: OutputRequest, target: Target, threads: int) -> None:
        spec = request.spec
        self.threads = threads
        gather, self.element = gather_of(spec), element_of(spec, target)
        lanes = lanes_of(gather, target, self.element.compute_bytes)
        x_steps, y_steps = element_steps(request.x_strides, spec), element_steps(request.y_strides, spec)
        _, h, w = gather.axes
        taps = tuple((th.offset, tw.offset) for _, th, tw in gather.taps_by_phase[0])
        reading = _reading_of(gather, self.element, lanes, target)
        rows, vectors, held = _tile(gather, lanes, target, shifted=reading == "shifted")
        self.kernel = DepthwiseMapKernel(
            element=self.element,
            lanes=lanes,
            rows=rows,
            vectors=vectors,
            held=held,
            fused=target.fused,
            taps=taps,
            steps=(h.in_step, w.in_step),
            in_size=(h.in_size, w.in_size),
            out_size=(h.columns, w.columns),
            x_row=x_steps[3],
            y_row=y_steps[3],
            has_bias=request.has_bias,
            activation=request.activation,
            reading=reading,
        )
        self._job = Job(self.kernel, target)
        self.weights = DepthwiseWeights(layout_of(gather), self.element)
        group_block, _ = share_groups(gather, threads)
        group_blocks = -(-gather.groups // group_block)
        self.tasks = gather.batch * group_blocks
        self.workspace_bytes = 64 + self.kernel.stage_bytes
        values = {
            "groups": gather.groups,
            "group_block": group_block,
            "group_blocks": group_blocks,
            "multiplier": gather.out_channels,
            "x_batch": x_steps[0],
            "x_channel": x_steps[1],
            "y_batch": y_steps[0],
            "y_channel": y_steps[1],
        }
        self._give(DEPTHWISE_MAP_PARAMETERS, values)


def _reading_of(gather: Gather, element: Element, lanes: int, target: Target) -> MapReading:
    """How rows are read in vectors of so many lanes. Zen 4, two cores:

    Rows of half types of more than two vectors are copied. 1536 channels at 33x33, dilation 4, 309 -> 262 us,
    of float16 293 -> 251. Smaller ones of bfloat16 are widened once: 3x3, 576 channels at 14x14 19.9 -> 18.2
    us, 384 at 24x24 37.5 -> 34.4, 192 at 28x28 23.5 -> 21.0. float16 is rounded cheaply, and gains nothing.
    """
    width = gather.axes[2]
    if target.vector_bytes < 64:
        return "copied" if _copying_pays(gather, lanes) else "masked"
    several = len({tap.offset for _, _, tap in gather.taps_by_phase[0]}) > 2
    wide, halves = width.in_size > 2 * lanes, element.storage != element.compute
    if width.in_step == 1 and wide:
        return "copied" if halves and several else "masked"
    if not reads_words(element, target):
        return "masked"
    return "shifted" if width.in_step == 1 else "words"


def _copying_pays(gather: Gather, lanes: int) -> bool:
    """Whether copying the map costs less than the masked loads that it saves."""
    w = gather.axes[2]
    offsets = sorted({tap.offset for _, _, tap in gather.taps_by_phase[0]})
    starts = {at - (at - offsets[0]) % w.in_step for at in offsets}
    tiles = range(0, w.columns, lanes)
    begins = {tile * w.in_step + at + i * lanes for tile in tiles for at in starts for i in range(w.in_step)}
    masked = sum(-lanes < at < 0 or at < w.in_size < at + lanes for at in begins)
    return masked * _MASKED_CYCLES > -(-w.in_size // lanes) * _COPY_CYCLES


def _unrolled(gather: Gather, lanes: int) -> int:
    """Multiply-adds of one map, rows on padding left out."""
    _, h, w = gather.axes
    vectors = -(-w.columns // lanes)
    rows = sum(
        0 <= r * h.in_step + th.offset < h.in_size
        for _, th, _ in gather.taps_by_phase[0]
        for r in range(h.columns)
    )
    return rows * vectors


def _tile(gather: Gather, lanes: int, target: Target, *, shifted: bool) -> tuple[int, int, int]:
    """(output rows, vectors of columns, weights in registers) of a tile."""
    _, h, w = gather.axes
    taps = len(gather.taps_by_phase[0])
    room = target.vector_registers - 3 - 2 * (w.in_step > 1)
    # Tiles of equal height. Up to 8 rows: more would share few loads more.
    tiles = -(-h.columns // max(1, min(8, room // 2)))
    rows = -(-h.columns // tiles)
    vectors = 1
    if shifted:
        vectors = min(-(-w.columns // lanes), 4)
        tiles = -(-h.columns // max(1, min(8, room // 2 // vectors)))
        rows = -(-h.columns // tiles)
    elif rows == 1:
        vectors = min(-(-w.columns // lanes), 4)
    return rows, vectors, max(0, min(taps, room - rows * vectors))
