"""Depthwise convolution of maps and volumes of any size, the input read where it lies.

    y[n, m, d, r, j] = bias[m] + sum over tap of w[m, tap] * x[n, c, d', r', j * step + tap's column]

A tile is `rows` output rows by `vectors` vectors of columns, all taps unrolled (tile.py). Each
input row of a tile is an address, found once for all its columns; a row on padding is a row of zeros:

    rows 2, kernel 3, padding 1, first tile:    zeros  row 0  row 1  row 2

Tiles between the ends of their rows load and store plainly. Those that touch them load under masks, or, where
masked loads are slow (below AVX-512: 9 cycles each on Zen 1, tiles took three times as long), copy what they
read into rows with zeros around them (`staged`):

    padding 2, 8 lanes, left end:     0 0 x0 x1 …        right end:     … x54 x55 0 0

Contract: columns of x lie side by side, and those of y; `scratch` holds the row of zeros, and, if staged, the
addresses of a tile's rows, those of their copies, and the copies; and a tile's rows of outputs, if these are
collected to be streamed. Staged rows have a vector or more.
"""

from __future__ import annotations

from dataclasses import dataclass

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.depthwise.contract import DEPTHWISE_ROWS_PARAMETERS, DepthwiseRowsKernel
from convforge.kernels.depthwise.tile import Factors, Place, Rows, Words, emit_tile
from convforge.kernels.epilogue import emit_activation
from convforge.kernels.parameters import Parameters
from convforge.kernels.streaming import Store, emit_drain, emit_run, emit_whole


def emit(kernel: DepthwiseRowsKernel, module: Module) -> None:
    """Emit the task: a band of rows, or of columns, of a block of groups of one image."""
    e = module.function("task", "pip")
    call, index, scratch = e.arguments
    p = Parameters(e, e.load_pointer(call, 0), DEPTHWISE_ROWS_PARAMETERS)
    x, weights, bias, y = (e.load_pointer(call, i) for i in range(1, 5))
    tiles_stream = kernel.streams and not kernel.collects
    v = Vectors(e, kernel.element, kernel.lanes, fused=kernel.fused, streams=tiles_stream)
    storage, compute = kernel.element.storage, kernel.element.compute

    strip, rest = e.rem(index, p.strips), e.div(index, p.strips)
    band, rest = e.rem(rest, p.bands), e.div(rest, p.bands)
    block, image = e.rem(rest, p.group_blocks), e.div(rest, p.group_blocks)
    first_row = e.mul(band, p.band_rows)
    stop_row = e.minimum(e.add(first_row, p.band_rows), p.height)
    first_column = e.mul(strip, p.strip_columns)
    stop_column = e.minimum(e.add(first_column, p.strip_columns), p.width)
    first_group = e.mul(block, p.group_block)
    stop_group = e.minimum(e.add(first_group, p.group_block), p.groups)
    x_image = e.at(x, storage, e.mul(image, p.x_batch))
    y_image = e.at(y, storage, e.mul(image, p.y_batch))
    zeros = e.at(scratch, "i8", HEADER_BYTES)
    with e.loop(0, p.zero_words, name="zero") as word:
        e.store(e.i64(0), "i64", zeros, word.index)
    collected = e.at(scratch, "i8", p.collected)
    stage = Stage(e, v, kernel, e.at(scratch, "i8", p.lines)) if kernel.staged else None

    with (
        e.loop(first_group, stop_group, name="group") as group,
        e.loop(0, p.multiplier, name="multiple") as multiple,
    ):
        channel = e.add(e.mul(group.index, p.multiplier), multiple.index)
        source = e.at(x_image, storage, e.mul(group.index, p.x_channel))
        target = e.at(y_image, storage, e.mul(channel, p.y_channel))
        factors = Factors(
            v, e.at(weights, compute, e.mul(channel, len(kernel.taps))), len(kernel.taps), kernel.held
        )
        offset = e.at(bias, compute, channel)
        with (
            e.loop(0, p.depth, name="slice") as depth,
            e.loop(first_row, stop_row, step=kernel.rows, name="row") as row,
        ):
            # The last tile begins early so that it ends on the end, along both axes.
            h = e.minimum(row.index, e.sub(stop_row, kernel.rows))
            lines = _find_rows(e, kernel, p, source, zeros, depth.index, h)
            if stage:
                stage.note(lines)
            to = e.at(target, storage, e.add(e.mul(depth.index, p.y_slice), e.mul(h, p.y_row)))
            out = Out(collected, p.width) if kernel.collects else Out(to, p.y_row)
            length = kernel.vectors * kernel.lanes
            early = e.maximum(e.sub(stop_column, length), first_column)
            with e.loop(first_column, stop_column, step=length, name="column") as column:
                at = e.minimum(column.index, early)
                if stage:
                    _emit_staged(e, v, kernel, p, stage, out, at, factors, offset)
                else:
                    _emit_either_way(e, v, kernel, p, lines, out, at, factors, offset)
            if kernel.collects:
                emit_run(v, collected, to, e.mul(p.width, kernel.rows))
    if kernel.streams:
        emit_drain(e)
    e.done()


