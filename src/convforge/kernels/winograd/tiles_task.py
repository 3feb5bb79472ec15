"""What the parts of a Winograd task share: its emitter, and what it computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.parameters import Parameters
from convforge.kernels.winograd.contract import WINOGRAD_PARAMETERS, WinogradKernel


@dataclass(frozen=True, slots=True)
class Task:
    """A task being emitted: the tiles first … stop - 1, `tiles` in number, of each of `images` images.

    run: tiles of all images together.
    """

    e: Emitter
    v: Vectors
    p: Parameters
    kernel: WinogradKernel
    scratch: Value
    first: Int
    stop: Int
    images: Int
    tiles: Int
    run: Int

    def part(self, name: str, values: Sequence[Int]) -> tuple[Task, list[Value]]:
        """The same task in a function of its own, called here with more values: `Emitter.part`."""
        own = (self.p.record, self.scratch, self.first, self.stop, self.images, self.tiles, self.run)
        e, (record, scratch, first, stop, images, tiles, run, *given) = self.e.part(name, [*own, *values])
        v = Vectors(e, self.kernel.element, self.kernel.lanes, fused=self.kernel.fused)
        p = Parameters(e, record, WINOGRAD_PARAMETERS)
        return Task(e, v, p, self.kernel, scratch, first, stop, images, tiles, run), given


@dataclass(frozen=True, slots=True)
class Channels:
    """The input channels first … stop - 1, whose values are held together; last: whether none are left."""

    first: Int
    stop: Int
    last: Value
