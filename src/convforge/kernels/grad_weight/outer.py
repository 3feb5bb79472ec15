"""The gradient of the weights as a matrix product: vectors along output channels, outputs summed one by one.

    gw[g, m, c, tap]  =  sum over n, q of  gy[n, g, m, q] * x[n, g, c, q * s + offset(tap)]

A step packs a box of outputs (pack/interleave.py): grad-output so that the channels of a tile lie side by
side, and what the box reads of x likewise. Then a tile of `picks` x nv vectors stays in registers over the
box:

    for each output of the box:   acc[pick][j] += x[position + pick] * gy[position][j]

x is broadcast, so no lane is wasted on narrow maps and nothing is summed across lanes. A pick is a channel;
where there are few channels, a channel of one of several taps that lie side by side. Each run of taps visits
only outputs whose tap meets data: of a 3x3 kernel on 7x7 that is 82 % of them.

A task is a block of input channels by a block of output channels of one group, and a part of the steps. Parts
follow from the layer alone and are added up by the plan, so bits do not depend on threads.

Scratch: header, panels of x, panels of grad-output [tile][output][mr], sums [tile][channel][tap][mr].
"""

from __future__ import annotations

from dataclasses import dataclass

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.grad_weight.contract import (
    GRAD_WEIGHT_OUTER_PARAMETERS,
    OUTER_RUN_FIELDS,
    GradWeightOuterKernel,
)
from convforge.kernels.pack.box import Box, box_of, emit_pack_box
from convforge.kernels.pack.interleave import Run, emit_run, emit_turn
from convforge.kernels.parameters import Parameters


def emit(kernel: GradWeightOuterKernel, module: Module) -> None:
    """Emit the task; x of the call is the input, bias grad-output, y the parts in the compute type."""
    OuterNest(kernel).emit(module)


@dataclass(frozen=True, slots=True)
class Block:
    """The channels of a task: `channels` input channels and `outs` output channels, with what holds them."""

    channels: Int
    outs: Int
    tiles: Int
    out_tiles: Int
    x_panels: Value
    g_panels: Value
    sums: Value