@dataclass(frozen=True, slots=True)
class Out:
    """Where column 0 of a tile's first row of outputs goes to, and elements from there to the next row's."""

    at: Value
    row: Int


def _find_rows(
    e: Emitter, kernel: DepthwiseRowsKernel, p: Parameters, source: Value, zeros: Value, depth: Int, row: Int
) -> dict[Place, Value]:
    """Where each input row of a tile begins, by (slice, row) from the tile's own."""
    storage, found = kernel.element.storage, {}
    top, front = e.mul(row, kernel.row_step), e.mul(depth, p.depth_step)
    for d, r in kernel.lines:
        at_slice, at_row = e.add(front, d), e.add(top, r)
        line = e.at(source, storage, e.add(e.mul(at_slice, p.x_slice), e.mul(at_row, p.x_row)))
        if kernel.padded:
            inside = e.b.and_(e.below(at_slice, p.in_depth), e.below(at_row, p.in_height))
            line = e.b.select(inside, line, zeros)
        found[d, r] = line
    return found


class Stage:
    """Copies of a tile's rows, zeros where the input has no columns."""

    def __init__(self, e: Emitter, v: Vectors, kernel: DepthwiseRowsKernel, memory: Value) -> None:
        self._e, self._v, self._kernel = e, v, kernel
        self._rows, self._copies = memory, e.at(memory, "i64", len(kernel.lines))
        copies = e.at(memory, "i64", -(-2 * len(kernel.lines) // 8) * 8)
        for i in range(len(kernel.lines)):
            copy = e.at(copies, kernel.element.compute, i * kernel.stage_elements + v.lanes)
            e.store_pointer(copy, self._copies, i)

    def note(self, lines: dict[Place, Value]) -> None:
        """Keep where the rows of the next tiles begin."""
        for i, place in enumerate(self._kernel.lines):
            self._e.store_pointer(lines[place], self._rows, i)

    def rows(self, within: Value, begin: Int, width: Int) -> tuple[Value, Value]:
        """(array of addresses, offset of the first column): the rows, or copies where they do not do."""
        e, v, kernel = self._e, self._v, self._kernel
        lowest, stop = kernel.reads
        first = e.add(begin, lowest)
        with e.when(e.equal(within, 0)), e.loop(0, len(kernel.lines), name="copied") as line:
            source = e.load_pointer(self._rows, line.index)
            target = e.load_pointer(self._copies, line.index)
            vectors = range(-(-(stop - lowest) // v.lanes))
            for i in vectors:
                v.store(v.zero(), target, i * v.lanes)
            for i in vectors:
                at = e.minimum(e.maximum(e.add(first, i * v.lanes), 0), e.sub(width, v.lanes))
                # Where a tile lies beyond the row's ends, what is copied goes beside what it reads.
                to = e.minimum(e.maximum(e.sub(at, first), -v.lanes), len(vectors) * v.lanes)
                v.store(v.load(source, at), target, to)
        return e.b.select(within, self._rows, self._copies), e.i64(e.select(within, begin, -lowest))


def _within(e: Emitter, kernel: DepthwiseRowsKernel, p: Parameters, column: Int) -> Value:
    """Whether all that a tile reads lies within the rows."""
    begin = e.mul(column, kernel.column_step)
    lowest, stop = kernel.reads
    return e.b.and_(e.no_less(e.add(begin, lowest), 0), e.no_less(p.in_width, e.add(begin, stop)))


def _emit_staged(
    e: Emitter,
    v: Vectors,
    kernel: DepthwiseRowsKernel,
    p: Parameters,
    stage: Stage,
    out: Out,
    column: Int,
    factors: Factors,
    offset: Value,
) -> None:
    """One tile, which reads its rows or copies of them."""
    within = _within(e, kernel, p, column)
    rows, begin = stage.rows(within, e.mul(column, kernel.column_step), p.in_width)
    number: dict[Place, int] = {place: i for i, place in enumerate(kernel.lines)}
    read = Rows(
        v,
        kernel.column_step,
        kernel.reads[0],
        lambda place: (e.load_pointer(rows, number[place]), begin),
        lambda _: None,
    )
    _emit_tile(e, v, kernel, p, read, out, column, factors, offset, cut=True)


def _emit_either_way(
    e: Emitter,
    v: Vectors,
    kernel: DepthwiseRowsKernel,
    p: Parameters,
    lines: dict[Place, Value],
    out: Out,
    column: Int,
    factors: Factors,
    offset: Value,
) -> None:
    """One tile, plainly where all its vectors lie within their rows, under masks elsewhere."""
    within = _within(e, kernel, p, column)
    whole = e.b.and_(within, e.no_less(p.width, e.add(column, kernel.vectors * v.lanes)))
    with e.b.if_else(whole) as (plainly, masked):
        with plainly:
            read = _masked_rows(e, v, kernel, p, lines, column, masked=False)
            _emit_tile(e, v, kernel, p, read, out, column, factors, offset, cut=False)
        with masked:
            read = _masked_rows(e, v, kernel, p, lines, column, masked=True)
            _emit_tile(e, v, kernel, p, read, out, column, factors, offset, cut=True)


def _masked_rows(
    e: Emitter,
    v: Vectors,
    kernel: DepthwiseRowsKernel,
    p: Parameters,
    lines: dict[Place, Value],
    column: Int,
    *,
    masked: bool,
) -> Rows | Words:
    begin, in_width = e.mul(column, kernel.column_step), p.in_width
    masks: dict[int, Value] = {}

    def mask(first: int) -> Value | None:
        if masked and first not in masks:
            masks[first] = v.between(e.add(begin, first), in_width, 2 if kernel.words else 1)
        return masks.get(first)

    if kernel.words:
        return Words(v, kernel.reads[0], lambda place: (lines[place], begin), mask)
    return Rows(v, kernel.column_step, kernel.reads[0], lambda place: (lines[place], begin), mask)


def _emit_tile(
    e: Emitter,
    v: Vectors,
    kernel: DepthwiseRowsKernel,
    p: Parameters,
    read: Rows | Words,
    out: Out,
    column: Int,
    factors: Factors,
    offset: Value,
    *,
    cut: bool,
) -> None:
    """cut: whether the output's rows may end within the tile."""
    sums = emit_tile(
        v, taps=kernel.taps, row_step=kernel.row_step, rows=kernel.rows, vectors=kernel.vectors,
        starts=kernel.starts, factors=factors, read=read,
    )  # fmt: skip
    biased = [v.add(value, v.load_broadcast(offset)) for value in sums] if kernel.has_bias else sums
    results = [emit_activation(v, kernel.activation, value) for value in biased]
    if kernel.column_step == 2 and not kernel.words:
        results = [v.in_order(result) for result in results]
    results = v.narrowed(results)
    if kernel.woven:
        pairs = [v.interleave(results[i : i + 2]) for i in range(0, len(results), 2)]
        results = [result for pair in pairs for result in pair]
    left = e.sub(p.width, column)
    if not cut:
        _emit_stores(e, v, kernel, results, out, column, None)
        return
    # Rows shorter than a tile alone are stored under masks.
    with e.b.if_else(e.no_less(left, kernel.vectors * v.lanes)) as (whole, part):
        with whole:
            _emit_stores(e, v, kernel, results, out, column, None)
        with part:
            _emit_stores(e, v, kernel, results, out, column, left)


def _emit_stores(
    e: Emitter,
    v: Vectors,
    kernel: DepthwiseRowsKernel,
    results: list[Value],
    out: Out,
    column: Int,
    left: Int | None,
) -> None:
    """Write a tile; `left`: columns that there are, where a tile has more."""
    # Of each vector: the row, and where in it.
    places = [divmod(i * v.lanes, kernel.vectors * v.lanes) for i in range(len(results))]

    def emit(store: Store) -> None:
        for result, (r, at) in zip(results, places, strict=True):
            store(result, out.at, e.add(e.mul(out.row, r), column, at))

    if left is None:
        emit_whole(v, e.at(out.at, kernel.element.storage, column), emit)
        return
    for result, (r, at) in zip(results, places, strict=True):
        v.store_stored(result, out.at, e.add(e.mul(out.row, r), column, at), v.first(e.sub(left, at)))
