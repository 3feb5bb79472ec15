"""The way into a task of split_bf16.py: a band of the input as words of two bf16 parts, one pair of channels
after the other.

    word[part][pair][residue][row][column] = part of channel 2 * pair | part of channel 2 * pair + 1 << 16

The pair's two planes are packed as for all kernels (pack.py), stay in the first-level cache, and are split
from there: whole vectors, no shuffles. Channels that do not exist are zeros.
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.bf16_parts import emit_outside, emit_parts, emit_seen, none_seen
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.contract_split import INPUT_RANGE, SplitKernel
from convforge.kernels.flag import emit_flag
from convforge.kernels.pack import emit_pack
from convforge.kernels.parameters import Parameters


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
    planes = e.at(scratch, "i8", HEADER_BYTES)
    rows = e.minimum(p.plane_rows, e.sub(p.total_rows, first_row))
    written = e.add(e.mul(e.sub(rows, 1), p.pitch), p.row_length)
    with e.loop(0, e.mul(p.blocks, p.depth), carried=none_seen(v), name="pair") as pair:
        channel = e.mul(pair.index, 2)
        there = e.minimum(e.sub(p.channels, channel), 2)
        _emit_blank(e, v, p, planes, there, written)
        source = e.at(x, kernel.element.storage, e.mul(channel, p.x_channel))
        emit_pack(
            e, v, kernel.columns_in, p, source=source, target=planes, channels=there,
            first_row=first_row, first_column=first_column,
        )  # fmt: skip
        words = e.at(e.at(scratch, "i8", p.words), "i32", e.mul(pair.index, p.word))
        pair.next = _emit_words(e, v, p, kernel, planes, words, written, pair.carried)
    emit_flag(e, scratch, emit_outside(v, pair.results, INPUT_RANGE))


def _emit_blank(e: Emitter, v: Vectors, p: Parameters, planes: Value, there: Int, written: Int) -> None:
    """Zeros in the planes of channels that are not there, and behind the last row of the others, where the
    last vector reaches.
    """
    with e.loop(0, e.mul(p.planes, 2), name="plane") as plane:
        to = e.at(planes, "f32", e.mul(plane.index, p.plane))
        begin = e.select(e.less(plane.index, e.mul(there, p.planes)), written, 0)
        with e.loop(begin, e.add(written, 1), step=v.lanes, name="blank") as at:
            v.store(v.zero(), to, at.index)


def _emit_words(
    e: Emitter,
    v: Vectors,
    p: Parameters,
    kernel: SplitKernel,
    planes: Value,
    words: Value,
    written: Int,
    seen: list[Value],
) -> list[Value]:
    """Split the planes of a pair; what was seen of magnitudes."""
    b, upper, part_words = e.b, v.bits_constant(16), p.part
    with e.loop(0, p.planes, carried=seen, name="residue") as residue:
        at = e.mul(residue.index, p.plane)
        even, to = e.at(planes, "f32", at), e.at(words, "i32", at)
        odd = e.at(even, "f32", e.mul(p.planes, p.plane))
        with e.loop(0, written, step=v.lanes, carried=residue.carried, name="split") as j:
            low, high = v.load(even, j.index), v.load(odd, j.index)
            j.next = emit_seen(v, emit_seen(v, j.carried, low), high)
            both = zip(emit_parts(v, low, kernel.parts), emit_parts(v, high, kernel.parts))
            for part, (a, c) in enumerate(both):
                v.store_bits(b.or_(b.lshr(a, upper), c), e.at(to, "i32", e.mul(part_words, part)), j.index)
        residue.next = j.results
    return residue.results
