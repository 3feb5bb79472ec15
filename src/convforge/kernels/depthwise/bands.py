"""What depthwise kernels that pack their input have in common: bands of rows, channel by channel.

The input is packed (copy_rows.py, pack/planes.py) a band of rows at a time, into planes that stay in the
second-level cache; their pitch is a constant of the code, rounded up to whole vectors, so images of like
widths share it.

A row of outputs is cut into tiles of `vectors` vectors, then of one vector less; its last vector begins early
so that it ends on the end:

    28 columns, 8 lanes, a tile of 4 vectors:     0 … 7   8 … 15   16 … 23   20 … 27

Rows shorter than a vector are stored whole where the next row makes good what that overwrites.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.depthwise.contract import (
    DEPTHWISE_PARAMETERS,
    DepthwiseKernel,
    DepthwiseLargeKernel,
    DepthwisePhasesKernel,
)
from convforge.kernels.depthwise.copy_rows import emit_copy, emit_zeros
from convforge.kernels.epilogue import emit_activation
from convforge.kernels.grad_weight.contract import GradWeightDepthwiseKernel
from convforge.kernels.pack.planes import emit_pack
from convforge.kernels.parameters import Parameters
from convforge.kernels.streaming import Store, emit_drain, emit_whole

# Gives a tile's sums, row by row, from where the input of each of its vectors begins in the planes, and the
# row of its first output.
TileOf = Callable[[Sequence[Value], Int], list[Value]]
# Given the weights of a channel.
TilesOf = Callable[[Emitter, Vectors, Parameters, Value], TileOf]


@dataclass(frozen=True, slots=True)
class Map:
    """One output map of a task: number `channel`, at `out`, rows first … stop - 1 of it from `planes`.
    offset: its bias, if there is one.
    """

    channel: Int
    planes: Value
    out: Value
    first: Int
    stop: Int
    offset: Value | None


Packed = DepthwiseKernel | DepthwiseLargeKernel | DepthwisePhasesKernel


def emit_planes(
    e: Emitter,
    v: Vectors,
    kernel: Packed | GradWeightDepthwiseKernel,
    p: Parameters,
    *,
    source: Value,
    target: Value,
    first_row: Int,
) -> None:
    """One channel's rows from first_row on into its planes, which are zeros where rows are copied."""
    if kernel.copy:
        emit_copy(e, v, kernel.copy, p, source=source, target=target, first_row=first_row)
        return
    emit_pack(
        e, v, kernel.columns, p, source=source, target=target, channels=1, first_row=first_row, first_column=0
    )


def emit_bands(kernel: DepthwiseKernel | DepthwiseLargeKernel, module: Module, tile_of: TilesOf) -> None:
    """Emit the task: one band of rows of a block of groups of one image."""

    def emit_rows(e: Emitter, v: Vectors, p: Parameters, weights: Value, one: Map) -> None:
        compute = kernel.element.compute
        tile = tile_of(e, v, p, e.at(weights, compute, e.mul(one.channel, kernel.tap_count)))
        # Bands belong to images; a volume is one band, and goes through it slice by slice.
        with (
            e.loop(0, p.depth, name="slice") as depth,
            e.loop(one.first, one.stop, step=kernel.rows, name="row") as row,
        ):
            # The last tile begins early so that it ends on the end.
            h = e.minimum(row.index, e.sub(one.stop, kernel.rows))
            at = e.add(e.mul(depth.index, p.slice_rows), e.sub(h, one.first))
            last = e.no_less(e.add(h, kernel.rows), one.stop)
            line = e.at(one.planes, compute, e.mul(at, p.pitch))
            to = e.add(e.mul(depth.index, p.y_slice), e.mul(h, p.y_row))
            out = e.at(one.out, kernel.element.storage, to)
            _emit_row_of_tiles(e, v, kernel, p, tile, line, out, h, last, one.offset)

    emit_maps(kernel, module, emit_rows)


