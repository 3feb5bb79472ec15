"""Depthwise convolution with large kernels: the taps are loops.

    y[n, m, r, j] = bias[m] + sum over (i, k) of w[m, i, k] * plane[r + i][j + k]

A tile is `rows` output rows by `vectors` vectors of columns. It goes through its input row by row, and
through a row tap by tap; a vector of the input is loaded once for all output rows that it reaches:

    kernel 5, 3 rows      input row   0   1   2   3   4   5   6
                          row 0       w0  w1  w2  w3  w4                rising | steady | falling:
                          row 1           w0  w1  w2  w3  w4            code of their own for 1, 2, … rows,
                          row 2               w0  w1  w2  w3  w4        and one loop for all of them

    8x2 tile, steady: 16 multiply-adds for 2 loads and 8 broadcasts

Input rows on zero padding are left out. The sum of an output runs through the kernel in its own order.
"""

from __future__ import annotations

from collections.abc import Sequence

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.depthwise.bands import TileOf, emit_bands
from convforge.kernels.depthwise.contract import DepthwiseLargeKernel
from convforge.kernels.parameters import Parameters


def emit(kernel: DepthwiseLargeKernel, module: Module) -> None:
    """Emit the task: one band of rows of a block of groups of one image."""

    def tile_of(e: Emitter, v: Vectors, p: Parameters, weights: Value) -> TileOf:
        return lambda pixels, row: _emit_tile(e, v, kernel, p, weights, pixels, row)

    emit_bands(kernel, module, tile_of)


def _emit_tile(
    e: Emitter,
    v: Vectors,
    kernel: DepthwiseLargeKernel,
    p: Parameters,
    weights: Value,
    pixels: Sequence[Value],
    row: Int,
) -> list[Value]:
    slices, height, _ = kernel.size
    # Rows of the tile's input that are not padding: from its first, where that is row `row` of the plane.
    start, stop = e.sub(p.first_real, row), e.sub(p.stop_real, row)
    zeros = [v.zero()] * (kernel.rows * len(pixels))
    with e.loop(0, slices, carried=zeros, name="tap_slice") as depth:
        sums = depth.carried
        slice_at = e.mul(depth.index, p.slice_rows, kernel.pitch)
        planes = [e.at(pixel, v.element.compute, slice_at) for pixel in pixels]
        kernel_slice = e.at(weights, v.element.compute, e.mul(depth.index, height * kernel.size[2]))
        for first, last in _stages(kernel.rows, height):
            # Rows that this stage reaches, whichever of its input rows it is at.
            reached = range(max(0, last - height), min(kernel.rows, first + 1))
            with e.loop(
                e.maximum(start, first), e.minimum(stop, last), carried=sums, name="input_row"
            ) as line:
                line.next = _emit_input_row(
                    e, v, kernel, planes, kernel_slice, line.index, reached, line.carried
                )
            sums = line.results
        depth.next = sums
    return depth.results


def _stages(rows: int, height: int) -> list[tuple[int, int]]:
    """Ranges of input rows that reach the same rows of the tile.

    rows 3, height 5 -> (0, 1), (1, 2), (2, 5), (5, 6), (6, 7)
    """
    low, high = min(rows, height) - 1, max(rows, height)
    rising = [(i, i + 1) for i in range(low)]
    falling = [(i, i + 1) for i in range(high, rows + height - 1)]
    # A tile taller than the kernel has no two input rows that reach the same of its rows.
    steady = [(low, high)] if height >= rows else [(i, i + 1) for i in range(low, high)]
    return rising + steady + falling


def _emit_input_row(
    e: Emitter,
    v: Vectors,
    kernel: DepthwiseLargeKernel,
    planes: Sequence[Value],
    weights: Value,
    index: Int,
    reached: range,
    sums: list[Value],
) -> list[Value]:
    """Adds what one input row gives to the rows that it reaches, tap by tap."""
    width = kernel.size[2]
    lines = [e.at(plane, v.element.compute, e.mul(index, kernel.pitch)) for plane in planes]
    # Row r of the tile meets row index - r of the kernel.
    taps = e.at(weights, v.element.compute, e.mul(index, width))
    with e.loop(0, width, carried=sums, name="tap") as tap:
        w = e.at(taps, v.element.compute, tap.index)
        vectors = [v.load(line, tap.index) for line in lines]
        tap.next = list(tap.carried)
        for r in reached:
            factor = v.load_broadcast(w, -r * width)
            for j, vector in enumerate(vectors):
                at = r * len(lines) + j
                tap.next[at] = v.multiply_add(factor, vector, tap.next[at])
    return tap.results
