"""Convolution with few output channels on a tile unit: the product of every tap by itself, then their sum.

    rows[tap, output][position]  =  sum over channels of w[output][channel][tap] * x[channel][position]
    y[output][position]          =  sum over taps of rows[tap, output][position + distance of the tap]

So 3 outputs of 7x7 taps fill 147 rows of tiles and not 3 of 16 (kn2row: Vasudevan, Anderson and Gregg, arXiv
1704.04428), and the input is split once for all taps. A task is one image, one group and a band of the flat
run of outputs; what is kept of each row is a ring, as long as taps reach:

    for window of 64 positions of the band, and as far behind it as taps reach
        for tile of rows
            for positions of the window
                for block of channels                  sums in tiles; beside them the next window is split
                into the ring
        the outputs whose taps are now all there:
            for phase
                for tap                                 in registers
            bias, activation, the way out

Positions are columns of the second factor, as for kernels of one tap (steps.py).

Scratch: header, progress and planes of the way in, units of two windows, rows, outputs on their way.
"""

from __future__ import annotations

from convforge.ir.amx import Tiles
from convforge.ir.emitter import Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.direct.contract import PHASE_FIELDS
from convforge.kernels.epilogue import emit_activation
from convforge.kernels.parameters import Parameters
from convforge.kernels.phases import Phase, read_phase, read_selection
from convforge.kernels.split_bf16.contract import TAPS_PARAMETERS, SplitTapsKernel
from convforge.kernels.split_bf16.steps import Steps
from convforge.kernels.tile_unit.contract import UNIT_WORDS
from convforge.kernels.tile_unit.leave import TileLeave
from convforge.kernels.tile_unit.step import TileStep
from convforge.schedule.tile_unit import STEP_POSITIONS, TILE_NUMBERS, TILE_ROWS

# Vectors of sums that registers hold beside what is loaded.
_SUMS = 16


def emit(kernel: SplitTapsKernel, module: Module) -> None:
    """Emit `task(call, index, scratch)`."""
    _Task(kernel, module).emit()


