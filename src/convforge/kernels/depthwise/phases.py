"""Depthwise transposed convolution of stride 2 along the width, any along other axes; so the gradient of the
input of strided depthwise layers.

    y[n, m, s * r + a, 2 * j + b] = bias[m] + sum over taps of phase (a, b) of w[m, tap] * plane[r + …][j + …]

Outputs of one phase share a list of taps (3x3, stride 2, padding 1):

    phase (0, 0): 1 tap    (0, 1): 2    (1, 0): 2    (1, 1): 4

A tile is `rows` rows by `vectors` vectors of both phases of the width, woven as they leave:

    a0 a1 a2 a3   b0 b1 b2 b3   ->   a0 b0 a1 b1   a2 b2 a3 b3
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.depthwise.bands import Map, emit_maps
from convforge.kernels.depthwise.contract import DepthwisePhasesKernel
from convforge.kernels.depthwise.tile import Factors, Place, emit_tile
from convforge.kernels.epilogue import emit_activation
from convforge.kernels.parameters import Parameters
from convforge.kernels.streaming import Store, emit_whole


def emit(kernel: DepthwisePhasesKernel, module: Module) -> None:
    """Emit the task: one band of rows of a block of groups of one image."""

    def emit_map(e: Emitter, v: Vectors, p: Parameters, weights: Value, one: Map) -> None:
        for first in product(*map(range, kernel.counts[:2])):
            _emit_phase(e, v, kernel, p, weights, one, first)

    emit_maps(kernel, module, emit_map)


def _emit_phase(
    e: Emitter,
    v: Vectors,
    kernel: DepthwisePhasesKernel,
    p: Parameters,
    weights: Value,
    one: Map,
    first: tuple[int, ...],
) -> None:
    """The outputs of one phase of depth and height, both of the width."""
    compute, storage = kernel.element.compute, kernel.element.storage
    depths, heights, widths = kernel.counts
    number = (first[0] * heights + first[1]) * widths
    factors: list[Factors] = []
    for i in range(number, number + widths):
        # [phase][channel][tap]
        before, taps = sum(map(len, kernel.phases[:i])), len(kernel.phases[i])
        at = e.add(e.mul(p.groups, p.multiplier, before), e.mul(one.channel, taps))
        factors.append(Factors(v, e.at(weights, compute, at), taps, kernel.held // widths))
    with (
        e.loop(0, p.depth, name="slice") as depth,
        e.loop(one.first, one.stop, step=kernel.rows, name="row") as row,
    ):
        # The last tile begins early so that it ends on the end, along both axes.
        h = e.minimum(row.index, e.sub(one.stop, kernel.rows))
        at = e.add(e.mul(depth.index, kernel.slice_rows), e.sub(h, one.first))
        line = e.at(one.planes, compute, e.mul(at, kernel.pitch))
        to = e.add(
            e.mul(e.add(e.mul(depth.index, depths), first[0]), p.y_slice),
            e.mul(e.add(e.mul(h, heights), first[1]), p.y_row),
        )
        out = e.at(one.out, storage, to)
        with e.loop(0, p.width, step=kernel.vectors * v.lanes, name="column") as column:
            starts = [e.add(column.index, j * v.lanes) for j in range(kernel.vectors)]
            starts = [e.minimum(start, e.sub(p.width, v.lanes)) for start in starts]
            pixels = [e.at(line, compute, start) for start in starts]

            def read(place: Place, j: int, pixels: list[Value] = pixels) -> Value:
                depth, height, width = place
                return v.load(pixels[j], (depth * kernel.slice_rows + height) * kernel.pitch + width)

            sums = [
                emit_tile(
                    v, taps=kernel.phases[number + b], row_step=1, rows=kernel.rows, vectors=kernel.vectors,
                    starts=None, factors=factors[b], read=read,
                )
                for b in range(widths)
            ]  # fmt: skip
            done = [[_finish(v, kernel, value, one.offset) for value in each] for each in sums]
            done = [v.narrowed(each) for each in done]

            def emit(
                store: Store, starts: list[Int] = starts, done: list[list[Value]] = done, out: Value = out
            ) -> None:
                for i, both in enumerate(zip(*done, strict=True)):
                    r, j = divmod(i, kernel.vectors)
                    at = e.add(e.mul(p.y_row, r * heights), e.mul(starts[j], widths))
                    _emit_woven(v, both, out, at, store)

            emit_whole(v, e.at(out, storage, e.mul(starts[0], widths)), emit)


def _finish(v: Vectors, kernel: DepthwisePhasesKernel, value: Value, offset: Value | None) -> Value:
    return emit_activation(v, kernel.activation, value if offset is None else v.add(value, offset))


def _emit_woven(v: Vectors, pair: Sequence[Value], out: Value, at: Int, store: Store) -> None:
    """Store a0 b0 a1 b1 …; 256 bits in quarters, for halves of them are not shuffled across."""
    vector_bytes = v.lanes * v.element.compute_bytes
    if vector_bytes == 64:
        for i, woven in enumerate(v.interleave(pair)):
            store(woven, out, v.e.add(at, i * v.lanes))
        return
    parts = 4 if vector_bytes == 32 else 2
    size = 2 * v.lanes // parts
    for i in range(parts):
        picks = [lane + b * v.lanes for lane in range(i * size // 2, (i + 1) * size // 2) for b in (0, 1)]
        part = v.narrow(v.shuffle(pair[0], pair[1], picks))
        to = v.e.at(out, v.element.storage, v.e.add(at, i * size))
        v.e.b.store(part, to, align=v.element.storage_bytes)
