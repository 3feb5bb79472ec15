"""Winograd's algorithm: a tile of m outputs by m + r - 1 products along each axis, instead of m * r.

    V[point][c][t] = B^T d B                     transform of tile t's inputs, channel by channel
    M[point][k][t] = sum over c of U[point][k][c] * V[point][c][t]
    Y[k][t]        = A^T M A                     m outputs along each axis

The tiles are outputs of a gather with step m (schedule/winograd.py), so packing and padding are those of all
kernels. A task is one group, some tiles of output channels, and a run of tiles: a band of one image's, or all
of several images', which follow each other without gaps. A vector is 16 neighbours of that run.

    for channels whose values stay in a cache (mostly all)         unless the task before it did
        for channel: pack its rows, transform                      tiles_values.py
        for group of channel tiles, group of run tiles
            for point
                for block of channels
                    for tile of the run, tile of channels          sums in registers, then added to M
            for tile: transform, bias, activation, write           tiles_outputs.py, at the end

Where the values of all channels stay in the second-level cache, groups are single tiles, and M stays in the
first-level cache. Where they do not, a block of channels is transformed and meets all weights of the task at
once: values and weights pass once, M stays in the last-level cache.

Packed weights: [group][tile of output channels][point][channel][mr]. Scratch: header, planes of one channel,
V, magnitudes, M, outputs of one tile on their way out.

Transforms add inputs before they multiply. So an infinite input, or one far larger than its neighbours, would
spoil outputs of its tile that do not depend on it: spread.py looks for these, and for results that are not
finite, and the header's flag tells the plan to have that image computed by a direct kernel.
"""

from __future__ import annotations

from convforge.ir.emitter import Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.parameters import Parameters
from convforge.kernels.winograd.contract import WINOGRAD_PARAMETERS, WinogradKernel
from convforge.kernels.winograd.tiles_outputs import Leaving, WinogradOutputs
from convforge.kernels.winograd.tiles_task import Channels, Task
from convforge.kernels.winograd.tiles_values import WinogradValues


def emit(kernel: WinogradKernel, module: Module) -> None:
    """Emit the task of a kernel: `task(call, index, scratch)`."""
    e = module.function("task", "pip")
    call, index, scratch = e.arguments
    p = Parameters(e, e.load_pointer(call, 0), WINOGRAD_PARAMETERS)
    x, weights, bias, y = (e.load_pointer(call, i) for i in range(1, 5))
    v = Vectors(e, kernel.element, kernel.lanes, fused=kernel.fused)
    storage, compute = kernel.element.storage, kernel.element.compute

    out_block, key = e.rem(index, p.out_blocks), e.div(index, p.out_blocks)
    band, rest = e.rem(key, p.bands), e.div(key, p.bands)
    group = e.rem(rest, p.groups)
    first_image = e.mul(e.div(rest, p.groups), p.images)
    first = e.mul(band, p.band_length)
    stop = e.minimum(e.add(first, p.band_length), p.flat)
    images, tiles = e.minimum(p.images, e.sub(p.batch, first_image)), e.sub(stop, first)
    task = Task(e, v, p, kernel, scratch, first, stop, images, tiles, run=e.mul(images, tiles))

    at = e.add(e.mul(first_image, p.x_batch), e.mul(group, p.channels, p.x_channel))
    x_group = e.at(x, storage, at)
    at = e.add(e.mul(first_image, p.y_batch), e.mul(group, p.out_channels, p.y_channel))
    y_group = e.at(y, storage, at)
    group_bias = e.at(bias, compute, e.mul(group, p.out_channels)) if kernel.has_bias else None
    first_out = e.mul(out_block, p.task_tiles)
    stop_out = e.minimum(e.add(first_out, p.task_tiles), p.out_tiles)
    with e.loop(0, p.channels, step=p.value_block, name="values") as part:
        behind = e.minimum(p.channels, e.add(part.index, p.value_block))
        channels = Channels(part.index, behind, last=e.equal(behind, p.channels))
        same = e.equal(e.load("i64", scratch), e.add(key, 1))
        with e.when(e.b.not_(e.b.and_(same, e.equal(e.sub(behind, part.index), p.channels)))):
            e.store(e.i64(e.add(key, 1)), "i64", scratch)
            inner, (source, *bounds) = task.part("values", [x_group, channels.first, channels.stop])
            all_read = inner.e.equal(bounds[1], inner.p.channels)
            WinogradValues(inner).emit(source, Channels(bounds[0], bounds[1], last=all_read))
            inner.e.done()
        with e.loop(first_out, stop_out, step=p.out_group, name="out_group") as out:
            outs = e.minimum(p.out_group, e.sub(stop_out, out.index))
            at = e.mul(e.add(e.mul(group, p.out_tiles), out.index), p.weights_step)
            first_channel = e.mul(out.index, kernel.mr)
            leaving = Leaving(
                target=e.at(y_group, storage, e.mul(first_channel, p.y_channel)),
                bias=None if group_bias is None else e.at(group_bias, compute, first_channel),
                channels=e.sub(p.out_channels, first_channel),
            )
            with e.loop(0, task.run, step=p.tile_group, name="tile_group") as tile:
                end = e.minimum(task.run, e.add(tile.index, p.tile_group))
                _emit_sums(task, e.at(weights, compute, at), channels, outs, tile.index, end)
                with e.when(channels.last):
                    _emit_outputs(task, leaving, outs, tile.index, end)
    e.done()


