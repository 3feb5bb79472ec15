"""The quantised kernel: any convolution of bytes, summed exactly.

    acc[m]  =  sum over c, tap of w[m, c, tap] * (x[c, …] - x_zero)                 int32
    y[m]    as rescale.py has it

The loop nest of the direct kernel (direct/gather.py), on packed elements of 32 bits that hold several
channels:

    floats   f32   x0 - zero                  acc_f32 += w0 * x0
    pairs    i16   x0 - zero | x1 - zero      acc_i32 += w0 * x0 + w1 * x1
    quads    u8    x0 | x1 | x2 | x3          acc_i32 += w0 * x0 + w1 * x1 + w2 * x2 + w3 * x3

Packed weights: [phase][group][tile of output channels][packed channel][tap][mr], elements of the same shape.
Nothing saturates: pairs of int16 add up in 32 bits, as vpdpbusd's quads do. pmaddubsw adds pairs of u8 x s8
in 16 bits, and 255 * 127 twice is beyond them: never that.
"""

from __future__ import annotations

from typing import ClassVar

from convforge.ir.emitter import Emitter, Int, Module
from convforge.ir.text import I16, Value, splat, vector
from convforge.ir.vector import Vectors
from convforge.kernels.direct.gather import GatherNest
from convforge.kernels.dot.contract import DOT_HEADER, DOT_PARAMETERS, DotKernel
from convforge.kernels.dot.pack import emit_pack_dot
from convforge.kernels.dot.rescale import Rescaler, find_records
from convforge.kernels.parameters import Parameters
from convforge.kernels.phases import Phase


def emit(kernel: DotKernel, module: Module) -> None:
    """Emit the task of a kernel."""
    _Dot(kernel).emit(module)


class DotVectors(Vectors):
    """Vectors of packed elements, whose product is that of all their channels."""

    def __init__(self, emitter: Emitter, kernel: DotKernel) -> None:
        super().__init__(emitter, kernel.element, kernel.lanes, fused=kernel.fused)
        self._kernel = kernel

    def multiply_add(self, a: Value, b: Value, c: Value) -> Value:
        """c + the sum over channels of weights a times inputs b."""
        if self._kernel.products == "floats":
            return super().multiply_add(a, b, c)
        if self._kernel.instruction == "pmaddwd":
            return self._pmaddwd(a, b, c)
        if self._kernel.instruction == "vpdpbusd":
            return self._vpdpbusd(a, b, c)
        return self._plain(a, b, c)

    def _pmaddwd(self, a: Value, b: Value, c: Value) -> Value:
        """c[i] + a[2i] * b[2i] + a[2i + 1] * b[2i + 1], of int16."""
        names = {4: "llvm.x86.sse2.pmadd.wd", 8: "llvm.x86.avx2.pmadd.wd", 16: "llvm.x86.avx512.pmaddw.d.512"}
        halves = vector(I16, 2 * self.lanes)
        function = self.e.module.declare(names[self.lanes], self.type, [halves, halves])
        product = self.e.b.call(function, [self.e.b.bitcast(a, halves), self.e.b.bitcast(b, halves)])
        return self.e.b.add(product, c)

    def _vpdpbusd(self, a: Value, b: Value, c: Value) -> Value:
        """c[i] + the sum over j < 4 of a[4i + j] * b[4i + j], of int8 a and uint8 b."""
        # Declared as LLVM up to 21 has it, with int32 for four bytes; later ones read that too.
        name = f"llvm.x86.avx512.vpdpbusd.{32 * self.lanes}"
        function = self.e.module.declare(name, self.type, [self.type] * 3)
        return self.e.b.call(function, [c, b, a])

    def _plain(self, a: Value, b: Value, c: Value) -> Value:
        """The same, spelt out for any processor: each channel is shifted out of its 32 bits."""
        e, bits = self.e.b, 32 // self._kernel.ways
        # Shifted left until the channel is on top, then back with its sign, or without.
        back_b = e.lshr if self._kernel.products == "quads" else e.ashr
        down = splat(self.type, 32 - bits)
        for i in range(self._kernel.ways):
            up = splat(self.type, 32 - bits * (i + 1))
            c = e.add(c, e.mul(e.ashr(e.shl(a, up), down), back_b(e.shl(b, up), down)))
        return c


class _Dot(GatherNest):
    """The direct kernel's loop nest with packed elements."""

    parameters: ClassVar[tuple[str, ...]] = DOT_PARAMETERS

    def __init__(self, kernel: DotKernel) -> None:
        super().__init__(kernel)
        self.dot = kernel

    def _vectors(self, e: Emitter) -> tuple[Vectors, Vectors]:
        return DotVectors(e, self.dot), Vectors(e, self.dot.out_element, self.lanes, fused=self.dot.fused)

    def _group_channels(self, p: Parameters) -> Int:
        return p.group_channels

    def _emit_pack(
        self,
        e: Emitter,
        v: Vectors,
        p: Parameters,
        bias: Value,
        source: Value,
        scratch: Value,
        target: Value,
        first_row: Int,
        first_column: Int,
        rows: Int,
    ) -> None:
        del scratch
        zero = e.load("i32", bias, DOT_HEADER.index("x_zero"))
        emit_pack_dot(
            e, v, self.dot.packing, p, zero=zero, source=source, target=target, first=0, count=p.channels,
            channel_step=e.mul(p.planes, p.plane), first_row=first_row, first_column=first_column, rows=rows,
        )  # fmt: skip

    def _group_bias(
        self, e: Emitter, p: Parameters, bias: Value, group: Int, phases: list[Phase]
    ) -> list[Value] | None:
        """The records of a group's output channels, for each phase."""
        return [find_records(e, p, bias, group, phase) for phase in phases]

    def _emit_finish(
        self, e: Emitter, v: Vectors, acc: list[Value], call_bias: Value, bias: Value | None, first: Int
    ) -> list[Value]:
        """Scale the sums of each channel, and round and clamp them where they leave as bytes."""
        assert bias is not None
        rescaler = Rescaler(v, self.dot.packing.products, self.dot.output, call_bias)
        nv = len(acc) // self.mr
        channels = (acc[m * nv : (m + 1) * nv] for m in range(self.mr))
        return [y for m, sums in enumerate(channels) for y in rescaler.emit(bias, e.add(first, m), sums)]
