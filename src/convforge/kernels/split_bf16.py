"""Convolution on a tile unit: fp32 numbers as sums of bf16 parts, products of parts summed up in fp32.

    x = hi + mid + lo        w * x = hi hi + hi mid + mid hi + hi lo + lo hi + mid mid, but for 2^-24 of it

Three parts and six products have the accuracy of fp32, two and three 2^-16, one is bf16 (contract_split.py
lists them). Summed up over channels and taps as in gather.py, whose flat run this is:

    A, weights          16 output channels x 32 channels          packed (split_bf16_weights.py)
    B, input            16 pairs of channels x 16 positions       rows are planes, 64 bytes of each
    C, sums             16 output channels x 16 positions         fp32

    B  row 0   c0 c1|c0 c1|c0 c1| …    channels 0 and 1 at position f, f + 1, f + 2, …
       row 1   c2 c3|c2 c3|c2 c3| …    a tap is a constant distance away: the same rows, from elsewhere on

A task is one image, one group, a band of the flat run and some tiles of output channels. It packs its band
(split_bf16_values.py) unless the task before it on this thread did, and then:

    for group of tiles of the band
        for chain of blocks of channels
            for tile of output channels
                for tile of the group
                    for block of the chain, tap               sums in tiles
                        for product of parts
                    added to those held; at the end bias, activation, and the way out

Each chain is summed from zero, and begins anew after 512 (channel, tap) pairs, as gather.py's do. The order
of an output's sum follows from its channels and taps alone.

The unit takes no denormal numbers, and hi of an infinite number leaves NaN for mid: packing looks at all
magnitudes, and where one is outside what is exact the header's flag tells the plan to have the image computed
by a direct kernel.

Scratch: header, two planes in fp32, words of all parts, held sums, tiles on their way out.
"""

from __future__ import annotations

from dataclasses import dataclass

from convforge.ir.amx import Tiles
from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import PHASE_FIELDS
from convforge.kernels.contract_split import PRODUCTS, SPLIT_PARAMETERS, WEIGHT_ROW_BYTES, SplitKernel
from convforge.kernels.epilogue import emit_activation, emit_write_rows, find_position
from convforge.kernels.parameters import Parameters
from convforge.kernels.phases import Phase, read_phase, read_selection
from convforge.kernels.split_bf16_values import emit_values
from convforge.schedule.split_bf16 import TILE_NUMBERS, TILE_ROWS

_WEIGHT_TILE_BYTES = TILE_ROWS * WEIGHT_ROW_BYTES


def emit_split_bf16(kernel: SplitKernel, module: Module) -> None:
    """Emit the task of a kernel: `task(call, index, scratch)`."""
    e = module.function("task", "pip")
    call, index, scratch = e.arguments
    p = Parameters(e, e.load_pointer(call, 0), SPLIT_PARAMETERS)
    x, weights, bias, y = (e.load_pointer(call, i) for i in range(1, 5))
    v, tiles = Vectors(e, kernel.element, kernel.lanes, fused=False), Tiles(e)
    storage, length = kernel.element.storage, kernel.length

    out_block, key = e.rem(index, p.out_blocks), e.div(index, p.out_blocks)
    band, rest = e.rem(key, p.bands), e.div(key, p.bands)
    group, image = e.rem(rest, p.groups), e.div(rest, p.groups)
    first = e.mul(band, p.band_tiles, length)
    stop = e.minimum(e.add(first, e.mul(p.band_tiles, length)), p.flat)
    first_out = e.mul(out_block, p.task_tiles)
    stop_out = e.minimum(e.add(first_out, p.task_tiles), p.out_tiles)
    one_row = e.differ(p.one_row, 0)
    first_row = e.select(one_row, 0, e.div(first, p.pitch))
    first_column = e.select(one_row, first, 0)
    with e.when(e.differ(e.load("i64", scratch), e.add(key, 1))):
        e.store(e.i64(e.add(key, 1)), "i64", scratch)
        at = e.add(e.mul(image, p.x_batch), e.mul(group, p.channels, p.x_channel))
        emit_values(
            e, v, p, kernel, x=e.at(x, storage, at), scratch=scratch,
            first_row=first_row, first_column=first_column,
        )  # fmt: skip
    base = e.add(e.mul(first_row, p.pitch), first_column)
    words = e.at(e.at(scratch, "i8", p.words), "i32", e.sub(0, base))
    at = e.add(e.mul(image, p.y_batch), e.mul(group, p.out_channels, p.y_channel))
    y_group = e.at(y, storage, at)
    group_bias = e.at(bias, "f32", e.mul(group, p.out_channels)) if kernel.has_bias else None
    task = _Task(e, v, tiles, p, kernel, scratch, group_bias)

    tiles.configure(p.pointer("shapes"))
    with e.loop(0, p.phases, step=kernel.interleave, name="phase") as some:
        records = e.at(p.pointer("phase_table"), "i64", e.mul(some.index, len(PHASE_FIELDS)))
        phases = [
            read_phase(
                e, e.at(records, "i64", i * len(PHASE_FIELDS)), weights=weights, kind="i8", group=group,
                out_tiles=p.out_tiles, tap_weights=e.mul(p.blocks, kernel.step_bytes),
                number=e.add(some.index, i),
            )
            for i in range(kernel.interleave)
        ]  # fmt: skip
        target = e.at(y_group, storage, phases[0].y_offset)
        task.emit_phases(phases, words, target, (first, stop), (first_out, stop_out))
    tiles.release()
    e.done()


