"""What the parts of a Winograd task share: its emitter, and what it computes."""

from __future__ import annotations

from dataclasses import dataclass

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract_winograd import WinogradKernel
from convforge.kernels.parameters import Parameters


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


@dataclass(frozen=True, slots=True)
class Channels:
    """The input channels first … stop - 1, whose values are held together; last: whether none are left."""

    first: Int
    stop: Int
    last: Value
