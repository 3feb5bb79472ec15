"""The way out of a finished tile of a nest (nest.py): 16 positions at once to the output where it has
them in one row, or in two, else by way of scratch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.epilogue import emit_write_rows, find_position
from convforge.kernels.pack.turn import emit_turned
from convforge.kernels.parameters import Parameters
from convforge.kernels.phases import Phase
from convforge.kernels.tile_unit.contract import TileKernel
from convforge.kernels.tile_unit.room import StoreSquare, find_room
from convforge.schedule.tile_unit import TILE_NUMBERS, TILE_ROWS


class TileLeave:
    """Writes tiles. v: vectors of the sums; out: of the outputs. finished, emit_finish: as of TileNest.

    are_outputs: whether what the first of them gives can be stored into the output as it is.
    """

    def __init__(
        self,
        e: Emitter,
        p: Parameters,
        kernel: TileKernel,
        v: Vectors,
        out: Vectors,
        *,
        are_outputs: bool,
        finished: Callable[[Value, Int], Value],
        emit_finish: Callable[[Value, Int, Sequence[Phase]], None] | None = None,
    ) -> None:
        self._e, self._p, self._kernel, self._v, self._out = e, p, kernel, v, out
        self._are_outputs, self._finished, self._finish = are_outputs, finished, emit_finish

    def emit(
        self, phases: list[Phase], summed: Value, leaving: Value, y: Value, flat: Int, channel: Int
    ) -> None:
        """Finish a tile's sums, of all phases, and write them.

        summed: where they are. leaving: scratch for as many. y: of the tile's first channel. flat: its first
        position.
        """
        e, kernel, p = self._e, self._kernel, self._p
        if self._by_squares:
            every = e.no_less(e.sub(p.out_channels, channel), kernel.mr)
            with e.loop(0, kernel.length, step=TILE_NUMBERS, name="j") as j:
                self._emit_leave_square(
                    phases, summed, leaving, y, e.add(flat, j.index), j.index, channel, every
                )
            return
        size = kernel.mr * kernel.length
        with e.loop(0, len(phases), name="phase") as phase, e.loop(0, kernel.length, step=TILE_NUMBERS) as j:
            at = e.mul(phase.index, size)
            held = self._held(e.at(leaving, "i32", e.add(at, j.index)), kernel.length)
            self._emit_square(1, e.at(summed, "i32", at), j.index, channel, held)
        if self._finish is not None:
            self._finish(leaving, channel, phases)
        self._emit_leave(phases[0], leaving, y, flat, channel, kernel.length)

    @property
    def _by_squares(self) -> bool:
        """Whether 16 positions at once can go where they belong: of all phases, if these are woven."""
        kernel = self._kernel
        ways = ("flat", "unit", "pair") if kernel.upright else ("flat", "unit")
        return self._are_outputs and kernel.way_out in ways

    def _emit_leave_square(
        self,
        phases: list[Phase],
        summed: Value,
        leaving: Value,
        y: Value,
        flat: Int,
        first: Int,
        channel: Int,
        every: Value,
    ) -> None:
        """16 positions, from `first` on in the tile and from `flat` on in the run. every: whether there are
        all channels of a tile.
        """
        e, many = self._e, len(phases)
        room = find_room(e, self._p, self._kernel, phases, flat)

        def emit_rest() -> None:
            self._emit_square(many, summed, first, channel, self._held(leaving, TILE_NUMBERS))
            self._emit_leave(phases[0], leaving, y, flat, channel, TILE_NUMBERS)

        with e.b.if_else(e.b.and_(room.is_whole, every)) as (whole, part):
            with whole:
                self._emit_square(many, summed, first, channel, room.whole(self._out, y))
            with part:
                if room.is_cut is None:
                    emit_rest()
                else:
                    with e.b.if_else(e.b.and_(room.is_cut, every)) as (cut, rest):
                        with cut:
                            self._emit_square(many, summed, first, channel, room.cut(self._out, y))
                        with rest:
                            emit_rest()

    def _held(self, leaving: Value, length: int) -> StoreSquare:
        """Stores 16 positions in scratch: [phase][mr][length]."""

        def store(values: list[Value], channel: Int, column: int) -> None:
            for i, value in enumerate(values):
                row = self._e.add(channel, i * self._kernel.mr)
                self._v.store(value, leaving, self._e.add(self._e.mul(row, length), column))

        return store

    def _emit_square(self, phases: int, summed: Value, first: Int, channel: Int, store: StoreSquare) -> None:
        """16 finished sums of every channel of a tile, of so many phases, from position `first` on."""
        e, v, mr, length = self._e, self._v, self._kernel.mr, self._kernel.length
        if self._kernel.upright:
            with e.loop(0, mr, name="i") as i:
                at, number = e.add(e.mul(i.index, length), first), e.add(channel, i.index)
                for j in range(0, TILE_NUMBERS, v.lanes):
                    sums = [v.load(summed, e.add(at, phase * mr * length + j)) for phase in range(phases)]
                    store([self._finished(each, number) for each in sums], i.index, j)
            return
        assert phases == 1
        source = e.at(summed, "i32", e.mul(first, mr))
        with e.loop(0, mr, step=TILE_ROWS, name="i") as i:

            def leave(sums: Value, row: int, column: int) -> None:
                number = e.add(i.index, row)
                store([self._finished(sums, e.add(channel, number))], number, column)

            emit_turned(v, e.at(source, "i32", i.index), mr, leave)

    def _emit_leave(
        self, phase: Phase, leaving: Value, y: Value, flat: Int, channel: Int, length: int
    ) -> None:
        """Write a tile, or two woven, to the output; an output without gaps is one long row."""
        e, p, kernel = self._e, self._p, self._kernel
        whole = kernel.way_out == "flat"
        pitch, slice_rows = (p.flat, 1) if whole else (p.pitch, p.slice_rows)
        emit_write_rows(
            e,
            self._out,
            tile=leaving,
            tile_size=kernel.mr * length,
            length=length,
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
