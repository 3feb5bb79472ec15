"""Depthwise convolution: one input channel for each output channel, so nothing to share but neighbours.

    y[n, m, r, j] = bias[m] + sum over tap of w[m, tap] * plane[row(r, tap)][j + column(tap)]

A tile is `rows` output rows by one vector of columns. Its inner loop has no loop: all taps are unrolled, and
a vector that several rows need is loaded once:

    3x3, 7 rows:   9 input rows x 3 shifts = 27 loads for 63 multiply-adds     (the direct kernel: 63 loads)

The weights of a channel stay in registers, sums go from registers to the output. The input is packed
(pack.py) a band of rows at a time, into planes that fit the first-level cache; their pitch is a constant of
the code, rounded up to whole vectors, so images of like widths share it.
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import DEPTHWISE_PARAMETERS, HEADER_BYTES, DepthwiseKernel
from convforge.kernels.epilogue import emit_activation
from convforge.kernels.pack import emit_pack
from convforge.kernels.parameters import Parameters


def emit_depthwise(kernel: DepthwiseKernel, module: Module) -> None:
    """Emit the task: one band of rows of a block of groups of one image."""
    e = module.function("task", "pip")
    call, index, scratch = e.arguments
    baked = {"pitch": kernel.pitch, "plane": kernel.plane}
    p = Parameters(e, e.load_pointer(call, 0), DEPTHWISE_PARAMETERS, baked)
    p.read(*(name for name in DEPTHWISE_PARAMETERS if not name.endswith("table")))
    x, weights, bias, y = (e.load_pointer(call, i) for i in range(1, 5))
    v = Vectors(e, kernel.element, kernel.lanes, fused=kernel.fused)
    storage, compute = kernel.element.storage, kernel.element.compute

    band, rest = e.rem(index, p.bands), e.div(index, p.bands)
    block, image = e.rem(rest, p.group_blocks), e.div(rest, p.group_blocks)
    first_row = e.mul(band, p.band_rows)
    stop_row = e.minimum(e.add(first_row, p.band_rows), p.height)
    first_group = e.mul(block, p.group_block)
    stop_group = e.minimum(e.add(first_group, p.group_block), p.groups)
    planes = e.at(scratch, "i8", HEADER_BYTES)
    x_image = e.at(x, storage, e.mul(image, p.x_batch))
    y_image = e.at(y, storage, e.mul(image, p.y_batch))
    with e.loop(first_group, stop_group, name="group") as group:
        source = e.at(x_image, storage, e.mul(group.index, p.x_channel))
        emit_pack(
            e, v, kernel.columns, p, source=source, target=planes, channels=1,
            first_row=first_row, first_column=0,
        )  # fmt: skip
        with e.loop(0, p.multiplier, name="multiple") as multiple:
            channel = e.add(e.mul(group.index, p.multiplier), multiple.index)
            taps = e.at(weights, compute, e.mul(channel, len(kernel.taps)))
            factors = [v.load_broadcast(taps, i) for i in range(len(kernel.taps))]
            offset = v.load_broadcast(bias, channel) if kernel.has_bias else None
            target = e.at(y_image, storage, e.mul(channel, p.y_channel))
            # Bands belong to images; a volume is one band, and goes through it slice by slice.
            with (
                e.loop(0, p.depth, name="slice") as depth,
                e.loop(first_row, stop_row, step=kernel.rows, name="row") as row,
            ):
                # The last tile begins early so that it ends on the end.
                h = e.minimum(row.index, e.sub(stop_row, kernel.rows))
                at = e.add(e.mul(depth.index, p.slice_rows), e.sub(h, first_row))
                line = e.at(planes, compute, e.mul(at, p.pitch))
                out = e.at(target, storage, e.add(e.mul(depth.index, p.y_slice), e.mul(h, p.y_row)))
                _emit_row_of_tiles(e, v, kernel, p, line, out, factors, offset)
    e.done()


def _emit_row_of_tiles(
    e: Emitter,
    v: Vectors,
    kernel: DepthwiseKernel,
    p: Parameters,
    line: Value,
    out: Value,
    factors: list[Value],
    offset: Value | None,
) -> None:
    with e.loop(0, p.width, step=kernel.lanes, name="column") as column:
        pixels = e.at(line, kernel.element.compute, column.index)
        sums = _emit_tile(v, kernel, pixels, factors)
        mask = v.first(e.sub(p.width, column.index))
        for r, value in enumerate(sums):
            biased = value if offset is None else v.add(value, offset)
            to: Int = e.add(e.mul(p.y_row, r), column.index)
            v.store_stored(emit_activation(v, kernel.activation, biased), out, to, mask)


def _emit_tile(v: Vectors, kernel: DepthwiseKernel, pixels: Value, factors: list[Value]) -> list[Value]:
    """Sums of `rows` rows: each input vector is loaded once, for all rows and taps that need it."""
    uses: dict[tuple[int, int, int], list[tuple[int, int]]] = {}
    for r in range(kernel.rows):
        for t, (depth, height, width) in enumerate(kernel.order):
            uses.setdefault((depth, height + r * kernel.row_step, width), []).append((r, t))
    sums = [v.zero()] * kernel.rows
    # In the order of the input, each output adds its taps in the order of the kernel, as the direct family
    # does: so the bits are the same whichever of the two a layout leads to.
    for at in sorted(uses):
        r, t = uses[at][0]
        plane, row, column = kernel.taps[t]
        loaded = v.load(pixels, plane * kernel.plane + (row + r) * kernel.pitch + column)
        for r, t in uses[at]:
            sums[r] = v.multiply_add(factors[t], loaded, sums[r])
    return sums
