"""One operation along each axis of a small block of vectors in turn: the transforms of Winograd's kernels.

    block [depth][height][width]   ->   rows transformed   ->   columns transformed   ->   ...

Blocks of up to 16 vectors stay in registers and all is unrolled. Larger ones go through scratch between the
axes, by loops: F(6x4, 3x3) unrolled was four times as much code, and took 0.25 s to emit and compile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.winograd.contract import IN_REGISTERS

Read = Callable[[Int], Value]
Write = Callable[[list[Int], list[Value]], None]


@dataclass(frozen=True, slots=True)
class Pass:
    """An operation on the lines of one axis: `results` vectors from each line of the block."""

    axis: int
    results: int
    operation: Callable[[Sequence[Value]], list[Value]]


def emit_separable(
    e: Emitter,
    v: Vectors,
    sizes: tuple[int, int, int],
    passes: Sequence[Pass],
    *,
    read: Read,
    write: Write,
    scratch: Value,
) -> None:
    """Apply passes to a block [depth][height][width] of vectors of floats.

    read: a vector of the block by its index. write: the indices and vectors of each line of the result.
    scratch: room for `blocks_between` vectors.
    """
    shape, room = list(sizes), blocks_between(sizes, passes) // 2
    unrolled = room <= IN_REGISTERS
    for number, step in enumerate(passes):
        size, shape[step.axis] = shape[step.axis], step.results
        lines = _Lines(step, size, prod(shape[: step.axis]), prod(shape[step.axis + 1 :]))
        if number == len(passes) - 1:
            lines.emit(e, unrolled, read, write)
        elif unrolled:
            held: dict[Int, Value] = {}
            lines.emit(e, unrolled, read, lambda places, values, held=held: held.update(zip(places, values)))
            read = held.__getitem__
        else:
            block = _Block(e, v, scratch, number % 2 * room * v.lanes)
            lines.emit(e, unrolled, read, block.write)
            read = block.read


def blocks_between(sizes: tuple[int, int, int], passes: Sequence[Pass]) -> int:
    """Vectors of two blocks, each as large as the largest that is read or written."""
    shape, largest = list(sizes), prod(sizes)
    for step in passes:
        shape[step.axis] = step.results
        largest = max(largest, prod(shape))
    return 2 * largest


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines of one axis of a block [outer][size][inner]."""

    step: Pass
    size: int
    outer: int
    inner: int

    def emit(self, e: Emitter, unrolled: bool, read: Read, write: Write) -> None:
        """Read each line, apply the operation, write its results."""
        if unrolled:
            for outer in range(self.outer):
                for inner in range(self.inner):
                    self._emit_line(e, outer, inner, read, write)
        else:
            with (
                e.loop(0, self.outer, name="outer") as outer,
                e.loop(0, self.inner, settled=True, name="inner") as inner,
            ):
                self._emit_line(e, outer.index, inner.index, read, write)

    def _emit_line(self, e: Emitter, outer: Int, inner: Int, read: Read, write: Write) -> None:
        def places(size: int) -> list[Int]:
            return [e.add(e.mul(e.add(e.mul(outer, size), k), self.inner), inner) for k in range(size)]

        values = self.step.operation([read(place) for place in places(self.size)])
        write(places(self.step.results), values)


@dataclass(frozen=True, slots=True)
class _Block:
    """A block between two passes, in scratch."""

    e: Emitter
    v: Vectors
    scratch: Value
    offset: int

    def read(self, place: Int) -> Value:
        """A vector of the block."""
        return self.v.load(self.scratch, self.e.add(self.offset, self.e.mul(place, self.v.lanes)))

    def write(self, places: list[Int], values: list[Value]) -> None:
        """Vectors of the block."""
        for place, value in zip(places, values):
            self.v.store(value, self.scratch, self.e.add(self.offset, self.e.mul(place, self.v.lanes)))
