"""The plan of a weight gradient on a tile unit (kernels/grad_weight_tiles.py)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from convforge.kernels.contract import HEADER_BYTES, fill
from convforge.kernels.contract_grad_weight import (
    GRAD_WEIGHT_PROGRESS_BYTES,
    GRAD_WEIGHT_TILES_PARAMETERS,
    GRAD_WEIGHT_TILES_SIDE,
    RUN_MASK_BITS,
    GradWeightTilesKernel,
    RunWay,
)
from convforge.kernels.contract_split import square_bytes
from convforge.kernels.contract_tiles import NOWHERE, UNIT_BYTES, product_shapes
from convforge.plan import split_bf16
from convforge.plan.amx import why_no_unit, why_unusable
from convforge.plan.boxes import block_counts
from convforge.plan.grad_weight_boxes import (
    GradWeightArrays,
    deal_steps,
    flattened,
    parts_of,
    position_in_kernel,
    run_parts,
)
from convforge.plan.job import Job
from convforge.plan.request import Array, GradWeightRequest
from convforge.plan.sizes import aligned
from convforge.plan.tile_unit_cost import bf16_work, block_cycles
from convforge.problem import ConvSpec
from convforge.problem.gather import Gather, gather_of
from convforge.schedule import Layout, layout_of
from convforge.schedule.tile_unit import TILE_ROWS, images_as_slices, tile_shapes
from convforge.target import Target

Int64s = NDArray[np.int64]

NAME = "tiles"

# Fewer channels of either array leave more than half of each tile to zeros.
_FEWEST_CHANNELS = TILE_ROWS // 2
_TILE_BYTES = TILE_ROWS * UNIT_BYTES
# Words of a box, tried; of one of several images, at most; of a chunk, whose rows of A stay in the
# first-level cache: of 32 to 96 tried 64 was the fastest on five layers.
_WORDS, _JOINED, _CHUNK = (768, 512, 384, 256, 192, 128, 96, 64, 32, 16), 512, 64
# Elements that offsets of 32 bits reach.
_REACH = 1 << 31
# Shares of the second-level cache for a task's sums, and for the words of two boxes.
_SUMS_SHARE, _BOX_SHARE = 0.35, 0.5
# Cycles as other families count them: of the tile unit's own (tile_unit_cost.py) where work is done beside;
# for a position of a channel to be split, and for one of x, which is turned too; for each tile of sums of a
# chunk, loaded and stored; for each weight of a part, written, and added up where there are several. Fitted
# to 120 blockings of 14 layers, 11 % off.
_STEP_SHARE, _ROW_CYCLES, _COLUMN_CYCLES, _SUM_CYCLES = 0.69, 0.87, 0.84, 51.0
_WEIGHT_CYCLES, _PART_CYCLES = 4.2, 7.2


@dataclass(frozen=True, slots=True)
class Blocking:
    """Blocking of a layer: see GradWeightTilesKernel; blocks count channels, cycles are for a group.

    images: of a period (GRAD_WEIGHT_TILES_PARAMETERS).
    """

    rows: int
    columns: int
    channel_block: int
    out_block: int
    words: int
    images: int
    parts: int
    cycles: float


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
    fewest = min(spec.in_channels, spec.out_channels) // spec.groups
    if fewest < _FEWEST_CHANNELS:
        return f"{fewest} channels a group fill less than half of a tile: {_FEWEST_CHANNELS} do"
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
    return _best_of(flattened(request.spec), _parts(request), target)


@lru_cache(maxsize=256)
def _best_of(spec: ConvSpec, parts: int, target: Target) -> Blocking:
    return min(_blockings(spec, parts, target), key=lambda blocking: blocking.cycles)


def _blockings(spec: ConvSpec, parts: int, target: Target) -> Iterator[Blocking]:
    gather = gather_of(spec)
    layout = layout_of(gather)
    outs, channels, taps = gather.out_channels, gather.in_channels, len(gather.taps_by_phase[0])
    o_tiles, c_tiles = -(-outs // TILE_ROWS), -(-channels // TILE_ROWS)
    outputs = gather.batch * prod(axis.columns for axis in gather.axes)
    weights = channels * outs * prod(spec.kernel_size)
    steps = {shape: block_cycles(bf16_work(parts), shape) for shape in tile_shapes()}
    for words, images in _boxes(layout):
        x_words = _x_words(layout, words)
        bands = -(-_run(layout, images) * images // (2 * words))
        boxes = -(-gather.batch // images) * bands
        for o_blocks in block_counts(o_tiles):
            o_many = -(-o_tiles // o_blocks)
            for c_blocks in block_counts(c_tiles):
                c_many = -(-c_tiles // c_blocks)
                size = 2 * parts * (_part(words) * o_many + layout.planes * _part(x_words) * c_many)
                smallest = (o_many, c_many) == (1, 1)
                if size > _BOX_SHARE * target.l2_bytes and (not smallest or words > TILE_ROWS):
                    continue
                if o_many * c_many * taps * _TILE_BYTES > _SUMS_SHARE * target.l2_bytes and not smallest:
                    continue
                o_count, c_count = -(-o_tiles // o_many), -(-c_tiles // c_many)
                packed = (
                    2
                    * TILE_ROWS
                    * (
                        o_tiles * c_count * words * _ROW_CYCLES
                        + c_tiles * o_count * x_words * layout.planes * _COLUMN_CYCLES
                    )
                    * parts
                    / 3
                )
                for (rows, columns), step in steps.items():
                    tiles = o_count * -(-o_many // rows) * c_count * -(-c_many * taps // columns)
                    chunks = -(-words // _CHUNK) * rows * columns * _SUM_CYCLES
                    box = tiles * (words / TILE_ROWS * _STEP_SHARE * step + chunks) + packed
                    cycles = (boxes * box + _WEIGHT_CYCLES * weights) / outputs
                    blocks = o_count * c_count * gather.groups
                    dealt, cycles = deal_steps(boxes, outputs, blocks, weights, cycles, _PART_CYCLES)
                    yield Blocking(
                        rows, columns, c_many * TILE_ROWS, o_many * TILE_ROWS, words, images, dealt,
                        cycles * outputs,
                    )  # fmt: skip


def _boxes(layout: Layout) -> Iterator[tuple[int, int]]:
    """(words of a box, images of a period), which is one image in boxes or some images in one."""
    run = _run(layout, 1)
    for words in {-(-run // (2 * -(-run // (2 * each)) * TILE_ROWS)) * TILE_ROWS for each in _WORDS}:
        yield words, 1
    run = _run(layout, 2)
    for images in range(2, min(layout.gather.batch, 2 * _JOINED // run) + 1):
        if images * run % (2 * TILE_ROWS) == 0:
            yield images * run // 2, images


def _run(layout: Layout, images: int) -> int:
    """Positions from an image of a period to the next: where there are several, zeros at the end of one are
    those at the beginning of the next.
    """
    if images == 1:
        return _rounded(layout.flat)
    joined = images_as_slices(replace(layout.gather, batch=2))
    if joined is None:
        return _rounded(layout.flat + layout.reach)
    both = layout_of(joined)
    return _rounded(both.slice_rows * both.pitch)


def _rounded(positions: int) -> int:
    return -(-positions // TILE_ROWS) * TILE_ROWS


def _x_words(layout: Layout, words: int) -> int:
    """Of a plane of x."""
    return -(-(words + layout.reach) // TILE_ROWS) * TILE_ROWS


def _part(words: int) -> int:
    """Bytes of a part of so many words of a tile of channels. A line more: those an exact power of two apart
    would fall on the same lines of the cache.
    """
    return words * UNIT_BYTES + UNIT_BYTES


class _Positions:
    """Which element of a channel each position of a period holds, from a channel's first on; -1 for none.

    [planes, positions of an image]; step: elements from an image to the next.
    """

    def __init__(self, sources: Int64s, step: int) -> None:
        self._sources, self._step = sources, step

    @classmethod
    def of_input(cls, layout: Layout, steps: tuple[int, ...]) -> _Positions:
        """What taps read, residue by residue."""
        width = layout.gather.axes[2]
        offsets, real = layout.row_sources(steps[2], steps[3])
        row, column = np.divmod(np.arange(_rounded(layout.flat + layout.reach)), layout.pitch)
        inside = row < layout.total_rows
        row = np.where(inside, row, 0)
        planes: list[Int64s] = []
        for residue in range(layout.row_residues):
            for columns in range(len(width.residues)):
                at = width.sources_at(columns, column)
                there = inside & real[residue][row] & (at >= 0)
                planes.append(np.where(there, offsets[residue][row] + at * steps[4], NOWHERE))
        return cls(np.stack(planes), steps[0])

    @classmethod
    def of_output(cls, layout: Layout, steps: tuple[int, ...]) -> _Positions:
        """Outputs along the same run."""
        d, h, w = layout.gather.axes
        row, column = np.divmod(np.arange(_rounded(layout.flat)), layout.pitch)
        depth, height = np.divmod(row, layout.slice_rows) if d.columns > 1 else (np.zeros_like(row), row)
        there = (depth < d.columns) & (height < h.columns) & (column < w.columns)
        at = depth * steps[2] + height * steps[3] + column * steps[4]
        return cls(np.where(there, at, NOWHERE)[None], steps[0])

    def table(self, images: int, run: int, positions: int, lanes: int) -> tuple[RunWay, NDArray[Any], int]:
        """How vectors of positions are loaded, the table that says it, and vectors of a plane.

        run: positions from an image to the next; positions: that are read.
        """
        length = -(-positions // lanes) * lanes
        found = np.full((len(self._sources), length), NOWHERE, np.int64)
        for image in range(images):
            begins = image * run
            # Beyond its run an image has only zeros, which are those of the next one too.
            own = self._sources[:, : (run if images > 1 else length)][:, : max(0, length - begins)]
            found[:, begins : begins + own.shape[1]] = np.where(
                own == NOWHERE, NOWHERE, own + image * self._step
            )
        vectors = found.reshape(-1, lanes)
        real = vectors != NOWHERE
        for way, places in (("masked", np.arange(lanes)), ("expanded", real.cumsum(axis=1) - 1)):
            first = vectors - places
            begins = np.where(real, first, 1 << 60).min(axis=1)
            if (~real | (first == begins[:, None])).all():
                masks = (real << np.arange(lanes)).sum(axis=1)
                table = np.where(real.any(axis=1), begins << RUN_MASK_BITS | masks, 0)
                return cast(RunWay, way), table.astype(np.int64), length // lanes
        return "gathered", vectors.astype(np.int32), length // lanes


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
        layout, lanes = arrays.layout, target.vector_bytes // 4
        words, images = blocking.words, blocking.images
        run = _run(layout, images)
        bands = -(-run * images // (2 * words))
        x_words = _x_words(layout, words)
        last = 2 * words * (bands - 1) + words
        a_way, a_table, a_entries = _Positions.of_output(layout, arrays.g_steps).table(
            images, run, last + words, lanes
        )
        b_way, b_table, b_entries = _Positions.of_input(layout, arrays.x_steps).table(
            images, run, last + x_words, lanes
        )
        self.kernel = GradWeightTilesKernel(
            element=arrays.element,
            lanes=lanes,
            parts=self._number_parts,
            rows=blocking.rows,
            columns=blocking.columns,
            a_way=a_way,
            b_way=b_way,
        )
        self._job = Job(self.kernel, target)
        parts, gather = self._number_parts, layout.gather
        taps = len(gather.taps_by_phase[0])
        steps = -(-gather.batch // images) * bands
        part_steps, self.parts = parts_of(steps, blocking.parts)
        channel_blocks = -(-gather.in_channels // blocking.channel_block)
        out_blocks = -(-gather.out_channels // blocking.out_block)
        self._total = gather.groups * channel_blocks * out_blocks * self.parts
        o_tiles = -(-blocking.out_block // (TILE_ROWS * blocking.rows)) * blocking.rows
        c_tiles = blocking.channel_block // TILE_ROWS
        table = self._column_table(layout, x_words, c_tiles)
        positions = self._position_table(gather)
        sums_row = len(table) * _TILE_BYTES
        a_at = aligned(HEADER_BYTES + 2 * GRAD_WEIGHT_PROGRESS_BYTES + square_bytes(parts))
        b_at = aligned(a_at + o_tiles * parts * _part(words))
        end = aligned(b_at + c_tiles * layout.planes * parts * _part(x_words))
        sums_at = end + (end - a_at)
        self.scratch_bytes = aligned(sums_at + o_tiles * sums_row)
        shapes = product_shapes(blocking.rows, blocking.columns, TILE_ROWS, upright=True)
        a_side = {
            "array_batch": arrays.g_steps[0],
            "array_channel": arrays.g_steps[1],
            "ahead": 2 * words if bands > 1 else images * arrays.g_steps[0],
            "planes": 1,
            "table": a_table.ctypes.data,
            "entries": a_entries,
            "words": words,
            "at": a_at,
            "tile": parts * _part(words),
            "plane": 0,
            "part": _part(words),
        }
        b_side = {
            "array_batch": arrays.x_steps[0],
            "array_channel": arrays.x_steps[1],
            "ahead": 2 * words if bands > 1 else images * arrays.x_steps[0],
            "planes": layout.planes,
            "table": b_table.ctypes.data,
            "entries": b_entries,
            "words": x_words,
            "at": b_at,
            "tile": layout.planes * parts * _part(x_words),
            "plane": parts * _part(x_words),
            "part": _part(x_words),
        }
        sides = [fill(GRAD_WEIGHT_TILES_SIDE, values) for values in (a_side, b_side)]
        values = {
            "channels": gather.in_channels,
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
            "chunk": _CHUNK,
            "a_side": sides[0].ctypes.data,
            "b_side": sides[1].ctypes.data,
            "column_table": table.ctypes.data,
            "taps": taps,
            "positions": len(positions),
            "position_table": positions.ctypes.data,
            "w_out": gather.in_channels * len(positions),
            "y_part": gather.groups * gather.out_channels * gather.in_channels * len(positions),
            "shapes": shapes.ctypes.data,
            "box_bytes": end - a_at,
            "sums_at": sums_at,
            "sums_row": sums_row,
        }
        self._parameters = fill(GRAD_WEIGHT_TILES_PARAMETERS, values)
        self._keep = (sides, a_table, b_table, table, positions, shapes)

    def _column_table(self, layout: Layout, x_words: int, c_tiles: int) -> Int64s:
        """Where each tap of each tile of channels begins, in bytes; the last again, up to whole tiles."""
        plane = self._number_parts * _part(x_words) // UNIT_BYTES
        taps = [layout.distance(tap, plane) * UNIT_BYTES for tap in layout.gather.taps_by_phase[0]]
        step = layout.planes * plane * UNIT_BYTES
        table = [tile * step + tap for tile in range(c_tiles) for tap in taps]
        missing = -len(table) % self.blocking.columns
        return np.array(table + table[-1:] * missing, np.int64)

    def _position_table(self, gather: Gather) -> Int64s:
        """Which tap is at each position of the kernel, or -1."""
        arrays = self._arrays
        table = np.full(prod(self.spec.kernel_size), -1, np.int64)
        for number in range(len(gather.taps_by_phase[0])):
            table[position_in_kernel(self.spec, arrays.layout, number)] = number
        return table

    def __call__(self, x: Array, grad_output: Array, grad_weight: Array) -> bool:
        """Fill grad_weight, which is contiguous; False where another family must, and what it holds is not
        of use.
        """
        return run_parts(
            self._arrays, self._job, self._total, self.threads, self.scratch_bytes, self.parts,
            self._parameters, x, grad_output, grad_weight,
        )  # fmt: skip
