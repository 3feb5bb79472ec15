"""Weights in the order in which tiles read them.

    packed[phase][group][tile][channel][tap][m] = w[group][tile * mr + m][channel][tap],   0 beyond the last

A task is one tile of one group of one phase. The strides make it serve both weight layouts, and the
swapped roles of grad-input.
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Module
from convforge.ir.vector import Vectors
from convforge.kernels.contract import WEIGHT_PARAMETERS, WEIGHT_PHASE_FIELDS, WeightPacker
from convforge.kernels.parameters import Parameters


def emit_pack_weights(kernel: WeightPacker, module: Module) -> None:
    """Emit the task; x of the call is the weight array, y the packed one."""
    e: Emitter = module.function("task", "pip")
    call, index, _ = e.arguments
    p = Parameters(e, e.load_pointer(call, 0), WEIGHT_PARAMETERS)
    v = Vectors(e, kernel.element, 1, fused=False)
    weights, packed = e.load_pointer(call, 1), e.load_pointer(call, 4)
    storage, compute = kernel.element.storage, kernel.element.compute
    tile, rest = e.rem(index, p.out_tiles), e.div(index, p.out_tiles)
    group, phase = e.rem(rest, p.groups), e.div(rest, p.groups)
    record = e.at(p.pointer("phase_table"), "i64", e.mul(phase, len(WEIGHT_PHASE_FIELDS)))
    taps, start = e.load("i64", record, 0), e.load("i64", record, 1)
    offsets = e.b.inttoptr(e.load("i64", record, 2), weights.type)
    size = e.mul(p.channels, taps, kernel.mr)
    target = e.at(packed, compute, e.add(start, e.mul(e.add(e.mul(group, p.out_tiles), tile), size)))
    first = e.mul(tile, kernel.mr)
    source = e.at(weights, storage, e.add(e.mul(group, p.w_group), e.mul(first, p.w_out)))
    with e.loop(0, p.channels, name="channel") as channel:
        line = e.at(source, storage, e.mul(channel.index, p.w_channel))
        row = e.at(target, compute, e.mul(channel.index, taps, kernel.mr))
        with e.loop(0, taps, name="tap") as tap:
            here = e.at(line, storage, e.load("i64", offsets, tap.index))
            to = e.at(row, compute, e.mul(tap.index, kernel.mr))
            for m in range(kernel.mr):
                real = e.less(e.add(first, m), p.out_channels)
                # A missing channel reads the tile's first weight, which is there, and keeps zero of it.
                value = v.widen(e.load(storage, here, e.select(real, e.mul(p.w_out, m), 0)))
                zero = value.type(0.0 if kernel.element.is_float else 0)
                e.store(e.b.select(real, value, zero), compute, to, m)
    e.done()
