"""The direct kernel: any convolution and any transposed convolution, as a gather.

    y[n, g, m, phase + step * q]  =  bias[m]  +  sum over c, tap of
                                     w[g, m, c, tap] * x[n, g, c, q * s + offset(tap)]

A task is one image, a block of groups, one band of tiles and some tiles of output channels. It packs its band
(pack/planes.py) unless the tasks before it on this thread did, and then:

    for group of tiles of the band
        for block of channels
            for tile of output channels
                for tile of the group                         tile.py: sums in registers
                    to the accumulators, or to the output     tile_out.py

Each block of channels is summed from zero and then added: its chain of roundings is short, and the error of
2048 channels a third of that of one long chain.

A group is one tile where weights fit the second-level cache: the tile's input stays in the first level
and weights stream by, a few bytes a cycle. It is several where weights come from memory, to fetch them
less often.

Packed weights: [phase][group][tile of output channels][channel][tap][mr], zeros in missing channels.
Scratch: header (64 bytes: which band is packed), planes, accumulators of one group of tiles for all
output channels of the task, one tile on its way out. All sizes are run-time parameters.
"""

from __future__ import annotations

from typing import ClassVar

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import HEADER_BYTES, Columns
from convforge.kernels.direct.contract import GATHER_PARAMETERS, PHASE_FIELDS, GatherKernel
from convforge.kernels.direct.tile import emit_tile
from convforge.kernels.direct.tile_out import TileOut
from convforge.kernels.direct.tile_run import TileRun
from convforge.kernels.dot.contract import DotKernel
from convforge.kernels.epilogue import emit_activation
from convforge.kernels.pack.planes import emit_pack
from convforge.kernels.parameters import Parameters
from convforge.kernels.phases import Phase, read_phase, read_selection
from convforge.kernels.streaming import emit_drain


def emit(kernel: GatherKernel, module: Module) -> None:
    """Emit the task of a kernel."""
    GatherNest(kernel).emit(module)


