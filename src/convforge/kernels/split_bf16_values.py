"""The way into a task of split_bf16.py: a band of the input as units of bf16 parts.

    unit[part][block][residue][row][column]  =  part of channels 0 and 1 | of 2 and 3 | … of a block

The block's planes are packed as for all kernels (pack.py). 16 positions of a pair of channels are split in whole
vectors, into words of a square for each part, and the squares are turned (turn.py). Channels that do not exist
are zeros.
"""

from __future__ import annotations

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
    planes = e.at(squares, "i8", square_bytes(kernel.parts))
    rows = e.minimum(p.plane_rows, e.sub(p.total_rows, first_row))
    written = e.add(e.mul(e.sub(rows, 1), p.pitch), p.row_length)
    # Pairs that the block has no room for are zero in all squares.
    with e.loop(0, kernel.parts * _SQUARE, step=v.lanes, name="square") as at:
        v.store(v.zero(), squares, at.index)
    with e.loop(0, p.blocks, carried=none_seen(v), name="block") as block:
        many = e.mul(p.depth, 2)
        channel = e.mul(block.index, many)
        there = e.minimum(e.sub(p.channels, channel), many)
        _emit_blank(e, v, p, planes, there, written)
        source = e.at(x, kernel.element.storage, e.mul(channel, p.x_channel))
        emit_pack(
            e, v, kernel.columns_in, p, source=source, target=planes, channels=there,
            first_row=first_row, first_column=first_column,
        )  # fmt: skip
        units = e.at(e.at(scratch, "i8", p.units), "i32", e.mul(block.index, p.block, UNIT_WORDS))
        block.next = _emit_units(e, v, p, kernel, planes, squares, units, written, block.carried)
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
    planes: Value,
    squares: Value,
    units: Value,
    written: Int,
    seen: list[Value],
) -> list[Value]:
    """Split the planes of a block; what was seen of magnitudes."""
    with e.loop(0, p.planes, carried=seen, name="residue") as residue:
        at = e.mul(residue.index, p.plane)
        with e.loop(0, written, step=SIDE, carried=residue.carried, name="turn") as j:
            source = e.at(planes, "f32", e.add(at, j.index))
            with e.loop(0, p.depth, carried=j.carried, name="pair") as pair:
                even = e.at(source, "f32", e.mul(pair.index, p.planes, p.plane, 2))
                to = e.at(squares, "i32", e.mul(pair.index, SIDE))
                pair.next = _emit_words(e, v, p, kernel, even, to, pair.carried)
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
    p: Parameters,
    kernel: SplitKernel,
    even: Value,
    to: Value,
    seen: list[Value],
) -> list[Value]:
    """A row of each square: 16 positions of two channels, the even one in the lower halves of words."""
    b, upper = e.b, v.bits_constant(16)
    odd = e.at(even, "f32", e.mul(p.planes, p.plane))
    for j in range(0, SIDE, v.lanes):
        low, high = v.load(even, j), v.load(odd, j)
        seen = emit_seen(v, emit_seen(v, seen, low), high)
        both = zip(emit_parts(v, low, kernel.parts), emit_parts(v, high, kernel.parts))
        for part, (a, c) in enumerate(both):
            v.store_bits(b.or_(b.lshr(a, upper), c), to, part * _SQUARE + j)
    return seen
