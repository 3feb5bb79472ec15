"""The way into a task of products.py: a band of the input as units of bf16 parts.

    unit[part][block][residue][row][column]  =  part of channels 0 and 1 | of 2 and 3 | … of a block

The block's planes are packed as for all kernels (pack/planes.py). 16 positions of a pair of channels are
split in whole vectors, into words of a square for each part, and the squares are turned (pack/turn.py).
Channels that do not exist are zeros. For kernels of one tap steps.py is the way.
"""

from __future__ import annotations

from collections.abc import Callable

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.bf16_parts import emit_outside, emit_seen, emit_words, none_seen
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.flag import emit_flag
from convforge.kernels.pack.planes import emit_pack
from convforge.kernels.pack.turn import SIDE, emit_turned, storing
from convforge.kernels.parameters import Parameters
from convforge.kernels.split_bf16.contract import FOLD_PARAMETERS, INPUT_RANGE, SplitKernel, square_bytes
from convforge.kernels.tile_unit.contract import UNIT_WORDS

_SQUARE = SIDE * SIDE


def emit_values(
    e: Emitter,
    v: Vectors,
    p: Parameters,
    kernel: SplitKernel,
    *,
    x: Value,
    scratch: Value,
    first_row: Int,
    first_column: Int,
) -> None:
    """Pack and split all channels of x, a group's first; set the flag where that would not be exact."""
    way = (_Folded if kernel.folded else _Blocks)(e, v, p, kernel, x, scratch)
    seen = way.emit(first_row, first_column)
    emit_flag(e, scratch, emit_outside(v, seen, INPUT_RANGE))


class _Way:
    """How a window becomes units. squares, packed: scratch for squares of words, and for planes."""

    def __init__(
        self, e: Emitter, v: Vectors, p: Parameters, kernel: SplitKernel, x: Value, scratch: Value
    ) -> None:
        self.e, self.v, self.p, self.kernel, self.x = e, v, p, kernel, x
        self.squares = e.at(scratch, "i8", HEADER_BYTES)
        self.packed = e.at(self.squares, "i8", square_bytes(kernel.parts))
        self.units = e.at(scratch, "i8", p.units)
        # Pairs that a block has no room for are zero in all squares.
        with e.loop(0, kernel.parts * _SQUARE, step=v.lanes, name="square") as at:
            v.store(v.zero(), self.squares, at.index)

    def emit(self, first_row: Int, first_column: Int) -> list[Value]:
        """Pack and split a band; what was seen of magnitudes."""
        raise NotImplementedError

    def emit_planes(self, p: Parameters, x: Value, channels: Int, first_row: Int, first_column: Int) -> Int:
        """Pack some channels, with zeros behind the last row, where the last vector reaches; the positions
        written of each plane.
        """
        e, columns = self.e, self.kernel.columns_in
        assert columns is not None
        rows = e.minimum(p.plane_rows, e.sub(p.total_rows, first_row))
        written = e.add(e.mul(e.sub(rows, 1), p.pitch), p.row_length)
        with e.loop(0, e.mul(channels, p.planes), name="plane") as plane:
            self.emit_zeros(e.at(self.packed, "f32", e.mul(plane.index, p.plane)), written, written)
        emit_pack(
            e, self.v, columns, p, source=x, target=self.packed, channels=channels,
            first_row=first_row, first_column=first_column,
        )  # fmt: skip
        return written

    def emit_zeros(self, plane: Value, first: Int, stop: Int) -> None:
        """Zeros from `first` to `stop` and a square's side on."""
        with self.e.loop(first, self.e.add(stop, SIDE - self.v.lanes + 1), step=self.v.lanes) as at:
            self.v.store(self.v.zero(), plane, at.index)

    def emit_square(
        self, block: Int, at: Int, load: Callable[[Int, int], Value], seen: list[Value]
    ) -> list[Value]:
        """Split 16 positions of a block and turn them; what was seen of magnitudes.

        at: of the unit of the first position in the block's. load: a vector of a channel of the block, so
        many positions on.
        """
        e, v, p, parts = self.e, self.v, self.p, self.kernel.parts
        with e.loop(0, p.depth, carried=seen, name="pair") as pair:
            to = e.at(self.squares, "i32", e.mul(pair.index, SIDE))
            seen = pair.carried
            for j in range(0, SIDE, v.lanes):
                low, high = (load(e.add(e.mul(pair.index, 2), i), j) for i in (0, 1))
                seen = emit_seen(v, emit_seen(v, seen, low), high)
                for part, word in enumerate(emit_words(v, low, high, parts)):
                    v.store_bits(word, to, part * _SQUARE + j)
            pair.next = seen
        place = e.add(e.mul(block, p.block), at)
        target = e.at(self.units, "i32", e.mul(place, UNIT_WORDS))
        for part in range(parts):
            to = e.at(target, "i32", e.mul(p.part, part, UNIT_WORDS))
            emit_turned(v, e.at(self.squares, "i32", part * _SQUARE), SIDE, storing(v, to, UNIT_WORDS))
        return pair.results


