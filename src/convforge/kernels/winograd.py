"""Winograd's algorithm: a tile of m outputs by m + r - 1 products along each axis, instead of m * r.

    V[point][c][t] = B^T d B                     transform of tile t's inputs, channel by channel
    M[point][k][t] = sum over c of U[point][k][c] * V[point][c][t]
    Y[k][t]        = A^T M A                     m outputs along each axis

The tiles are outputs of a gather with step m (schedule/winograd.py), so packing and padding are those of all
kernels; a vector is 16 tiles, neighbours in the flat run of tiles. A task is one image, one group, a band of
tiles and some tiles of output channels:

    for channel                          unless the tasks before it on this thread did
        pack its rows, transform         V of the band, in the second-level cache
    for tile of output channels
        for `length` tiles of the band
            for point
                for block of channels    sums in registers, then added in the first-level cache
            transform, bias, activation  to scratch, row by row to the output

A dilated kernel's outputs fall into phases, each a convolution of neighbouring taps of its own part of the
input.

Packed weights: [group][tile of output channels][point][channel][mr]. Scratch: header, planes of one channel,
V, M of one tile, outputs of one tile on their way out.

Transforms add inputs before they multiply. So an infinite input, or one far larger than its neighbours, would
spoil outputs of its tile that do not depend on it: spread.py looks for these, and for results that are not
finite, and the header's flag tells the plan to have that image computed by a direct kernel.
"""

from __future__ import annotations

from functools import partial
from math import prod

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.combine import emit_product, emit_transposed_product
from convforge.kernels.contract import (
    HEADER_BYTES,
    WINOGRAD_PARAMETERS,
    WINOGRAD_PHASE_FIELDS,
    WinogradKernel,
)
from convforge.kernels.epilogue import emit_activation, emit_write_rows
from convforge.kernels.pack import emit_pack
from convforge.kernels.pack_tiles import emit_pack_tiles
from convforge.kernels.parameters import Parameters
from convforge.kernels.separable import IN_REGISTERS, Pass, emit_separable
from convforge.kernels.spread import emit_flag, emit_largest, emit_uneven, emit_unfit, window_passes
from convforge.schedule.winograd import transforms


def emit_winograd(kernel: WinogradKernel, module: Module) -> None:
    """Emit the task of a kernel."""
    _Winograd(kernel).emit(module)


