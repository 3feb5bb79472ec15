"""Depthwise convolution from packed planes: any layout, padding mode, stride and dtype.

    y[n, m, r, j] = bias[m] + sum over tap of w[m, tap] * plane[row(r, tap)][j + column(tap)]

A tile is `rows` output rows by a few vectors of columns, all taps unrolled (tile.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.depthwise.bands import TileOf, emit_bands
from convforge.kernels.depthwise.contract import DepthwiseKernel
from convforge.kernels.depthwise.tile import Factors, Place, emit_tile
from convforge.kernels.parameters import Parameters


def emit(kernel: DepthwiseKernel, module: Module) -> None:
    """Emit the task: one band of rows of a block of groups of one image."""
    # Where a vector of the input lies in the planes, by its place in the input.
    planes: dict[Place, tuple[int, int, int]] = {}
    for (depth, height, width), (plane, row, column) in zip(kernel.order, kernel.taps, strict=True):
        for r in range(kernel.rows):
            planes[depth, height + r * kernel.row_step, width] = (plane, row + r, column)

    def tile_of(_e: Emitter, v: Vectors, _p: Parameters, weights: Value) -> TileOf:
        factors = Factors(v, weights, len(kernel.taps), kernel.held)

        def tile(pixels: Sequence[Value], _row: Int) -> list[Value]:
            def read(place: Place, number: int) -> Value:
                plane, row, column = planes[place]
                return v.load(pixels[number], plane * kernel.plane + row * kernel.pitch + column)

            return emit_tile(
                v, taps=kernel.order, row_step=kernel.row_step, rows=kernel.rows, vectors=len(pixels),
                starts=None, factors=factors, read=read,
            )  # fmt: skip

        return tile

    emit_bands(kernel, module, tile_of)
