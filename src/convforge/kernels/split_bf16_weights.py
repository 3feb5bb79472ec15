"""Weights split into bf16 parts, in the order in which tiles read them.

    packed[phase][group][tile][block][tap][part][16 m's][pair][m][2] = part of w[group][m][channel][tap]

with zeros for channels that do not exist; 16 pairs take room whatever their number. Where positions are
columns the last three are [m][pair][2], as in the array. A task is one tile of one
group of one phase. It sets the header's flag where a weight's parts would not be exact.
Scratch: header, a square of words for each part (turn.py), one row in fp32.
"""

from __future__ import annotations

from collections.abc import Iterator

from convforge.ir.emitter import Int, Module, Value
from convforge.ir.text import I16, I32, vector
from convforge.ir.vector import Vectors
from convforge.kernels.bf16_parts import emit_outside, emit_parts, emit_seen, none_seen
from convforge.kernels.contract import HEADER_BYTES, WEIGHT_PHASE_FIELDS
from convforge.kernels.contract_split import (
    SPLIT_WEIGHT_PARAMETERS,
    WEIGHT_RANGE,
    SplitWeightPacker,
    square_bytes,
)
from convforge.kernels.contract_tiles import UNIT_BYTES, UNIT_WORDS
from convforge.kernels.flag import emit_flag
from convforge.kernels.parameters import Parameters
from convforge.kernels.turn import SIDE, emit_turned, storing

_ROW = UNIT_BYTES // 2


def emit_split_bf16_weights(kernel: SplitWeightPacker, module: Module) -> None:
    """Emit the task; x of the call is the weight array, y the packed one."""
    e = module.function("task", "pip")
    call, index, scratch = e.arguments
    p = Parameters(e, e.load_pointer(call, 0), SPLIT_WEIGHT_PARAMETERS)
    v = Vectors(e, kernel.element, kernel.lanes, fused=False)
    weights, packed = e.load_pointer(call, 1), e.load_pointer(call, 4)
    storage, squares = kernel.element.storage, e.at(scratch, "i8", HEADER_BYTES)
    line = e.at(squares, "i8", square_bytes(kernel.parts))
    tile, rest = e.rem(index, p.out_tiles), e.div(index, p.out_tiles)
    group, phase = e.rem(rest, p.groups), e.div(rest, p.groups)
    record = e.at(p.pointer("phase_table"), "i64", e.mul(phase, len(WEIGHT_PHASE_FIELDS)))
    taps, start = e.load("i64", record, 0), e.load("i64", record, 1)
    offsets = e.b.inttoptr(e.load("i64", record, 2), weights.type)
    step = kernel.parts * kernel.mr * _ROW
    at = e.add(start, e.mul(e.add(e.mul(group, p.out_tiles), tile), p.blocks, taps, step))
    target = e.at(packed, "bf16", at)
    first, together, w_channel = e.mul(tile, kernel.mr), e.mul(p.pairs, 2), p.w_channel
    source = e.at(weights, storage, e.add(e.mul(group, p.w_group), e.mul(first, p.w_out)))

    # From a part's rows to the next one's: of a square, or of packed weights.
    part_rows = kernel.mr if kernel.upright else SIDE

    def load_row(x: Value, count: Int) -> Iterator[tuple[int, Value]]:
        """Vectors of a row's channels; of numbers of 16 bits no processor gathers any."""
        if v.element.storage_bytes == 4:
            for j in range(0, _ROW, v.lanes):
                yield j, v.load_gathered(x, places[j], v.first(e.sub(count, j)))
            return
        for j in range(0, _ROW, v.lanes):
            v.store(v.zero(), line, j)
        with e.loop(0, count, name="channel") as c:
            e.store(v.widen(e.load(storage, x, e.mul(c.index, w_channel))), "f32", line, c.index)
        for j in range(0, _ROW, v.lanes):
            yield j, v.load(line, j)

    apart = v.broadcast(e.b.trunc(e.i64(w_channel), I32))
    places = {j: e.b.mul(e.b.add(v.iota(), v.broadcast(I32(j))), apart) for j in range(0, _ROW, v.lanes)}

    def pack_row(x: Value, to: Value, count: Int, seen: list[Value]) -> list[Value]:
        """One row: up to 32 channels, gathered and then split; what was seen of magnitudes."""
        for j, value in load_row(x, count):
            seen = emit_seen(v, seen, value)
            for part, bits in enumerate(emit_parts(v, value, kernel.parts)):
                upper = e.b.trunc(e.b.lshr(bits, v.bits_constant(16)), vector(I16, v.lanes))
                e.b.store(upper, e.at(to, "bf16", part * part_rows * _ROW + j), align=2)
        return seen

    with e.loop(0, p.blocks, carried=none_seen(v), name="block") as block:
        channel = e.mul(block.index, together)
        here = e.minimum(together, e.sub(p.channels, channel))
        with e.loop(0, taps, carried=block.carried, name="tap") as tap:
            at = e.add(e.mul(channel, p.w_channel), e.load("i64", offsets, tap.index))
            x = e.at(source, storage, at)
            to = e.at(target, "bf16", e.mul(e.add(e.mul(block.index, taps), tap.index), step))
            with e.loop(0, kernel.mr, step=SIDE, carried=tap.carried, name="square") as square:
                packed_rows = e.at(to, "bf16", e.mul(square.index, _ROW))
                rows = packed_rows if kernel.upright else squares
                with e.loop(0, SIDE, carried=square.carried, name="m") as m:
                    number = e.add(square.index, m.index)
                    real = e.less(e.add(first, number), p.out_channels)
                    m.next = pack_row(
                        e.at(x, storage, e.mul(number, p.w_out)),
                        e.at(rows, "bf16", e.mul(m.index, _ROW)),
                        e.select(real, here, 0),
                        m.carried,
                    )
                for part in range(0 if kernel.upright else kernel.parts):
                    source = e.at(squares, "bf16", part * part_rows * _ROW)
                    turned = e.at(packed_rows, "bf16", part * kernel.mr * _ROW)
                    emit_turned(v, source, UNIT_WORDS, storing(v, turned, UNIT_WORDS))
                square.next = m.results
            tap.next = square.results
        block.next = tap.results
    emit_flag(e, scratch, emit_outside(v, block.results, WEIGHT_RANGE))
    e.done()