class _Task:
    """A task being emitted."""

    def __init__(self, kernel: SplitTapsKernel, module: Module) -> None:
        self.kernel = kernel
        self.e = e = module.function("task", "pip")
        call, self.index, self.scratch = e.arguments
        self.p = Parameters(e, e.load_pointer(call, 0), TAPS_PARAMETERS)
        self.x, self.weights, self.bias, self.y = (e.load_pointer(call, i) for i in range(1, 5))
        self.tiles = Tiles(e)
        self.v = Vectors(e, kernel.element, kernel.lanes, fused=False)
        self._leave = TileLeave(
            e, self.p, kernel, self.v, self.v,
            are_outputs=kernel.element.storage == kernel.element.compute, finished=self._finished,
        )  # fmt: skip

    def emit(self) -> None:
        """The loop nest."""
        e, p, kernel = self.e, self.p, self.kernel
        storage = kernel.element.storage
        band, rest = e.rem(self.index, p.bands), e.div(self.index, p.bands)
        group, image = e.rem(rest, p.groups), e.div(rest, p.groups)
        first = e.mul(band, p.band)
        # Of outputs, in whole windows, and of positions that their taps read.
        outputs = e.sub(e.minimum(e.add(first, p.band), p.flat), first)
        windows = e.div(e.add(outputs, STEP_POSITIONS - 1), STEP_POSITIONS)
        stop = e.add(first, e.mul(windows, STEP_POSITIONS), p.behind)
        at = e.add(e.mul(image, p.x_batch), e.mul(group, p.group_channels, p.x_channel))
        x = e.at(self.x, storage, at)
        at = e.add(e.mul(image, p.y_batch), e.mul(group, p.out_channels, p.y_channel))
        y = e.at(self.y, storage, at)
        self._bias = e.at(self.bias, "f32", e.mul(group, p.out_channels)) if kernel.has_bias else None
        weights = e.at(self.weights, "i8", e.mul(group, p.row_tiles, p.blocks, kernel.step_bytes))
        self._rows = e.at(self.scratch, "i8", p.rows)
        self._steps = steps = Steps(e, self.v, p, kernel, x, self.scratch)
        self.tiles.configure(p.pointer("shapes"))
        steps.start()
        steps.pack(first)
        steps.begin(first, e.add(first, STEP_POSITIONS), p.units)
        with e.loop(first, stop, step=STEP_POSITIONS, carried=[e.i64(p.units)], name="window") as some:
            (here,) = some.carried
            there = e.sub(e.add(e.mul(p.units, 2), p.window_bytes), here)
            steps.finish()
            end = e.add(some.index, STEP_POSITIONS)
            steps.begin(end, e.minimum(e.add(end, STEP_POSITIONS), stop), there)
            self._emit_products(weights, e.at(self.scratch, "i8", here), some.index)
            ready = e.sub(some.index, p.behind)
            with e.when(e.no_less(ready, first)):
                self._emit_outputs(y, ready)
            some.next = [e.i64(there)]
        steps.end()
        self.tiles.release()
        e.done()

    def _emit_products(self, weights: Value, units: Value, window: Int) -> None:
        """All rows at the positions of a window, into their rings."""
        e, p, kernel = self.e, self.p, self.kernel
        at = self._in_ring(window)
        with e.loop(0, p.row_tiles, name="row_tile") as tile:
            own = e.at(weights, "i8", e.mul(tile.index, p.blocks, kernel.step_bytes))
            first = e.mul(tile.index, kernel.tile_rows, p.ring_pitch)
            to = e.at(self._rows, "f32", e.add(first, at))
            with e.loop(0, STEP_POSITIONS, step=kernel.columns * TILE_NUMBERS, name="columns") as column:
                square = e.div(column.index, TILE_NUMBERS)
                pixels = [
                    e.at(units, "i32", e.mul(e.add(square, j), p.part, kernel.parts * UNIT_WORDS))
                    for j in range(kernel.columns)
                ]
                self._emit_sums(own, pixels)
                self._emit_store(e.at(to, "f32", column.index))
                # What is read from the last positions on goes on behind the ring.
                with e.when(e.equal(at, 0)):
                    self._emit_store(e.at(to, "f32", e.add(column.index, p.ring)))

    def _emit_sums(self, weights: Value, pixels: list[Value]) -> None:
        """Sums over channels of rows x columns tiles."""
        e, p, tiles, kernel = self.e, self.p, self.tiles, self.kernel
        shape = TileStep(kernel.rows, kernel.columns, kernel.products, upright=True)
        for tile in range(kernel.rows * kernel.columns):
            tiles.zero(tile)

        def emit_steps(*, beside: bool) -> None:
            with e.loop(0, p.blocks, name="step") as step:
                own = e.at(weights, "i8", e.mul(step.index, kernel.step_bytes))
                block = e.mul(step.index, p.depth, UNIT_WORDS)
                inputs = [e.at(each, "i32", block) for each in pixels]
                pieces = self._steps.pieces(kernel.woven) if beside else ()
                shape.emit(e, tiles, tiles.multiply_bf16, own, inputs, e.mul(p.part, UNIT_WORDS), pieces)

        with e.b.if_else(self._steps.left()) as (both, alone):
            with both:
                emit_steps(beside=True)
            with alone:
                emit_steps(beside=False)

    def _emit_store(self, to: Value) -> None:
        e, p, kernel = self.e, self.p, self.kernel
        for i in range(kernel.rows):
            for j in range(kernel.columns):
                at = e.add(e.mul(i * TILE_ROWS, p.ring_pitch), j * TILE_NUMBERS)
                self.tiles.store(i * kernel.columns + j, e.at(to, "f32", at), e.mul(p.ring_pitch, 4))

    def _emit_outputs(self, y: Value, flat: Int) -> None:
        """A window of outputs, of all phases."""
        e, p, kernel = self.e, self.p, self.kernel
        summed = e.at(self.scratch, "i8", p.tile)
        leaving = e.at(summed, "f32", kernel.interleave * kernel.mr * kernel.length)
        with e.loop(0, p.phases, step=kernel.interleave, name="phase") as some:
            records = e.at(p.pointer("phase_table"), "i64", e.mul(some.index, len(PHASE_FIELDS)))
            phases = [
                read_phase(
                    e, e.at(records, "i64", i * len(PHASE_FIELDS)), weights=self._rows, kind="f32",
                    group=0, out_tiles=0, tap_weights=0, number=e.add(some.index, i),
                )
                for i in range(kernel.interleave)
            ]  # fmt: skip
            for i, phase in enumerate(phases):
                to = e.at(summed, "f32", i * kernel.mr * kernel.length)
                for j in range(0, kernel.length, self._vectors * self.v.lanes):
                    self._emit_added(phase, flat, j, to)
            target = e.at(y, kernel.element.storage, phases[0].y_offset)
            self._leave.emit(phases, summed, leaving, target, flat, 0)

    @property
    def _vectors(self) -> int:
        """Of positions that are summed up together, for all outputs."""
        room, all_of_them = max(1, _SUMS // self.kernel.outputs), self.kernel.length // self.v.lanes
        return 1 << min(room, all_of_them).bit_length() - 1

    def _emit_added(self, phase: Phase, flat: Int, first: int, to: Value) -> None:
        """to[output][position]: sums over the taps of a phase, from position `first` of a window on."""
        e, v, p, outputs = self.e, self.v, self.p, self.kernel.outputs
        selected = read_selection(e, phase, e.div(flat, STEP_POSITIONS))
        carried = [v.zero()] * (outputs * self._vectors)
        with e.loop(0, selected.taps, carried=carried, name="tap") as tap:
            distance = e.load("i64", selected.distances, tap.index)
            at = self._in_ring(e.add(flat, first, distance))
            row = e.at(phase.weights, "f32", e.add(e.load("i64", selected.rows, tap.index), at))
            for i, total in enumerate(tap.carried):
                output, j = divmod(i, self._vectors)
                value = v.load(row, e.add(e.mul(output, p.ring_pitch), j * v.lanes))
                tap.next.append(v.add(total, value))
        for i, total in enumerate(tap.results):
            output, j = divmod(i, self._vectors)
            v.store(total, to, output * self.kernel.length + first + j * v.lanes)

    def _finished(self, sums: Value, channel: Int) -> Value:
        """With the bias of the channel, then the activation."""
        if self._bias is not None:
            sums = self.v.add(sums, self.v.load_broadcast(self._bias, channel))
        return emit_activation(self.v, self.kernel.activation, sums)

    def _in_ring(self, position: Int) -> Value:
        """Where a position of the run is kept."""
        return self.e.b.and_(self.e.i64(position), self.e.i64(self.e.sub(self.p.ring, 1)))
