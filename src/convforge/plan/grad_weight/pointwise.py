"""The plan of a 1x1 kernel's weight gradient (kernels/grad_weight/pointwise.py)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from convforge.ir.element import ELEMENTS
from convforge.kernels.contract import HEADER_BYTES, fill
from convforge.kernels.grad_weight.contract import (
    GRAD_WEIGHT_POINTWISE_PARAMETERS,
    GradWeightPointwiseKernel,
)
from convforge.plan.boxes import Sizes, block_counts, box_of_outputs
from convforge.plan.grad_weight.boxes import GradWeightArrays, deal, flattened, run_parts, steps_of
from convforge.plan.job import Job
from convforge.plan.request import Array, GradWeightRequest
from convforge.plan.sizes import aligned
from convforge.problem import ConvSpec
from convforge.problem.gather import gather_of
from convforge.schedule import layout_of, why_tile_illegal
from convforge.target import Target

NAME = "pointwise"

# Each row of a tile is a pointer: with eight of them, loops keep all integers in registers.
_ROWS = 8
# Shares of the second-level cache for a task's sums, and for a box of both arrays.
_SUMS_SHARE, _BOX_SHARE = 0.4, 0.45
# Outputs of a box.
_LENGTHS = (1024, 768, 512, 384, 256, 192, 128, 64, 32, 16)
# Cycles to pack an element of one array, to fetch one of the other; for an operand, which multiply-adds do
# not hide: 6x4 tiles ran at 84 to 88 % of the peak where 8x2 did at 82 to 84.
_PACK_CYCLES, _FETCH_CYCLES, _LOAD_CYCLES = 0.45, 0.2, 0.15
# An input of which every second column is packed takes more: 512 -> 1024 at 28x28, batch 16, broadcast in
# place 17.7 ms, packed 19.3; four such layers 0.90 to 0.95 (two cores of Zen 4).
_STRIDED_PACK = 2.0
# Cycles of a tile besides its multiply-adds.
_TILE_CYCLES, _ACCUMULATOR_CYCLES, _ROW_CYCLES = 30.0, 1.5, 8.0
# With 512 bits all of it takes so much less, beside what other families count (17 layers, Granite Rapids).
_WIDE_SHARE = 0.87


@dataclass(frozen=True, slots=True)
class Blocking:
    """Blocking of a layer: see GradWeightPointwiseKernel; blocks count channels, cycles are for an output."""

    rows: int
    nv: int
    swapped: bool
    b_block: int
    v_block: int
    box: Sizes
    parts: int
    cycles: float


def why_illegal(request: GradWeightRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a plain convolution, or None."""
    spec = request.spec
    del target
    gather = gather_of(flattened(spec))
    if prod(spec.kernel_size) != 1:
        return f"the kernel has {prod(spec.kernel_size)} positions, not 1"
    if any(axis.padding != (0, 0) for axis in gather.axes):
        return "padding has no place in the array"
    element = ELEMENTS[spec.dtype.name]
    return None if element.storage == element.compute else f"{element.name} would be widened again and again"


def cost_cycles(request: GradWeightRequest, target: Target) -> float:
    """Cycles of one core that the gradient should take."""
    spec = request.spec
    gather = gather_of(flattened(spec))
    outputs = gather.batch * gather.groups * prod(axis.columns for axis in gather.axes)
    return _best(spec, target).cycles * outputs * (_WIDE_SHARE if target.vector_bytes == 64 else 1.0)