class OuterNest:
    """The loop nest, its kernel's choices at hand.

    What another kernel of this nest (pairs.py) does in its own way is a method: which vectors
    sum, and what becomes of packed images.
    """

    def __init__(self, kernel: GradWeightOuterKernel) -> None:
        self.kernel, self.nv, self.mr, self.lanes = kernel, kernel.nv, kernel.mr, kernel.lanes
        self.storage, self.compute = kernel.element.storage, kernel.element.compute

    def emit(self, module: Module) -> None:
        """Emit `task(call, index, scratch)`."""
        e = module.function("task", "pip")
        call, index, scratch = e.arguments
        p = Parameters(e, e.load_pointer(call, 0), GRAD_WEIGHT_OUTER_PARAMETERS)
        x, gradient, y = e.load_pointer(call, 1), e.load_pointer(call, 3), e.load_pointer(call, 4)
        v = self._vectors(e)

        part, rest = e.rem(index, p.parts), e.div(index, p.parts)
        out_block, rest = e.rem(rest, p.out_blocks), e.div(rest, p.out_blocks)
        channel_block, group = e.rem(rest, p.channel_blocks), e.div(rest, p.channel_blocks)
        first_channel, first_out = e.mul(channel_block, p.channel_block), e.mul(out_block, p.out_block)
        channels = e.minimum(p.channel_block, e.sub(p.channels, first_channel))
        outs = e.minimum(p.out_block, e.sub(p.out_channels, first_out))
        block = Block(
            channels=channels,
            outs=outs,
            tiles=e.div(e.add(channels, p.tile_channels, -1), p.tile_channels),
            out_tiles=e.div(e.add(outs, self.mr - 1), self.mr),
            x_panels=e.at(scratch, "i8", HEADER_BYTES),
            g_panels=e.at(scratch, "i8", p.g_packed),
            sums=e.at(scratch, "i8", p.sums),
        )
        with e.loop(0, e.mul(block.out_tiles, p.sums_tile), step=self.lanes, name="clear") as i:
            v.store(v.zero(), block.sums, i.index)
        channel = e.add(e.mul(group, p.channels), first_channel)
        out = e.add(e.mul(group, p.out_channels), first_out)
        x_block = e.at(x, self.storage, e.mul(channel, p.x_channel))
        g_block = e.at(gradient, self.storage, e.mul(out, p.g_channel))
        first_step = e.mul(part, p.part_steps)
        with e.loop(first_step, e.minimum(e.add(first_step, p.part_steps), p.steps), name="step") as step:
            box = box_of(e, p, step.index)
            emit_pack_box(
                e, v, self.kernel.x_side, self.kernel.ways, p, box, x_block, channels, block.x_panels
            )
            self._emit_pack_gradient(e, v, p, box, g_block, block)
            images = self._emit_images(e, v, p, box, block, scratch)
            with (
                e.loop(0, block.out_tiles, name="out_tile") as m,
                e.loop(0, block.tiles, name="tile") as c,
                e.loop(0, p.runs, name="run") as run,
            ):
                self._emit_tile(e, v, p, box, block, m.index, c.index, run.index, images)
        at = e.add(e.mul(part, p.y_part), e.mul(out, p.w_out), e.mul(first_channel, p.taps))
        self._emit_write(e, v, p, block, e.at(y, self.compute, at))
        e.done()

    def _vectors(self, e: Emitter) -> Vectors:
        """Vectors of the sums."""
        return Vectors(e, self.kernel.element, self.lanes, fused=self.kernel.fused)

    def _emit_images(
        self, e: Emitter, v: Vectors, p: Parameters, box: Box, block: Block, scratch: Value
    ) -> Int:
        """What is done with the images of a box when both arrays are packed; how many are summed over."""
        del e, v, p, block, scratch
        return box.images

    def _emit_pack_gradient(
        self, e: Emitter, v: Vectors, p: Parameters, box: Box, source: Value, block: Block
    ) -> None:
        """Grad-output of a box: its outputs are one run of every image."""
        at = e.add(e.mul(box.depth, p.g_slice), e.mul(box.height, p.g_row), e.mul(box.width, p.g_column))
        length = e.mul(box.depths, box.heights, box.widths)
        with (
            e.loop(0, box.images, name="g_image") as image,
            e.loop(0, e.mul(block.out_tiles, self.nv), name="g_vector") as vector,
        ):
            # A tile's last vectors may lie beyond the channels: they repeat the last one.
            first = e.minimum(e.mul(vector.index, self.lanes), e.sub(block.outs, 1))
            from_image = e.mul(e.add(box.image, image.index), p.g_batch)
            line = e.at(source, self.storage, e.add(at, from_image, e.mul(first, p.g_channel)))
            tile, j = e.div(vector.index, self.nv), e.rem(vector.index, self.nv)
            to = e.add(e.mul(tile, p.g_panel), e.mul(j, self.lanes), e.mul(image.index, length, self.mr))
            run = Run(line, e.sub(block.outs, first), p.g_channel, p.g_column, 0, length, length)
            panel = e.at(block.g_panels, self.compute, to)
            emit_run(e, v, self.kernel.g_side, self.lanes, self.mr, run, panel)

    def _emit_tile(
        self,
        e: Emitter,
        v: Vectors,
        p: Parameters,
        box: Box,
        block: Block,
        m: Int,
        c: Int,
        run: Int,
        images: Int,
    ) -> None:
        """picks x nv sums over the outputs of the box that a run of taps reaches."""
        record = e.at(p.pointer("run_table"), "i64", e.mul(run, len(OUTER_RUN_FIELDS)))
        distance, count, position, *ends = (e.load("i64", record, i) for i in range(len(OUTER_RUN_FIELDS)))
        d0, d1 = _within(e, ends[0], ends[1], box.depth, box.depths)
        h0, h1 = _within(e, ends[2], ends[3], box.height, box.heights)
        w0, w1 = _within(e, ends[4], ends[5], box.width, box.widths)
        ways = self.kernel.ways
        pixels = e.at(block.x_panels, self.compute, e.add(e.mul(c, p.panel), distance, e.mul(w0, ways)))
        gradient = e.at(block.g_panels, self.compute, e.add(e.mul(m, p.g_panel), e.mul(w0, self.mr)))
        zeros = [v.zero()] * (len(self.kernel.picks) * self.nv)
        with e.loop(0, images, carried=zeros, name="n") as n:
            with e.loop(d0, d1, carried=n.carried, name="d") as d:
                slice_at = e.mul(e.add(e.mul(n.index, p.in_depths), d.index), p.in_heights)
                g_slice_at = e.mul(e.add(e.mul(n.index, box.depths), d.index), box.heights)
                with e.loop(h0, h1, carried=d.carried, name="h") as h:
                    x_at = e.mul(e.add(slice_at, h.index), p.in_row)
                    g_at = e.mul(e.add(g_slice_at, h.index), box.widths, self.mr)
                    row = [e.at(pixels, self.compute, x_at), e.at(gradient, self.compute, g_at)]
                    with e.loop(w0, w1, carried=row + h.carried, name="w") as w:
                        x, g, *acc = w.carried
                        w.next = [e.at(x, self.compute, ways), e.at(g, self.compute, self.mr)]
                        loaded = [v.load(g, j * self.lanes) for j in range(self.nv)]
                        for i, (_, _, offset) in enumerate(self.kernel.picks):
                            pixel = v.load_broadcast(x, offset)
                            for j in range(self.nv):
                                w.next.append(v.multiply_add(pixel, loaded[j], acc[i * self.nv + j]))
                    h.next = w.results[2:]
                d.next = h.results
            n.next = d.results
        tile = e.at(block.sums, self.compute, e.mul(m, p.sums_tile))
        first = e.mul(c, p.tile_channels)
        for i, (tap, channel, _) in enumerate(self.kernel.picks):
            # The last run of a row may have fewer taps than others.
            with e.when(e.less(tap, count)):
                kernel_position = e.add(position, e.mul(p.run_step, tap))
                at = e.add(e.mul(e.add(first, channel), p.taps), kernel_position)
                sums = e.at(tile, self.compute, e.mul(at, self.mr))
                for j in range(self.nv):
                    total = v.add(v.load(sums, j * self.lanes), n.results[i * self.nv + j])
                    v.store(total, sums, j * self.lanes)

    def _emit_write(self, e: Emitter, v: Vectors, p: Parameters, block: Block, target: Value) -> None:
        """sums[tile][channel, tap][m] -> target[m][channel, tap]."""
        pairs = e.mul(block.channels, p.taps)
        with e.loop(0, block.outs, step=self.lanes, name="w_vector") as first_out:
            first = first_out.index
            vector = e.div(first, self.lanes)
            tile, j = e.div(vector, self.nv), e.rem(vector, self.nv)
            source = e.at(block.sums, self.compute, e.add(e.mul(tile, p.sums_tile), e.mul(j, self.lanes)))
            to = e.at(target, self.compute, e.mul(first, p.w_out))
            emit_turn(e, v, source, pairs, self.mr, to, p.w_out, e.sub(block.outs, first), v.store_computed)


def _within(e: Emitter, first: Int, stop: Int, start: Int, size: Int) -> tuple[Int, Int]:
    """Positions first … stop - 1 of an axis, counted from `start` and kept inside `size`."""
    return e.maximum(e.sub(first, start), 0), e.minimum(e.sub(stop, start), size)
