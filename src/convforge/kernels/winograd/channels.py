"""Winograd's algorithm with vectors along output channels: the sums of tiles.py, bit for bit;
or those of products of bf16 parts on a tile unit (unit_products.py).

    M[point][t][k] = sum over c of V[point][t][c] * U[point][c][k]

There a vector is neighbouring tiles: 14x14 outputs are 49 of them, in 7 vectors of 8, by twos 8. Here any
number of tiles shares registers with vectors of k, the inputs broadcast; transforms shuffle nothing, for a
lane of theirs is a channel (box.py). What costs more: inputs are packed, and outputs turned round.

A task is one group, a box of outputs (rows of tiles of an image, or several images), some tiles of output
channels:

    for vector of c, residue: pack, transform                      unless the task before it did
    for phase
        for group of tiles of k
            for point, block of channels, tile of k, tile of t     sums in registers, then added to M
            for vector of k: for t: transform, bias, activation    then turned round, and written

At a stride the input has residues, whose channels are summed like any others; a transposed convolution's
output has phases (schedule/polyphase.py). Some have taps in parts of a window only, and so no weights at some
points: a table says which blocks of channels each point has.

Packed weights are weights.py's: [group][phase][tile of k][point][residue][channel][mr]. Scratch:
header, panel, V, magnitudes of what the panel has held, windows, M, outputs of one vector of channels on
their way out, lines of transforms.
"""

from __future__ import annotations

from dataclasses import astuple
from functools import partial
from math import prod

from convforge.ir.emitter import Int, Module, Value
from convforge.kernels.epilogue import emit_activation
from convforge.kernels.flag import emit_flag
from convforge.kernels.pack.box import Box, box_of
from convforge.kernels.pack.interleave import emit_turn
from convforge.kernels.winograd.box import Inputs, Reads
from convforge.kernels.winograd.channels_products import emit_products
from convforge.kernels.winograd.channels_task import ChannelsTask
from convforge.kernels.winograd.combine import emit_transposed_product
from convforge.kernels.winograd.contract import (
    WINOGRAD_PHASE_FIELDS,
    WinogradChannelsKernel,
)
from convforge.kernels.winograd.separable import Pass, emit_separable
from convforge.kernels.winograd.spread import (
    emit_largest,
    emit_uneven,
    emit_unfit,
    window_counts,
    window_passes,
)
from convforge.kernels.winograd.unit_products import emit_tile_products

# Bytes of a cache's line.
_LINE = 64


def emit(kernel: WinogradChannelsKernel, module: Module) -> None:
    """Emit the task of a kernel: `task(call, index, scratch)`."""
    e = module.function("task", "pip")
    call, index, scratch = e.arguments
    task = ChannelsTask(e, kernel, e.load_pointer(call, 0), scratch)
    p, storage, compute = task.p, kernel.element.storage, kernel.element.compute
    x, weights, bias, y = (e.load_pointer(call, i) for i in range(1, 5))

    out_block, key = e.rem(index, p.out_blocks), e.div(index, p.out_blocks)
    step, group = e.rem(key, p.boxes), e.div(key, p.boxes)
    box = box_of(e, p, step)
    bounds = astuple(box)
    with e.when(e.differ(e.load("i64", scratch), e.add(key, 1))):
        e.store(e.i64(e.add(key, 1)), "i64", scratch)
        source = e.at(x, storage, e.mul(group, p.channels, task.x.p.x_channel))
        inner, (source, *given) = task.part("values", [source, *bounds])
        _emit_values(inner, Box(*given), source)
        inner.e.done()
        inner, given = task.part("check", bounds)
        _emit_check(inner, Box(*given))
        inner.e.done()
    first_out = e.mul(out_block, p.task_tiles)
    stop_out = e.minimum(e.add(first_out, p.task_tiles), p.out_tiles)
    with (
        e.loop(0, p.phases, name="phase") as phase,
        e.loop(first_out, stop_out, step=p.out_group, name="out_group") as out,
    ):
        outs = e.minimum(p.out_group, e.sub(stop_out, out.index))
        number = e.add(e.mul(e.add(e.mul(group, p.phases), phase.index), p.out_tiles), out.index)
        at = e.mul(number, p.weights_step)
        own = [e.at(weights, compute, at), phase.index, outs, task.x.tiles(box)]
        inner, given = task.part("products", own)
        (emit_tile_products if kernel.parts else emit_products)(inner, *given)
        inner.e.done()
        first = e.mul(out.index, kernel.mr)
        channel = e.add(e.mul(group, p.out_channels), first)
        own = [
            e.at(y, storage, e.mul(channel, p.y_channel)),
            e.at(bias, compute, channel) if kernel.has_bias else bias,
            e.minimum(e.sub(p.out_channels, first), e.mul(outs, kernel.mr)),
            phase.index,
        ]
        inner, (target, added, channels, of_phase, *given) = task.part("outputs", [*own, *bounds])
        _emit_outputs(inner, Box(*given), target, added, channels, of_phase)
        inner.e.done()
    e.done()


