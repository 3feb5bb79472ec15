"""Depthwise convolution of maps and volumes of any size, the input read where it lies.

    y[n, m, d, r, j] = bias[m] + sum over tap of w[m, tap] * x[n, c, d', r', j * step + tap's column]

A tile is `rows` output rows by `vectors` vectors of columns, all taps unrolled (depthwise_tile.py). Each
input row of a tile is an address, found once for all its columns; a row on padding is a row of zeros:

    rows 2, kernel 3, padding 1, first tile:    zeros  row 0  row 1  row 2

Tiles that touch the ends of their rows load and store under masks; those between them plainly.

Contract: columns of x lie side by side, and those of y; `scratch` holds the row of zeros.
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.contract_depthwise import DEPTHWISE_ROWS_PARAMETERS, DepthwiseRowsKernel
from convforge.kernels.depthwise_tile import Factors, Place, Rows, emit_tile
from convforge.kernels.epilogue import emit_activation
from convforge.kernels.parameters import Parameters


def emit_depthwise_rows(kernel: DepthwiseRowsKernel, module: Module) -> None:
    """Emit the task: a band of rows, or of columns, of a block of groups of one image."""
    e = module.function("task", "pip")
    call, index, scratch = e.arguments
    p = Parameters(e, e.load_pointer(call, 0), DEPTHWISE_ROWS_PARAMETERS)
    x, weights, bias, y = (e.load_pointer(call, i) for i in range(1, 5))
    v = Vectors(e, kernel.element, kernel.lanes, fused=kernel.fused)
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
            # The last tile begins early so that it ends on the end.
            h = e.minimum(row.index, e.sub(stop_row, kernel.rows))
            lines = _find_rows(e, kernel, p, source, zeros, depth.index, h)
            out = e.at(target, storage, e.add(e.mul(depth.index, p.y_slice), e.mul(h, p.y_row)))
            with e.loop(
                first_column, stop_column, step=kernel.vectors * kernel.lanes, name="column"
            ) as column:
                _emit_either_way(e, v, kernel, p, lines, out, column.index, factors, offset)
    e.done()


def _find_rows(
    e: Emitter, kernel: DepthwiseRowsKernel, p: Parameters, source: Value, zeros: Value, depth: Int, row: Int
) -> dict[Place, Value]:
    """Where each input row of a tile begins, by (slice, row) from the tile's own."""
    storage, found = kernel.element.storage, {}
    top, front = e.mul(row, kernel.row_step), e.mul(depth, p.depth_step)
    places = {(d, r + i * kernel.row_step) for d, r, _ in kernel.taps for i in range(kernel.rows)}
    for d, r in sorted(places):
        at_slice, at_row = e.add(front, d), e.add(top, r)
        line = e.at(source, storage, e.add(e.mul(at_slice, p.x_slice), e.mul(at_row, p.x_row)))
        if kernel.padded:
            inside = e.b.and_(e.below(at_slice, p.in_depth), e.below(at_row, p.in_height))
            line = e.b.select(inside, line, zeros)
        found[d, r] = line
    return found


def _emit_either_way(
    e: Emitter,
    v: Vectors,
    kernel: DepthwiseRowsKernel,
    p: Parameters,
    lines: dict[Place, Value],
    out: Value,
    column: Int,
    factors: Factors,
    offset: Value,
) -> None:
    """One tile, plainly where all its vectors lie within their rows, under masks elsewhere."""
    length = kernel.vectors * v.lanes
    begin = e.mul(column, kernel.column_step)
    columns = [tap[2] for tap in kernel.taps]
    lowest = min(columns)
    # Every second column is taken out of pairs of vectors, an even number of columns behind the lowest.
    starts = (at - (at - lowest) % kernel.column_step for at in columns)
    last = max(starts) + kernel.column_step * length
    whole = e.b.and_(
        e.no_less(e.add(begin, lowest), 0),
        e.b.and_(
            e.no_less(p.in_width, e.add(begin, last)),
            e.no_less(p.width, e.add(column, length)),
        ),
    )
    with e.b.if_else(whole) as (plainly, masked):
        with plainly:
            _emit_tile(e, v, kernel, p, lines, out, column, factors, offset, masked=False)
        with masked:
            _emit_tile(e, v, kernel, p, lines, out, column, factors, offset, masked=True)


def _emit_tile(
    e: Emitter,
    v: Vectors,
    kernel: DepthwiseRowsKernel,
    p: Parameters,
    lines: dict[Place, Value],
    out: Value,
    column: Int,
    factors: Factors,
    offset: Value,
    *,
    masked: bool,
) -> None:
    begin, in_width = e.mul(column, kernel.column_step), p.in_width
    masks: dict[int, Value] = {}

    def mask(first: int) -> Value | None:
        if masked and first not in masks:
            masks[first] = v.between(e.add(begin, first), in_width)
        return masks.get(first)

    read = Rows(
        v,
        kernel.column_step,
        min(tap[2] for tap in kernel.taps),
        lambda place: (lines[place], begin),
        mask,
    )
    sums = emit_tile(
        v, taps=kernel.taps, row_step=kernel.row_step, column_step=kernel.column_step,
        rows=kernel.rows, vectors=kernel.vectors, factors=factors, read=read,
    )  # fmt: skip
    y_row, left = p.y_row, e.sub(p.width, column)
    for i, value in enumerate(sums):
        r, at = i // kernel.vectors, i % kernel.vectors * v.lanes
        biased = v.add(value, v.load_broadcast(offset)) if kernel.has_bias else value
        result = emit_activation(v, kernel.activation, biased)
        if kernel.column_step == 2:
            result = v.in_order(result)
        room = v.first(e.sub(left, at)) if masked else None
        v.store_stored(result, out, e.add(e.mul(y_row, r), column, at), room)