class GatherNest:
    """The loop nest, its kernel's choices at hand.

    What other kernels of this nest (dot/gather.py, pairs/gather.py) do in their own way is a method: which
    vectors sum, how a group is packed, and what becomes of finished sums.
    """

    parameters: ClassVar[tuple[str, ...]] = GATHER_PARAMETERS

    def __init__(self, kernel: GatherKernel | DotKernel) -> None:
        self.kernel = kernel
        self.element, self.lanes, self.mr, self.nv = kernel.element, kernel.lanes, kernel.mr, kernel.nv
        self.length = kernel.length
        self.columns: Columns | None = kernel.columns
        # Of what the pixels are that a block of channels is summed or copied from.
        self.pixels_kind = self.element.storage if kernel.columns is None else self.element.compute
        self.copied = isinstance(kernel, GatherKernel) and kernel.copied
        self.fetches = isinstance(kernel, GatherKernel) and kernel.fetches
        self.streams = isinstance(kernel, GatherKernel) and kernel.streams

    def emit(self, module: Module) -> None:
        """Emit `task(call, index, scratch)`."""
        e = module.function("task", "pip")
        call, index, scratch = e.arguments
        p = Parameters(e, e.load_pointer(call, 0), self.parameters)
        x, weights, bias, y = (e.load_pointer(call, i) for i in range(1, 5))
        v, out = self._vectors(e)
        storage = self.element.storage

        out_block, rest = e.rem(index, p.out_blocks), e.div(index, p.out_blocks)
        band, rest = e.rem(rest, p.bands), e.div(rest, p.bands)
        group_block, image = e.rem(rest, p.group_blocks), e.div(rest, p.group_blocks)
        packed_key = e.div(index, p.out_blocks)

        first_tile = e.mul(band, p.band_tiles)
        stop_tile = e.minimum(e.add(first_tile, p.band_tiles), p.tiles)
        run = TileRun(
            e, p, self.length, along_rows=self.kernel.along_rows,
            early=self.columns is None, positions=not self.kernel.flat_output,
        )  # fmt: skip
        x_image = e.at(x, storage, e.mul(image, p.x_batch))
        y_image = e.at(y, out.element.storage, e.mul(image, p.y_batch))
        first_row, last_row = run.rows(first_tile, stop_tile)
        # Of one long row a window is packed, from the first tile's outputs on.
        first_column = e.mul(first_tile, self.length, e.select(e.differ(p.one_row, 0), 1, 0))
        rows = e.add(e.sub(last_row, first_row), p.reach_rows, 1)
        first_out = e.mul(out_block, p.task_tiles)
        stop_out = e.minimum(e.add(first_out, p.task_tiles), p.out_tiles)
        first_group = e.mul(group_block, p.group_block)
        stop_group = e.minimum(e.add(first_group, p.group_block), p.groups)
        # A task of several groups packs each in turn; only a lone group can be found still packed.
        packed = e.at(scratch, "i8", HEADER_BYTES)

        with e.loop(first_group, stop_group, name="group") as group:
            x_group = e.at(x_image, storage, e.mul(group.index, self._group_channels(p), p.x_channel))
            if self.columns is not None:
                key = e.i64(e.add(e.mul(packed_key, p.groups), group.index, 1))
                stale = e.differ(e.load("i64", scratch), key)
                with e.when(stale):
                    e.store(key, "i64", scratch)
                    self._emit_pack(e, v, p, bias, x_group, scratch, packed, first_row, first_column, rows)
                origin, base = packed, e.add(e.mul(first_row, p.pitch), first_column)
            else:
                origin, base = x_group, 0
            with e.loop(0, p.phases, step=self.kernel.interleave, name="phase") as phase:
                size = len(PHASE_FIELDS)
                records = e.at(p.pointer("phase_table"), "i64", e.mul(phase.index, size))
                phases = [
                    read_phase(
                        e,
                        e.at(records, "i64", i * size),
                        weights=weights,
                        kind=self.element.compute,
                        group=group.index,
                        out_tiles=p.out_tiles,
                        tap_weights=e.mul(p.channels, self.mr),
                        number=e.add(phase.index, i),
                    )
                    for i in range(self.kernel.interleave)
                ]
                self._emit_phases(
                    e, v, out, p, run, phases, origin, base, bias, y_image, group.index, scratch,
                    (first_tile, stop_tile), (first_out, stop_out),
                )  # fmt: skip
        if self.streams:
            emit_drain(e)
        e.done()

    def _vectors(self, e: Emitter) -> tuple[Vectors, Vectors]:
        """Vectors of the sums, and of the outputs."""
        v = Vectors(e, self.element, self.lanes, fused=self.kernel.fused, streams=self.streams)
        return v, v

    def _group_channels(self, p: Parameters) -> Int:
        """Channels of the input array that a group has."""
        return p.channels

    def _emit_pack(
        self,
        e: Emitter,
        v: Vectors,
        p: Parameters,
        bias: Value,
        source: Value,
        scratch: Value,
        target: Value,
        first_row: Int,
        first_column: Int,
        rows: Int,
    ) -> None:
        """Pack the band of one group: `rows` rows of its planes."""
        del bias, scratch
        assert self.columns is not None
        emit_pack(
            e, v, self.columns, p, source=source, target=target, channels=p.channels,
            first_row=first_row, first_column=first_column, rows=rows,
        )  # fmt: skip

    def _group_bias(
        self, e: Emitter, p: Parameters, bias: Value, group: Int, phases: list[Phase]
    ) -> list[Value] | None:
        """Where, for each phase, lies what is added to the sums of a group's channels."""
        if not self.kernel.has_bias:
            return None
        return [e.at(bias, self.element.compute, e.mul(group, p.out_channels))] * len(phases)

    def _emit_phases(
        self,
        e: Emitter,
        v: Vectors,
        out: Vectors,
        p: Parameters,
        run: TileRun,
        phases: list[Phase],
        origin: Value,
        base: Int,
        bias: Value,
        y: Value,
        group: Int,
        scratch: Value,
        tiles: tuple[Int, Int],
        outs: tuple[Int, Int],
    ) -> None:
        """One phase, or two that lie side by side in the output and are written together."""
        compute, storage = self.element.compute, out.element.storage
        at = e.add(phases[0].y_offset, e.mul(group, p.out_channels, p.y_channel))
        y_group = e.at(y, storage, at)
        group_bias = self._group_bias(e, p, bias, group, phases)
        sums = e.at(scratch, "i8", p.accumulators)
        leaving = TileOut(e, out, p, self.kernel, run, e.at(scratch, "i8", p.tile))
        tile_size = self.mr * self.length
        held_tile = tile_size * len(phases)
        with e.loop(tiles[0], tiles[1], step=p.tile_group, name="tile_group") as some:
            stop = e.minimum(e.add(some.index, p.tile_group), tiles[1])
            digits = run.first(some.index)
            with e.loop(0, p.channels, step=p.channel_block, name="channel") as channel:
                block = e.minimum(p.channel_block, e.sub(p.channels, channel.index))
                fresh = e.equal(channel.index, 0)
                last = e.equal(e.add(channel.index, block), p.channels)
                channel_step = p.x_channel if self.columns is None else e.mul(p.planes, p.plane)
                channel_pixels = e.at(origin, self.pixels_kind, e.mul(channel.index, channel_step))
                copies = e.at(scratch, "i8", HEADER_BYTES)
                if self.copied:
                    self._emit_copy(e, v, p, run, channel_pixels, copies, (some.index, stop), block)
                with e.loop(outs[0], outs[1], name="out_tile") as out_tile:
                    first = e.mul(out_tile.index, self.mr)
                    rows = e.minimum(e.sub(p.out_channels, first), self.mr)
                    target = e.at(y_group, storage, e.mul(first, p.y_channel))
                    held_row = e.mul(e.sub(out_tile.index, outs[0]), p.tile_group, held_tile)
                    out_weights = [
                        e.at(
                            phase.weights,
                            compute,
                            e.add(
                                e.mul(channel.index, phase.taps, self.mr),
                                e.mul(out_tile.index, phase.tile_weights),
                            ),
                        )
                        for phase in phases
                    ]
                    with e.loop(some.index, stop, carried=digits, name="tile") as tile:
                        place = run.place(tile.index, tile.carried)
                        tile.next = run.next(tile.carried)
                        in_group = e.sub(tile.index, some.index)
                        held = e.at(sums, compute, e.add(held_row, e.mul(in_group, held_tile)))
                        if self.copied:
                            pixels = e.at(copies, compute, e.mul(in_group, p.channel_block, self.length))
                        else:
                            pixels = e.at(channel_pixels, self.pixels_kind, e.sub(place.flat, base))

                        def emit_outputs(nv: int) -> None:
                            # A row's short tile holds the last vectors of one that begins so early that it
                            # ends on the end.
                            shift = (self.nv - nv) * self.lanes
                            source = e.at(pixels, compute if self.copied else self.pixels_kind, shift)
                            for i, phase in enumerate(phases):
                                acc = self._emit_sums(
                                    e, v, phase, tile.index, block, out_weights[i], source, nv
                                )
                                held_here = e.at(held, compute, i * tile_size)
                                acc = self._emit_resume(e, v, acc, held_here, fresh)
                                with e.b.if_else(last) as (finish, keep):
                                    with keep:
                                        for j, value in enumerate(acc):
                                            v.store(value, held_here, j * self.lanes)
                                    with finish:
                                        here = None if group_bias is None else group_bias[i]
                                        done = self._emit_finish(e, v, acc, bias, here, first)
                                        leaving.emit(phases, i, done, place, shift, target, rows)

                        if self.kernel.tail:
                            with e.b.if_else(run.ends_row(tile.carried)) as (short, whole):
                                with short:
                                    emit_outputs(self.kernel.tail)
                                with whole:
                                    emit_outputs(self.nv)
                        else:
                            emit_outputs(self.nv)
                        if self.kernel.way_out == "strided":
                            with e.when(last):
                                leaving.emit_scattered(phases, place, target, rows)

    def _emit_copy(
        self,
        e: Emitter,
        v: Vectors,
        p: Parameters,
        run: TileRun,
        pixels: Value,
        copies: Value,
        tiles: tuple[Int, Int],
        channels: Int,
    ) -> None:
        """The input of tiles that is read where it lies, [tile][channel]: one line after the other."""
        digits = run.first(tiles[0])
        with e.loop(tiles[0], tiles[1], carried=digits, name="copied") as tile:
            flat = run.place(tile.index, tile.carried).flat
            tile.next = run.next(tile.carried)
            at = e.mul(e.sub(tile.index, tiles[0]), p.channel_block, self.length)
            to = e.at(copies, self.element.compute, at)
            with e.loop(0, channels, name="row") as row:
                source = e.at(pixels, self.element.storage, e.add(e.mul(row.index, p.x_channel), flat))
                target = e.at(to, self.element.compute, e.mul(row.index, self.length))
                for j in range(self.nv):
                    v.store(v.load_stored(source, j * self.lanes), target, j * self.lanes)
                # The next tile's line is fetched meanwhile: no prefetcher follows as many pages as channels.
                e.prefetch(source, self.element.storage, 2 * self.length - 1)

    def _emit_sums(
        self,
        e: Emitter,
        v: Vectors,
        phase: Phase,
        number: Int,
        block: Int,
        weights: Value,
        pixels: Value,
        nv: int,
    ) -> list[Value]:
        """The sums of tile `number`, of nv vectors, over a block of channels, with the taps that it needs."""
        selected = read_selection(e, phase, number)
        return emit_tile(
            e,
            v,
            self.mr,
            nv,
            count=e.mul(block, selected.taps),
            weights=weights,
            distances=selected.distances,
            rows=selected.rows,
            pixels=pixels,
            ahead=self.length if self.fetches else 0,
            stored=self.columns is None and not self.copied,
        )

    def _emit_resume(
        self, e: Emitter, v: Vectors, acc: list[Value], held: Value, fresh: Value
    ) -> list[Value]:
        """Add what the blocks of channels before this one have summed up."""
        with e.loop(0, e.select(fresh, 0, 1), carried=acc, name="resume") as resume:
            before = [v.load(held, i * self.lanes) for i in range(len(acc))]
            resume.next = [v.add(b, a) for b, a in zip(before, resume.carried)]
        return resume.results

    def _emit_finish(
        self, e: Emitter, v: Vectors, acc: list[Value], call_bias: Value, bias: Value | None, first: Int
    ) -> list[Value]:
        """Add the bias of each channel, then the activation. call_bias: what the call has for a bias."""
        del call_bias
        done: list[Value] = []
        for i, value in enumerate(acc):
            m = i // (len(acc) // self.mr)
            biased = value if bias is None else v.add(value, v.load_broadcast(bias, e.add(first, m)))
            done.append(emit_activation(v, self.kernel.activation, biased))
        return done
