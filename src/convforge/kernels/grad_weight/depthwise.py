"""The gradient of depthwise weights: vectors along rows, a channel at a time.

    gw[m, tap]  =  sum over n, r, j of  gy[n, m, r, j] * plane[row(r, tap)][j + column(tap)]

The input of a channel is packed as for its output (depthwise/bands.py), a band of rows at a time;
grad-output is read where it lies. A tile is one vector of a few rows of grad-output in registers; each vector
of the input is read once for all of them, and the sums of some taps stay in registers over the whole band:

    3x3, 4 rows:   4 vectors of grad-output, 6 rows x 3 columns = 18 of the input, 36 multiply-adds

What does not fill a vector at the end of a row is read as half or a quarter of one, or as one that begins
early, its first lanes made zeros. A task is a part of the batch of a block of channels; parts follow from the
layer alone and are added up by the plan.

Scratch: header, planes of one channel, sums [channel][position of the kernel][lanes].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.depthwise.bands import emit_planes
from convforge.kernels.depthwise.copy_rows import emit_zeros
from convforge.kernels.grad_weight.contract import (
    GRAD_WEIGHT_DEPTHWISE_PARAMETERS,
    GradWeightDepthwiseKernel,
)
from convforge.kernels.parameters import Parameters


def emit(kernel: GradWeightDepthwiseKernel, module: Module) -> None:
    """Emit the task; x of the call is the input, bias grad-output, y the parts in the compute type."""
    e = module.function("task", "pip")
    call, index, scratch = e.arguments
    baked = {"pitch": kernel.pitch, "plane": kernel.plane}
    p = Parameters(e, e.load_pointer(call, 0), GRAD_WEIGHT_DEPTHWISE_PARAMETERS, baked)
    x, gradient, y = e.load_pointer(call, 1), e.load_pointer(call, 3), e.load_pointer(call, 4)
    v = Vectors(e, kernel.element, kernel.lanes, fused=kernel.fused)
    storage, compute = kernel.element.storage, kernel.element.compute

    part, block = e.rem(index, p.parts), e.div(index, p.parts)
    first_image = e.mul(part, p.part_images)
    stop_image = e.minimum(e.add(first_image, p.part_images), p.batch)
    first_group = e.mul(block, p.group_block)
    stop_group = e.minimum(e.add(first_group, p.group_block), p.groups)
    planes, sums = e.at(scratch, "i8", HEADER_BYTES), e.at(scratch, "i8", p.sums)
    weights = e.mul(p.multiplier, p.positions)
    block_weights = e.mul(e.sub(stop_group, first_group), weights)
    emit_zeros(e, v, sums, e.mul(block_weights, kernel.lanes))
    with e.loop(0, p.bands, name="band") as band:
        first_row = e.mul(band.index, p.band_rows)
        stop_row = e.minimum(e.add(first_row, p.band_rows), p.height)
        if kernel.copy:
            # Each band has its padding elsewhere.
            emit_zeros(e, v, planes, e.mul(p.planes, p.plane))
        # Maps in the order of memory: small ones of one channel, an image apart, ran a quarter slower.
        with (
            e.loop(first_image, stop_image, name="image") as image,
            e.loop(first_group, stop_group, name="group") as group,
        ):
            at = e.add(e.mul(image.index, p.x_batch), e.mul(group.index, p.x_channel))
            source = e.at(x, storage, at)
            emit_planes(e, v, kernel, p, source=source, target=planes, first_row=first_row)
            with e.loop(0, p.multiplier, name="multiple") as multiple:
                channel = e.add(e.mul(group.index, p.multiplier), multiple.index)
                at = e.add(e.mul(image.index, p.g_batch), e.mul(channel, p.g_channel))
                g = e.at(gradient, storage, at)
                own = e.sub(channel, e.mul(first_group, p.multiplier))
                totals = e.at(sums, compute, e.mul(own, p.positions, kernel.lanes))
                for taps in kernel.passes:
                    _emit_pass(e, v, kernel, p, taps, planes, g, totals, first_row, stop_row)
    target = e.at(y, compute, e.add(e.mul(part, p.y_part), e.mul(first_group, weights)))
    with e.loop(0, block_weights, name="weight") as i:
        total = v.sum(v.load(sums, e.mul(i.index, kernel.lanes)))
        e.store(total, compute, target, i.index)
    e.done()


def _emit_pass(
    e: Emitter,
    v: Vectors,
    kernel: GradWeightDepthwiseKernel,
    p: Parameters,
    taps: Sequence[int],
    planes: Value,
    gradient: Value,
    totals: Value,
    first_row: Int,
    stop_row: Int,
) -> None:
    """Some taps over a band of one map."""
    compute = kernel.element.compute
    full = e.sub(stop_row, kernel.last)

    def tiles(begin: Int, end: Int, rows: int, depth: Int, sums: list[Value]) -> list[Value]:
        with e.loop(begin, end, step=rows, carried=sums, name="row") as row:
            at = e.add(e.mul(depth, p.slice_rows), e.sub(row.index, first_row))
            line = e.at(planes, compute, e.mul(at, p.pitch))
            g_at = e.add(e.mul(depth, p.g_slice), e.mul(row.index, p.g_row))
            g_line = e.at(gradient, kernel.element.storage, g_at)
            row.next = _emit_rows(e, v, kernel, p, taps, rows, line, g_line, row.carried)
        return row.results

    with e.loop(0, p.depth, carried=[v.zero()] * len(taps), name="slice") as depth:
        depth.next = tiles(first_row, full, kernel.rows, depth.index, depth.carried)
        if kernel.last:
            # Bands are whole tiles, but for the last one.
            end = e.select(e.equal(stop_row, p.height), stop_row, full)
            depth.next = tiles(full, end, kernel.last, depth.index, depth.next)
    for tap, result in zip(taps, depth.results, strict=True):
        at = kernel.positions[tap] * kernel.lanes
        v.store(v.add(v.load(totals, at), result), totals, at)


def _emit_rows(
    e: Emitter,
    v: Vectors,
    kernel: GradWeightDepthwiseKernel,
    p: Parameters,
    taps: Sequence[int],
    rows: int,
    line: Value,
    g_line: Value,
    sums: list[Value],
) -> list[Value]:
    """A few rows of grad-output, vector by vector, then what is left of them."""
    whole = e.sub(p.width, kernel.rest)
    with e.loop(0, whole, step=kernel.lanes, carried=sums, name="column") as column:
        g = [v.load_stored(g_line, e.add(e.mul(p.g_row, r), column.index)) for r in range(rows)]
        here = e.at(line, kernel.element.compute, column.index)
        column.next = _emit_tile(v, kernel, taps, g, lambda at: v.load(here, at), column.carried)
    if not kernel.rest:
        return column.results
    # Lanes without an output of their own are zeros in both factors: 0 * infinity would be NaN.
    if kernel.rest.bit_count() == 1:
        begin = whole

        def cut(pointer: Value, offset: Int, *, computed: bool) -> Value:
            return v.load_leading(pointer, offset, kernel.rest, computed=computed)
    else:
        begin, mask = e.sub(p.width, v.lanes), v.span_bits(v.lanes - kernel.rest, v.lanes)

        def cut(pointer: Value, offset: Int, *, computed: bool) -> Value:
            return v.keep(v.load(pointer, offset) if computed else v.load_stored(pointer, offset), mask)

    g = [cut(g_line, e.add(e.mul(p.g_row, r), begin), computed=False) for r in range(rows)]
    here = e.at(line, kernel.element.compute, begin)
    return _emit_tile(v, kernel, taps, g, lambda at: cut(here, at, computed=True), column.results)


def _emit_tile(
    v: Vectors,
    kernel: GradWeightDepthwiseKernel,
    taps: Sequence[int],
    g: list[Value],
    load: Callable[[int], Value],
    sums: list[Value],
) -> list[Value]:
    """One vector of each row: every vector of the input is read once."""
    uses: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    reads: dict[tuple[int, ...], int] = {}
    for i, tap in enumerate(taps):
        depth, height, width = kernel.order[tap]
        for r in range(len(g)):
            place = (depth, height + r * kernel.row_step, width)
            reads[place] = kernel.distances[tap] + r * kernel.pitch
            uses.setdefault(place, []).append((i, r))
    new = list(sums)
    v.e.forget_loads()
    for place in sorted(uses):
        x = load(reads[place])
        for i, r in uses[place]:
            new[i] = v.multiply_add(x, g[r], new[i])
    return new
