"""The plan of a weight gradient on a tile unit (kernels/grad_weight/unit.py)."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from convforge.kernels.contract import HEADER_BYTES, fill
from convforge.kernels.grad_weight.contract import (
    GRAD_WEIGHT_PROGRESS_BYTES,
    GRAD_WEIGHT_TILES_PARAMETERS,
    GRAD_WEIGHT_TILES_SIDE,
    GradWeightTilesKernel,
)
from convforge.kernels.split_bf16.contract import square_bytes
from convforge.kernels.tile_unit.contract import UNIT_BYTES, product_shapes
from convforge.plan.grad_weight.boxes import (
    GradWeightArrays,
    flattened,
    parts_of,
    position_in_kernel,
    run_parts,
)
from convforge.plan.grad_weight.unit_blocks import (
    CHUNK,
    Blocking,
    bands_of,
    best_blocking,
    fewest_bytes,
    run_of,
)
from convforge.plan.grad_weight.unit_input import part_bytes, x_of_tiles
from convforge.plan.job import Job
from convforge.plan.request import Array, GradWeightRequest
from convforge.plan.run_positions import RunPositions, RunTable
from convforge.plan.sizes import aligned
from convforge.plan.split_bf16 import products as split_bf16
from convforge.plan.tile_unit.permission import why_no_unit, why_unusable
from convforge.problem.gather import gather_of
from convforge.schedule import Layout
from convforge.schedule.tile_unit import TILE_ROWS
from convforge.target import Target

Int64s = NDArray[np.int64]

NAME = "tiles"

# Fewer channels of either array leave more than half of each tile to zeros.
_FEWEST_CHANNELS = TILE_ROWS // 2
_TILE_BYTES = TILE_ROWS * UNIT_BYTES
# Taps that reach far need that many words of x at once: beyond this many bytes another family is used.
_SCRATCH_LIMIT = 12 << 20
# Of an image, and of all residues of x: a table says what each holds.
_MOST_POSITIONS = 1 << 20
# Elements that offsets of 32 bits reach.
_REACH = 1 << 31


def why_illegal(request: GradWeightRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a plain convolution, or None."""
    return why_no_unit(target, "bf16") or _why_unfit(request) or why_unusable(target, "bf16")


def _why_unfit(request: GradWeightRequest) -> str | None:
    """The reason why a request is not for any tile unit, or None."""
    spec = request.spec
    if request.plain:
        return "the arrays hold values whose parts are not exact"
    if split_bf16.parts_of(spec.dtype.name, request.precision) is None:
        return f"{spec.dtype.name} is neither float32 nor a half type"
    if not gather_of(spec).taps_by_phase[0]:
        return "no tap reaches the input"
    elements = max(prod(spec.input_shape), prod(spec.output_shape))
    if elements >= _REACH:
        return f"an array of {elements} elements: offsets of 32 bits reach {_REACH}"
    x = x_of_tiles(flattened(spec), _parts(request))
    layout, size = x.layout, fewest_bytes(x, _parts(request))
    if size > _SCRATCH_LIMIT:
        return f"{size} bytes of scratch are above {_SCRATCH_LIMIT}"
    positions = x.planes * (layout.flat + layout.reach) * x.step
    if positions > _MOST_POSITIONS:
        return f"a table of {positions} positions: those of {_MOST_POSITIONS} are made in a tenth of a second"
    numbers = {"grad-output channels a group": layout.gather.out_channels}
    if x.windows is None:
        numbers["input channels a group"] = layout.gather.in_channels
    else:
        numbers["values that taps along the last axis read"] = x.windows.values
    for what, number in numbers.items():
        if number < _FEWEST_CHANNELS:
            return f"{number} {what} fill less than half of a tile: {_FEWEST_CHANNELS} do"
    return None


def cost_cycles(request: GradWeightRequest, target: Target) -> float:
    """Cycles of one core that the gradient should take."""
    return _best(request, target).cycles * request.spec.groups


def _parts(request: GradWeightRequest) -> int:
    parts = split_bf16.parts_of(request.spec.dtype.name, request.precision)
    assert parts is not None, "a request that is not legal"
    return parts


def _best(request: GradWeightRequest, target: Target) -> Blocking:
    # Neither strides nor anything but these have a say, for bits may not depend on them.
    return best_blocking(flattened(request.spec), _parts(request), target)


def plan(request: GradWeightRequest, target: Target, threads: int) -> GradWeightTilesPlan:
    """Schedule a request and prepare all that its kernel reads."""
    return GradWeightTilesPlan(request, target, threads)


