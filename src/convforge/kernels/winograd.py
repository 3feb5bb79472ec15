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

from dataclasses import dataclass
from functools import partial
from math import prod

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.combine import emit_product, emit_transposed_product
from convforge.kernels.contract import (
    HEADER_BYTES,
    WINOGRAD_PARAMETERS,
    WinogradKernel,
)
from convforge.kernels.epilogue import emit_activation
from convforge.kernels.pack import emit_pack
from convforge.kernels.pack_spaced import emit_pack_spaced
from convforge.kernels.pack_tiles import emit_pack_tiles
from convforge.kernels.parameters import Parameters
from convforge.kernels.separable import IN_REGISTERS, Pass, emit_separable
from convforge.kernels.spread import emit_flag, emit_largest, emit_uneven, emit_unfit, window_passes
from convforge.kernels.write_tiles import emit_write_tiles
from convforge.schedule.winograd import transforms


def emit_winograd(kernel: WinogradKernel, module: Module) -> None:
    """Emit the task of a kernel."""
    _Winograd(kernel).emit(module)


@dataclass(frozen=True, slots=True)
class _Task:
    """What a task computes: the tiles first … stop - 1, `tiles` in number, of each of its images."""

    first: Int
    stop: Int
    images: Int
    tiles: Int


@dataclass(frozen=True, slots=True)
class _Leave:
    """Where a group of channels goes to in the first image, its bias, and how many channels are left."""

    target: Value
    bias: Value | None
    channels: Int


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
        group = e.rem(rest, p.groups)
        first_image = e.mul(e.div(rest, p.groups), p.images)
        first = e.mul(band, p.band_length)
        stop = e.minimum(e.add(first, p.band_length), p.flat)
        task = _Task(
            first=first,
            stop=stop,
            images=e.minimum(p.images, e.sub(p.batch, first_image)),
            tiles=e.sub(stop, first),
        )

        stale = e.b.icmp_signed("!=", e.load("i64", scratch), e.i64(e.add(key, 1)))
        with e.when(stale):
            e.store(e.i64(e.add(key, 1)), "i64", scratch)
            at = e.add(e.mul(first_image, p.x_batch), e.mul(group, p.channels, p.x_channel))
            self._emit_values(e, v, p, scratch, e.at(x, storage, at), task)

        at = e.add(e.mul(first_image, p.y_batch), e.mul(group, p.out_channels, p.y_channel))
        y_group = e.at(y, storage, at)
        group_bias = e.at(bias, compute, e.mul(group, p.out_channels)) if self.kernel.has_bias else None
        first_out = e.mul(out_block, p.task_tiles)
        stop_out = e.minimum(e.add(first_out, p.task_tiles), p.out_tiles)
        with e.loop(first_out, stop_out, step=p.out_group, name="out_group") as out:
            outs = e.minimum(p.out_group, e.sub(stop_out, out.index))
            at = e.mul(e.add(e.mul(group, p.out_tiles), out.index), p.channels, self.tiling.points * self.mr)
            first_channel = e.mul(out.index, self.mr)
            leave = _Leave(
                target=e.at(y_group, storage, e.mul(first_channel, p.y_channel)),
                bias=None if group_bias is None else e.at(group_bias, compute, first_channel),
                channels=e.sub(p.out_channels, first_channel),
            )
            run = e.mul(task.images, task.tiles)
            with e.loop(0, run, step=p.tile_group, name="tile_group") as tile:
                behind = e.minimum(run, e.add(tile.index, p.tile_group))
                u = e.at(weights, compute, at)
                self._emit_sums(e, v, p, u, scratch, outs, tile.index, behind)
                with (
                    e.loop(0, outs, name="leaving_out") as one,
                    e.loop(tile.index, behind, step=self.length, name="leaving_tile") as some,
                ):
                    self._emit_outputs(
                        e, v, p, scratch, task, leave, one.index, e.sub(some.index, tile.index), some.index
                    )
        e.done()

    # The way in.

    def _emit_values(
        self, e: Emitter, v: Vectors, p: Parameters, scratch: Value, x: Value, task: _Task
    ) -> None:
        """V of a task, all channels; one channel's planes at a time stay in the cache.

        Images follow each other without gaps: an image's last vector reaches into the next one's place, and
        is written before it.
        """
        with e.loop(0, task.images, name="image") as image:
            values = e.at(e.at(scratch, "i8", p.values), self.element.compute, e.mul(image.index, task.tiles))
            source = e.at(x, self.element.storage, e.mul(image.index, p.x_batch))
            self._emit_image_values(e, v, p, scratch, source, values, task.first, task.stop)

    def _emit_image_values(
        self,
        e: Emitter,
        v: Vectors,
        p: Parameters,
        scratch: Value,
        x: Value,
        values: Value,
        first: Int,
        stop: Int,
    ) -> None:
        """V of the tiles first … stop - 1 of one image."""
        compute = self.element.compute
        planes, spread = e.at(scratch, "i8", HEADER_BYTES), e.at(scratch, "i8", p.spread)
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
            before, behind = e.sub(first, base), e.sub(e.add(stop, p.reach), base)
            if self.kernel.spaced:
                emit_pack_spaced(
                    e, v, p, columns=self.kernel.columns, outputs=self.tiling.outputs[2],
                    inputs=self.tiling.sizes[2], source=source, target=planes,
                    first_row=first_row, first_column=first_column, before=before, behind=behind,
                )  # fmt: skip
            elif self.kernel.columns == "unit":
                emit_pack_tiles(
                    e, v, p, outputs=self.tiling.outputs[2], columns=self.tiling.sizes[2],
                    margins=self.kernel.margins, source=source, target=planes,
                    first_row=first_row, first_column=first_column, before=before, behind=behind,
                )  # fmt: skip
            else:
                emit_pack(
                    e, v, "strided", p, source=source, target=planes, channels=1,
                    first_row=first_row, first_column=first_column,
                )  # fmt: skip
            to = e.at(values, compute, e.mul(channel.index, p.run))
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
        self,
        e: Emitter,
        v: Vectors,
        p: Parameters,
        weights: Value,
        scratch: Value,
        outs: Int,
        first: Int,
        stop: Int,
    ) -> None:
        """M of `outs` tiles of channels and the elements first … stop - 1 of the run.

        A product of matrices for each point. Of all orders this one passes fewest bytes: a block of channels
        is fetched once, its values to meet all weights, and its weights all values.
        """
        compute, mr = self.element.compute, self.mr
        values, sums = e.at(scratch, "i8", p.values), e.at(scratch, "i8", p.sums)
        out_weights = e.mul(p.channels, self.tiling.points * mr)
        with (
            e.loop(0, self.tiling.points, name="point") as point,
            e.loop(0, p.channels, step=p.channel_block, name="block") as block,
            e.loop(0, outs, name="out_tile") as out,
            e.loop(first, stop, step=self.length, name="tile") as tile,
        ):
            at = e.add(e.mul(out.index, out_weights), e.mul(point.index, p.channels, mr))
            u = e.at(weights, compute, e.add(at, e.mul(block.index, mr)))
            at = e.add(e.mul(point.index, p.point), e.mul(block.index, p.run))
            x = e.at(values, compute, e.add(at, tile.index))
            at = e.add(e.mul(out.index, p.tile_group), e.sub(tile.index, first))
            held = e.at(sums, compute, e.add(e.mul(point.index, p.sums_point), e.mul(at, mr)))
            count = e.minimum(p.channel_block, e.sub(p.channels, block.index))
            self._emit_product(e, v, u, x, p.run, count, held, e.equal(block.index, 0))

    def _emit_product(
        self,
        e: Emitter,
        v: Vectors,
        weights: Value,
        values: Value,
        run: Int,
        count: Int,
        held: Value,
        fresh: Value,
    ) -> None:
        """The sums of `count` channels, mr x nv vectors in registers; added to those held unless fresh."""
        compute, mr, nv = self.element.compute, self.mr, self.nv
        with e.loop(0, count, carried=[v.zero()] * (mr * nv), name="c") as c:
            row = e.at(weights, compute, e.mul(c.index, mr))
            line = e.at(values, compute, e.mul(c.index, run))
            here = [v.load(line, j * self.lanes) for j in range(nv)]
            for m in range(mr):
                w = v.load_broadcast(row, m)
                c.next += [v.multiply_add(w, here[j], c.carried[m * nv + j]) for j in range(nv)]
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
        task: _Task,
        leave: _Leave,
        out: Int,
        held: Int,
        place: Int,
    ) -> None:
        """From M to the output array: transform, bias, activation; columns put in turn; image by image.

        out: which tile of channels of the group. held: its first element in the sums; place: in the run.
        """
        compute, length, mw = self.element.compute, self.length, self.tiling.outputs[2]
        at = e.mul(e.add(e.mul(out, p.tile_group), held), self.mr)
        sums, leaving = e.at(e.at(scratch, "i8", p.sums), compute, at), e.at(scratch, "i8", p.leaving)
        lines, watched = e.at(scratch, "i8", p.lines), e.at(scratch, "i8", p.spread)
        first_channel = e.mul(out, self.mr)
        rows = e.minimum(e.sub(leave.channels, first_channel), self.mr)
        run = e.mul(task.images, task.tiles)
        passes = [
            Pass(axis, matrix_rows, partial(emit_transposed_product, v, self.matrices[axis].output))
            for axis, matrix_rows in enumerate(self.tiling.outputs)
            if self.tiling.sizes[axis] > 1 or axis == 2
        ]
        v.clear_bits(watched, 0)
        with e.loop(0, rows, name="channel_out") as m:
            added = None
            if leave.bias is not None:
                added = v.load_broadcast(leave.bias, e.add(first_channel, m.index))
            with e.loop(0, self.nv, name="vector_out") as j:
                at = e.add(e.mul(m.index, length), e.mul(j.index, self.lanes))
                real = v.first(e.sub(run, e.add(place, e.mul(j.index, self.lanes))))

                def load(point: Int, at: Int = at) -> Value:
                    return v.load(sums, e.add(at, e.mul(point, p.sums_point)))

                def finish(
                    places: list[Int],
                    row: list[Value],
                    at: Int = at,
                    real: Value = real,
                    added: Value = added,
                    j: Int = j.index,
                    m: Int = m.index,
                ) -> None:
                    if added is not None:
                        row = [v.add(value, added) for value in row]
                    largest = emit_largest(v, v.load_bits(watched, 0), row, real)
                    v.store_bits(largest, watched, 0)
                    row = [emit_activation(v, self.kernel.activation, value) for value in row]
                    to = e.mul(places[0], self.mr * length)
                    if self.kernel.spaced:
                        to, apart = e.add(to, e.mul(m, length * mw), e.mul(j, self.lanes)), length
                    else:
                        to, apart, row = e.add(to, e.mul(at, mw)), self.lanes, v.interleave(row)
                    for k, value in enumerate(row):
                        v.store(value, leaving, e.add(to, k * apart))

                emit_separable(e, v, self.tiling.sizes, passes, read=load, write=finish, scratch=lines)
        emit_flag(e, scratch, emit_unfit(v, v.load_bits(watched, 0)))
        target = e.at(leave.target, self.element.storage, e.mul(first_channel, p.y_channel))
        behind = e.minimum(run, e.add(place, length))
        images = e.div(e.add(behind, task.tiles, -1), task.tiles)
        with e.loop(e.div(place, task.tiles), images, name="image_out") as image:
            begins = e.mul(image.index, task.tiles)
            low = e.maximum(begins, place)
            high = e.minimum(e.add(begins, task.tiles), behind)
            emit_write_tiles(
                e,
                v,
                p,
                self.kernel,
                leaving=leaving,
                skipped=e.sub(low, place),
                tile=e.add(task.first, e.sub(low, begins)),
                tiles=e.sub(high, low),
                target=e.at(target, self.element.storage, e.mul(image.index, p.y_batch)),
                rows=rows,
            )