def _emit_values(task: ChannelsTask, box: Box, source: Value) -> None:
    """V of a box, and the largest magnitude, lane by lane, of each input: residues woven as they lie in x."""
    e, v, x, lanes = task.e, task.v, task.x, task.kernel.lanes
    compute, (sd, sh, sw) = v.element.compute, task.kernel.steps
    magnitudes = task.scratch_at("magnitudes_at")
    slices = e.mul(box.images, x.p.in_depths)

    def keep_largest(panel: Value, residue: Int) -> None:
        rd, rh, rw = e.div(residue, sh * sw), e.rem(e.div(residue, sw), sh), e.rem(residue, sw)
        with (
            e.loop(0, slices, name="seen_slice") as d,
            e.loop(0, x.p.in_heights, name="seen_row") as h,
        ):
            row = e.at(panel, compute, e.mul(e.add(e.mul(d.index, x.p.in_heights), h.index), x.p.in_row))
            slice_at = e.mul(e.add(e.mul(d.index, sd), rd), x.p.in_heights, sh)
            row_at = e.mul(e.add(slice_at, e.mul(h.index, sh), rh), x.p.in_row, sw)
            to = e.at(magnitudes, compute, e.add(row_at, e.mul(rw, lanes)))
            with e.loop(0, x.p.in_row, step=lanes, name="seen") as i:
                at = e.mul(i.index, sw)
                here = v.magnitude(v.load(row, i.index))
                v.store_bits(v.larger(here, v.load_bits(to, at)), to, at)

    with e.loop(0, e.mul(slices, x.p.in_heights, x.p.in_row, sd * sh * sw), step=lanes, name="clear") as i:
        v.clear_bits(magnitudes, i.index)
    x.emit(box, source, task.p.channels, on_panel=keep_largest)


def _emit_check(task: ChannelsTask, box: Box) -> None:
    """Set the flag where a tile's windows are too uneven."""
    e, v, p, x, kernel, lanes = task.e, task.v, task.p, task.x, task.kernel, task.kernel.lanes
    windows = task.scratch_at("windows_at")
    counts = window_counts(kernel.looked_at, kernel.windows, kernel.steps)

    def check(inputs: Inputs, _: Int, first: tuple[Int, Int, Int]) -> None:
        def write(places: list[Int], found: list[Value]) -> None:
            for place, value in zip(places, found):
                v.store_bits(v.largest(value), windows, e.mul(place, lanes))

        passes = window_passes(v, kernel.looked_at, kernel.windows, kernel.steps)
        emit_separable(
            e, v, kernel.looked_at, passes, read=inputs.read, write=write, scratch=task.scratch_at("lines_at")
        )
        found = [v.load_bits(windows, i * lanes) for i in range(prod(counts))]
        uneven = emit_uneven(v, found, v.first(lanes))
        if max(kernel.spacing) > 1:
            # A block of neighbours may have tiles that are wholly beyond the map.
            counts_at = WINOGRAD_PHASE_FIELDS.index("count_d")
            ends = [e.load("i64", p.pointer("phase_table"), counts_at + i) for i in range(3)]
            for begin, at, end in zip((box.depth, box.height, box.width), first, ends):
                uneven = e.b.and_(uneven, e.less(e.add(begin, at), end))
        emit_flag(e, task.scratch, uneven)

    reads = Reads(kernel.looked_at, kernel.steps, p.pointer("window_distances"))
    x.emit_over_tiles(box, task.scratch_at("magnitudes_at"), check, reads)


def _emit_outputs(
    task: ChannelsTask, box: Box, target: Value, bias: Value, channels: Int, phase: Int
) -> None:
    """A phase's outputs of `channels` output channels from `target` on, a vector of them at a time."""
    e, v, p, kernel = task.e, task.v, task.p, task.kernel
    compute, storage, nv, lanes = kernel.element.compute, kernel.element.storage, kernel.nv, kernel.lanes
    leaving, sums, watched = (task.scratch_at(f"{name}_at") for name in ("leaving", "sums", "windows"))
    v.clear_bits(watched, 0)
    with e.loop(0, channels, step=lanes, name="out_vector") as first:
        vector, left = e.div(first.index, lanes), e.sub(channels, first.index)
        at = e.add(e.mul(e.div(vector, nv), p.sums_tile), e.mul(e.rem(vector, nv), lanes))
        added = v.load(bias, first.index) if kernel.has_bias else None
        _emit_transforms(task, box, e.at(sums, compute, at), added, v.first(left), leaving)
        _emit_write(task, box, leaving, e.at(target, storage, e.mul(first.index, p.y_channel)), left, phase)
    emit_flag(e, task.scratch, emit_unfit(v, v.load_bits(watched, 0)))


