"""The gradient of 1x1 weights: a matrix product that packs only one of its two arrays.

    gw[g, m, c]  =  sum over n, q of  gy[n, g, m, q] * x[n, g, c, q * s]

One array is packed with channels side by side (pack/interleave.py) and read as vectors, the other is
broadcast from where it lies: `rows` pointers, one a channel. Packing an element costs as much as 14
multiply-adds, so the array with fewer channels is packed where lanes allow.

    for each output of the box:   acc[row][j] += b[row][position] * v[position][j]

A task is a block of channels by a block of channels of one group, and a part of the steps. Parts follow from
the layer alone and are added up by the plan.

Scratch: header, panels of v [tile][output][nv * lanes], sums [tile][channel of b][nv * lanes].
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.grad_weight.contract import (
    GRAD_WEIGHT_POINTWISE_PARAMETERS,
    GradWeightPointwiseKernel,
)
from convforge.kernels.pack.box import Box, box_of
from convforge.kernels.pack.interleave import Run, emit_run, emit_turn
from convforge.kernels.parameters import Parameters


def emit(kernel: GradWeightPointwiseKernel, module: Module) -> None:
    """Emit the task; x of the call is the input, bias grad-output, y the parts in the compute type."""
    _Pointwise(kernel).emit(module)


class _Pointwise:
    """The loop nest, its kernel's choices at hand."""

    def __init__(self, kernel: GradWeightPointwiseKernel) -> None:
        self.kernel, self.rows, self.nv, self.lanes = kernel, kernel.rows, kernel.nv, kernel.lanes
        self.mr = kernel.nv * kernel.lanes
        self.storage, self.compute = kernel.element.storage, kernel.element.compute

    def emit(self, module: Module) -> None:
        """Emit `task(call, index, scratch)`."""
        e = module.function("task", "pip")
        call, index, scratch = e.arguments
        p = Parameters(e, e.load_pointer(call, 0), GRAD_WEIGHT_POINTWISE_PARAMETERS)
        x, gradient, y = e.load_pointer(call, 1), e.load_pointer(call, 3), e.load_pointer(call, 4)
        broadcast, packed = (gradient, x) if self.kernel.swapped else (x, gradient)
        v = Vectors(e, self.kernel.element, self.lanes, fused=self.kernel.fused)

        part, rest = e.rem(index, p.parts), e.div(index, p.parts)
        v_block, rest = e.rem(rest, p.v_blocks), e.div(rest, p.v_blocks)
        b_block, group = e.rem(rest, p.b_blocks), e.div(rest, p.b_blocks)
        first_b, first_v = e.mul(b_block, p.b_block), e.mul(v_block, p.v_block)
        b_channels = e.minimum(p.b_block, e.sub(p.b_channels, first_b))
        v_channels = e.minimum(p.v_block, e.sub(p.v_channels, first_v))
        b_tiles = e.div(e.add(b_channels, self.rows - 1), self.rows)
        v_tiles = e.div(e.add(v_channels, self.mr - 1), self.mr)
        panels, sums = e.at(scratch, "i8", HEADER_BYTES), e.at(scratch, "i8", p.sums)
        with e.loop(0, e.mul(v_tiles, p.sums_tile), step=self.lanes, name="clear") as i:
            v.store(v.zero(), sums, i.index)
        b_at = e.add(e.mul(group, p.b_channels), first_b)
        v_at = e.add(e.mul(group, p.v_channels), first_v)
        b_source = e.at(broadcast, self.storage, e.mul(b_at, p.b_channel))
        v_source = e.at(packed, self.storage, e.mul(v_at, p.v_channel))
        first_step = e.mul(part, p.part_steps)
        with e.loop(first_step, e.minimum(e.add(first_step, p.part_steps), p.steps), name="step") as step:
            box = box_of(e, p, step.index)
            self._emit_pack(e, v, p, box, v_source, v_channels, v_tiles, panels)
            with e.loop(0, v_tiles, name="v_tile") as m, e.loop(0, b_tiles, name="b_tile") as c:
                panel = e.at(panels, self.compute, e.mul(m.index, p.v_panel))
                first = e.mul(c.index, self.rows)
                tile = e.at(sums, self.compute, e.add(e.mul(m.index, p.sums_tile), e.mul(first, self.mr)))
                source = e.at(b_source, self.storage, e.mul(first, p.b_channel))
                self._emit_tile(e, v, p, box, source, e.sub(b_channels, first), panel, tile)
        at = e.add(e.mul(part, p.y_part))
        if self.kernel.swapped:
            at = e.add(at, e.mul(b_at, p.w_out), first_v)
            self._emit_write_rows(e, v, p, sums, v_channels, b_channels, e.at(y, self.compute, at))
        else:
            at = e.add(at, e.mul(v_at, p.w_out), first_b)
            self._emit_write_squares(e, v, p, sums, v_channels, b_channels, e.at(y, self.compute, at))
        e.done()

    def _emit_pack(
        self,
        e: Emitter,
        v: Vectors,
        p: Parameters,
        box: Box,
        source: Value,
        channels: Int,
        tiles: Int,
        panels: Value,
    ) -> None:
        """Pack a box of v: row by row, or as one run where its rows are joined."""
        joined = e.differ(p.v_joined, 0)
        depths, heights = e.select(joined, 1, box.depths), e.select(joined, 1, box.heights)
        length = e.select(joined, e.mul(box.depths, box.heights, box.widths), box.widths)
        corner = e.add(e.mul(box.depth, p.v_slice), e.mul(box.height, p.v_row), e.mul(box.width, p.v_column))
        with (
            e.loop(0, box.images, name="pack_image") as image,
            e.loop(0, e.mul(tiles, self.nv), name="pack_vector") as vector,
        ):
            # A tile's last vectors may lie beyond the channels: they repeat the last one.
            first = e.minimum(e.mul(vector.index, self.lanes), e.sub(channels, 1))
            from_image = e.mul(e.add(box.image, image.index), p.v_batch)
            lines = e.at(source, self.storage, e.add(corner, from_image, e.mul(first, p.v_channel)))
            tile, j = e.div(vector.index, self.nv), e.rem(vector.index, self.nv)
            panel = e.at(panels, self.compute, e.add(e.mul(tile, p.v_panel), e.mul(j, self.lanes)))
            with e.loop(0, depths, name="pack_slice") as d, e.loop(0, heights, name="pack_row") as h:
                row = e.add(e.mul(e.add(e.mul(image.index, depths), d.index), heights), h.index)
                line = e.at(lines, self.storage, e.add(e.mul(d.index, p.v_slice), e.mul(h.index, p.v_row)))
                run = Run(line, e.sub(channels, first), p.v_channel, p.v_column, 0, length, length)
                to = e.at(panel, self.compute, e.mul(row, length, self.mr))
                emit_run(e, v, self.kernel.v_side, self.lanes, self.mr, run, to)

    def _emit_tile(
        self,
        e: Emitter,
        v: Vectors,
        p: Parameters,
        box: Box,
        source: Value,
        left: Int,
        panel: Value,
        sums: Value,
    ) -> None:
        """rows x nv sums over the box; rows beyond the `left` channels repeat the last."""
        corner = e.add(
            e.mul(box.image, p.b_batch),
            e.mul(box.depth, p.b_slice),
            e.mul(box.height, p.b_row),
            e.mul(box.width, p.b_column),
        )
        last = e.sub(left, 1)
        lines = [
            e.at(source, self.storage, e.add(corner, e.mul(e.minimum(k, last), p.b_channel)))
            for k in range(self.rows)
        ]
        zeros = [v.zero()] * (self.rows * self.nv)
        with e.loop(0, box.images, carried=[panel, *zeros], name="n") as n:
            with e.loop(0, box.depths, carried=n.carried, name="d") as d:
                slice_at = e.add(e.mul(n.index, p.b_batch), e.mul(d.index, p.b_slice))
                with e.loop(0, box.heights, carried=d.carried, name="h") as h:
                    row_at = e.add(slice_at, e.mul(h.index, p.b_row))
                    carried = [e.i64(row_at), *h.carried]
                    with e.loop(0, box.widths, carried=carried, name="w") as w:
                        at, vectors, *acc = w.carried
                        w.next = [e.i64(e.add(at, p.b_column)), e.at(vectors, self.compute, self.mr)]
                        loaded = [v.load(vectors, j * self.lanes) for j in range(self.nv)]
                        for k, line in enumerate(lines):
                            value = v.broadcast(v.widen(e.load(self.storage, line, at)))
                            for j in range(self.nv):
                                w.next.append(v.multiply_add(value, loaded[j], acc[k * self.nv + j]))
                    h.next = w.results[1:]
                d.next = h.results
            n.next = d.results
        for i, value in enumerate(n.results[1:]):
            v.store(v.add(v.load(sums, i * self.lanes), value), sums, i * self.lanes)

    def _emit_write_squares(
        self, e: Emitter, v: Vectors, p: Parameters, sums: Value, outs: Int, channels: Int, target: Value
    ) -> None:
        """sums[tile][c][m] -> target[m][c]."""
        with e.loop(0, outs, step=self.lanes, name="w_vector") as first:
            source = self._held(e, p, sums, first.index)
            to = e.at(target, self.compute, e.mul(first.index, p.w_out))
            emit_turn(
                e, v, source, channels, self.mr, to, p.w_out, e.sub(outs, first.index), v.store_computed
            )

    def _emit_write_rows(
        self, e: Emitter, v: Vectors, p: Parameters, sums: Value, channels: Int, outs: Int, target: Value
    ) -> None:
        """sums[tile][m][c] -> target[m][c]."""
        with (
            e.loop(0, outs, name="w_row") as m,
            e.loop(0, channels, step=self.lanes, name="w_vector") as first,
        ):
            value = v.load(self._held(e, p, sums, first.index), e.mul(m.index, self.mr))
            mask = v.first(e.sub(channels, first.index))
            v.store_computed(value, target, e.add(e.mul(m.index, p.w_out), first.index), mask)

    def _held(self, e: Emitter, p: Parameters, sums: Value, first: Int) -> Value:
        """Where the sums of the vector that begins with channel `first` of v begin."""
        vector = e.div(first, self.lanes)
        tile, j = e.div(vector, self.nv), e.rem(vector, self.nv)
        return e.at(sums, self.compute, e.add(e.mul(tile, p.sums_tile), e.mul(j, self.lanes)))
