"""The loop nest of kernels on a tile unit (AMX): a gather as in direct/gather.py, by products of tiles.

    A, input            16 positions x 16 words                   packed
    B, weights          16 words x 16 output channels             packed
    C, sums             16 positions x 16 output channels         32 bits each

A word is 32 bits, with several channels side by side: two bf16 numbers, or four bytes.

    A  row 0   c0 c1|c2 c3|c4 c5| …    a unit: a block of channels at position f, 64 bytes on one line
       row 1   c0 c1|c2 c3|c4 c5| …    at f + 1; a tap is a constant number of units away

A task is one image, one group, a band of the flat run and some tiles of output channels:

    for window of the band                                    packed, unless by the task before it
        for group of tiles of the window
            for chain of blocks
                for tile of output channels
                    for tile of the group
                        for block of the chain, tap           sums in tiles
                            for product of parts
                        added to those held; at the end turned, what becomes of finished sums, and the way out

Beside products of a step, and where nothing else is done there, the weights of the next are fetched into the
first level: 2048 -> 512 channels at 7x7, 9 MB of them in three parts, 237 us without, 211 with; 12 layers
of one tap 6 % in the mean, 256 channels of nine taps at 14x14 7 %.

Each chain is summed from zero. The order of an output's sum follows from its channels and taps alone.

With positions as the columns of B, as sums leave, a tap's rows would begin at any word: the unit takes 48
cycles to load 16 rows across two lines each, and 8 to load 16 lines (13.1 and 2.3 ns). A 3x3 layer of three
parts ran at 240 GFLOP/s like that. To turn a tile of sums, once for all taps and channels, takes 40 cycles.
Kernels of one tap have them as columns (`upright`):

    A, weights          16 output channels x 16 words
    B, input            16 words x 16 positions                   a unit: one word at 16 positions
    C, sums             16 output channels x 16 positions

Scratch: header, what packing needs, units of all parts, held sums, tiles as they are summed, and turned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from convforge.ir.amx import Tiles
from convforge.ir.emitter import Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.direct.contract import PHASE_FIELDS
from convforge.kernels.pack.planes import find_window
from convforge.kernels.parameters import Parameters
from convforge.kernels.phases import Phase, read_phase, read_selection
from convforge.kernels.tile_unit.contract import TILE_PARAMETERS, UNIT_BYTES, UNIT_WORDS, TileKernel
from convforge.kernels.tile_unit.leave import TileLeave
from convforge.kernels.tile_unit.step import TileStep
from convforge.schedule.tile_unit import TILE_NUMBERS, TILE_ROWS

# Given a window's units, from where `place` counts, and its positions: from, and up to.
EmitWindow = Callable[[Value, Int, Int], None]


class TileNest:
    """A task being emitted. What each kernel of the nest does in its own way is a method that it gives.

    v: vectors of the sums. out: vectors of the outputs.
    """

    def __init__(self, kernel: TileKernel, module: Module) -> None:
        self.kernel = kernel
        self.e = e = module.function("task", "pip")
        call, self.index, self.scratch = e.arguments
        self.p = Parameters(e, e.load_pointer(call, 0), TILE_PARAMETERS)
        self.x, self.weights, self.bias, self.y = (e.load_pointer(call, i) for i in range(1, 5))
        self.tiles = Tiles(e)
        self.v, self.out = self.vectors()
        self._leave = TileLeave(
            self.e, self.p, kernel, self.v, self.out,
            are_outputs=self.leaves_turned, finished=self.finished, emit_finish=self.emit_finish,
        )  # fmt: skip

    def vectors(self) -> tuple[Vectors, Vectors]:
        """Vectors of the sums, and of the outputs."""
        raise NotImplementedError

    def emit_values(self, x: Value, first_row: Int, first_column: Int) -> None:
        """Pack a window of x, a group's first channel: units of all channels at p.units of the scratch."""
        raise NotImplementedError

    def emit_windows(self, x: Value, first: Int, stop: Int, key: Int, emit: EmitWindow) -> None:
        """Pack the windows of positions `first` … stop - 1, and do the work of each."""
        e, p = self.e, self.p
        with e.loop(first, stop, step=e.mul(p.window_tiles, self.kernel.length), name="window") as some:
            end = e.minimum(e.add(some.index, e.mul(p.window_tiles, self.kernel.length)), stop)
            emit(self._emit_packed(x, some.index, key), some.index, end)

    def place(self, position: Int) -> Int:
        """Words from where a window's units are given to those of a position: from the flat run's first."""
        return self.e.mul(position, UNIT_WORDS)

    def beside(self) -> list[Callable[[], None]]:
        """What emits the work that is done beside each step's products, piece by piece."""
        return []

    def works_beside(self) -> Value | None:
        """Whether there is such work left; None where there never is."""
        return None

    def begin_group(self, group: Int) -> None:
        """Find what is added to a group's sums."""
        raise NotImplementedError

    def emit_product(self, sums: int, a: int, b: int) -> None:
        """Multiply two tiles: of inputs and of weights, or upright the other way round."""
        raise NotImplementedError

    def finished(self, sums: Value, channel: Int) -> Value:  # noqa: ARG002 - for those who need it
        """A vector of finished sums of a channel as they are turned: outputs, or still sums."""
        return sums

    def emit_finish(self, leaving: Value, channel: Int, phases: Sequence[Phase]) -> None:
        """Make outputs of what `finished` gives, in place, where they are not yet.

        leaving: [phase][mr][length], of `channel` and behind.
        """

    @property
    def leaves_turned(self) -> bool:
        """Whether what `finished` gives can be stored into the output as it is."""
        return False

    def emit(self) -> None:
        """Emit `task(call, index, scratch)`."""
        e, p, kernel = self.e, self.p, self.kernel
        length = kernel.length
        out_block, key = e.rem(self.index, p.out_blocks), e.div(self.index, p.out_blocks)
        band, rest = e.rem(key, p.bands), e.div(key, p.bands)
        group, image = e.rem(rest, p.groups), e.div(rest, p.groups)
        first = e.mul(band, p.band_tiles, length)
        stop = e.minimum(e.add(first, e.mul(p.band_tiles, length)), p.flat)
        first_out = e.mul(out_block, p.task_tiles)
        stop_out = e.minimum(e.add(first_out, p.task_tiles), p.out_tiles)
        at = e.add(e.mul(image, p.x_batch), e.mul(group, p.group_channels, p.x_channel))
        x = e.at(self.x, self.v.element.storage, at)
        at = e.add(e.mul(image, p.y_batch), e.mul(group, p.out_channels, p.y_channel))
        y = e.at(self.y, self.out.element.storage, at)
        self.begin_group(group)
        self.tiles.configure(p.pointer("shapes"))

        def emit_window(units: Value, begin: Int, end: Int) -> None:
            self._emit_window(group, units, y, (begin, end), (first_out, stop_out))

        self.emit_windows(x, first, stop, e.add(key, 1), emit_window)
        self.tiles.release()
        e.done()

    def _emit_packed(self, x: Value, first: Int, key: Int) -> Value:
        """Pack the window from position `first` on, unless the task before has; units of position 0 of the
        flat run, though the window may begin behind it.
        """
        e, p, scratch = self.e, self.p, self.scratch
        first_row, first_column, base = find_window(e, p, first)
        with e.when(e.b.or_(e.differ(p.repacks, 0), e.differ(e.load("i64", scratch), key))):
            e.store(e.i64(key), "i64", scratch)
            self.emit_values(x, first_row, first_column)
        return e.at(e.at(scratch, "i8", p.units), "i32", e.mul(e.sub(0, base), UNIT_WORDS))

    def _emit_window(
        self, group: Int, units: Value, y: Value, flats: tuple[Int, Int], outs: tuple[Int, Int]
    ) -> None:
        """What comes of a packed window, in all phases."""
        e, p, kernel = self.e, self.p, self.kernel
        with e.loop(0, p.phases, step=kernel.interleave, name="phase") as some:
            records = e.at(p.pointer("phase_table"), "i64", e.mul(some.index, len(PHASE_FIELDS)))
            phases = [
                read_phase(
                    e, e.at(records, "i64", i * len(PHASE_FIELDS)), weights=self.weights, kind="i8",
                    group=group, out_tiles=p.out_tiles, tap_weights=e.mul(p.blocks, kernel.step_bytes),
                    number=e.add(some.index, i),
                )
                for i in range(kernel.interleave)
            ]  # fmt: skip
            target = e.at(y, self.out.element.storage, phases[0].y_offset)
            self._emit_phases(phases, units, target, flats, outs)

    def _emit_phases(
        self, phases: list[Phase], units: Value, y: Value, flats: tuple[Int, Int], outs: tuple[Int, Int]
    ) -> None:
        """One phase, or two that lie side by side in the output and are written together."""
        e, p, kernel = self.e, self.p, self.kernel
        length, size = kernel.length, kernel.mr * kernel.length * len(phases)
        run = e.mul(p.tile_group, length)
        held, summed = (e.at(self.scratch, "i8", at) for at in (p.sums, p.tile))
        leaving = e.at(summed, "i32", size)
        with e.loop(flats[0], flats[1], step=run, name="tile_group") as some:
            stop = e.minimum(e.add(some.index, run), flats[1])
            with e.loop(0, p.blocks, step=p.chain, name="chain") as chain:
                blocks = e.minimum(p.chain, e.sub(p.blocks, chain.index))
                last = e.equal(e.add(chain.index, blocks), p.blocks)
                chain_units = e.at(units, "i32", e.mul(chain.index, p.block, UNIT_WORDS))
                with e.loop(outs[0], outs[1], name="out_tile") as out:
                    channel = e.mul(out.index, kernel.mr)
                    weights = [self._weights(phase, out.index, chain.index) for phase in phases]
                    with e.loop(some.index, stop, step=length, name="tile") as tile:
                        number = e.div(tile.index, length)
                        pixels = [
                            e.at(chain_units, "i32", self.place(e.add(tile.index, j * TILE_NUMBERS)))
                            for j in range(kernel.columns)
                        ]
                        place = e.mul(e.sub(out.index, outs[0]), p.tile_group)
                        place = e.add(place, e.div(e.sub(tile.index, some.index), length))
                        mine = e.at(held, "i32", e.mul(place, size))
                        if self.leaves_turned and kernel.way_out == "flat":
                            self._emit_fetch(y, channel, tile.index)
                        for i, phase in enumerate(phases):
                            to = e.at(summed, "i32", i * kernel.mr * length)
                            self._emit_sums(phase, number, blocks, weights[i], pixels, to)
                        with e.when(e.differ(chain.index, 0)):
                            self._emit_add(summed, mine, size)
                        with e.b.if_else(last) as (finish, keep):
                            with keep:
                                self._emit_copy(mine, summed, size)
                            with finish:
                                to = e.at(y, self.out.element.storage, e.mul(channel, p.y_channel))
                                self._leave.emit(phases, summed, leaving, to, tile.index, channel)

    def _emit_fetch(self, y: Value, channel: Int, flat: Int) -> None:
        """Have the lines fetched that a tile will be written to, of so many channels as the plan says."""
        e, p = self.e, self.p
        line = e.at(y, "i32", e.add(e.mul(channel, p.y_channel), flat))
        with e.loop(0, p.fetched, name="fetch") as m:
            for j in range(0, self.kernel.length, TILE_NUMBERS):
                e.prefetch(e.at(line, "i32", e.mul(m.index, p.y_channel)), "i32", j)

    def _weights(self, phase: Phase, out_tile: Int, block: Int) -> Value:
        """Those of a tile of output channels from a block of channels on."""
        at = self.e.mul(block, phase.taps, self.kernel.step_bytes)
        return self.e.at(phase.weights, "i8", self.e.add(self.e.mul(out_tile, phase.tile_weights), at))

    def _fetches(self, weights: Value) -> list[Callable[[], None]]:
        """Fetch the weights of the step behind these, line by line: a prefetcher stops at each page's end."""
        size = self.kernel.step_bytes
        return [partial(self.e.prefetch, weights, "i8", size + at) for at in range(0, size, UNIT_BYTES)]

    def _emit_sums(
        self, phase: Phase, number: Int, blocks: Int, weights: Value, pixels: list[Value], to: Value
    ) -> None:
        """to[position][mr]: sums of tile `number` over some blocks of channels, by the taps it needs."""
        e, tiles, rows, columns = self.e, self.tiles, self.kernel.rows, self.kernel.columns
        upright = self.kernel.upright
        selected = read_selection(e, phase, number)
        for tile in range(rows * columns):
            tiles.zero(tile)

        def emit_steps(*, beside: bool) -> None:
            with e.loop(0, e.mul(blocks, selected.taps), name="step") as step:
                w = e.at(weights, "i8", e.load("i64", selected.rows, step.index))
                distance = e.mul(e.load("i64", selected.distances, step.index), UNIT_WORDS)
                x = [e.at(each, "i32", distance) for each in pixels]
                shape = TileStep(rows, columns, self.kernel.products, upright=upright)
                part = e.mul(self.p.part, UNIT_WORDS)
                pieces = self.beside() if beside else self._fetches(w)
                shape.emit(e, tiles, self.emit_product, w, x, part, pieces)

        some = self.works_beside()
        if some is None:
            emit_steps(beside=False)
        else:
            with e.b.if_else(some) as (both, alone):
                with both:
                    emit_steps(beside=True)
                with alone:
                    emit_steps(beside=False)
        mr, length = self.kernel.mr, self.kernel.length
        for i in range(rows):
            for j in range(columns):
                turned = j * TILE_NUMBERS * mr + i * TILE_ROWS
                at, row = (i * TILE_ROWS * length + j * TILE_NUMBERS, length) if upright else (turned, mr)
                tiles.store(i * columns + j, e.at(to, "i32", at), 4 * row)

    def _emit_add(self, summed: Value, held: Value, size: int) -> None:
        """Add what the chains before this one have summed up."""
        with self.e.loop(0, size, step=self.v.lanes, name="resume") as i:
            total = self.v.add(self.v.load(held, i.index), self.v.load(summed, i.index))
            self.v.store(total, summed, i.index)

    def _emit_copy(self, to: Value, source: Value, size: int) -> None:
        with self.e.loop(0, size, step=self.v.lanes, name="keep") as i:
            self.v.store(self.v.load(source, i.index), to, i.index)