class _Winograd:
    """The loop nest, its kernel's choices at hand."""

    def __init__(self, kernel: WinogradKernel) -> None:
        self.kernel = kernel
        self.element, self.lanes, self.mr, self.nv = kernel.element, kernel.lanes, kernel.mr, kernel.nv
        self.length = kernel.length
        self.tiling = kernel.tiling
        self.matrices = [transforms(m, r) for m, r in zip(kernel.tiling.outputs, kernel.tiling.taps)]

    def emit(self, module: Module) -> None:
        """Emit `task(call, index, scratch)`."""
        e = module.function("task", "pip")
        call, index, scratch = e.arguments
        p = Parameters(e, e.load_pointer(call, 0), WINOGRAD_PARAMETERS)
        p.read(*(name for name in WINOGRAD_PARAMETERS if not name.endswith(("table", "distances"))))
        x, weights, bias, y = (e.load_pointer(call, i) for i in range(1, 5))
        v = Vectors(e, self.element, self.lanes, fused=self.kernel.fused)
        storage, compute = self.element.storage, self.element.compute

        out_block, key = e.rem(index, p.out_blocks), e.div(index, p.out_blocks)
        band, rest = e.rem(key, p.bands), e.div(key, p.bands)
        phase, rest = e.rem(rest, p.phases), e.div(rest, p.phases)
        group, image = e.rem(rest, p.groups), e.div(rest, p.groups)
        fields = WINOGRAD_PHASE_FIELDS
        p.let(fields, e.at(p.pointer("phase_table"), "i64", e.mul(phase, len(fields))))
        first = e.mul(band, p.band_length)
        stop = e.minimum(e.add(first, p.band_length), p.flat)
        at = e.add(p.x_offset, e.mul(image, p.x_batch), e.mul(group, p.channels, p.x_channel))
        x_group = e.at(x, storage, at)
        values = e.at(scratch, "i8", p.values)

        stale = e.b.icmp_signed("!=", e.load("i64", scratch), e.i64(e.add(key, 1)))
        with e.when(stale):
            e.store(e.i64(e.add(key, 1)), "i64", scratch)
            self._emit_values(e, v, p, scratch, x_group, first, stop)

        at = e.add(p.y_offset, e.mul(image, p.y_batch), e.mul(group, p.out_channels, p.y_channel))
        y_group = e.at(y, storage, at)
        group_bias = e.at(bias, compute, e.mul(group, p.out_channels)) if self.kernel.has_bias else None
        tile_weights = e.mul(p.channels, self.tiling.points * self.mr)
        first_out = e.mul(out_block, p.task_tiles)
        stop_out = e.minimum(e.add(first_out, p.task_tiles), p.out_tiles)
        with e.loop(first_out, stop_out, name="out_tile") as out:
            at = e.mul(e.add(e.mul(group, p.out_tiles), out.index), tile_weights)
            out_weights = e.at(weights, compute, at)
            first_channel = e.mul(out.index, self.mr)
            target = e.at(y_group, storage, e.mul(first_channel, p.y_channel))
            out_bias = None if group_bias is None else e.at(group_bias, compute, first_channel)
            rows = e.minimum(e.sub(p.out_channels, first_channel), self.mr)
            with e.loop(first, stop, step=self.length, name="tile") as tile:
                here = e.at(values, compute, e.sub(tile.index, first))
                self._emit_sums(e, v, p, out_weights, here, e.at(scratch, "i8", p.sums))
                self._emit_outputs(e, v, p, scratch, target, out_bias, tile.index, rows)
        e.done()

    # The way in.

    def _emit_values(
        self,
        e: Emitter,
        v: Vectors,
        p: Parameters,
        scratch: Value,
        x: Value,
        first: Int,
        stop: Int,
    ) -> None:
        """V of the tiles first … stop - 1, all channels; one channel's planes at a time stay in the cache."""
        compute = self.element.compute
        planes, values = e.at(scratch, "i8", HEADER_BYTES), e.at(scratch, "i8", p.values)
        spread = e.at(scratch, "i8", p.spread)
        windows = prod(self.tiling.outputs)
        with e.loop(0, e.mul(p.band_length, windows), step=self.lanes, name="window") as window:
            v.clear_bits(spread, window.index)
        one_row = e.b.icmp_signed("!=", p.one_row, e.i64(0))
        first_row = e.select(one_row, 0, e.div(first, p.pitch))
        first_column = e.select(one_row, first, 0)
        base = e.add(e.mul(first_row, p.pitch), first_column)
        distances = p.pointer("distances")
        with e.loop(0, p.channels, name="channel") as channel:
            source = e.at(x, self.element.storage, e.mul(channel.index, p.x_channel))
            if self.kernel.columns == "unit":
                emit_pack_tiles(
                    e, v, p, outputs=self.tiling.outputs[2], columns=self.tiling.sizes[2],
                    margins=self.kernel.margins, source=source, target=planes,
                    first_row=first_row, first_column=first_column,
                    before=e.sub(first, base), behind=e.sub(e.add(stop, p.reach), base),
                )  # fmt: skip
            else:
                emit_pack(
                    e, v, "strided", p, source=source, target=planes, channels=1,
                    first_row=first_row, first_column=first_column,
                )  # fmt: skip
            to = e.at(values, compute, e.mul(channel.index, p.band_length))
            with e.loop(first, stop, step=self.lanes, name="some_tiles") as tiles:
                origin = e.at(planes, compute, e.sub(tiles.index, base))
                self._emit_transform(e, v, p, scratch, origin, distances, to, e.sub(tiles.index, first))
        with e.loop(first, stop, step=self.lanes, name="some_windows") as tiles:
            at = e.sub(tiles.index, first)
            largest = [v.load_bits(spread, e.add(e.mul(p.band_length, i), at)) for i in range(windows)]
            emit_flag(e, scratch, emit_uneven(v, largest, v.first(e.sub(p.flat, tiles.index))))

    def _emit_transform(
        self,
        e: Emitter,
        v: Vectors,
        p: Parameters,
        scratch: Value,
        origin: Value,
        distances: Value,
        values: Value,
        at: Int,
    ) -> None:
        """V of one vector of tiles and one channel, and the largest inputs of its windows so far."""
        sizes, lines = self.tiling.sizes, e.at(scratch, "i8", p.lines)
        spread = e.at(scratch, "i8", p.spread)

        def load(place: Int) -> Value:
            return v.load(origin, e.load("i64", distances, place))

        def keep_largest(places: list[Int], magnitudes: list[Value]) -> None:
            for place, magnitude in zip(places, magnitudes):
                to = e.add(e.mul(p.band_length, place), at)
                v.store_bits(v.larger(magnitude, v.load_bits(spread, to)), spread, to)

        def store(places: list[Int], data: list[Value]) -> None:
            for place, value in zip(places, data):
                v.store(value, values, e.add(at, e.mul(p.point, place)))

        read = load
        if self.tiling.points <= IN_REGISTERS:
            read = [load(i) for i in range(self.tiling.points)].__getitem__
        windows = window_passes(v, self.tiling)
        emit_separable(e, v, sizes, windows, read=read, write=keep_largest, scratch=lines)
        passes = [
            Pass(axis, sizes[axis], partial(emit_product, v, self.matrices[axis].data))
            for axis in (2, 1, 0)
            if sizes[axis] > 1
        ]
        emit_separable(e, v, sizes, passes, read=read, write=store, scratch=lines)

    # The products.

    def _emit_sums(
        self, e: Emitter, v: Vectors, p: Parameters, weights: Value, values: Value, sums: Value
    ) -> None:
        """M of mr channels and `length` tiles: for each point a product of matrices, channels in blocks."""
        compute, mr, nv = self.element.compute, self.mr, self.nv
        with e.loop(0, self.tiling.points, name="point") as point:
            u = e.at(weights, compute, e.mul(point.index, p.channels, mr))
            x = e.at(values, compute, e.mul(point.index, p.point))
            held = e.at(sums, compute, e.mul(point.index, mr * self.length))
            with e.loop(0, p.channels, step=p.channel_block, name="block") as block:
                count = e.minimum(p.channel_block, e.sub(p.channels, block.index))
                u_block = e.at(u, compute, e.mul(block.index, mr))
                x_block = e.at(x, compute, e.mul(block.index, p.band_length))
                with e.loop(0, count, carried=[v.zero()] * (mr * nv), name="c") as c:
                    row = e.at(u_block, compute, e.mul(c.index, mr))
                    line = e.at(x_block, compute, e.mul(c.index, p.band_length))
                    here = [v.load(line, j * self.lanes) for j in range(nv)]
                    for m in range(mr):
                        w = v.load_broadcast(row, m)
                        c.next += [v.multiply_add(w, here[j], c.carried[m * nv + j]) for j in range(nv)]
                fresh = e.equal(block.index, 0)
                with e.loop(0, e.select(fresh, 0, 1), carried=c.results, name="resume") as resume:
                    before = [v.load(held, i * self.lanes) for i in range(mr * nv)]
                    resume.next = [v.add(b, a) for b, a in zip(before, resume.carried)]
                for i, value in enumerate(resume.results):
                    v.store(value, held, i * self.lanes)

    # The way out.

    def _emit_outputs(
        self,
        e: Emitter,
        v: Vectors,
        p: Parameters,
        scratch: Value,
        target: Value,
        bias: Value | None,
        tile: Int,
        rows: Int,
    ) -> None:
        """From M to the output array: transform, bias, activation; columns put in turn; row by row."""
        compute, length, (md, mh, mw) = self.element.compute, self.length, self.tiling.outputs
        sums, leaving = e.at(scratch, "i8", p.sums), e.at(scratch, "i8", p.leaving)
        size = self.mr * length  # of M's point; mw times that, of one row of the tiles on its way out
        lines, watched = e.at(scratch, "i8", p.lines), e.at(scratch, "i8", p.spread)
        passes = [
            Pass(axis, matrix_rows, partial(emit_transposed_product, v, self.matrices[axis].output))
            for axis, matrix_rows in enumerate(self.tiling.outputs)
            if self.tiling.sizes[axis] > 1 or axis == 2
        ]
        v.clear_bits(watched, 0)
        with e.loop(0, rows, name="channel_out") as m:
            added = None if bias is None else v.load_broadcast(bias, m.index)
            with e.loop(0, self.nv, name="vector_out") as j:
                at = e.add(e.mul(m.index, length), e.mul(j.index, self.lanes))
                real = v.first(e.sub(p.flat, e.add(tile, e.mul(j.index, self.lanes))))

                def load(place: Int, at: Int = at) -> Value:
                    return v.load(sums, e.add(at, e.mul(place, size)))

                def finish(
                    places: list[Int],
                    row: list[Value],
                    at: Int = at,
                    real: Value = real,
                    added: Value = added,
                ) -> None:
                    if added is not None:
                        row = [v.add(value, added) for value in row]
                    largest = emit_largest(v, v.load_bits(watched, 0), row, real)
                    v.store_bits(largest, watched, 0)
                    row = v.interleave([emit_activation(v, self.kernel.activation, value) for value in row])
                    to = e.add(e.mul(places[0], size), e.mul(at, mw))
                    for k, value in enumerate(row):
                        v.store(value, leaving, e.add(to, k * self.lanes))

                emit_separable(e, v, self.tiling.sizes, passes, read=load, write=finish, scratch=lines)
        emit_flag(e, scratch, emit_unfit(v, v.load_bits(watched, 0)))
        for i in range(md * mh):
            d, h = divmod(i, mh)
            emit_write_rows(
                e,
                v,
                tile=e.at(leaving, compute, i * size * mw),
                tile_size=0,
                length=length * mw,
                flat=e.mul(tile, mw),
                rows=rows,
                target=e.at(target, self.element.storage, e.add(e.mul(p.y_slice, d), e.mul(p.y_row, h))),
                channel=p.y_channel,
                pitch=e.mul(p.pitch, mw),
                slice_rows=p.slice_rows,
                size=(
                    e.div(e.add(p.depth, md - 1 - d), md),
                    e.div(e.add(p.height, mh - 1 - h), mh),
                    p.width,
                ),
                row_stride=e.mul(p.y_row, mh),
                slice_stride=e.mul(p.y_slice, md),
                step=p.y_step,
                out_width=p.width,
                way=self.kernel.way_out,
            )
