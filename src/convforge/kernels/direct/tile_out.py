"""The way out of a finished tile of the direct kernel: whole, or in pieces where it crosses the ends of rows.

side by side         outputs have no gaps: the flat run is the output
within one row       from registers; of two phases that alternate, the first waits in scratch
across rows          by way of scratch, row by row
at any distance      by way of scratch, element by element
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.direct.contract import GatherKernel
from convforge.kernels.direct.tile_run import TilePlace, TileRun
from convforge.kernels.dot.contract import DotKernel
from convforge.kernels.epilogue import RunPosition, emit_write_flat, emit_write_in_row, emit_write_rows
from convforge.kernels.parameters import Parameters
from convforge.kernels.phases import Phase


class TileOut:
    """Writes the tiles of a task. v: vectors of the outputs; leaving: scratch for one tile of every phase."""

    def __init__(
        self,
        e: Emitter,
        v: Vectors,
        p: Parameters,
        kernel: GatherKernel | DotKernel,
        run: TileRun,
        leaving: Value,
    ) -> None:
        self._e, self._v, self._p, self._kernel, self._run = e, v, p, kernel, run
        self._leaving, self._size = leaving, kernel.mr * kernel.length

    def emit(
        self,
        phases: list[Phase],
        number: int,
        done: list[Value],
        place: TilePlace,
        shift: int,
        target: Value,
        rows: Int,
    ) -> None:
        """Write the finished vectors of phase `number`, or keep them until those of the last one are there.

        shift: outputs by which a short tile begins behind its place. target: where the tile's first channel
        has its outputs; rows: how many channels there are.
        """
        e, v, p, kernel = self._e, self._v, self._p, self._kernel
        if kernel.flat_output:
            to, room = e.at(target, v.element.storage, place.flat), e.sub(p.flat, place.flat)
            emit_write_flat(
                e, v, done, kernel.mr, kernel.nv, target=to, channel=p.y_channel, rows=rows, room=room
            )
        elif kernel.way_out != "strided" and number == len(phases) - 1:
            self._emit_leave(phases, done, target, self._run.position(place).shifted(e, shift), rows)
        else:
            self._hold(number, done)

    def emit_scattered(self, phases: list[Phase], place: TilePlace, target: Value, rows: Int) -> None:
        """Write a tile whose outputs lie at any distance from each other: all of it is in scratch."""
        self._emit_rows(phases, target, self._run.position(place), rows)

    def _hold(self, number: int, done: list[Value]) -> None:
        for j, value in enumerate(done):
            self._v.store(value, self._leaving, number * self._size + j * self._v.lanes)

    def _emit_leave(
        self, phases: list[Phase], done: list[Value], target: Value, position: RunPosition, rows: Int
    ) -> None:
        """Write a tile of neighbours, or two woven: most lie within one row and leave from registers.

        done: the tile, or the second one, while the first is in scratch.
        """
        e, p, kernel = self._e, self._p, self._kernel
        depth, height, width = phases[0].size
        inside = e.b.and_(e.less(position.height, height), e.less(position.depth, depth))

        def emit_in_row() -> None:
            emit_write_in_row(
                e, self._v, done, kernel.mr, len(done) // kernel.mr,
                even=None if len(phases) == 1 else self._leaving, target=target, channel=p.y_channel,
                rows=rows, position=position, row_stride=p.y_row, slice_stride=p.y_slice,
            )  # fmt: skip

        if kernel.along_rows:
            with e.when(inside):
                emit_in_row()
            return
        stop = e.add(position.column, kernel.length)
        within = e.b.and_(e.no_less(width, stop), e.no_less(p.out_width, e.mul(stop, len(phases))))
        with e.b.if_else(e.b.and_(within, inside)) as (alone, parts):
            with alone:
                emit_in_row()
            with parts:
                self._hold(len(phases) - 1, done)
                self._emit_rows(phases, target, position, rows)

    def _emit_rows(self, phases: list[Phase], target: Value, position: RunPosition, rows: Int) -> None:
        p, kernel = self._p, self._kernel
        emit_write_rows(
            self._e,
            self._v,
            tile=self._leaving,
            tile_size=self._size,
            length=kernel.length,
            position=position,
            rows=rows,
            target=target,
            channel=p.y_channel,
            pitch=p.pitch,
            slice_rows=p.slice_rows,
            size=phases[0].size,
            row_stride=p.y_row,
            slice_stride=p.y_slice,
            step=p.y_step,
            out_width=p.out_width,
            way=kernel.way_out,
        )