@lru_cache(maxsize=256)
def _best(spec: ConvSpec, target: Target) -> Blocking:
    lanes = target.vector_bytes // ELEMENTS[spec.dtype.name].compute_bytes
    tiles = [
        (rows, nv)
        for rows in range(1, _ROWS + 1)
        for nv in range(1, 7)
        if why_tile_illegal(target, rows * nv, nv + 1) is None
    ]
    gather = gather_of(flattened(spec))

    def multiply_adds(swapped: bool, rows: int, nv: int) -> tuple[int, float]:
        b, channels = gather.in_channels, gather.out_channels
        b, channels = (channels, b) if swapped else (b, channels)
        step = max(rows * nv / 2, (nv + rows) / 2, (rows * nv + nv + rows + 4) / 5, 4.0)
        count = -(-b // rows) * -(-channels // (nv * lanes))
        return count, count * (step + _LOAD_CYCLES * (rows + nv))

    found: list[Blocking] = []
    for swapped in (False, True):
        ranked = sorted(tiles, key=lambda tile: multiply_adds(swapped, *tile)[1])
        for tile in ranked[:3]:
            found += _blockings(spec, target, lanes, swapped, tile, *multiply_adds(swapped, *tile))
    return min(found, key=lambda blocking: blocking.cycles)


def _blockings(
    spec: ConvSpec,
    target: Target,
    lanes: int,
    swapped: bool,
    tile: tuple[int, int],
    count: int,
    cycles: float,
) -> Iterator[Blocking]:
    layout = layout_of(gather_of(flattened(spec)))
    gather = layout.gather
    rows, nv = tile
    b, channels = gather.in_channels, gather.out_channels
    b, channels = (channels, b) if swapped else (b, channels)
    b_tiles, v_tiles = -(-b // rows), -(-channels // (nv * lanes))
    room = target.l2_bytes / ELEMENTS[spec.dtype.name].compute_bytes
    sizes = tuple(axis.columns for axis in gather.axes)
    for b_blocks in block_counts(b_tiles):
        for v_blocks in block_counts(v_tiles):
            b_block, v_block = -(-b_tiles // b_blocks) * rows, -(-v_tiles // v_blocks) * nv * lanes
            b_count, v_count = -(-b // b_block), -(-channels // v_block)
            if b_block * v_block > _SUMS_SHARE * room and (b_count, v_count) != (b_tiles, v_tiles):
                continue
            box: Sizes = (1, 1, 1, 1)
            for length in _LENGTHS:
                box = box_of_outputs(gather.batch, sizes, length)
                if prod(box) * (b_block + v_block) <= _BOX_SHARE * room:
                    break
            outputs = prod(box)
            per_tile = _TILE_CYCLES + _ACCUMULATOR_CYCLES * rows * nv + _ROW_CYCLES * outputs / box[3]
            packing = _PACK_CYCLES * (_STRIDED_PACK if swapped and gather.axes[2].in_step > 1 else 1.0)
            moved = packing * channels * b_count + _FETCH_CYCLES * b * v_count
            blocks = gather.groups * b_count * v_count
            total = cycles + moved + count * per_tile / outputs
            parts, total = deal(layout, box, blocks, b * channels, total)
            yield Blocking(rows, nv, swapped, b_block, v_block, box, parts, total)


def plan(request: GradWeightRequest, target: Target, threads: int) -> GradWeightPointwisePlan:
    """Schedule a request and prepare all that its kernel reads."""
    return GradWeightPointwisePlan(request, target, threads)


class GradWeightPointwisePlan:
    """How the weight gradient of a 1x1 convolution is computed for arrays of these strides (bytes)."""

    def __init__(self, request: GradWeightRequest, target: Target, threads: int) -> None:
        self.spec, self.threads = request.spec, threads
        self._arrays = arrays = GradWeightArrays(request)
        gather, element = arrays.layout.gather, arrays.element
        lanes = target.vector_bytes // element.compute_bytes
        self.blocking = blocking = _best(self.spec, target)
        sides = arrays.sides(lanes, lanes)
        self.kernel = GradWeightPointwiseKernel(
            element=element,
            lanes=lanes,
            rows=blocking.rows,
            nv=blocking.nv,
            fused=target.fused,
            swapped=blocking.swapped,
            v_side=sides[0] if blocking.swapped else sides[1],
        )
        self._job = Job(self.kernel, target)
        d, h, w = gather.axes
        x = arrays.x_steps
        x = (x[0], x[1], x[2] * d.in_step, x[3] * h.in_step, x[4] * w.in_step)
        channels, outs = gather.in_channels, gather.out_channels
        b, v, b_channels, v_channels = x, arrays.g_steps, channels, outs
        if blocking.swapped:
            b, v, b_channels, v_channels = v, b, outs, channels
        steps = steps_of(arrays.layout, blocking.box, blocking.parts)
        b_blocks, v_blocks = -(-b_channels // blocking.b_block), -(-v_channels // blocking.v_block)
        self.parts, self._total = steps.parts, gather.groups * b_blocks * v_blocks * steps.parts
        mr = blocking.nv * lanes
        v_tiles = -(-blocking.v_block // mr)
        v_panel = (prod(blocking.box) + lanes) * mr
        # Squares that are written out are as long as a vector, whatever the rows of a tile.
        sums_tile = (-(-blocking.b_block // blocking.rows) * blocking.rows + lanes) * mr
        size = element.compute_bytes
        sums = aligned(HEADER_BYTES + v_tiles * v_panel * size)
        self.scratch_bytes = aligned(sums + v_tiles * sums_tile * size)
        joined = v[3] == v[4] * w.columns and v[2] == v[3] * h.columns
        images, depths, heights, widths = blocking.box
        values = {
            "b_channels": b_channels,
            "v_channels": v_channels,
            "b_block": blocking.b_block,
            "b_blocks": b_blocks,
            "v_block": blocking.v_block,
            "v_blocks": v_blocks,
            "batch": gather.batch,
            "parts": steps.parts,
            "steps": steps.steps,
            "part_steps": steps.part_steps,
            "images": images,
            "depths": depths,
            "heights": heights,
            "widths": widths,
            "depth": d.columns,
            "height": h.columns,
            "width": w.columns,
            "depth_boxes": steps.counts[0],
            "height_boxes": steps.counts[1],
            "width_boxes": steps.counts[2],
            "b_batch": b[0],
            "b_channel": b[1],
            "b_slice": b[2],
            "b_row": b[3],
            "b_column": b[4],
            "v_batch": v[0],
            "v_channel": v[1],
            "v_slice": v[2],
            "v_row": v[3],
            "v_column": v[4],
            "v_joined": int(joined),
            "v_panel": v_panel,
            "w_out": channels,
            "y_part": gather.groups * outs * channels,
            "sums": sums,
            "sums_tile": sums_tile,
        }
        self._parameters = fill(GRAD_WEIGHT_POINTWISE_PARAMETERS, values)

    def __call__(self, x: Array, grad_output: Array, grad_weight: Array) -> bool:
        """Fill grad_weight, which is contiguous."""
        return run_parts(
            self._arrays, self._job, self._total, self.threads, self.scratch_bytes, self.parts,
            self._parameters, x, grad_output, grad_weight,
        )  # fmt: skip
