"""The way into a task of products.py of one tap, as 1x1 layers are: by steps, which are woven into the
products of the window before.

    unit[square of 16 positions][part][pair of channels]  =  one part of both, at 16 positions

A step is two channels at 64 positions: four lines of the input each, where it is read as it lies, split in
whole vectors into words that are units as they are. With strides, padding or channels side by side a table
says where a position's value is, and vectors are gathered. Channels that are taps (schedule/fold.py) are read
from planes, packed once for a band. Nothing is turned: positions are columns of the second factor.

The tile unit works beside the vector units, and a product takes it 16 cycles: steps between products take no
time of their own, as long as an instruction of each is near enough. One core, 3136 positions, in us:

    channels      products    split    one after the other    woven
    256 -> 128       565       138             738             570
    256 ->  64       290       141             480             405

What a step has come to is kept in scratch, so that any loop may do the next one.
"""

from __future__ import annotations

from collections.abc import Callable

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.text import I32
from convforge.ir.vector import Vectors
from convforge.kernels.bf16_parts import emit_outside, emit_seen, emit_words
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.flag import emit_flag
from convforge.kernels.pack.planes import emit_pack, find_window
from convforge.kernels.parameters import Parameters
from convforge.kernels.split_bf16.contract import (
    FOLD_PARAMETERS,
    INPUT_RANGE,
    PROGRESS,
    PROGRESS_BYTES,
    SplitKernel,
    SplitTapsKernel,
)
from convforge.kernels.tile_unit.contract import NOWHERE, UNIT_BYTES, UNIT_WORDS
from convforge.kernels.tile_unit.run_loading import emit_run_load
from convforge.schedule.tile_unit import STEP_POSITIONS, TILE_NUMBERS

_SQUARES = STEP_POSITIONS // TILE_NUMBERS
# Where a table tells what vectors hold, lines so many elements on are fetched: no prefetcher follows as many
# channels. The gradient of C3D's first layer's input 10.8 -> 8.6 ms, of ResNet's 1003 -> 940 us on one core.
_AHEAD = 2 * STEP_POSITIONS


