"""Where 16 neighbours of the flat run go in the output: into one row, or into the end of one and the
beginning of the next.

    run        a b c d e f g . h i j k …        a gap of one between rows of 7
    whole        └─────┘                        one store for each channel
    cut                └───────┘                two, each under a mask of lanes

Two phases that alternate in the output are woven into whole rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.epilogue import find_position
from convforge.kernels.parameters import Parameters
from convforge.kernels.phases import Phase
from convforge.kernels.tile_unit.contract import TileKernel
from convforge.schedule.tile_unit import TILE_NUMBERS

# Given a vector of every phase, the channel of the tile, and the first position of the 16.
StoreSquare = Callable[[list[Value], Int, int], None]


@dataclass(frozen=True, slots=True)
class Piece:
    """Positions `begin` … `stop` - 1 of the 16 lie in a row; the first of the 16 would be at element `at`."""

    at: Int
    begin: Int
    stop: Int


@dataclass(frozen=True, slots=True)
class Room:
    """The places of 16 positions. is_whole: all in one row; is_cut: in these pieces, if there are any.

    channel: elements from one channel of the output to the next.
    """

    is_whole: Value
    is_cut: Value | None
    pieces: tuple[Piece, ...]
    channel: Int

    def whole(self, v: Vectors, y: Value) -> StoreSquare:
        """Store all 16 side by side, those of several phases by turns."""
        e = v.e

        def store(values: list[Value], channel: Int, column: int) -> None:
            line = e.at(y, v.element.storage, e.add(self.pieces[0].at, e.mul(channel, self.channel)))
            for i, woven in enumerate(v.interleave(values)):
                v.store(woven, line, len(values) * column + i * v.lanes)

        return store

    def cut(self, v: Vectors, y: Value) -> StoreSquare:
        """Store each piece."""
        e = v.e
        masks = [
            [
                e.b.and_(v.from_lane(e.sub(piece.begin, column)), v.first(e.sub(piece.stop, column)))
                for piece in self.pieces
            ]
            for column in range(0, TILE_NUMBERS, v.lanes)
        ]

        def store(values: list[Value], channel: Int, column: int) -> None:
            (value,) = values
            for piece, mask in zip(self.pieces, masks[column // v.lanes]):
                at = e.add(piece.at, e.mul(channel, self.channel), column)
                v.store_masked(value, y, at, mask)

        return store


def find_room(e: Emitter, p: Parameters, kernel: TileKernel, phases: list[Phase], flat: Int) -> Room:
    """The room for position `flat` of the run and the 15 behind it."""
    if kernel.way_out == "flat":
        left = e.sub(p.flat, flat)
        return Room(e.no_less(left, TILE_NUMBERS), e.less(0, left), (Piece(flat, 0, left),), p.y_channel)
    position, (depth, height, width) = find_position(e, flat, p.pitch, p.slice_rows), phases[0].size

    def row(d: Int, h: Int, at: Int, begin: Int, stop: Int) -> Piece:
        there = e.b.and_(e.less(h, height), e.less(d, depth))
        place = e.add(e.mul(d, p.y_slice), e.mul(h, p.y_row), at)
        return Piece(place, begin, e.select(there, stop, 0))

    column, many = position.column, len(phases)
    here = row(position.depth, position.height, e.mul(column, many), 0, e.sub(width, column))
    whole = e.no_less(here.stop, TILE_NUMBERS)
    if many > 1:
        fits = e.no_less(p.out_width, e.mul(e.add(column, TILE_NUMBERS), many))
        return Room(e.b.and_(whole, fits), None, (here,), p.y_channel)
    below = e.add(position.height, 1)
    turns = e.equal(below, p.slice_rows)
    begin = e.sub(p.pitch, column)
    d, h = e.select(turns, e.add(position.depth, 1), position.depth), e.select(turns, 0, below)
    next_row = row(d, h, e.sub(0, begin), begin, e.add(begin, width))
    return Room(whole, e.no_less(p.pitch, TILE_NUMBERS), (here, next_row), p.y_channel)
