"""The tiles of outputs of a gather, by their numbers, and where each of them begins.

    along the flat run      tile t begins at output t * length, and may cross the ends of rows
    along rows              tile t begins in row t // row_tiles of outputs; the last one of a row begins so
                            early that it ends where the row does, and computes some outputs again

A tile's place has three digits: slice, row of the slice, and what of the row lies before it, in elements or
in tiles. From a tile to the next it is an addition with carries: dividing takes 60 cycles, where a tile of 27
steps takes 320.
"""

from __future__ import annotations

from dataclasses import dataclass

from convforge.ir.emitter import Emitter, Int, Value
from convforge.kernels.epilogue import RunPosition, find_position
from convforge.kernels.parameters import Parameters


@dataclass(frozen=True, slots=True)
class TilePlace:
    """Where a tile begins: in the flat run, and in rows, if that is known without a division."""

    flat: Int
    position: RunPosition | None


class TileRun:
    """The tiles of a task.

    early: along the flat run, the last tile begins so early that it ends where the run does: nothing lies
    behind an input that is read in place. positions: whether places in rows matter, as outputs have gaps.
    """

    def __init__(
        self, e: Emitter, p: Parameters, length: int, *, along_rows: bool, early: bool, positions: bool
    ) -> None:
        self._e, self._p, self._length = e, p, length
        self._along_rows, self._early = along_rows, early and not along_rows
        self._counted = along_rows or (positions and not early)
        self._columns, self._heights = (
            (p.row_tiles, p.slice_outputs) if along_rows else (p.pitch, p.slice_rows)
        )
        self._step = self.first(1)

    def first(self, number: Int) -> list[Value]:
        """The digits of a tile: what the next ones are counted from."""
        e = self._e
        if not self._counted:
            return []
        unit = number if self._along_rows else e.mul(number, self._length)
        row = e.div(unit, self._columns)
        depth = e.div(row, self._heights)
        digits = depth, e.sub(row, e.mul(depth, self._heights)), e.sub(unit, e.mul(row, self._columns))
        return [e.i64(digit) for digit in digits]

    def next(self, digits: list[Value]) -> list[Value]:
        """Those of the tile behind the one that has these."""
        if not digits:
            return []
        e = self._e
        column, over = self._carry(e.add(digits[2], self._step[2]), self._columns)
        height, over = self._carry(e.add(digits[1], self._step[1], over), self._heights)
        return [e.i64(e.add(digits[0], self._step[0], over)), height, column]

    def _carry(self, digit: Int, base: Int) -> tuple[Value, Value]:
        e = self._e
        over = e.no_less(digit, base)
        return e.select(over, e.sub(digit, base), digit), e.select(over, 1, 0)

    def ends_row(self, digits: list[Value]) -> Value:
        """Whether a tile along rows is the last one of its row."""
        return self._e.equal(digits[2], self._e.sub(self._columns, 1))

    def place(self, number: Int, digits: list[Value]) -> TilePlace:
        """Where tile `number` begins, which has these digits."""
        e, p = self._e, self._p
        if not digits:
            flat = e.mul(number, self._length)
            if self._early:
                flat = e.minimum(flat, e.sub(p.flat, self._length))
            return TilePlace(flat, None)
        depth, height, column = digits
        if self._along_rows:
            column = e.minimum(e.mul(column, self._length), e.sub(p.row_outputs, self._length))
        return TilePlace(e.add(e.mul(self._row(digits), p.pitch), column), RunPosition(depth, height, column))

    def _row(self, digits: list[Value]) -> Int:
        """The row of the flat run that a tile begins in."""
        return self._e.add(self._e.mul(digits[0], self._p.slice_rows), digits[1])

    def position(self, place: TilePlace) -> RunPosition:
        """Slice, row and column of a tile's first output."""
        if place.position is not None:
            return place.position
        return find_position(self._e, place.flat, self._p.pitch, self._p.slice_rows)

    def rows(self, first: Int, stop: Int) -> tuple[Int, Int]:
        """The first row and the last that tiles `first` … `stop` - 1 have outputs in."""
        e, p = self._e, self._p
        if self._along_rows:
            return self._row(self.first(first)), self._row(self.first(e.sub(stop, 1)))
        last = e.sub(e.minimum(e.mul(stop, self._length), p.flat), 1)
        return e.div(e.mul(first, self._length), p.pitch), e.div(last, p.pitch)
