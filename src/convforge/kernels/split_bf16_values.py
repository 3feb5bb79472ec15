"""The way into a task of split_bf16.py: a band of the input as units of bf16 parts.

    unit[part][block][residue][row][column]  =  part of channels 0 and 1 | of 2 and 3 | … of a block

The block's planes are packed as for all kernels (pack.py), or are the input itself. 16 positions of a pair of
channels are split in whole vectors, into words of a square for each part, and the squares are turned
(turn.py). Channels that do not exist are zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.bf16_parts import emit_outside, emit_parts, emit_seen, none_seen
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.contract_split import INPUT_RANGE, SplitKernel, square_bytes
from convforge.kernels.contract_tiles import UNIT_WORDS
from convforge.kernels.flag import emit_flag
from convforge.kernels.pack import emit_pack
from convforge.kernels.parameters import Parameters
from convforge.kernels.turn import SIDE, emit_turned

_SQUARE = SIDE * SIDE


@dataclass(frozen=True, slots=True)
class _Planes:
    """Planes of the channels of a block: of each residue `count` positions from `first` on, in storage or
    computed. channel: elements from a channel to the next. there: channels that can be read.
    """

    first: Value
    kind: str
    channel: Int
    there: Int
    count: Int


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
    squares = e.at(scratch, "i8", HEADER_BYTES)
    packed = e.at(squares, "i8", square_bytes(kernel.parts))
    rows = e.minimum(p.plane_rows, e.sub(p.total_rows, first_row))
    written = e.add(e.mul(e.sub(rows, 1), p.pitch), p.row_length)
    storage, many = kernel.element.storage, e.mul(p.depth, 2)
    # Pairs that the block has no room for are zero in all squares.
    with e.loop(0, kernel.parts * _SQUARE, step=v.lanes, name="square") as at:
        v.store(v.zero(), squares, at.index)
    with e.loop(0, p.blocks, carried=none_seen(v), name="block") as block:
        channel = e.mul(block.index, many)
        there = e.minimum(e.sub(p.channels, channel), many)
        source = e.at(x, storage, e.mul(channel, p.x_channel))
        if kernel.columns_in is None:
            base = e.add(e.mul(first_row, p.pitch), first_column)
            count = e.minimum(written, e.sub(p.flat, base))
            planes = _Planes(e.at(source, storage, base), storage, p.x_channel, there, count)
        else:
            _emit_blank(e, v, p, packed, there, written)
            emit_pack(
                e, v, kernel.columns_in, p, source=source, target=packed, channels=there,
                first_row=first_row, first_column=first_column,
            )  # fmt: skip
            planes = _Planes(packed, kernel.element.compute, e.mul(p.planes, p.plane), many, written)
        units = e.at(e.at(scratch, "i8", p.units), "i32", e.mul(block.index, p.block, UNIT_WORDS))
        block.next = _emit_units(e, v, p, kernel, planes, squares, units, block.carried)
    emit_flag(e, scratch, emit_outside(v, block.results, INPUT_RANGE))


def _emit_blank(e: Emitter, v: Vectors, p: Parameters, planes: Value, there: Int, written: Int) -> None:
    """Zeros in the planes of channels that are not there, and behind the last row of the others, where the
    last vector reaches.
    """
    with e.loop(0, e.mul(p.planes, p.depth, 2), name="plane") as plane:
        to = e.at(planes, "f32", e.mul(plane.index, p.plane))
        begin = e.select(e.less(plane.index, e.mul(there, p.planes)), written, 0)
        with e.loop(begin, e.add(written, SIDE - v.lanes + 1), step=v.lanes, name="blank") as at:
            v.store(v.zero(), to, at.index)


def _emit_units(
    e: Emitter,
    v: Vectors,
    p: Parameters,
    kernel: SplitKernel,
    planes: _Planes,
    squares: Value,
    units: Value,
    seen: list[Value],
) -> list[Value]:
    """Split the planes of a block; what was seen of magnitudes."""
    with e.loop(0, p.planes, carried=seen, name="residue") as residue:
        at = e.mul(residue.index, p.plane)
        with e.loop(0, planes.count, step=SIDE, carried=residue.carried, name="turn") as j:
            with e.loop(0, p.depth, carried=j.carried, name="pair") as pair:
                to = e.at(squares, "i32", e.mul(pair.index, SIDE))
                place = e.add(at, j.index)
                pair.next = _emit_words(e, v, kernel, planes, pair.index, place, to, pair.carried)
            target = e.at(units, "i32", e.mul(e.add(at, j.index), UNIT_WORDS))
            for part in range(kernel.parts):
                square = e.at(squares, "i32", part * _SQUARE)
                to = e.at(target, "i32", e.mul(p.part, UNIT_WORDS, part))
                emit_turned(v, square, SIDE, to, UNIT_WORDS)
            j.next = pair.results
        residue.next = j.results
    return residue.results


def _emit_words(
    e: Emitter,
    v: Vectors,
    kernel: SplitKernel,
    planes: _Planes,
    pair: Int,
    place: Int,
    to: Value,
    seen: list[Value],
) -> list[Value]:
    """A row of each square: 16 positions of two channels, the even one in the lower halves of words."""
    b, upper = e.b, v.bits_constant(16)
    for j in range(0, SIDE, v.lanes):
        low, high = (_load(e, v, kernel, planes, e.add(e.mul(pair, 2), i), e.add(place, j)) for i in (0, 1))
        seen = emit_seen(v, emit_seen(v, seen, low), high)
        both = zip(emit_parts(v, low, kernel.parts), emit_parts(v, high, kernel.parts))
        for part, (a, c) in enumerate(both):
            v.store_bits(b.or_(b.lshr(a, upper), c), to, part * _SQUARE + j)
    return seen


def _load(e: Emitter, v: Vectors, kernel: SplitKernel, planes: _Planes, channel: Int, place: Int) -> Value:
    """A vector of a channel's plane; of the input itself only what there is of it."""
    line = e.at(planes.first, planes.kind, e.mul(channel, planes.channel))
    if kernel.columns_in is not None:
        return v.load(line, place)
    room = e.select(e.less(channel, planes.there), e.sub(planes.count, place), 0)
    return v.load_stored(line, place, v.first(room))