def _emit_transforms(
    task: ChannelsTask, box: Box, sums: Value, added: Value | None, real: Value, leaving: Value
) -> None:
    """From M to leaving[image][slice][row][column][lanes]."""
    e, v, p, kernel, lanes = task.e, task.v, task.p, task.kernel, task.kernel.lanes
    compute, outputs = kernel.element.compute, kernel.tiling.outputs
    _, mh, mw = outputs
    sd, sh, sw = kernel.spacing
    depths, heights, widths = task.x.tile_counts(box)
    watched, lines = task.scratch_at("windows_at"), task.scratch_at("lines_at")
    passes = [
        Pass(axis, results, partial(emit_transposed_product, v, task.out_matrices[axis]))
        for axis, results in enumerate(outputs)
        if kernel.tiling.sizes[axis] > 1 or axis == 2
    ]
    with (
        e.loop(0, box.images, name="image") as n,
        e.loop(0, depths, name="tile_slice") as d,
        e.loop(0, heights, name="tile_row") as h,
        e.loop(0, widths, settled=True, name="tile") as w,
    ):
        t = e.add(
            e.mul(e.add(e.mul(e.add(e.mul(n.index, depths), d.index), heights), h.index), widths), w.index
        )
        source = e.at(sums, compute, e.mul(t, kernel.mr))
        slices = e.add(e.mul(n.index, box.depths), task.x.first_output(0, d.index))
        row_at = e.add(e.mul(slices, box.heights), task.x.first_output(1, h.index))
        at = e.mul(e.add(e.mul(row_at, box.widths), task.x.first_output(2, w.index)), lanes)
        to = e.at(leaving, compute, at)

        def read(point: Int, source: Value = source) -> Value:
            return v.load(source, e.mul(point, p.sums_point))

        def finish(places: list[Int], row: list[Value], to: Value = to) -> None:
            if added is not None:
                row = [v.add(value, added) for value in row]
            v.store_bits(emit_largest(v, v.load_bits(watched, 0), row, real), watched, 0)
            kd, kh = e.div(places[0], mh * mw), e.rem(e.div(places[0], mw), mh)
            line_at = e.add(e.mul(kd, sd, box.heights), e.mul(kh, sh))
            line = e.at(to, compute, e.mul(line_at, box.widths, lanes))
            for k, value in enumerate(row):
                v.store(emit_activation(v, kernel.activation, value), line, k * sw * lanes)

        emit_separable(e, v, kernel.tiling.sizes, passes, read=read, write=finish, scratch=lines)


def _emit_write(
    task: ChannelsTask, box: Box, leaving: Value, target: Value, channels: Int, phase: Int
) -> None:
    """leaving[image][slice][row][column][lanes] to a phase of the output: what is beyond it is left out."""
    e, v, p, lanes = task.e, task.v, task.p, task.kernel.lanes
    compute, storage = v.element.compute, v.element.storage
    record = e.at(p.pointer("phase_table"), "i64", e.mul(phase, len(WINOGRAD_PHASE_FIELDS)))
    offset, *begins_counts = (e.load("i64", record, i) for i in range(len(WINOGRAD_PHASE_FIELDS)))
    # Along each axis: the first output, the box's window that it has, and how many the box has.
    firsts, windows, sizes = list[Int](), list[Int](), list[Int]()
    for at, size, begin, count in zip(
        (box.depth, box.height, box.width), (box.depths, box.heights, box.widths),
        begins_counts[:3], begins_counts[3:],
    ):  # fmt: skip
        firsts.append(e.maximum(e.sub(at, begin), 0))
        windows.append(e.sub(e.add(firsts[-1], begin), at))
        sizes.append(e.minimum(e.sub(size, windows[-1]), e.sub(count, firsts[-1])))
    depths, heights, widths = sizes
    # Rows of the box that lie one behind the other, here and there, are one.
    joined = e.differ(p.joined, 0)
    rows = e.select(joined, 1, heights)
    columns = e.select(joined, e.mul(heights, widths), widths)
    with (
        e.loop(0, box.images, name="y_image") as n,
        e.loop(0, e.select(e.less(0, columns), depths, 0), name="y_slice") as d,
        e.loop(0, rows, name="y_row") as h,
    ):
        slice_at = e.add(e.mul(n.index, box.depths), windows[0], d.index)
        row = e.add(e.mul(slice_at, box.heights), windows[1], h.index)
        source = e.at(leaving, compute, e.mul(e.add(e.mul(row, box.widths), windows[2]), lanes))
        at = e.add(
            e.mul(e.add(box.image, n.index), p.y_batch),
            offset,
            e.mul(e.add(firsts[0], d.index), p.y_slice),
            e.mul(e.add(firsts[1], h.index), p.y_row),
            e.mul(firsts[2], p.y_column),
        )
        to = e.at(target, storage, at)
        if task.kernel.way == "unit":
            emit_turn(e, v, source, columns, lanes, to, p.y_channel, channels, v.store_stored)
        elif task.kernel.way == "channels":
            with e.loop(0, columns, name="y_column") as w:
                value = v.load(source, e.mul(w.index, lanes))
                v.store_stored(value, to, e.mul(w.index, p.y_column), v.first(channels))
        else:
            with (
                e.loop(0, e.minimum(channels, lanes), name="y_way") as k,
                e.loop(0, columns, name="y_column") as w,
            ):
                value = v.narrow(e.load(compute, source, e.add(e.mul(w.index, lanes), k.index)))
                e.store(value, storage, to, e.add(e.mul(k.index, p.y_channel), e.mul(w.index, p.y_column)))