def emit_maps(
    kernel: Packed, module: Module, emit_map: Callable[[Emitter, Vectors, Parameters, Value, Map], None]
) -> None:
    """Emit the task, map by map: emit_map emits one, given the weights of all."""
    e = module.function("task", "pip")
    call, index, scratch = e.arguments
    baked = {"pitch": kernel.pitch, "plane": kernel.plane}
    p = Parameters(e, e.load_pointer(call, 0), DEPTHWISE_PARAMETERS, baked)
    x, weights, bias, y = (e.load_pointer(call, i) for i in range(1, 5))
    v = Vectors(e, kernel.element, kernel.lanes, fused=kernel.fused, streams=kernel.streams)
    storage = kernel.element.storage

    multiples, rest = e.rem(index, p.multiplier_blocks), e.div(index, p.multiplier_blocks)
    band, rest = e.rem(rest, p.bands), e.div(rest, p.bands)
    block, image = e.rem(rest, p.group_blocks), e.div(rest, p.group_blocks)
    first_row = e.mul(band, p.band_rows)
    stop_row = e.minimum(e.add(first_row, p.band_rows), p.height)
    first_group = e.mul(block, p.group_block)
    stop_group = e.minimum(e.add(first_group, p.group_block), p.groups)
    first_multiple = e.mul(multiples, p.multiplier_block)
    stop_multiple = e.minimum(e.add(first_multiple, p.multiplier_block), p.multiplier)
    planes = e.at(scratch, "i8", HEADER_BYTES)
    if kernel.copy:
        emit_zeros(e, v, planes, e.mul(p.planes, p.plane))
    x_image = e.at(x, storage, e.mul(image, p.x_batch))
    y_image = e.at(y, storage, e.mul(image, p.y_batch))
    with e.loop(first_group, stop_group, name="group") as group:
        source = e.at(x_image, storage, e.mul(group.index, p.x_channel))
        emit_planes(e, v, kernel, p, source=source, target=planes, first_row=first_row)
        with e.loop(first_multiple, stop_multiple, name="multiple") as multiple:
            channel = e.add(e.mul(group.index, p.multiplier), multiple.index)
            out = e.at(y_image, storage, e.mul(channel, p.y_channel))
            offset = v.load_broadcast(bias, channel) if kernel.has_bias else None
            emit_map(e, v, p, weights, Map(channel, planes, out, first_row, stop_row, offset))
    if kernel.streams:
        emit_drain(e)
    e.done()


def _emit_row_of_tiles(
    e: Emitter,
    v: Vectors,
    kernel: DepthwiseKernel | DepthwiseLargeKernel,
    p: Parameters,
    tile: TileOf,
    line: Value,
    out: Value,
    row: Int,
    last: Value,
    offset: Value | None,
) -> None:
    """last: whether the band ends with these rows."""

    def emit(begin: Int, end: Int, vectors: int) -> None:
        with e.loop(begin, end, step=vectors * v.lanes, name="column") as column:
            starts = [e.add(column.index, j * v.lanes) for j in range(vectors)]
            if kernel.ends == "early":
                starts[-1] = e.minimum(starts[-1], e.sub(p.width, v.lanes))
            sums = tile([e.at(line, kernel.element.compute, start) for start in starts], row)
            biased = sums if offset is None else [v.add(value, offset) for value in sums]
            done = v.narrowed([emit_activation(v, kernel.activation, value) for value in biased])

            def emit_early(store: Store, starts: list[Int] = starts, done: list[Value] = done) -> None:
                for i, value in enumerate(done):
                    r, j = divmod(i, vectors)
                    store(value, out, e.add(e.mul(p.y_row, r), starts[j]))

            if kernel.ends == "early":
                emit_whole(v, e.at(out, kernel.element.storage, starts[0]), emit_early)
                return
            # A row is one vector.
            for r, value in enumerate(done):
                to = e.mul(p.y_row, r)
                if kernel.ends == "over" and r < kernel.rows - 1:
                    v.store_stored(value, out, to)
                elif kernel.ends == "masked":
                    v.store_stored(value, out, to, v.first(p.width), mostly_all=True)
                else:
                    with e.b.if_else(last) as (exact, over):
                        with exact:
                            v.store_stored(value, out, to, v.first(p.width))
                        with over:
                            v.store_stored(value, out, to)

    emit(0, p.wide_columns if kernel.narrow else p.width, kernel.vectors)
    if kernel.narrow:
        emit(p.wide_columns, p.width, kernel.vectors - 1)
