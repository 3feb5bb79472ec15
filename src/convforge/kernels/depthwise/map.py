"""Depthwise convolution of small maps: the whole map of a channel is one stretch of code.

    y[n, m, r, j] = bias[m] + sum over tap of w[m, tap] * x[n, c, r * step + its row, j * step + its column]

The input is read where it lies. All sizes are constants, so rows on padding are left out, and what a vector
takes of a row is a mask known beforehand:

    width 7, kernel 3, padding 1, 8 lanes      tap 0  . a b c d e f g
                                               tap 1  a b c d e f g .
                                               tap 2  b c d e f g . .

Where masked loads are slow (below AVX-512: 9 cycles each on Zen 1, half of a 7x7 map's time), the map is
first copied into rows with zeros at both ends, whose vectors are loaded plainly; wide maps of half
types too, whose numbers are widened so.

Contract: columns of x and y lie side by side; y has a row of its own for every row of the map. `scratch`
holds the copy.
"""

from __future__ import annotations

from typing import Literal

from convforge.ir.emitter import Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.depthwise.contract import DEPTHWISE_MAP_PARAMETERS, DepthwiseMapKernel
from convforge.kernels.depthwise.tile import Factors, Place, Rows, Shifted, Words, emit_tile
from convforge.kernels.epilogue import emit_activation
from convforge.kernels.parameters import Parameters


def emit(kernel: DepthwiseMapKernel, module: Module) -> None:
    """Emit the task: the maps of a block of groups of one image."""
    e = module.function("task", "pip")
    call, index, scratch = e.arguments
    p = Parameters(e, e.load_pointer(call, 0), DEPTHWISE_MAP_PARAMETERS)
    x, weights, bias, y = (e.load_pointer(call, i) for i in range(1, 5))
    v = Vectors(e, kernel.element, kernel.lanes, fused=kernel.fused)
    storage, compute = kernel.element.storage, kernel.element.compute

    block, image = e.rem(index, p.group_blocks), e.div(index, p.group_blocks)
    first_group = e.mul(block, p.group_block)
    stop_group = e.minimum(e.add(first_group, p.group_block), p.groups)
    x_image = e.at(x, storage, e.mul(image, p.x_batch))
    y_image = e.at(y, storage, e.mul(image, p.y_batch))
    copied = kernel.reading == "copied"
    if copied:
        with e.loop(0, kernel.stage_bytes // 8, name="zero") as word:
            e.store(e.i64(0), "i64", scratch, word.index)
    with e.loop(first_group, stop_group, name="group") as group:
        source = e.at(x_image, storage, e.mul(group.index, p.x_channel))
        if copied:
            _emit_copy(v, kernel, source, scratch)
            source = scratch
        with e.loop(0, p.multiplier, name="multiple") as multiple:
            channel = e.add(e.mul(group.index, p.multiplier), multiple.index)
            target = e.at(y_image, storage, e.mul(channel, p.y_channel))
            taps = e.at(weights, compute, e.mul(channel, len(kernel.taps)))
            factors = Factors(v, taps, len(kernel.taps), kernel.held)
            height, width = kernel.out_size
            span = kernel.vectors * kernel.lanes
            for row in range(0, height, kernel.rows):
                for column in range(0, width, span):
                    _emit_part(v, kernel, (row, column), source, target, factors, bias, channel)
    e.done()


def _emit_copy(v: Vectors, kernel: DepthwiseMapKernel, source: Value, target: Value) -> None:
    """The map, row by row. What stands beside a row narrower than a vector becomes zeros."""
    height, width = kernel.in_size
    for row in range(height):
        for column in range(0, width, v.lanes):
            at = max(0, min(column, width - v.lanes))
            begin = row * kernel.x_row + at
            within = begin + v.lanes <= (height - 1) * kernel.x_row + width
            mask = v.span(0, width - at)
            value = v.load_stored(source, begin, None if within else mask)
            if within and mask is not None:
                value = v.e.b.select(mask, value, v.zero())
            v.store(value, target, row * kernel.stage_row + kernel.stage_lead + at)


def _emit_part(
    v: Vectors,
    kernel: DepthwiseMapKernel,
    first: tuple[int, int],
    source: Value,
    target: Value,
    factors: Factors,
    bias: Value,
    channel: Int,
) -> None:
    """One tile of the map, from its first output on."""
    (in_height, in_width), (height, width) = kernel.in_size, kernel.out_size
    row_step, column_step = kernel.steps
    row, column = first
    rows = min(kernel.rows, height - row)
    vectors = min(kernel.vectors, -(-(width - column) // kernel.lanes))
    origin = column * column_step
    copied, words = kernel.reading == "copied", kernel.reading == "words"

    def line(place: Place) -> tuple[Value, Int] | None:
        at = row * row_step + place[0]
        if not 0 <= at < in_height:
            return None
        if copied:
            return source, at * kernel.stage_row + kernel.stage_lead + origin
        return source, at * kernel.x_row + origin

    times = 2 if words else 1

    def mask(begin: int) -> Value | Literal[False] | None:
        start, stop = -(origin + begin), in_width - (origin + begin)
        if start >= times * v.lanes or stop <= 0:
            return False
        return None if copied else v.span(start, stop, times)

    lowest = min(column for _, column in kernel.taps)
    if words:
        read = Words(v, lowest, line, mask)
    elif kernel.reading == "shifted":
        read = Shifted(v, line, mask)
    else:
        read = Rows(v, column_step, lowest, line, mask, packed=copied)
    sums = emit_tile(
        v, taps=kernel.taps, row_step=row_step, rows=rows, vectors=vectors,
        starts=[j * v.lanes * column_step for j in range(vectors)], factors=factors, read=read,
    )  # fmt: skip
    offset = v.load_broadcast(bias, channel) if kernel.has_bias else None
    biased = sums if offset is None else [v.add(value, offset) for value in sums]
    results = [emit_activation(v, kernel.activation, value) for value in biased]
    if column_step == 2 and not words:
        results = [v.in_order(result) for result in results]
    for i, result in enumerate(v.narrowed(results)):
        r, at = row + i // vectors, column + i % vectors * v.lanes
        v.store_leading(result, target, r * kernel.y_row + at, _stored(kernel, r, at))


def _stored(kernel: DepthwiseMapKernel, row: int, column: int) -> int:
    """How many lanes of a vector of outputs are stored: all of them where the row after it, written later,
    makes good what they overwrite. Stores of parts are dearer: 7 of 8 lanes take three.
    """
    height, width = kernel.out_size
    whole_rows = kernel.vectors * kernel.lanes >= width and kernel.y_row == width
    inside = row + 1 < height and column + kernel.lanes <= 2 * width
    return kernel.lanes if whole_rows and inside else width - column
