"""Weights in the order in which tiles read them.

    packed[phase][group][tile][channel][tap][m] = w[group][tile * mr + m][channel][tap]

A task is one tile of one group of one phase. The strides make it serve both weight layouts, and the
swapped roles of grad-input. Channels that the last tile has beyond the array's are zeros, or the last one
again: their sums are never looked at.

Where all that a channel has lies side by side, squares are turned round; where output channels do, vectors
of them are copied. Else numbers are loaded one by one.
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.pack.contract import WEIGHT_PARAMETERS, WEIGHT_PHASE_FIELDS, WeightPacker
from convforge.kernels.pack.interleave import interleave
from convforge.kernels.parameters import Parameters

# At most so many numbers of a position are loaded in a row.
_UNROLLED = 16


def emit(kernel: WeightPacker, module: Module) -> None:
    """Emit the task; x of the call is the weight array, y the packed one."""
    _Packing(kernel, module.function("task", "pip")).emit()


class _Packing:
    """The loop nest of one tile, its kernel's choices at hand."""

    def __init__(self, kernel: WeightPacker, e: Emitter) -> None:
        self.e, self.kernel, self.mr = e, kernel, kernel.mr
        self.storage, self.compute = kernel.element.storage, kernel.element.compute
        self.v = Vectors(e, kernel.element, kernel.lanes, fused=False)

    def emit(self) -> None:
        """Emit `task(call, index, scratch)`."""
        e = self.e
        call, index, _ = e.arguments
        p = Parameters(e, e.load_pointer(call, 0), WEIGHT_PARAMETERS)
        weights, packed = e.load_pointer(call, 1), e.load_pointer(call, 4)
        tile, rest = e.rem(index, p.out_tiles), e.div(index, p.out_tiles)
        group, phase = e.rem(rest, p.groups), e.div(rest, p.groups)
        record = e.at(p.pointer("phase_table"), "i64", e.mul(phase, len(WEIGHT_PHASE_FIELDS)))
        taps, start = e.load("i64", record, 0), e.load("i64", record, 1)
        offsets = e.b.inttoptr(e.load("i64", record, 2), weights.type)
        count = e.mul(p.channels, taps)
        before = e.mul(e.add(e.mul(group, p.out_tiles), tile), count, self.mr)
        target = e.at(packed, self.compute, e.add(start, before))
        first = e.mul(tile, self.mr)
        source = e.at(weights, self.storage, e.add(e.mul(group, p.w_group), e.mul(first, p.w_out)))
        outs = e.sub(p.out_channels, first)
        if self.kernel.side == "taps":
            self._emit_squares(p, source, target, count, outs)
        else:
            with (
                e.loop(0, p.channels, name="channel") as channel,
                e.loop(0, taps, name="tap") as tap,
            ):
                at = e.add(e.mul(channel.index, p.w_channel), e.load("i64", offsets, tap.index))
                position = e.add(e.mul(channel.index, taps), tap.index)
                to = e.at(target, self.compute, e.mul(position, self.mr))
                here = e.at(source, self.storage, at)
                if self.kernel.side == "outs":
                    self._emit_vectors(here, to, outs)
                else:
                    self._emit_numbers(p, here, to, outs)
        e.done()

    def _emit_squares(self, p: Parameters, source: Value, target: Value, count: Int, outs: Int) -> None:
        """All positions of a tile: target[position][m] = source[m][position]."""
        e, v, mr, lanes = self.e, self.v, self.mr, self.v.lanes
        ways = mr if mr < lanes and mr & (mr - 1) == 0 else lanes
        whole, last = e.mul(e.div(count, lanes), lanes), e.sub(outs, 1)
        with e.loop(0, mr, step=ways, name="vector") as m:
            rows = [e.minimum(e.add(m.index, i), last) for i in range(ways)]
            lines = [e.at(source, self.storage, e.mul(row, p.w_out)) for row in rows]
            mask = v.first(e.sub(mr, m.index)) if mr % ways else None
            with e.loop(0, whole, step=lanes, settled=True, name="square") as k:
                to = e.at(target, self.compute, e.add(e.mul(k.index, mr), m.index))
                streams = [v.load_stored(line, k.index) for line in lines]
                for q, value in enumerate(interleave(v, streams)):
                    v.store_computed(value, to, q * (lanes // ways) * mr, mask)
        with e.loop(whole, count, name="position") as k:
            here = e.at(source, self.storage, k.index)
            self._emit_numbers(p, here, e.at(target, self.compute, e.mul(k.index, mr)), outs)

    def _emit_vectors(self, here: Value, to: Value, outs: Int) -> None:
        """One position: output channels lie side by side."""
        v = self.v
        for m in range(0, self.mr, v.lanes):
            value = v.load_stored(here, m, v.first(self.e.sub(outs, m)))
            v.store_computed(value, to, m, v.span(0, self.mr - m))

    def _emit_numbers(self, p: Parameters, here: Value, to: Value, outs: Int) -> None:
        """One position, number by number."""
        e, v = self.e, self.v
        # 96 of them unrolled compile in 24 ms, 16 in 8.
        some = next(n for n in range(_UNROLLED, 0, -1) if self.mr % n == 0)
        with e.loop(0, self.mr, step=some, name="some") as first:
            source = e.at(here, self.storage, e.mul(first.index, p.w_out))
            left = e.sub(outs, first.index)
            last = e.mul(e.sub(left, 1), p.w_out)
            for i in range(some):
                at = e.select(e.less(i, left), e.mul(p.w_out, i), last)
                value = v.widen(e.load(self.storage, source, at))
                e.store(value, self.compute, to, e.add(first.index, i))
