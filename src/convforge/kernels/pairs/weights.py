"""Weights rounded to bf16, pairs of channels in words, in the order in which tiles read them.

    packed[phase][group][tile][pair][tap][m] = w[group][tile * mr + m][2 pair][tap] | … [2 pair + 1][tap]

Zeros for channels that do not exist. A task is one tile of one group of one phase. It sets the header's flag
where a weight is infinite, or so small or large that rounding it would not do
(split_bf16.contract.WEIGHT_RANGE). Scratch: header, one vector in fp32.
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.bf16_parts import emit_outside, emit_seen, emit_words, none_seen
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.flag import emit_flag
from convforge.kernels.pack.contract import WEIGHT_PHASE_FIELDS
from convforge.kernels.pack.number_loading import NumberLoader
from convforge.kernels.pairs.contract import PAIR_WEIGHT_PARAMETERS, PairWeightPacker
from convforge.kernels.parameters import Parameters
from convforge.kernels.split_bf16.contract import WEIGHT_RANGE


def emit(kernel: PairWeightPacker, module: Module) -> None:
    """Emit the task; x of the call is the weight array, y the packed one."""
    e: Emitter = module.function("task", "pip")
    call, index, scratch = e.arguments
    p = Parameters(e, e.load_pointer(call, 0), PAIR_WEIGHT_PARAMETERS)
    v = Vectors(e, kernel.element, kernel.lanes, fused=False)
    weights, packed = e.load_pointer(call, 1), e.load_pointer(call, 4)
    storage, mr = kernel.element.storage, kernel.mr
    tile, rest = e.rem(index, p.out_tiles), e.div(index, p.out_tiles)
    group, phase = e.rem(rest, p.groups), e.div(rest, p.groups)
    record = e.at(p.pointer("phase_table"), "i64", e.mul(phase, len(WEIGHT_PHASE_FIELDS)))
    taps, start = e.load("i64", record, 0), e.load("i64", record, 1)
    offsets = e.b.inttoptr(e.load("i64", record, 2), weights.type)
    at = e.add(start, e.mul(e.add(e.mul(group, p.out_tiles), tile), p.pairs, taps, mr))
    target = e.at(packed, "i32", at)
    first = e.mul(tile, mr)
    source = e.at(weights, storage, e.add(e.mul(group, p.w_group), e.mul(first, p.w_out)))
    outs = e.sub(p.out_channels, first)
    numbers = NumberLoader(e, v, e.at(scratch, "i8", HEADER_BYTES))

    def pack_row(channel: Value, second_outs: Int, to: Value, seen: list[Value]) -> list[Value]:
        """One tap of a pair. second_outs: output channels of its second channel; 0 where there is none."""
        others = e.at(channel, storage, e.select(e.less(0, second_outs), p.w_channel, 0))
        for j in range(0, mr, v.lanes):
            low = numbers.load(channel, p.w_out, j, outs)
            high = numbers.load(others, p.w_out, j, second_outs)
            seen = emit_seen(v, emit_seen(v, seen, low), high)
            (words,) = emit_words(v, low, high, 1)
            v.store_computed(v.as_float(words), to, j, v.span(0, mr - j))
        return seen

    with e.loop(0, p.pairs, carried=none_seen(v), name="pair") as pair:
        channel = e.mul(pair.index, 2)
        line = e.at(source, storage, e.mul(channel, p.w_channel))
        second_outs = e.select(e.less(e.add(channel, 1), p.channels), outs, 0)
        row = e.at(target, "i32", e.mul(pair.index, taps, mr))
        with e.loop(0, taps, carried=pair.carried, name="tap") as tap:
            here = e.at(line, storage, e.load("i64", offsets, tap.index))
            tap.next = pack_row(here, second_outs, e.at(row, "i32", e.mul(tap.index, mr)), tap.carried)
        pair.next = tap.results
    emit_flag(e, scratch, emit_outside(v, pair.results, WEIGHT_RANGE))
    e.done()