class Steps:
    """Splits the windows of a task. x: a group's first channel."""

    def __init__(
        self,
        e: Emitter,
        v: Vectors,
        p: Parameters,
        kernel: SplitKernel | SplitTapsKernel,
        x: Value,
        scratch: Value,
    ) -> None:
        self._e, self._v, self._p, self._kernel, self._x = e, v, p, kernel, x
        self._scratch = scratch
        self._progress = e.at(scratch, "i8", HEADER_BYTES)
        self._seen = e.at(self._progress, "i8", UNIT_BYTES)
        self._pairs = e.div(e.add(p.channels, 1), 2)
        self._packed = e.at(self._progress, "i8", PROGRESS_BYTES)
        self._planes = Parameters(e, p.pointer("fold"), FOLD_PARAMETERS)

    def start(self) -> None:
        """Begin a task: no steps to do, nothing seen."""
        e, v, p = self._e, self._v, self._p
        self._set("step", 0)
        self._set("steps", 0)
        for i in range(2):
            v.store(v.zero(), self._seen, i * v.lanes)
        # Pairs that the last block has room for.
        units = e.at(self._scratch, "i8", p.units)
        lines = e.div(e.mul(p.window_bytes, 2 if self._kernel.woven else 1), UNIT_BYTES)
        with (
            e.when(e.less(self._pairs, p.part)),
            e.loop(0, lines, step=p.part, name="part") as part,
            e.loop(self._pairs, p.part, name="pair") as pair,
        ):
            line = e.at(units, "i32", e.mul(e.add(part.index, pair.index), UNIT_WORDS))
            for i in range(0, UNIT_WORDS, v.lanes):
                v.store(v.zero(), line, i)

    def pack(self, first: Int) -> None:
        """Pack the planes from which folded channels are read, of a band from position `first` on."""
        e, v, kernel = self._e, self._v, self._kernel
        if kernel.way_in != "planes":
            return
        assert kernel.columns_in is not None
        f = self._planes
        first_row, first_column, base = find_window(e, f, first)
        self._set("planes", base)
        rows = e.minimum(f.plane_rows, e.sub(f.total_rows, first_row))
        written = e.add(e.mul(e.sub(rows, 1), f.pitch), f.row_length)
        with (
            e.loop(0, e.mul(f.channels, f.planes), name="plane") as plane,
            e.loop(written, e.sub(f.plane, v.lanes - 1), step=v.lanes, name="behind") as at,
        ):
            v.store(v.zero(), self._packed, e.add(e.mul(plane.index, f.plane), at.index))
        emit_pack(
            e, v, kernel.columns_in, f, source=self._x, target=self._packed, channels=f.channels,
            first_row=first_row, first_column=first_column,
        )  # fmt: skip

    def begin(self, first: Int, stop: Int, units: Int) -> None:
        """The next steps are those of positions `first` … stop - 1, to units so many bytes on in scratch."""
        e = self._e
        columns = e.div(e.add(e.sub(stop, first), STEP_POSITIONS - 1), STEP_POSITIONS)
        for name, value in (("step", 0), ("steps", e.mul(columns, self._pairs)), ("first", first)):
            self._set(name, value)
        self._set("units", units)

    def left(self) -> Value:
        """Whether there are steps to do."""
        return self._e.less(self._get("step"), self._get("steps"))

    def finish(self) -> None:
        """Do those that are left."""
        e = self._e
        with e.loop(self._get("step"), self._get("steps"), name="split") as step:
            for emit in self._pieces(step.index):
                emit()
        self._set("step", self._get("steps"))

    def pieces(self, many: int) -> list[Callable[[], None]]:
        """What emits the next steps, piece by piece; beyond the last one it is done again."""
        e = self._e
        done, last = self._get("step"), e.sub(self._get("steps"), 1)
        self._set("step", e.add(done, many))
        return [piece for i in range(many) for piece in self._pieces(e.minimum(e.add(done, i), last))]

    def end(self) -> None:
        """Set the flag where what was split would not be exact."""
        v = self._v
        seen = [v.load_bits(self._seen, i * v.lanes) for i in range(2)]
        emit_flag(self._e, self._scratch, emit_outside(v, seen, INPUT_RANGE))

    def _pieces(self, step: Int) -> list[Callable[[], None]]:
        """A step, a vector at a time."""
        e, v, p, parts = self._e, self._v, self._p, self._kernel.parts
        column = e.div(step, self._pairs)
        pair = e.sub(step, e.mul(column, self._pairs))
        first = e.add(self._get("first"), e.mul(column, STEP_POSITIONS))
        left = e.b.trunc(e.i64(e.minimum(e.sub(p.flat, first), STEP_POSITIONS)), I32)
        # An odd last channel is read twice; the second time it meets weights of zero.
        low = e.mul(pair, 2)
        channels = [self._channel(i) for i in (low, e.minimum(e.add(low, 1), e.sub(p.channels, 1)))]
        units = e.at(self._scratch, "i8", self._get("units"))
        place = e.add(e.mul(column, p.part, _SQUARES * parts), pair)
        # From one line to the next, an addition each: from the first to each it would be four instructions.
        line, step_words = [e.at(units, "i32", e.mul(place, UNIT_WORDS))], e.mul(p.part, UNIT_WORDS)

        def emit(j: int) -> None:
            low, high = self._values(channels, first, j, left)
            # In memory: kept in registers the compiler looks at many values together, and spills them all.
            seen = [v.load_bits(self._seen, i * v.lanes) for i in range(2)]
            for i, value in enumerate(emit_seen(v, emit_seen(v, seen, low), high)):
                v.store_bits(value, self._seen, i * v.lanes)
            to = line[0]
            for word in emit_words(v, low, high, parts):
                v.store_bits(word, to, j % TILE_NUMBERS)
                to = e.at(to, "i32", step_words)
            if (j + v.lanes) % TILE_NUMBERS == 0:
                line[0] = to

        return [lambda j=j: emit(j) for j in range(0, STEP_POSITIONS, v.lanes)]

    def _channel(self, number: Int) -> Value:
        """Where a channel has the first of all positions."""
        e, p = self._e, self._p
        if self._kernel.way_in != "planes":
            return e.at(self._x, self._kernel.element.storage, e.mul(number, p.x_channel))
        begins = e.load("i64", self._planes.pointer("sources"), number)
        return e.at(self._packed, self._v.element.compute, e.sub(begins, self._get("planes")))

    def _values(self, channels: list[Value], first: Int, ahead: int, left: Value) -> list[Value]:
        """A vector of each channel so far ahead of a position; zeros where none of those left is."""
        e, v, p = self._e, self._v, self._p
        position = e.add(first, ahead)
        if self._kernel.way_in == "planes":
            return [v.load(channel, position) for channel in channels]
        if self._kernel.way_in == "in place":
            number = e.b.add(v.iota(), v.bits_constant(ahead))
            mask = e.b.icmp_signed("<", number, v.broadcast(left))
            return [v.load_stored(channel, position, mask) for channel in channels]
        if self._kernel.way_in in ("masked", "expanded"):
            entry = e.load("i64", p.pointer("places"), e.div(position, v.lanes))
            offset, load = emit_run_load(v, self._kernel.way_in, entry)
            for channel in channels:
                e.prefetch(channel, v.element.storage, e.add(offset, _AHEAD))
            return [load(channel) for channel in channels]
        places = v.load_bits(p.pointer("places"), position)
        mask = e.b.icmp_signed("!=", places, v.bits_constant(NOWHERE))
        return [v.load_gathered(channel, places, mask) for channel in channels]

    def _get(self, name: str) -> Value:
        return self._e.load("i64", self._progress, PROGRESS.index(name))

    def _set(self, name: str, value: Int) -> None:
        self._e.store(self._e.i64(value), "i64", self._progress, PROGRESS.index(name))
