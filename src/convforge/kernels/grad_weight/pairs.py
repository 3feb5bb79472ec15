"""The gradient of the weights on pairs of bf16 numbers: two images at a time.

    gw[g, m, c, tap]  =  sum over pairs of n, q of  gy0[q] * x0[q * s + offset(tap)] + gy1[q] * x1[…]

The loop nest of outer.py, on words that hold an element of two images: so every tap finds its two
inputs in one word, whatever it is. Both arrays are packed as there, image by image; then the words of two
images take the place of the first of them. An image without another is beside zeros.
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.bf16_parts import emit_outside, emit_seen, emit_words, none_seen
from convforge.kernels.flag import emit_flag
from convforge.kernels.grad_weight.contract import GradWeightPairsKernel
from convforge.kernels.grad_weight.outer import Block, OuterNest
from convforge.kernels.pack.box import Box
from convforge.kernels.pairs.contract import PairInstruction
from convforge.kernels.pairs.pack import PairVectors
from convforge.kernels.parameters import Parameters
from convforge.kernels.split_bf16.contract import INPUT_RANGE, WEIGHT_RANGE


def emit(kernel: GradWeightPairsKernel, module: Module) -> None:
    """Emit the task; x of the call is the input, bias grad-output, y the parts in the compute type."""
    _Pairs(kernel).emit(module)


class _Pairs(OuterNest):
    """The loop nest with words."""

    def __init__(self, kernel: GradWeightPairsKernel) -> None:
        super().__init__(kernel)
        self._instruction: PairInstruction = kernel.instruction

    def _vectors(self, e: Emitter) -> Vectors:
        return PairVectors(e, self.kernel.element, self.lanes, self._instruction, fused=self.kernel.fused)

    def _emit_images(
        self, e: Emitter, v: Vectors, p: Parameters, box: Box, block: Block, scratch: Value
    ) -> Int:
        """Words of two images each, and how many there are; the flag where one would not be exact."""
        pairs = e.div(e.add(box.images, 1), 2)
        seen = self._emit_x_words(e, v, p, box, block, pairs)
        emit_flag(e, scratch, emit_outside(v, seen, WEIGHT_RANGE))
        seen = self._emit_gradient_words(e, v, p, box, block, pairs)
        emit_flag(e, scratch, emit_outside(v, seen, INPUT_RANGE))
        return pairs

    def _emit_x_words(
        self, e: Emitter, v: Vectors, p: Parameters, box: Box, block: Block, pairs: Int
    ) -> list[Value]:
        """Row by row: what lies between the rows of a box was never written."""
        slices, rows = e.add(box.depths, p.reach_d), e.add(box.heights, p.reach_h)
        length = e.mul(e.add(box.widths, p.reach_w), self.kernel.ways)
        slice_size, image = e.mul(p.in_heights, p.in_row), e.mul(p.in_depths, p.in_heights, p.in_row)
        planes = e.mul(p.row_residues, p.column_residues)
        with e.loop(0, e.mul(block.tiles, planes), carried=none_seen(v), name="x_plane") as plane:
            panel = e.at(block.x_panels, self.compute, e.mul(plane.index, p.plane))
            with e.loop(0, pairs, carried=plane.carried, name="x_pair") as pair:
                with e.loop(0, slices, carried=pair.carried, name="x_slice") as d:
                    with e.loop(0, rows, carried=d.carried, name="x_row") as h:
                        at = e.add(e.mul(d.index, slice_size), e.mul(h.index, p.in_row))
                        row = e.at(panel, self.compute, at)
                        h.next = self._emit_words(e, v, box, row, image, pair.index, length, h.carried)
                    d.next = h.results
                pair.next = d.results
            plane.next = pair.results
        return plane.results

    def _emit_gradient_words(
        self, e: Emitter, v: Vectors, p: Parameters, box: Box, block: Block, pairs: Int
    ) -> list[Value]:
        image = e.mul(box.depths, box.heights, box.widths, self.mr)
        with e.loop(0, block.out_tiles, carried=none_seen(v), name="g_tile") as tile:
            panel = e.at(block.g_panels, self.compute, e.mul(tile.index, p.g_panel))
            with e.loop(0, pairs, carried=tile.carried, name="g_pair") as pair:
                pair.next = self._emit_words(e, v, box, panel, image, pair.index, image, pair.carried)
            tile.next = pair.results
        return tile.results

    def _emit_words(
        self,
        e: Emitter,
        v: Vectors,
        box: Box,
        first: Value,
        image: Int,
        pair: Int,
        length: Int,
        seen: list[Value],
    ) -> list[Value]:
        """`length` elements of two images, `image` apart, where those of image number `pair` lie: these were
        read before.
        """
        low = e.at(first, self.compute, e.mul(pair, 2, image))
        high = e.at(low, self.compute, image)
        to = e.at(first, self.compute, e.mul(pair, image))
        both = e.less(e.add(e.mul(pair, 2), 1), box.images)
        with e.loop(0, length, step=v.lanes, carried=seen, name="word") as j:
            mask = v.first(e.sub(length, j.index))
            x0 = e.b.select(mask, v.load(low, j.index), v.zero())
            x1 = e.b.select(both, e.b.select(mask, v.load(high, j.index), v.zero()), v.zero())
            (words,) = emit_words(v, x0, x1, 1)
            v.store_masked(v.as_float(words), to, j.index, mask)
            j.next = emit_seen(v, emit_seen(v, j.carried, x0), x1)
        return j.results
