"""How a box of x of few channels becomes words of columns for unit.py, which reads them as
windows (schedule/windows.py).

    x, a channel at a time    16 columns, and those of the words' second positions
    columns                   [plane][part][column][channel]    words of bf16 parts, channels turned

A tile's rows are windows, and cross lines of the cache: such a load takes 14 ns and not 2.4, but beside the
products of three parts, a fourth as many loads as products, none (5.1 ns a product, with either).
"""

from __future__ import annotations

from convforge.ir.emitter import Int, Value
from convforge.kernels.grad_weight.unit_steps import Piece, Steps, Stretch
from convforge.kernels.pack.turn import SIDE, emit_turned_rows
from convforge.schedule.windows import Windows


class ColumnSteps(Steps):
    """A step splits 16 columns, all channels."""

    @property
    def windows(self) -> Windows:
        """Those that are read of the columns."""
        assert self.kernel.windows is not None
        return self.kernel.windows

    @property
    def step(self) -> int:
        """Positions of the array from a word to the next."""
        return self.windows.step

    def count(self, stretch: Stretch) -> Int:
        """Steps of a stretch."""
        return self.e.mul(self.p.planes, stretch.blocks)

    def emit_step(self, step: Int) -> list[Piece]:
        """What emits a step, piece by piece."""
        e, p, windows = self.e, self.p, self.windows
        plane, block = e.div(step, p.blocks), e.rem(step, p.blocks)
        loads = self.loading(plane, block)
        to = e.add(self.target, e.mul(plane, p.plane), e.mul(block, 4 * SIDE * windows.channels))
        splits = [lambda c=c: self.split(e.i64(c), loads, c, self.squares) for c in range(windows.channels)]
        turns = [lambda part=part: self._turn(part, to) for part in self.parts]
        return [self.begin_seeing, *splits, *turns, self.end_seeing]

    def _turn(self, part: int, to: Int) -> None:
        """Put the channels of 16 columns side by side."""
        e, windows = self.e, self.windows
        target = e.at(self.scratch, "i8", e.add(to, e.mul(self.p.part, part)))

        def store(column: int, row: int, words: Value) -> None:
            # Words beyond the last channel give way to the next column's.
            e.b.store(words, e.at(target, "i32", column * windows.channels + row), align=4)

        emit_turned_rows(self.v, self.squares[part], windows.channels, store)
