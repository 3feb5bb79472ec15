"""Weights of Winograd's kernels: transformed once, in float64, and packed in the order in which tiles read.

    packed[group][phase][tile][point][residue][channel][m]
        = (G g G^T)[point] of w[group][tile * mr + m][channel], the taps of that phase and residue

A task is one tile of one phase of one group. Tap t of an axis is the one that reads the t-th input of a
window; the table of offsets says where it lies in the weight array, so a transposed convolution's taps come
in its own order. Where an input has no tap its weight is zero (schedule/polyphase.py).

An output at the border meets only some taps. Where those of an output channel lie too far apart, it would
drown in the rounding of the largest: then the header's flag is set, and the plan takes another family.
Scratch: header, the largest magnitude of each tap of each output channel of the tile, one channel's taps,
and what the transforms keep between the axes.
"""

from __future__ import annotations

from functools import partial
from math import prod

from convforge.ir.element import ELEMENTS
from convforge.ir.emitter import TYPES, Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.combine import emit_product
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.contract_tiles import UNIT_WORDS
from convforge.kernels.contract_winograd import (
    NO_TAP,
    WINOGRAD_WEIGHT_PARAMETERS,
    WinogradWeightPacker,
)
from convforge.kernels.flag import emit_flag
from convforge.kernels.parameters import Parameters
from convforge.kernels.separable import Pass, emit_separable
from convforge.kernels.spread import emit_uneven
from convforge.schedule.winograd import transforms


def _place(e: Emitter, channel: Int, *, woven: bool) -> Int:
    """Where a channel's weights lie among those of a point."""
    if not woven:
        return channel
    half = e.rem(e.div(channel, UNIT_WORDS), 2)
    block = e.mul(e.div(channel, 2 * UNIT_WORDS), 2 * UNIT_WORDS)
    return e.add(block, e.mul(e.rem(channel, UNIT_WORDS), 2), half)


def emit_winograd_weights(kernel: WinogradWeightPacker, module: Module) -> None:
    """Emit the task; x of the call is the weight array, y the packed one."""
    e: Emitter = module.function("task", "pip")
    call, index, scratch = e.arguments
    p = Parameters(e, e.load_pointer(call, 0), WINOGRAD_WEIGHT_PARAMETERS)
    stored = Vectors(e, kernel.element, 1, fused=False)
    double = Vectors(e, ELEMENTS["float64"], 1, fused=False)
    largest, g = e.at(scratch, "i8", HEADER_BYTES), e.at(scratch, "i8", p.lines)
    lines = e.at(g, "f64", prod(kernel.tiling.taps))
    storage, compute, tiling = kernel.element.storage, kernel.element.compute, kernel.tiling
    weights, packed, offsets = e.load_pointer(call, 1), e.load_pointer(call, 4), p.pointer("offsets")
    taps = prod(tiling.taps)
    matrices = [transforms(m, r).weight for m, r in zip(tiling.outputs, tiling.taps)]
    tile, rest = e.rem(index, p.out_tiles), e.div(index, p.out_tiles)
    phase, group = e.rem(rest, p.phases), e.div(rest, p.phases)
    first = e.mul(tile, kernel.mr)
    every = e.mul(p.residues, taps)
    source = e.at(weights, storage, e.add(e.mul(group, p.w_group), e.mul(first, p.w_out)))
    point = e.mul(p.point_rows, kernel.mr)
    target = e.at(packed, compute, e.mul(index, p.tile_step))
    with e.loop(0, e.mul(every, kernel.mr), name="tap") as tap:
        stored.clear_bits(largest, tap.index)
    with (
        e.loop(0, p.residues, name="residue") as residue,
        e.loop(0, p.channels, name="channel") as channel,
        e.loop(0, kernel.mr, name="out_channel") as m,
    ):
        real = e.less(e.add(first, m.index), p.out_channels)
        # A missing channel reads the tile's first weights, which are there, and keeps zeros of them.
        at = e.add(e.mul(channel.index, p.w_channel), e.select(real, e.mul(m.index, p.w_out), 0))
        line = e.at(source, storage, at)
        own = e.at(offsets, "i64", e.mul(e.add(e.mul(phase, p.residues), residue.index), taps))
        with e.loop(0, taps, name="tap") as tap:
            offset = e.load("i64", own, tap.index)
            none = e.equal(offset, NO_TAP)
            there = stored.widen(e.load(storage, line, e.select(none, 0, offset)))
            value = e.b.select(none, TYPES[compute](0.0), there)
            place = e.add(e.mul(m.index, every), e.mul(residue.index, taps), tap.index)
            here = stored.magnitude(stored.broadcast(value))
            stored.store_bits(stored.larger(here, stored.load_bits(largest, place)), largest, place)
            e.store(value if compute == "f64" else e.b.fpext(value, TYPES["f64"]), "f64", g, tap.index)
        row = e.add(e.mul(residue.index, p.channels), _place(e, channel.index, woven=kernel.woven))
        to = e.at(target, compute, e.add(e.mul(row, kernel.mr), m.index))

        def store(places: list[Int], u: list[Value], to: Value = to, real: Value = real) -> None:
            for place, value in zip(places, u):
                exact = e.b.extract_element(value, TYPES["i32"](0))
                rounded = exact if compute == "f64" else e.b.fptrunc(exact, TYPES[compute])
                kept = e.b.select(real, rounded, TYPES[compute](0.0))
                e.store(kept, compute, to, e.mul(point, place))

        passes = [
            Pass(axis, tiling.sizes[axis], partial(emit_product, double, matrices[axis]))
            for axis in (2, 1, 0)
            if tiling.sizes[axis] > 1
        ]
        read = partial(double.load, g)
        emit_separable(e, double, tiling.taps, passes, read=read, write=store, scratch=lines)
    zero = stored.bits_constant(0)
    with e.loop(0, kernel.mr, name="out_channel") as m:
        with e.loop(0, every, carried=[zero, zero], name="tap") as tap:
            here = stored.load_bits(largest, e.add(e.mul(m.index, every), tap.index))
            most, least = tap.carried
            fewer = e.b.or_(e.b.icmp_unsigned("<", here, least), e.b.icmp_unsigned("==", least, zero))
            fewer = e.b.and_(fewer, e.b.icmp_unsigned(">", here, zero))
            tap.next = [stored.larger(most, here), e.b.select(fewer, here, least)]
        emit_flag(e, scratch, emit_uneven(stored, tap.results, stored.first(1)))
    e.done()