class GradWeightTilesPlan:
    """How the weight gradient of one plain convolution is computed for arrays of these strides (bytes)."""

    def __init__(self, request: GradWeightRequest, target: Target, threads: int) -> None:
        self.spec, self.threads = request.spec, threads
        self._arrays = arrays = GradWeightArrays(request, reach=_REACH)
        self.blocking = blocking = _best(request, target)
        self._number_parts = _parts(request)
        lanes = target.vector_bytes // 4
        self._x = x = x_of_tiles(flattened(self.spec), self._number_parts)
        layout, windows = x.layout, x.windows
        words, images = blocking.words, blocking.images
        run, bands = run_of(layout, images), bands_of(layout, words, images)
        first = words * (2 * bands - 1)  # of the second positions of a period's last words
        a_run = RunPositions.of_output(layout, arrays.g_steps).table(images, run, first + words, lanes)
        length = first * x.step + x.blocks(words) * TILE_ROWS
        b_run = x.positions(arrays.x_steps).table(images, run, length, lanes)
        self.kernel = GradWeightTilesKernel(
            element=arrays.element,
            lanes=lanes,
            parts=self._number_parts,
            rows=blocking.rows,
            columns=blocking.columns,
            a_way=a_run.way,
            b_way=b_run.way,
            windows=windows,
        )
        self._job = Job(self.kernel, target)
        parts, gather = self._number_parts, layout.gather
        steps = -(-gather.batch // images) * bands
        part_steps, self.parts = parts_of(steps, blocking.parts)
        in_channels = gather.in_channels
        channel_blocks = -(-in_channels // blocking.channel_block)
        out_blocks = -(-gather.out_channels // blocking.out_block)
        self._total = gather.groups * channel_blocks * out_blocks * self.parts
        o_tiles = -(-blocking.out_block // (TILE_ROWS * blocking.rows)) * blocking.rows
        c_tiles = blocking.channel_block // TILE_ROWS
        a_at = aligned(HEADER_BYTES + 2 * GRAD_WEIGHT_PROGRESS_BYTES + square_bytes(parts))
        unit_bytes = aligned(blocking.rows * parts * part_bytes(CHUNK))
        b_at = a_at + 2 * unit_bytes
        tile_bytes = x.tile_bytes(words)
        box_bytes = aligned(c_tiles * tile_bytes)
        table = (np.arange(c_tiles)[:, None] * tile_bytes + x.columns(words)).ravel()
        # The last again, up to whole tiles of sums.
        table = np.concatenate((table, table[-1:].repeat(-len(table) % blocking.columns)))
        sum_table = self._sum_table(blocking.channel_block)
        sums_at, sums_row = b_at + 2 * box_bytes, len(table) * _TILE_BYTES
        self.scratch_bytes = aligned(sums_at + o_tiles * sums_row)
        shapes = product_shapes(blocking.rows, blocking.columns, TILE_ROWS, upright=True)
        if bands > 1:
            ahead = 2 * words, _elements(layout, arrays.x_steps, 2 * words)
        else:
            ahead = images * arrays.g_steps[0], images * arrays.x_steps[0]
        a_side = _side(arrays.g_steps, a_run, ahead[0], 1, CHUNK // TILE_ROWS, a_at, parts, part_bytes(CHUNK))
        b_side = _side(arrays.x_steps, b_run, ahead[1], x.planes, x.blocks(words), b_at, parts, x.part(words))
        positions = prod(self.spec.kernel_size)
        values = {
            "channels": in_channels,
            "out_channels": gather.out_channels,
            "channel_block": blocking.channel_block,
            "channel_blocks": channel_blocks,
            "out_block": blocking.out_block,
            "out_blocks": out_blocks,
            "parts": self.parts,
            "steps": steps,
            "part_steps": part_steps,
            "batch": gather.batch,
            "images": images,
            "run": run,
            "bands": bands,
            "words": words,
            "chunk": CHUNK,
            "a_side": a_side.ctypes.data,
            "b_side": b_side.ctypes.data,
            "column_table": table.ctypes.data,
            "taps": x.taps,
            "positions": positions,
            "sum_table": sum_table.ctypes.data,
            "w_out": in_channels * positions,
            "y_part": prod(self.spec.weight_shape),
            "shapes": shapes.ctypes.data,
            "unit_bytes": unit_bytes,
            "box_bytes": box_bytes,
            "sums_at": sums_at,
            "sums_row": sums_row,
        }
        self._parameters = fill(GRAD_WEIGHT_TILES_PARAMETERS, values)
        self._keep = (a_side, b_side, a_run, b_run, table, sum_table, shapes)

    def _sum_table(self, channels: int) -> Int64s:
        """How many elements behind the first the sum of each channel of a block and position of the kernel
        lies, or -1.
        """
        table = np.full((channels, prod(self.spec.kernel_size)), -1, np.int64)
        for number, places in enumerate(self._x.sums(channels)):
            table[:, position_in_kernel(self.spec, self._arrays.layout, number)] = places
        return table

    def __call__(self, x: Array, grad_output: Array, grad_weight: Array) -> bool:
        """Fill grad_weight, which is contiguous; False where another family must, and what it holds is not
        of use.
        """
        return run_parts(
            self._arrays, self._job, self._total, self.threads, self.scratch_bytes, self.parts,
            self._parameters, x, grad_output, grad_weight,
        )  # fmt: skip


def _elements(layout: Layout, steps: tuple[int, ...], positions: int) -> int:
    """How far from an element of x the one lies that is so many positions on in the run, about."""
    _, h, w = layout.gather.axes
    if layout.is_one_row:
        return positions * w.in_step * steps[4]
    return round(positions / layout.pitch * h.in_step * steps[3])


def _side(
    steps: tuple[int, ...],
    run: RunTable,
    ahead: int,
    planes: int,
    blocks: int,
    at: int,
    parts: int,
    part: int,
) -> Int64s:
    """The record of an array (GRAD_WEIGHT_TILES_SIDE). steps: elements between its neighbours."""
    values = {
        "array_batch": steps[0],
        "array_channel": steps[1],
        "ahead": ahead,
        "planes": planes,
        "table": run.table.ctypes.data,
        "entries": run.entries,
        "blocks": blocks,
        "at": at,
        "tile": planes * parts * part,
        "plane": parts * part,
        "part": part,
    }
    return fill(GRAD_WEIGHT_TILES_SIDE, values)