class _Blocks(_Way):
    """Block by block: its planes packed."""

    def emit(self, first_row: Int, first_column: Int) -> list[Value]:
        e, p = self.e, self.p
        storage, many = self.kernel.element.storage, e.mul(p.depth, 2)
        with e.loop(0, p.blocks, carried=none_seen(self.v), name="block") as block:
            channel = e.mul(block.index, many)
            there = e.minimum(e.sub(p.channels, channel), many)
            source = e.at(self.x, storage, e.mul(channel, p.x_channel))
            written = self.emit_planes(p, source, there, first_row, first_column)
            with e.loop(e.mul(there, p.planes), e.mul(many, p.planes), name="missing") as plane:
                self.emit_zeros(e.at(self.packed, "f32", e.mul(plane.index, p.plane)), 0, written)
            block.next = self._emit_packed(block.index, written, block.carried)
        return block.results

    def _emit_packed(self, block: Int, written: Int, seen: list[Value]) -> list[Value]:
        e, v, p = self.e, self.v, self.p
        with e.loop(0, p.planes, carried=seen, name="residue") as residue:
            with e.loop(0, written, step=SIDE, carried=residue.carried, name="turn") as j:
                at = e.add(e.mul(residue.index, p.plane), j.index)

                def load(channel: Int, ahead: int) -> Value:
                    plane = e.at(self.packed, "f32", e.mul(channel, p.planes, p.plane))
                    return v.load(plane, e.add(at, ahead))

                j.next = self.emit_square(block, at, load, j.carried)
            residue.next = j.results
        return residue.results


class _Folded(_Way):
    """Channels that are taps: the input's planes are packed once, and read from where each tap reads them."""

    def emit(self, first_row: Int, first_column: Int) -> list[Value]:
        e, v, p = self.e, self.v, self.p
        f = Parameters(e, p.pointer("fold"), FOLD_PARAMETERS)
        rows, sources = f.pointer("row_sources"), f.pointer("sources")
        first = e.load("i64", rows, first_row)
        self.emit_planes(f, self.x, f.channels, first, first_column)
        # Channels beyond the last are this plane.
        behind = e.at(self.packed, "f32", e.mul(f.channels, f.planes, f.plane))
        self.emit_zeros(behind, 0, e.sub(f.plane, SIDE))
        here = e.minimum(p.plane_rows, e.sub(p.total_rows, first_row))
        with e.loop(0, p.blocks, carried=none_seen(v), name="block") as block:
            with e.loop(0, p.planes, carried=block.carried, name="residue") as residue:
                number = e.add(e.mul(residue.index, p.blocks), block.index)
                begins = e.at(sources, "i64", e.mul(number, p.depth, 2))
                with e.loop(0, here, carried=residue.carried, name="row") as row:
                    source = e.sub(e.load("i64", rows, e.add(first_row, row.index)), first)
                    line = e.at(self.packed, "f32", e.mul(source, f.pitch))
                    at = e.add(e.mul(residue.index, p.plane), e.mul(row.index, p.pitch))
                    row.next = self._emit_row(block.index, at, line, begins, row.carried)
                residue.next = row.results
            block.next = residue.results
        return block.results

    def _emit_row(self, block: Int, at: Int, line: Value, begins: Value, seen: list[Value]) -> list[Value]:
        e, v, p = self.e, self.v, self.p
        with e.loop(0, p.row_length, step=SIDE, carried=seen, name="turn") as j:

            def load(channel: Int, ahead: int) -> Value:
                return v.load(line, e.add(e.load("i64", begins, channel), j.index, ahead))

            j.next = self.emit_square(block, e.add(at, j.index), load, j.carried)
        return j.results
