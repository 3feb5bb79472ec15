"""Small maps: vectors along output channels, so that 7x7 or 4x4 outputs waste no lane.

    acc[i][m] += x[distance[k] + pixel[i]] * w[row[k]][m]        i < pixels, m < nv vectors of channels

The tile of the direct kernel turned round: weights are the vectors, inputs are broadcast. A tile is any
`pixels` outputs, listed in a table with their places in the packed planes and in the output, and the taps
that they need; positions that are only padding appear in no list. Weights are packed by the same packer, a
whole tile of channels to a row.

    for output channel                      filled with its bias, if phases without taps are not listed
    for tile of output channels
        for block of channels               its weights stay in the second-level cache
            for tile of outputs             those of the task's piece of the map
                sums in registers           beside them the next block's weights are fetched, if they are far
                to the accumulators, or turned round and out, one channel after the other
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.direct.contract import (
    CHANNELS_PARAMETERS,
    CHANNELS_PHASE_FIELDS,
    CHANNELS_TILE_FIELDS,
    ChannelsKernel,
)
from convforge.kernels.epilogue import emit_activation
from convforge.kernels.pack.interleave import interleave
from convforge.kernels.pack.planes import emit_pack
from convforge.kernels.parameters import Parameters
from convforge.memory import LINE_BYTES

# What is emitted beside a step of this number.
_Beside = Callable[[Value], None]
_RATE_BITS = 10


def emit(kernel: ChannelsKernel, module: Module) -> None:
    """Emit the task: some tiles of output channels, a piece of the map, of one group of one image."""
    ChannelsNest(kernel).emit(module)


class ChannelsNest:
    """The loop nest, its kernel's choices at hand.

    What another kernel of this nest (pairs/channels.py) does in its own way is a method: which vectors sum,
    and how the input is packed.
    """

    parameters: ClassVar[tuple[str, ...]] = CHANNELS_PARAMETERS

    def __init__(self, kernel: ChannelsKernel) -> None:
        self.kernel, self.pixels, self.nv, self.mr = kernel, kernel.pixels, kernel.nv, kernel.mr
        self.lanes, self.element = kernel.lanes, kernel.element
        self._record = len(CHANNELS_TILE_FIELDS) + 2 * kernel.pixels

    def emit(self, module: Module) -> None:
        """Emit `task(call, index, scratch)`."""
        e = module.function("task", "pip")
        call, index, scratch = e.arguments
        p = Parameters(e, e.load_pointer(call, 0), self.parameters)
        x, weights, bias, y = (e.load_pointer(call, i) for i in range(1, 5))
        v = self._vectors(e)
        storage, compute = self.element.storage, self.element.compute

        piece, rest = e.rem(index, p.map_pieces), e.div(index, p.map_pieces)
        out_block, rest = e.rem(rest, p.out_blocks), e.div(rest, p.out_blocks)
        group, image = e.rem(rest, p.groups), e.div(rest, p.groups)
        first_out = e.mul(out_block, p.task_tiles)
        stop_out = e.minimum(e.add(first_out, p.task_tiles), p.out_tiles)
        planes = e.at(scratch, "i8", HEADER_BYTES)
        channel = e.mul(group, self._group_channels(p), p.x_channel)
        source = e.at(x, storage, e.add(e.mul(image, p.x_batch), channel))
        columns, copied = self.kernel.columns, self.kernel.copied
        copies = e.at(scratch, "i8", p.copies)
        if columns is None and not copied:
            planes = source
        else:
            # Tasks of one image and group follow each other: the input may be packed already.
            key = e.add(rest, 1)
            with e.when(e.differ(e.load("i64", scratch), key)):
                e.store(e.i64(key), "i64", scratch)
                if columns is not None:
                    self._emit_pack(e, v, p, source, scratch, planes)
                if copied:
                    self._emit_copy(e, v, p, source if columns is None else planes, copies)
        if copied:
            planes = copies

        def place(first: Int) -> tuple[Value, Value]:
            """The bias of an output channel of the group, and where its outputs begin."""
            channel = e.add(e.mul(group, p.out_channels), first)
            to = e.add(e.mul(image, p.y_batch), e.mul(channel, p.y_channel))
            return e.at(bias, compute, channel), e.at(y, storage, to)

        if self.kernel.fills:
            last_out = e.minimum(e.mul(stop_out, self.mr), p.out_channels)
            with e.loop(e.mul(first_out, self.mr), last_out, name="filled") as out:
                self._emit_fill(v, p, *place(out.index))
        with (
            e.loop(0, p.phases, name="phase") as phase,
            e.loop(first_out, stop_out, name="out_tile") as out,
        ):
            size = len(CHANNELS_PHASE_FIELDS)
            record = e.at(p.pointer("phase_table"), "i64", e.mul(phase.index, size))
            first = e.mul(out.index, self.mr)
            offset, target = place(first)
            tile = e.add(e.mul(group, p.out_tiles), out.index)
            self._emit_out_tile(e, v, p, record, piece, planes, weights, offset, target, tile, first, scratch)
        e.done()

    def _vectors(self, e: Emitter) -> Vectors:
        """Vectors of the sums."""
        return Vectors(e, self.element, self.lanes, fused=self.kernel.fused)

    def _group_channels(self, p: Parameters) -> Int:
        """Channels of the input array that a group has."""
        return p.channels

    def _emit_pack(
        self, e: Emitter, v: Vectors, p: Parameters, source: Value, scratch: Value, target: Value
    ) -> None:
        """Pack a group of an image."""
        del scratch
        assert self.kernel.columns is not None
        emit_pack(
            e, v, self.kernel.columns, p, source=source, target=target, channels=p.channels,
            first_row=0, first_column=0,
        )  # fmt: skip

    def _emit_fill(self, v: Vectors, p: Parameters, bias: Value, output: Value) -> None:
        """All outputs of a channel as if no tap reached them."""
        value = v.add(v.zero(), v.load_broadcast(bias)) if self.kernel.has_bias else v.zero()
        value = emit_activation(v, self.kernel.activation, value)
        v.store_run(lambda _: value, output, p.run)

    def _emit_copy(self, e: Emitter, v: Vectors, p: Parameters, source: Value, target: Value) -> None:
        """The pixels of each tile, neighbours in the input or its planes, for each channel and tap."""
        compute = self.element.compute
        record = p.pointer("phase_table")
        taps, count, tiles = e.load("i64", record), e.load("i64", record, 2), e.load_pointer(record, 3)
        with e.loop(0, count, name="copied_tile") as tile:
            listed = e.at(tiles, "i64", e.mul(tile.index, self._record))
            place, distances = e.load("i64", listed, len(CHANNELS_TILE_FIELDS)), e.load_pointer(listed, 1)
            first = e.mul(tile.index, p.channels, taps)
            with (
                e.loop(0, p.channels, name="copied_channel") as channel,
                e.loop(0, taps, name="copied_tap") as tap,
            ):
                at = e.add(
                    e.mul(channel.index, p.planes, p.plane), e.load("i64", distances, tap.index), place
                )
                step = e.add(first, e.mul(channel.index, taps), tap.index)
                to = e.at(target, compute, e.mul(step, self.pixels))
                v.copy(e.at(source, compute, at), to, self.pixels)

    def _emit_out_tile(
        self,
        e: Emitter,
        v: Vectors,
        p: Parameters,
        record: Value,
        piece: Int,
        planes: Value,
        weights: Value,
        bias: Value,
        target: Value,
        tile: Int,
        first: Int,
        scratch: Value,
    ) -> None:
        compute = self.element.compute
        taps, weights_at, count, tiles, fetched = (
            e.load("i64", record, i) for i in range(len(CHANNELS_PHASE_FIELDS))
        )
        tiles = e.b.inttoptr(tiles, scratch.type)
        row = e.mul(taps, self.mr)
        tile_weights = e.at(weights, compute, e.add(weights_at, e.mul(tile, p.channels, row)))
        sums = e.at(scratch, "i8", p.accumulators)
        rows = e.minimum(e.sub(p.out_channels, first), self.mr)
        begin, end = (e.div(e.mul(count, i), p.map_pieces) for i in (piece, e.add(piece, 1)))
        with e.loop(0, p.channels, step=p.channel_block, name="channel") as channel:
            block = e.minimum(p.channel_block, e.sub(p.channels, channel.index))
            fresh = e.equal(channel.index, 0)
            last = e.equal(e.add(channel.index, block), p.channels)
            step = e.mul(taps, self.pixels) if self.kernel.copied else e.mul(p.planes, p.plane)
            block_planes = e.at(planes, compute, e.mul(channel.index, step))
            block_weights = e.at(tile_weights, compute, e.mul(channel.index, row))
            with e.loop(begin, end, name="pixel_tile") as pixel_tile:
                number = e.sub(pixel_tile.index, begin)
                listed = e.at(tiles, "i64", e.mul(pixel_tile.index, self._record))
                held = e.at(sums, compute, e.mul(number, p.held_step))
                ahead = e.at(block_weights, compute, e.mul(block, row))
                ahead = e.at(ahead, "i8", e.mul(number, fetched, LINE_BYTES))
                steps = e.mul(block, taps if self.kernel.copied else e.load("i64", listed))
                beside = self._fetching(e, ahead, fetched, steps)
                if self.kernel.copied:
                    at = e.mul(pixel_tile.index, p.channels, taps, self.pixels)
                    copies = e.at(block_planes, compute, at)
                    acc = self._emit_product(e, v, e.mul(block, taps), block_weights, copies, beside)
                else:
                    acc = self._emit_sums(e, v, listed, block, block_weights, block_planes, beside)
                with e.loop(0, e.select(fresh, 0, 1), carried=acc, name="resume") as resume:
                    before = [v.load(held, i * self.lanes) for i in range(len(acc))]
                    resume.next = [v.add(b, a) for b, a in zip(before, resume.carried)]
                done = resume.results
                with e.b.if_else(last) as (finish, keep):
                    with keep:
                        for i, value in enumerate(done):
                            v.store(value, held, i * self.lanes)
                    with finish:
                        self._emit_write(e, v, p, done, listed, bias, target, rows, held)

    def _fetching(self, e: Emitter, weights: Value, lines: Int, steps: Int) -> _Beside:
        """What is done beside step k of so many: these lines of weights are fetched, evenly over them."""
        if not self.kernel.fetches:
            return lambda k: None  # noqa: ARG005 - called alike
        # In parts of a line, so that a step takes a product and a shift.
        rate = e.div(e.mul(lines, 1 << _RATE_BITS), e.maximum(steps, 1))

        def fetch(k: Value) -> None:
            line = e.b.ashr(e.i64(e.mul(k, rate)), e.i64(_RATE_BITS))
            e.prefetch(weights, "i8", e.mul(line, LINE_BYTES), level=2)

        return fetch

    def _emit_product(
        self, e: Emitter, v: Vectors, steps: Int, weights: Value, copies: Value, beside: _Beside
    ) -> list[Value]:
        """The sums of a tile whose pixels are copied: a product of matrices."""
        compute = self.element.compute
        zeros = [v.zero()] * (self.pixels * self.nv)
        with e.loop(0, steps, carried=zeros, name="k") as k:
            row = e.at(weights, compute, e.mul(k.index, self.mr))
            source = e.at(copies, compute, e.mul(k.index, self.pixels))
            w = [v.load(row, j * self.lanes) for j in range(self.nv)]
            for i in range(self.pixels):
                x = v.load_broadcast(source, i)
                for j in range(self.nv):
                    k.next.append(v.multiply_add(x, w[j], k.carried[i * self.nv + j]))
            beside(k.index)
        return k.results

    def _emit_sums(
        self,
        e: Emitter,
        v: Vectors,
        listed: Value,
        block: Int,
        weights: Value,
        planes: Value,
        beside: _Beside,
    ) -> list[Value]:
        compute = self.element.compute
        places = len(CHANNELS_TILE_FIELDS)
        taps, distances, rows = e.load("i64", listed), e.load_pointer(listed, 1), e.load_pointer(listed, 2)
        pixels = [e.at(planes, compute, e.load("i64", listed, places + i)) for i in range(self.pixels)]
        zeros = [v.zero()] * (self.pixels * self.nv)
        with e.loop(0, e.mul(block, taps), carried=zeros, name="k") as k:
            distance = e.load("i64", distances, k.index)
            row = e.at(weights, compute, e.load("i64", rows, k.index))
            w = [v.load(row, j * self.lanes) for j in range(self.nv)]
            for i, pixel in enumerate(pixels):
                x = v.load_broadcast(pixel, distance)
                for j in range(self.nv):
                    k.next.append(v.multiply_add(x, w[j], k.carried[i * self.nv + j]))
            beside(k.index)
            if self.kernel.ahead:
                e.prefetch(pixels[0], compute, e.load("i64", distances, e.add(k.index, self.kernel.ahead)))
        return k.results

    def _emit_write(
        self,
        e: Emitter,
        v: Vectors,
        p: Parameters,
        acc: list[Value],
        listed: Value,
        bias: Value,
        target: Value,
        rows: Int,
        held: Value,
    ) -> None:
        """Bias and activation, then channel by channel into the output: the tile lies pixel by pixel."""
        storage = self.element.storage
        done: list[Value] = []
        for i, value in enumerate(acc):
            j = i % self.nv
            biased = v.add(value, v.load(bias, j * self.lanes)) if self.kernel.has_bias else value
            done.append(emit_activation(v, self.kernel.activation, biased))
        done = v.narrowed(done)
        places = len(CHANNELS_TILE_FIELDS) + self.pixels
        outputs = [e.at(target, storage, e.load("i64", listed, places + i)) for i in range(self.pixels)]

        def emit_one_by_one() -> None:
            for i, value in enumerate(done):
                v.store_stored(value, held, i * self.lanes)
            with e.loop(0, rows, name="out_channel") as m:
                at = e.mul(m.index, p.y_channel)
                for i, output in enumerate(outputs):
                    value = e.load(storage, held, e.add(m.index, i * self.mr))
                    e.store(value, storage, output, at)

        if not self.kernel.runs:
            emit_one_by_one()
            return
        is_run = e.differ(e.load("i64", listed, CHANNELS_TILE_FIELDS.index("is_run")), 0)
        with e.b.if_else(e.b.and_(is_run, e.no_less(rows, self.mr))) as (whole, part):
            with whole:
                self._emit_runs(e, v, p, done, outputs[0])
            with part:
                emit_one_by_one()

    def _emit_runs(self, e: Emitter, v: Vectors, p: Parameters, done: list[Value], output: Value) -> None:
        """A whole tile whose outputs lie side by side: turned round in registers, a few lanes for a channel.

        pixels 3, lanes 8:    a0 b0 c0 c0  a1 b1 c1 c1 | a2 b2 …     written by twos: a0 b0, b0 c0
        """
        ways = 1 << (self.pixels - 1).bit_length()
        piece = ways if ways == self.pixels else ways // 2
        storage, size = self.element.storage, self.element.storage_bytes
        for j in range(self.nv):
            streams = [done[min(i, self.pixels - 1) * self.nv + j] for i in range(ways)]
            for k, turned in enumerate(interleave(v, streams)):
                for lane in range(0, self.lanes, ways):
                    channel = j * self.lanes + (k * self.lanes + lane) // ways
                    to = e.at(output, storage, e.mul(channel, p.y_channel))
                    for first in sorted({0, self.pixels - piece}):
                        value = v.shuffle(turned, turned, range(lane + first, lane + first + piece))
                        e.b.store(value, e.at(to, storage, first), align=size)
