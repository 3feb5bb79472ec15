"""Weights split into bf16 parts, in the order in which tiles read them.

    packed[phase][group][tile][block][tap][part][16 m's][pair][m][2] = part of w[group][m][channel][tap]

with zeros for channels that do not exist; 16 pairs take room whatever their number. Where positions are
columns the last three are [m][pair][2], as in the array. A task is one tile of one
group of one phase. It sets the header's flag where a weight's parts would not be exact.
Scratch: header, one vector in fp32, a square of words for each part (pack/turn.py).
"""

from __future__ import annotations

from convforge.ir.emitter import Int, Module, Value
from convforge.ir.text import I16, vector
from convforge.ir.vector import Vectors
from convforge.kernels.bf16_parts import emit_outside, emit_parts, emit_seen, emit_words, none_seen
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.flag import emit_flag
from convforge.kernels.pack.contract import WEIGHT_PHASE_FIELDS
from convforge.kernels.pack.number_loading import NumberLoader
from convforge.kernels.pack.turn import SIDE, emit_turned, storing
from convforge.kernels.parameters import Parameters
from convforge.kernels.split_bf16.contract import (
    SPLIT_WEIGHT_PARAMETERS,
    WEIGHT_RANGE,
    SplitWeightPacker,
)
from convforge.kernels.tile_unit.contract import UNIT_BYTES, UNIT_WORDS

_ROW = UNIT_BYTES // 2


def emit(kernel: SplitWeightPacker, module: Module) -> None:
    """Emit the task; x of the call is the weight array, y the packed one."""
    e = module.function("task", "pip")
    call, index, scratch = e.arguments
    p = Parameters(e, e.load_pointer(call, 0), SPLIT_WEIGHT_PARAMETERS)
    v = Vectors(e, kernel.element, kernel.lanes, fused=False)
    weights, packed = e.load_pointer(call, 1), e.load_pointer(call, 4)
    storage = kernel.element.storage
    tile, rest = e.rem(index, p.out_tiles), e.div(index, p.out_tiles)
    group, phase = e.rem(rest, p.groups), e.div(rest, p.groups)
    record = e.at(p.pointer("phase_table"), "i64", e.mul(phase, len(WEIGHT_PHASE_FIELDS)))
    taps, start = e.load("i64", record, 0), e.load("i64", record, 1)
    offsets = e.b.inttoptr(e.load("i64", record, 2), weights.type)
    step = kernel.parts * kernel.mr * _ROW
    at = e.add(start, e.mul(e.add(e.mul(group, p.out_tiles), tile), p.blocks, taps, step))
    target = e.at(packed, "bf16", at)
    first, together = e.mul(tile, kernel.mr), e.mul(p.pairs, 2)
    source = e.at(weights, storage, e.add(e.mul(group, p.w_group), e.mul(first, p.w_out)))

    line, squares = e.at(scratch, "i8", HEADER_BYTES), e.at(scratch, "i8", HEADER_BYTES + UNIT_BYTES)
    numbers = NumberLoader(e, v, line)
    # From a part's rows to the next one's: of a square, or of packed weights.
    part_rows = SIDE if kernel.turned else kernel.mr

    def pack_row(x: Value, to: Value, channels: Int, seen: list[Value]) -> list[Value]:
        """Positions are columns: the pairs of an output channel, side by side as in the array."""
        for j in range(0, _ROW, v.lanes):
            value = numbers.load(x, p.w_channel, j, channels)
            seen = emit_seen(v, seen, value)
            for part, bits in enumerate(emit_parts(v, value, kernel.parts)):
                upper = e.b.trunc(e.b.lshr(bits, v.bits_constant(16)), vector(I16, v.lanes))
                e.b.store(upper, e.at(to, "bf16", part * kernel.mr * _ROW + j), align=2)
        return seen

    def pack_pair(x: Value, to: Value, channels: Int, outs: Int, seen: list[Value]) -> list[Value]:
        """Positions are rows: a pair of channels of 16 output channels. channels: that exist from it on."""
        second = e.at(x, storage, e.select(e.less(1, channels), p.w_channel, 0))
        for j in range(0, SIDE, v.lanes):
            low = numbers.load(x, p.w_out, j, e.select(e.less(0, channels), outs, 0))
            high = numbers.load(second, p.w_out, j, e.select(e.less(1, channels), outs, 0))
            for part, words in enumerate(emit_words(v, low, high, kernel.parts)):
                v.store_bits(words, e.at(to, "bf16", part * part_rows * _ROW), j)
            seen = emit_seen(v, emit_seen(v, seen, low), high)
        return seen

    def pack_tap(block: Int, square: Int, tap: Int, seen: list[Value]) -> list[Value]:
        """16 output channels of a block of channels and a tap."""
        channel = e.mul(block, together)
        channels = e.minimum(together, e.sub(p.channels, channel))
        at = e.add(e.mul(channel, p.w_channel), e.load("i64", offsets, tap), e.mul(square, p.w_out))
        x = e.at(source, storage, at)
        at = e.add(e.mul(e.add(e.mul(block, taps), tap), step), e.mul(square, _ROW))
        outs = e.sub(p.out_channels, e.add(first, square))
        packed_rows = e.at(target, "bf16", at)
        rows = squares if kernel.turned else packed_rows
        with e.loop(0, SIDE, carried=seen, name="row") as row:
            to = e.at(rows, "bf16", e.mul(row.index, _ROW))
            if kernel.upright and not kernel.turned:
                here = e.select(e.less(row.index, outs), channels, 0)
                row.next = pack_row(e.at(x, storage, e.mul(row.index, p.w_out)), to, here, row.carried)
            else:
                number = e.mul(row.index, 2)
                pair = e.at(x, storage, e.mul(e.minimum(number, e.sub(channels, 1)), p.w_channel))
                row.next = pack_pair(pair, to, e.sub(channels, number), outs, row.carried)
        for part in range(kernel.parts if kernel.turned else 0):
            of_part = e.at(squares, "bf16", part * SIDE * _ROW)
            to = e.at(packed_rows, "bf16", part * kernel.mr * _ROW)
            emit_turned(v, of_part, UNIT_WORDS, storing(v, to, UNIT_WORDS))
        return row.results

    with e.loop(0, p.blocks, carried=none_seen(v), name="block") as block:
        # All taps of the same channels, which lie on the same lines of the cache.
        with e.loop(0, kernel.mr, step=SIDE, carried=block.carried, name="square") as square:
            with e.loop(0, taps, carried=square.carried, name="tap") as tap:
                tap.next = pack_tap(block.index, square.index, tap.index, tap.carried)
            square.next = tap.results
        block.next = square.results
    emit_flag(e, scratch, emit_outside(v, block.results, WEIGHT_RANGE))
    e.done()
