"""The quantised kernel on a tile unit: any convolution of bytes, summed exactly, 16384 products at a time.

    acc[m]  =  sum over c, tap of w[m, c, tap] * x[c, …]                            int32
    y[m]    as rescale.py has it; the input's zero point is taken off by each channel's correction

The nest of tile_unit/nest.py, whose words are those that gather.py multiplies as quads: four channels side by
side, as unsigned bytes (pack.py).

    A, input            16 positions x 64 channels                uint8
    B, weights          16 quads of channels x 16 output channels int8, packed [block][tap][quad][m][channel]
    C, sums             16 positions x 16 output channels         int32

Sums are exact in any order: there is one chain. Words of channels beyond the last hold anything, and meet
weights of zero.
"""

from __future__ import annotations

from collections.abc import Sequence

from convforge.ir.emitter import Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.dot.contract import DOT_HEADER, DotTilesKernel
from convforge.kernels.dot.pack import emit_pack_dot
from convforge.kernels.dot.rescale import Rescaler, find_records
from convforge.kernels.pack.turn import SIDE, emit_turned, storing
from convforge.kernels.phases import Phase
from convforge.kernels.tile_unit.contract import UNIT_WORDS
from convforge.kernels.tile_unit.nest import TileNest


def emit(kernel: DotTilesKernel, module: Module) -> None:
    """Emit the task of a kernel."""
    _DotTiles(kernel, module).emit()


class _DotTiles(TileNest):
    """The nest with products of bytes."""

    def __init__(self, kernel: DotTilesKernel, module: Module) -> None:
        self.dot = kernel
        super().__init__(kernel, module)

    def vectors(self) -> tuple[Vectors, Vectors]:
        dot = self.dot
        v = Vectors(self.e, dot.element, dot.lanes, fused=False)
        return v, Vectors(self.e, dot.out_element, dot.lanes, fused=False)

    def emit_values(self, x: Value, first_row: Int, first_column: Int) -> None:
        """A block's words as planes, then turned (pack/turn.py)."""
        e, p = self.e, self.p
        planes, units = e.at(self.scratch, "i8", HEADER_BYTES), e.at(self.scratch, "i8", p.units)
        word_step = e.mul(p.planes, p.plane)
        with e.loop(0, p.blocks, name="block") as block:
            first = e.mul(block.index, p.depth)
            emit_pack_dot(
                e, self.v, self.dot.packing, p, zero=e.load("i32", self.bias, DOT_HEADER.index("x_zero")),
                source=x, target=planes, first=first, count=p.depth, channel_step=word_step,
                first_row=first_row, first_column=first_column, rows=p.plane_rows,
            )  # fmt: skip
            target = e.at(units, "i32", e.mul(block.index, p.block, UNIT_WORDS))
            with e.loop(0, word_step, step=SIDE, name="turn") as at:
                source, to = e.at(planes, "i32", at.index), e.at(target, "i32", e.mul(at.index, UNIT_WORDS))
                emit_turned(self.v, source, word_step, storing(self.v, to, UNIT_WORDS))

    def begin_group(self, group: Int) -> None:
        self._group = group

    def emit_product(self, sums: int, a: int, b: int) -> None:
        self.tiles.multiply_bytes(sums, a, b)

    def emit_finish(self, leaving: Value, channel: Int, phases: Sequence[Phase]) -> None:
        """Scale the sums of each channel, and round and clamp them where they leave as bytes."""
        e, v, kernel = self.e, self.v, self.dot
        rescaler = Rescaler(v, kernel.packing.products, kernel.output, self.bias)
        for i, phase in enumerate(phases):
            records = find_records(e, self.p, self.bias, self._group, phase)
            with e.loop(0, kernel.mr, name="m") as m:
                row = e.at(leaving, "i32", e.mul(e.add(m.index, i * kernel.mr), kernel.length))
                places = range(0, kernel.length, v.lanes)
                totals = [v.load(row, j) for j in places]
                for j, value in zip(places, rescaler.emit(records, e.add(channel, m.index), totals)):
                    self.out.store(value, row, j)
