"""Weights of Winograd's kernels: transformed once, in float64, and packed in the order in which tiles read.

    packed[group][phase][tile][point][residue][channel][m]
        = (G g G^T)[point] of w[group][tile * mr + m][channel], the taps of that phase and residue

A task is one tile of one phase of one group. Tap t of an axis is the one that reads the t-th input of a
window; the table of offsets says where it lies in the weight array, so a transposed convolution's taps come
in its own order. Where an input has no tap its weight is zero (schedule/polyphase.py).

An output at the border meets only some taps. Where those of an output channel lie too far apart, it would
drown in the rounding of the largest: then the header's flag is set, and the plan takes another family.
Vectors are output channels. Scratch: header, the largest magnitude of each tap of each output channel of the
tile, a vector of weights, one channel's taps, and what the transforms keep between the axes.
"""

from __future__ import annotations

from functools import partial
from math import prod

from convforge.ir.element import ELEMENTS
from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.flag import emit_flag
from convforge.kernels.pack.number_loading import NumberLoader
from convforge.kernels.parameters import Parameters
from convforge.kernels.tile_unit.contract import UNIT_WORDS
from convforge.kernels.winograd.combine import emit_product
from convforge.kernels.winograd.contract import (
    NO_TAP,
    WINOGRAD_WEIGHT_PARAMETERS,
    WinogradWeightPacker,
)
from convforge.kernels.winograd.separable import Pass, emit_separable
from convforge.kernels.winograd.spread import emit_uneven
from convforge.schedule.winograd import transforms


def _place(e: Emitter, channel: Int, *, woven: bool) -> Int:
    """Where a channel's weights lie among those of a point."""
    if not woven:
        return channel
    half = e.rem(e.div(channel, UNIT_WORDS), 2)
    block = e.mul(e.div(channel, 2 * UNIT_WORDS), 2 * UNIT_WORDS)
    return e.add(block, e.mul(e.rem(channel, UNIT_WORDS), 2), half)


def emit(kernel: WinogradWeightPacker, module: Module) -> None:
    """Emit the task; x of the call is the weight array, y the packed one."""
    e: Emitter = module.function("task", "pip")
    call, index, scratch = e.arguments
    p = Parameters(e, e.load_pointer(call, 0), WINOGRAD_WEIGHT_PARAMETERS)
    stored = Vectors(e, kernel.element, kernel.lanes, fused=False)
    double = Vectors(e, ELEMENTS["float64"], kernel.lanes, fused=False)
    compute, tiling, mr = kernel.element.compute, kernel.tiling, kernel.padded_mr
    largest, lines = e.at(scratch, "i8", HEADER_BYTES), e.at(scratch, "i8", p.lines)
    g = e.at(lines, compute, kernel.lanes)
    between = e.at(g, "f64", prod(tiling.taps) * kernel.lanes)
    numbers = NumberLoader(e, stored, lines)
    weights, packed, offsets = e.load_pointer(call, 1), e.load_pointer(call, 4), p.pointer("offsets")
    taps = prod(tiling.taps)
    matrices = [transforms(m, r).weight for m, r in zip(tiling.outputs, tiling.taps)]
    tile, rest = e.rem(index, p.out_tiles), e.div(index, p.out_tiles)
    phase, group = e.rem(rest, p.phases), e.div(rest, p.phases)
    first = e.mul(tile, kernel.mr)
    outs = e.minimum(e.sub(p.out_channels, first), kernel.mr)
    every = e.mul(p.residues, taps)
    storage = kernel.element.storage
    source = e.at(weights, storage, e.add(e.mul(group, p.w_group), e.mul(first, p.w_out)))
    point = e.mul(p.point_rows, kernel.mr)
    target = e.at(packed, compute, e.mul(index, p.tile_step))
    passes = [
        Pass(axis, tiling.sizes[axis], partial(emit_product, double, matrices[axis]))
        for axis in (2, 1, 0)
        if tiling.sizes[axis] > 1
    ]
    with e.loop(0, e.mul(every, mr), step=kernel.lanes, name="tap") as tap:
        stored.clear_bits(largest, tap.index)
    with (
        e.loop(0, p.residues, name="residue") as residue,
        e.loop(0, p.channels, name="channel") as channel,
        e.loop(0, kernel.mr, step=kernel.lanes, name="out_channel") as m,
    ):
        line = e.at(source, storage, e.mul(channel.index, p.w_channel))
        own = e.at(offsets, "i64", e.mul(e.add(e.mul(phase, p.residues), residue.index), taps))
        with e.loop(0, taps, name="tap") as tap:
            offset = e.load("i64", own, tap.index)
            none = e.equal(offset, NO_TAP)
            there = e.at(line, storage, e.select(none, 0, offset))
            value = numbers.load(there, p.w_out, m.index, e.select(none, 0, outs))
            place = e.add(e.mul(e.add(e.mul(residue.index, taps), tap.index), mr), m.index)
            seen = stored.larger(stored.magnitude(value), stored.load_bits(largest, place))
            stored.store_bits(seen, largest, place)
            exact = value if compute == "f64" else e.b.fpext(value, double.type)
            double.store(exact, g, e.mul(tap.index, kernel.lanes))
        row = e.add(e.mul(residue.index, p.channels), _place(e, channel.index, woven=kernel.woven))
        to = e.at(target, compute, e.add(e.mul(row, kernel.mr), m.index))
        mask = stored.first(e.sub(kernel.mr, m.index)) if mr > kernel.mr else None

        def store(places: list[Int], u: list[Value], to: Value = to, mask: Value | None = mask) -> None:
            for place, exact in zip(places, u):
                value = exact if compute == "f64" else e.b.fptrunc(exact, stored.type)
                stored.store_computed(value, to, e.mul(point, place), mask)

        def read(tap: Int) -> Value:
            return double.load(g, e.mul(tap, kernel.lanes))

        emit_separable(e, double, tiling.taps, passes, read=read, write=store, scratch=between)
    zero = stored.bits_constant(0)
    with e.loop(0, kernel.mr, step=kernel.lanes, name="out_channel") as m:
        with e.loop(0, every, carried=[zero, zero], name="tap") as tap:
            here = stored.load_bits(largest, e.add(e.mul(tap.index, mr), m.index))
            most, least = tap.carried
            fewer = e.b.or_(e.b.icmp_unsigned("<", here, least), e.b.icmp_unsigned("==", least, zero))
            fewer = e.b.and_(fewer, e.b.icmp_unsigned(">", here, zero))
            tap.next = [stored.larger(most, here), e.b.select(fewer, here, least)]
        emit_flag(e, scratch, emit_uneven(stored, tap.results, stored.first(e.sub(outs, m.index))))
    e.done()