def _emit_outputs(task: Task, leaving: Leaving, outs: Int, first: Int, stop: Int) -> None:
    """The way out, as a part of its own."""
    bias = [] if leaving.bias is None else [leaving.bias]
    inner, given = task.part("outputs", [leaving.target, leaving.channels, outs, first, stop, *bias])
    target, channels, outs, first, stop, *rest = given
    moved = Leaving(target=target, bias=rest[0] if rest else None, channels=channels)
    WinogradOutputs(inner).emit(moved, outs, first, stop)
    inner.e.done()


def _emit_sums(task: Task, weights: Value, channels: Channels, outs: Int, first: Int, stop: Int) -> None:
    """M of `outs` tiles of channels and the elements first … stop - 1 of the run: for each point a product of
    matrices, added to what earlier channels have brought.

    Of all orders this one passes fewest bytes: a block of channels is fetched once, its weights into the
    second-level cache to meet all values, values of a tile into the first-level cache to meet all weights.
    """
    e, p, kernel = task.e, task.p, task.kernel
    compute, mr, points = kernel.element.compute, kernel.mr, kernel.tiling.points
    values, sums = e.at(task.scratch, "i8", p.values), e.at(task.scratch, "i8", p.sums)
    with (
        e.loop(0, points, name="point") as point,
        e.loop(channels.first, channels.stop, step=p.channel_block, name="block") as block,
        e.loop(first, stop, step=kernel.length, name="tile") as tile,
        e.loop(0, outs, name="out_tile") as out,
    ):
        at = e.add(e.mul(out.index, p.weights_step), e.mul(point.index, p.channels, mr))
        u = e.at(weights, compute, e.add(at, e.mul(block.index, mr)))
        at = e.add(e.mul(point.index, p.point), e.mul(e.sub(block.index, channels.first), p.run))
        x = e.at(values, compute, e.add(at, tile.index))
        at = e.add(e.mul(out.index, p.tile_group), e.sub(tile.index, first))
        held = e.at(sums, compute, e.add(e.mul(point.index, p.sums_point), e.mul(at, mr)))
        count = e.minimum(p.channel_block, e.sub(channels.stop, block.index))
        _emit_product(task, u, x, count, held, e.equal(block.index, 0))


def _emit_product(task: Task, weights: Value, values: Value, count: Int, held: Value, fresh: Value) -> None:
    """The sums of `count` channels, mr x nv vectors in registers; added to those held unless fresh."""
    e, v, p, mr, nv = task.e, task.v, task.p, task.kernel.mr, task.kernel.nv
    compute = task.kernel.element.compute
    with e.loop(0, count, carried=[v.zero()] * (mr * nv), name="c") as c:
        row = e.at(weights, compute, e.mul(c.index, mr))
        line = e.at(values, compute, e.mul(c.index, p.run))
        here = [v.load(line, j * v.lanes) for j in range(nv)]
        for m in range(mr):
            w = v.load_broadcast(row, m)
            c.next += [v.multiply_add(w, here[j], c.carried[m * nv + j]) for j in range(nv)]
    with e.loop(0, e.select(fresh, 0, 1), carried=c.results, name="resume") as resume:
        before = [v.load(held, i * v.lanes) for i in range(mr * nv)]
        resume.next = [v.add(b, a) for b, a in zip(before, resume.carried)]
    for i, value in enumerate(resume.results):
        v.store(value, held, i * v.lanes)
