"""The gradient of the weights: products along the flat run, summed over images and bands.

    gw[g, m, c, tap]  =  sum over n, f of  gy[n, g, m, f] * x[n, g, c, distance(tap) + f]

The input is packed as for the output (pack/planes.py), grad-output along the same flat run with zeros where
the run has no output. Zeros alone would not do: 0 * infinity is NaN. So the input is masked there too.

A task is one block of input channels by one block of output channels of one group. No two tasks add to one
weight, so there are no atomics and the order of every sum is fixed: lanes, then bands, then images.

Scratch: planes, packed grad-output [channel][band], the mask, sums [tile of m][tile of k][mr][nk].
"""

from __future__ import annotations

from convforge.ir.emitter import TYPES, Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.grad_weight.contract import GRAD_WEIGHT_PARAMETERS, GradWeightKernel
from convforge.kernels.pack.planes import emit_pack
from convforge.kernels.parameters import Parameters


def emit(kernel: GradWeightKernel, module: Module) -> None:
    """Emit the task; x of the call is the input, bias grad-output, y the weight gradient."""
    _GradWeight(kernel).emit(module)


class _GradWeight:
    """The loop nest, its kernel's choices at hand."""

    def __init__(self, kernel: GradWeightKernel) -> None:
        self.kernel, self.mr, self.nk = kernel, kernel.mr, kernel.nk
        self.storage, self.compute = kernel.element.storage, kernel.element.compute

    def emit(self, module: Module) -> None:
        """Emit `task(call, index, scratch)`."""
        e = module.function("task", "pip")
        call, index, scratch = e.arguments
        p = Parameters(e, e.load_pointer(call, 0), GRAD_WEIGHT_PARAMETERS)
        x, gradient, target = e.load_pointer(call, 1), e.load_pointer(call, 3), e.load_pointer(call, 4)
        v = Vectors(e, self.kernel.element, self.kernel.lanes, fused=self.kernel.fused)

        out_block, rest = e.rem(index, p.out_blocks), e.div(index, p.out_blocks)
        block, group = e.rem(rest, p.channel_blocks), e.div(rest, p.channel_blocks)
        first_channel, first_out = e.mul(block, p.channel_block), e.mul(out_block, p.out_block)
        channels = e.minimum(p.channel_block, e.sub(p.channels, first_channel))
        outs = e.minimum(p.out_block, e.sub(p.out_channels, first_out))
        out_tiles = e.div(e.add(outs, self.mr - 1), self.mr)
        pairs = e.mul(channels, p.taps)
        pair_tiles = e.div(e.add(pairs, self.nk - 1), self.nk)

        planes = e.at(scratch, "i8", HEADER_BYTES)
        packed, mask, sums = (e.at(scratch, "i8", at) for at in (p.g_packed, p.mask, p.sums))
        self._emit_clear(e, sums, e.mul(out_tiles, pair_tiles, self.mr * self.nk))
        at_x = e.add(e.mul(e.add(e.mul(group, p.channels), first_channel), p.x_channel))
        at_g = e.mul(e.add(e.mul(group, p.out_channels), first_out), p.g_channel)
        with e.loop(0, p.batch, name="image") as image:
            source = e.at(x, self.storage, e.add(at_x, e.mul(image.index, p.x_batch)))
            g_source = e.at(gradient, self.storage, e.add(at_g, e.mul(image.index, p.g_batch)))
            with e.loop(0, p.bands, name="band") as band:
                flat = e.mul(band.index, p.band_length)
                length = e.minimum(p.band_length, e.sub(p.flat, flat))
                one_row = e.differ(p.one_row, 0)
                first_row = e.select(one_row, 0, e.div(flat, p.pitch))
                first_column = e.select(one_row, flat, 0)
                emit_pack(
                    e, v, self.kernel.columns, p, source=source, target=planes, channels=channels,
                    first_row=first_row, first_column=first_column,
                )  # fmt: skip
                self._emit_pack_gradient(e, v, p, g_source, packed, mask, flat, length, outs, out_tiles)
                base = e.add(e.mul(first_row, p.pitch), first_column)
                pixels = e.at(planes, self.compute, e.sub(flat, base))
                with e.loop(0, out_tiles, name="out_tile") as m, e.loop(0, pair_tiles, name="pair_tile") as k:
                    self._emit_tile(
                        e,
                        v,
                        p,
                        gradient=e.at(packed, self.compute, e.mul(m.index, p.g_plane, self.mr)),
                        distances=e.at(p.pointer("distances"), "i64", e.mul(k.index, self.nk)),
                        pixels=pixels,
                        mask=mask,
                        length=length,
                        sums=e.at(
                            sums,
                            self.compute,
                            e.mul(e.add(e.mul(m.index, pair_tiles), k.index), self.mr * self.nk),
                        ),
                    )
        at_w = e.add(
            e.mul(group, p.out_channels, p.w_out),
            e.mul(first_out, p.w_out),
            e.mul(first_channel, p.w_channel),
        )
        self._emit_write(e, v, p, sums, e.at(target, self.storage, at_w), outs, channels, pair_tiles)
        e.done()

    def _emit_clear(self, e: Emitter, sums: Value, count: Int) -> None:
        zero = TYPES[self.compute](0)
        with e.loop(0, count, name="clear") as i:
            e.store(zero, self.compute, sums, i.index)

    def _emit_pack_gradient(
        self,
        e: Emitter,
        v: Vectors,
        p: Parameters,
        source: Value,
        packed: Value,
        mask: Value,
        flat: Int,
        length: Int,
        outs: Int,
        out_tiles: Int,
    ) -> None:
        """Lay grad-output along the run and mark in `mask` where the run has outputs."""
        rounded = e.add(length, v.lanes)
        with e.loop(0, e.mul(out_tiles, self.mr), name="clear_channel") as m:
            line = e.at(packed, self.compute, e.mul(m.index, p.g_plane))
            with e.loop(0, rounded, step=v.lanes, name="clear") as j:
                v.store(v.zero(), line, j.index)
        with e.loop(0, rounded, step=v.lanes, name="clear_mask") as j:
            v.clear_bits(mask, j.index)
        first, last = e.div(flat, p.pitch), e.add(e.div(e.add(flat, length, -1), p.pitch), 1)
        with e.loop(first, last, name="g_row") as row:
            origin = e.sub(e.mul(row.index, p.pitch), flat)
            begin = e.maximum(e.sub(0, origin), 0)
            count = e.sub(e.minimum(p.width, e.sub(length, origin)), begin)
            d, h = e.div(row.index, p.slice_rows), e.rem(row.index, p.slice_rows)
            inside = e.b.and_(e.less(h, p.height), e.less(d, p.depth))
            with e.when(inside):
                at = e.add(e.mul(d, p.g_slice), e.mul(h, p.g_row), e.mul(begin, p.g_step))
                to = e.add(origin, begin)
                with e.loop(0, count, name="mark") as j:
                    e.store(TYPES[v.bits](-1), v.bits, mask, e.add(to, j.index))
                with e.loop(0, outs, name="g_channel") as m:
                    line = e.at(source, self.storage, e.add(at, e.mul(m.index, p.g_channel)))
                    row_to = e.at(packed, self.compute, e.add(to, e.mul(m.index, p.g_plane)))
                    self._emit_copy(e, v, line, row_to, count, p.g_step)

    def _emit_copy(self, e: Emitter, v: Vectors, line: Value, to: Value, count: Int, step: Int) -> None:
        if self.kernel.unit_step:
            # Whole vectors, then single elements: a vector beyond the row would wipe out what follows it.
            whole = e.mul(e.div(count, v.lanes), v.lanes)
            with e.loop(0, whole, step=v.lanes, name="copy") as j:
                v.store(v.load_stored(line, j.index, v.first(v.lanes)), to, j.index)
        else:
            whole = 0
        with e.loop(whole, count, name="copy_rest") as j:
            value = v.widen(e.load(self.storage, line, e.mul(j.index, step)))
            e.store(value, self.compute, to, j.index)

    def _emit_tile(
        self,
        e: Emitter,
        v: Vectors,
        p: Parameters,
        *,
        gradient: Value,
        distances: Value,
        pixels: Value,
        mask: Value,
        length: Int,
        sums: Value,
    ) -> None:
        """mr x nk sums over one band: nk masked vectors of x, mr of grad-output, no broadcast."""
        lines = [e.at(pixels, self.compute, e.load("i64", distances, k)) for k in range(self.nk)]
        rows = [e.at(gradient, self.compute, e.mul(p.g_plane, m)) for m in range(self.mr)]
        zeros = [v.zero()] * (self.mr * self.nk)
        with e.loop(0, length, step=v.lanes, carried=zeros, name="f") as f:
            g = [v.load(row, f.index) for row in rows]
            live = v.load_bits(mask, f.index)
            new = list(f.carried)
            for k in range(self.nk):
                x = v.keep(v.load(lines[k], f.index), live)
                for m in range(self.mr):
                    new[m * self.nk + k] = v.multiply_add(g[m], x, f.carried[m * self.nk + k])
            f.next = new
        for i, value in enumerate(f.results):
            total = e.load(self.compute, sums, i)
            add = e.b.fadd if self.kernel.element.is_float else e.b.add
            e.store(add(total, v.sum(value)), self.compute, sums, i)

    def _emit_write(
        self,
        e: Emitter,
        v: Vectors,
        p: Parameters,
        sums: Value,
        target: Value,
        outs: Int,
        channels: Int,
        tiles: Int,
    ) -> None:
        offsets = p.pointer("w_offsets")
        with (
            e.loop(0, outs, name="w_out") as m,
            e.loop(0, channels, name="w_channel") as c,
            e.loop(0, p.taps, name="w_tap") as t,
        ):
            k = e.add(e.mul(c.index, p.taps), t.index)
            tile = e.add(e.mul(e.div(m.index, self.mr), tiles), e.div(k, self.nk))
            row, column = e.rem(m.index, self.mr), e.rem(k, self.nk)
            at = e.add(e.mul(tile, self.mr * self.nk), e.mul(row, self.nk), column)
            value = v.narrow(e.load(self.compute, sums, at))
            offset = e.load("i64", offsets, t.index)
            to = e.add(e.mul(m.index, p.w_out), e.mul(c.index, p.w_channel), offset)
            e.store(value, self.storage, target, to)
