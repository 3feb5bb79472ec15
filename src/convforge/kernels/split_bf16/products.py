"""Convolution on a tile unit: fp32 numbers as sums of bf16 parts, products of parts summed up in fp32.

    x = hi + mid + lo        w * x = hi hi + hi mid + mid hi + hi lo + lo hi + mid mid, but for 2^-24 of it

Three parts and six products have the accuracy of fp32, two and three 2^-16, one is bf16 (contract.py
lists them). Summed up over channels and taps by the nest of tile_unit/nest.py, whose words are pairs of
channels:

    A, input            16 positions x 32 channels                packed (values.py)
    B, weights          16 pairs of channels x 16 output channels packed (weights.py)
    C, sums             16 positions x 16 output channels         fp32

or, for kernels of one tap, upright: positions are columns of B (steps.py).

Each chain begins anew after 2048 (channel, tap) pairs (plan/tile_unit/cost.py).

The unit takes no denormal numbers, and hi of an infinite number leaves NaN for mid: packing looks at all
magnitudes, and where one is outside what is exact the header's flag tells the plan to have the image computed
by a direct kernel.

Scratch: as the nest's; packing needs a block's planes in fp32, and a square of words for each part.
"""

from __future__ import annotations

from collections.abc import Callable

from convforge.ir.emitter import Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.epilogue import emit_activation
from convforge.kernels.split_bf16.contract import SplitKernel
from convforge.kernels.split_bf16.steps import Steps
from convforge.kernels.split_bf16.values import emit_values
from convforge.kernels.tile_unit.contract import UNIT_WORDS
from convforge.kernels.tile_unit.nest import EmitWindow, TileNest
from convforge.schedule.tile_unit import TILE_NUMBERS


def emit(kernel: SplitKernel, module: Module) -> None:
    """Emit the task of a kernel."""
    (_SplitBeside if kernel.upright else _Split)(kernel, module).emit()


class _Split(TileNest):
    """The nest with products of bf16 parts."""

    def __init__(self, kernel: SplitKernel, module: Module) -> None:
        self.split = kernel
        super().__init__(kernel, module)

    def vectors(self) -> tuple[Vectors, Vectors]:
        v = Vectors(self.e, self.split.element, self.split.lanes, fused=False)
        return v, v

    def emit_values(self, x: Value, first_row: Int, first_column: Int) -> None:
        emit_values(
            self.e, self.v, self.p, self.split, x=x, scratch=self.scratch,
            first_row=first_row, first_column=first_column,
        )  # fmt: skip

    def begin_group(self, group: Int) -> None:
        at = self.e.mul(group, self.p.out_channels)
        self._bias = self.e.at(self.bias, "f32", at) if self.split.has_bias else None

    def emit_product(self, sums: int, a: int, b: int) -> None:
        self.tiles.multiply_bf16(sums, a, b)

    def finished(self, sums: Value, channel: Int) -> Value:
        """With the bias of the channel, then the activation."""
        v = self.v
        if self._bias is not None:
            sums = v.add(sums, v.load_broadcast(self._bias, channel))
        return emit_activation(v, self.split.activation, sums)

    @property
    def leaves_turned(self) -> bool:
        """Where outputs are stored as vectors hold them."""
        return self.split.element.storage == self.split.element.compute


class _SplitBeside(_Split):
    """Of one tap: while a window's tiles are multiplied the next is split, into the other of two places."""

    def emit_windows(self, x: Value, first: Int, stop: Int, key: Int, emit: EmitWindow) -> None:
        e, p = self.e, self.p
        window = e.mul(p.window_tiles, self.kernel.length)
        steps = self._steps = Steps(e, self.v, p, self.split, x, self.scratch)
        steps.start()
        # Planes, and a band of one window, may be there from the task before.
        is_new = e.differ(e.load("i64", self.scratch), key)
        with e.when(is_new):
            e.store(e.i64(key), "i64", self.scratch)
            steps.pack(first)
        with e.when(e.b.or_(e.differ(p.repacks, 0), is_new)):
            steps.begin(first, e.minimum(e.add(first, window), stop), p.units)
        with e.loop(first, stop, step=window, carried=[e.i64(p.units)], name="window") as some:
            (here,) = some.carried
            there = e.sub(e.add(e.mul(p.units, 2), p.window_bytes), here) if self.split.woven else here
            end = e.minimum(e.add(some.index, window), stop)
            steps.finish()
            steps.begin(end, e.minimum(e.add(end, window), stop), there)
            self._first = some.index
            emit(e.at(self.scratch, "i8", here), some.index, end)
            some.next = [e.i64(there)]
        steps.end()

    def place(self, position: Int) -> Int:
        square = self.e.div(self.e.sub(position, self._first), TILE_NUMBERS)
        return self.e.mul(square, self.p.part, self.split.parts * UNIT_WORDS)

    def beside(self) -> list[Callable[[], None]]:
        return self._steps.pieces(self.split.woven)

    def works_beside(self) -> Value | None:
        return self._steps.left() if self.split.woven else None