@dataclass(frozen=True, slots=True)
class _Task:
    """A task being emitted."""

    e: Emitter
    v: Vectors
    tiles: Tiles
    p: Parameters
    kernel: SplitKernel
    scratch: Value
    bias: Value | None

    def emit_phases(
        self, phases: list[Phase], words: Value, y: Value, flats: tuple[Int, Int], outs: tuple[Int, Int]
    ) -> None:
        """One phase, or two that lie side by side in the output and are written together.

        words: of position 0 of the flat run, though the band may begin behind it.
        """
        e, p, kernel = self.e, self.p, self.kernel
        length, size = kernel.length, kernel.mr * kernel.length * len(phases)
        run = e.mul(p.tile_group, length)
        held, leaving = (e.at(self.scratch, "i8", at) for at in (p.sums, p.tile))
        with e.loop(flats[0], flats[1], step=run, name="tile_group") as some:
            stop = e.minimum(e.add(some.index, run), flats[1])
            with e.loop(0, p.blocks, step=p.chain, name="chain") as chain:
                blocks = e.minimum(p.chain, e.sub(p.blocks, chain.index))
                last = e.equal(e.add(chain.index, blocks), p.blocks)
                chain_words = e.at(words, "i32", e.mul(chain.index, p.pairs, p.pair))
                with e.loop(outs[0], outs[1], name="out_tile") as out:
                    channel = e.mul(out.index, kernel.mr)
                    weights = [self._weights(phase, out.index, chain.index) for phase in phases]
                    with e.loop(some.index, stop, step=length, name="tile") as tile:
                        number = e.div(tile.index, length)
                        pixels = e.at(chain_words, "i32", tile.index)
                        for i, phase in enumerate(phases):
                            at = i * kernel.mr * length
                            self._emit_sums(
                                phase, number, blocks, weights[i], pixels, e.at(leaving, "f32", at)
                            )
                        place = e.mul(e.sub(out.index, outs[0]), p.tile_group)
                        place = e.add(place, e.div(e.sub(tile.index, some.index), length))
                        mine = e.at(held, "f32", e.mul(place, size))
                        with e.when(e.differ(chain.index, 0)):
                            self._emit_add(leaving, mine, size)
                        with e.b.if_else(last) as (finish, keep):
                            with keep:
                                self._emit_copy(mine, leaving, size)
                            with finish:
                                self._emit_finish(leaving, channel, len(phases))
                                to = e.at(y, kernel.element.storage, e.mul(channel, p.y_channel))
                                self._emit_leave(phases[0], leaving, to, tile.index, channel)

    def _weights(self, phase: Phase, out_tile: Int, block: Int) -> Value:
        """Those of a tile of output channels from a block of channels on."""
        at = self.e.mul(block, phase.taps, self.kernel.step_bytes)
        return self.e.at(phase.weights, "i8", self.e.add(self.e.mul(out_tile, phase.tile_weights), at))

    def _emit_sums(
        self, phase: Phase, number: Int, blocks: Int, weights: Value, pixels: Value, to: Value
    ) -> None:
        """The sums of tile `number` over some blocks of channels, with the taps that it needs."""
        e, tiles, p, rows, columns = self.e, self.tiles, self.p, self.kernel.rows, self.kernel.columns
        sums = [[i * columns + j for j in range(columns)] for i in range(rows)]
        a = [rows * columns + i for i in range(rows)]
        b = [rows * columns + rows + j for j in range(columns)]
        pair_bytes, part_words = e.mul(p.pair, 4), p.part
        selected = read_selection(e, phase, number)
        for tile in (tile for row in sums for tile in row):
            tiles.zero(tile)
        with e.loop(0, e.mul(blocks, selected.taps), name="step") as step:
            w = e.at(weights, "i8", e.load("i64", selected.rows, step.index))
            x = e.at(pixels, "i32", e.load("i64", selected.distances, step.index))
            loaded: tuple[int | None, int | None] = None, None
            for of_weights, of_input in PRODUCTS[self.kernel.parts]:
                if loaded[0] != of_weights:
                    for i, tile in enumerate(a):
                        at = (of_weights * rows + i) * _WEIGHT_TILE_BYTES
                        tiles.load(tile, e.at(w, "i8", at), WEIGHT_ROW_BYTES)
                if loaded[1] != of_input:
                    part = e.at(x, "i32", e.mul(part_words, of_input))
                    for j, tile in enumerate(b):
                        tiles.load(tile, e.at(part, "i32", j * TILE_NUMBERS), pair_bytes)
                loaded = of_weights, of_input
                for i in range(rows):
                    for j in range(columns):
                        tiles.multiply_bf16(sums[i][j], a[i], b[j])
        for i in range(rows):
            for j in range(columns):
                at = i * TILE_ROWS * self.kernel.length + j * TILE_NUMBERS
                tiles.store(sums[i][j], e.at(to, "f32", at), 4 * self.kernel.length)

    def _emit_add(self, leaving: Value, held: Value, size: int) -> None:
        """Add what the chains before this one have summed up."""
        with self.e.loop(0, size, step=self.v.lanes, name="resume") as i:
            total = self.v.add(self.v.load(held, i.index), self.v.load(leaving, i.index))
            self.v.store(total, leaving, i.index)

    def _emit_copy(self, to: Value, source: Value, size: int) -> None:
        with self.e.loop(0, size, step=self.v.lanes, name="keep") as i:
            self.v.store(self.v.load(source, i.index), to, i.index)

    def _emit_finish(self, leaving: Value, channel: Int, phases: int) -> None:
        """Add the bias of each channel, then the activation, in place."""
        e, v, kernel = self.e, self.v, self.kernel
        if self.bias is None and kernel.activation == "none":
            return
        with e.loop(0, phases, name="finish") as phase, e.loop(0, kernel.mr, name="m") as m:
            at = e.mul(e.add(e.mul(phase.index, kernel.mr), m.index), kernel.length)
            row = e.at(leaving, "f32", at)
            added = None if self.bias is None else v.load_broadcast(self.bias, e.add(channel, m.index))
            for j in range(0, kernel.length, v.lanes):
                value = v.load(row, j)
                value = value if added is None else v.add(value, added)
                v.store(emit_activation(v, kernel.activation, value), row, j)

    def _emit_leave(self, phase: Phase, leaving: Value, y: Value, flat: Int, channel: Int) -> None:
        """Write a tile, or two woven, to the output; an output without gaps is one long row."""
        e, p, kernel = self.e, self.p, self.kernel
        whole = kernel.way_out == "flat"
        pitch, slice_rows = (p.flat, 1) if whole else (p.pitch, p.slice_rows)
        emit_write_rows(
            e,
            self.v,
            tile=leaving,
            tile_size=kernel.mr * kernel.length,
            length=kernel.length,
            position=find_position(e, flat, pitch, slice_rows),
            rows=e.minimum(e.sub(p.out_channels, channel), kernel.mr),
            target=y,
            channel=p.y_channel,
            pitch=pitch,
            slice_rows=slice_rows,
            size=(1, 1, p.flat) if whole else phase.size,
            row_stride=p.y_row,
            slice_stride=p.y_slice,
            step=p.y_step,
            out_width=p.out_width,
            way="unit" if whole else kernel.way_out,
        )
