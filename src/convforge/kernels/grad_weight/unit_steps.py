"""How a stretch of an array, a box of x or a unit of grad-output, becomes words of bf16 parts for
unit.py: by steps of 16 words of 16 channels, which are woven into the products of what was split
before, as split_bf16/steps.py has it.

    rows        [tile of channels][plane][part][16 words][channel][word]    as they are
    columns     [tile of channels][plane][part][word][channel]              squares, which are turned

Which positions of the run hold what is told by a table, a vector at a time. What the steps have come to is
kept in scratch, so that any loop may do the next ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.bf16_parts import emit_outside, emit_seen, emit_words
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.flag import emit_flag
from convforge.kernels.grad_weight.contract import (
    GRAD_WEIGHT_PROGRESS,
    GRAD_WEIGHT_PROGRESS_BYTES,
    GRAD_WEIGHT_TILES_SIDE,
    GradWeightTilesKernel,
)
from convforge.kernels.pack.turn import SIDE, emit_turned, storing
from convforge.kernels.parameters import Parameters
from convforge.kernels.split_bf16.contract import INPUT_RANGE, WEIGHT_RANGE
from convforge.kernels.tile_unit.contract import NOWHERE, UNIT_BYTES, UNIT_WORDS, RunWay
from convforge.kernels.tile_unit.run_loading import emit_run_load

_SQUARE = SIDE * UNIT_WORDS

# Numbers of the arrays.
GRAD_OUTPUT, X = 0, 1

Piece = Callable[[], None]
Load = Callable[[Value], Value]


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is split together: words of a period from its first image on, the number of the first vector of
    positions, and of those behind the last image's; blocks of 16 words, or columns, of some tiles of
    channels.
    """

    image: Int
    first: Int
    limit: Int
    blocks: Int
    first_tile: Int
    tiles: Int


@dataclass(frozen=True, slots=True)
class Array:
    """An array of a task: its number and record of GRAD_WEIGHT_TILES_SIDE, its first channel, how many there
    are and the tiles of what is multiplied.
    """

    number: int
    record: Value
    first: Value
    channels: Int
    tiles: Int


class Steps(ABC):
    """Splits an array, stretch by stretch. words: from a position of a word to the other."""

    def __init__(
        self, e: Emitter, v: Vectors, kernel: GradWeightTilesKernel, array: Array, words: Int, scratch: Value
    ) -> None:
        self.e, self.v, self.kernel, self.array, self.scratch = e, v, kernel, array, scratch
        self.parts, self._words = range(kernel.parts), words
        self.p = Parameters(e, array.record, GRAD_WEIGHT_TILES_SIDE)
        self.is_x = array.number == X
        self._way: RunWay = kernel.b_way if self.is_x else kernel.a_way
        at = HEADER_BYTES + array.number * GRAD_WEIGHT_PROGRESS_BYTES
        self._progress = e.at(scratch, "i8", at)
        self._seen = e.at(scratch, "i8", at + UNIT_BYTES)
        squares = e.at(scratch, "i8", HEADER_BYTES + 2 * GRAD_WEIGHT_PROGRESS_BYTES)
        self.squares = [e.at(squares, "i32", part * _SQUARE) for part in self.parts]
        self._seeing: list[Value] = []

    @property
    def step(self) -> int:
        """Positions of the array from a word to the next."""
        return 1

    @property
    def target(self) -> Int:
        """Where the words of what is split lie in scratch."""
        return self.e.add(self.p.at, self._get("to"))

    @abstractmethod
    def count(self, stretch: Stretch) -> Int:
        """Steps of a stretch."""

    @abstractmethod
    def emit_step(self, step: Int) -> list[Piece]:
        """What emits a step, piece by piece."""

    def begin(self, stretch: Stretch, to: Int) -> None:
        """The next steps are those of a stretch, to the place so many bytes on."""
        values = {
            "step": 0,
            "steps": self.count(stretch),
            "origin": self.e.mul(stretch.image, self.p.array_batch),
            "first": stretch.first,
            "limit": stretch.limit,
            "to": to,
            "blocks": stretch.blocks,
            "tile": stretch.first_tile,
        }
        for name in GRAD_WEIGHT_PROGRESS:
            self._set(name, values[name])

    def stop(self) -> None:
        """There are no steps to do."""
        self._set("steps", 0)

    def left(self) -> Value:
        """Whether there are steps to do."""
        return self.e.less(self._get("step"), self._get("steps"))

    def finish(self) -> None:
        """Do those that are left."""
        with self.e.loop(self._get("step"), self._get("steps"), name="split") as step:
            for emit in self.emit_step(step.index):
                emit()

    def pieces(self) -> list[Piece]:
        """What emits the next step, piece by piece; beyond the last one it is done again."""
        e = self.e
        step = self._get("step")
        self._set("step", e.add(step, 1))
        return self.emit_step(e.minimum(step, e.sub(self._get("steps"), 1)))

    def _get(self, name: str) -> Value:
        """What GRAD_WEIGHT_PROGRESS tells."""
        return self.e.load("i64", self._progress, GRAD_WEIGHT_PROGRESS.index(name))

    def _set(self, name: str, value: Int) -> None:
        """Change what GRAD_WEIGHT_PROGRESS tells."""
        self.e.store(self.e.i64(value), "i64", self._progress, GRAD_WEIGHT_PROGRESS.index(name))

    def start(self) -> None:
        """Begin a task: nothing seen."""
        for i in range(2):
            self.v.clear_bits(self._seen, i * self.v.lanes)

    def end(self) -> None:
        """Set the flag where what was split would not be exact."""
        v = self.v
        seen = [v.load_bits(self._seen, i * v.lanes) for i in range(2)]
        limits = WEIGHT_RANGE if self.is_x else INPUT_RANGE
        emit_flag(self.e, self.scratch, emit_outside(v, seen, limits))

    def split(self, number: Int, loads: Sequence[tuple[Load, Load]], row: int, into: Sequence[Value]) -> None:
        """Split 16 words of the channel of this number into a row of squares or tiles, part by part."""
        e, v, storage = self.e, self.v, self.v.element.storage
        origin = e.add(self._get("origin"), e.mul(number, self.p.array_channel))
        channel = e.at(self.array.first, storage, origin)
        for i, pair in enumerate(loads):
            low, high = (load(channel) for load in pair)
            self._seeing = emit_seen(v, emit_seen(v, self._seeing, low), high)
            for word, to in zip(emit_words(v, low, high, len(self.parts)), into):
                v.store_bits(word, to, row * UNIT_WORDS + i * v.lanes)

    def begin_seeing(self) -> None:
        """Before the splits of a step."""
        self._seeing = [self.v.load_bits(self._seen, i * self.v.lanes) for i in range(2)]

    def end_seeing(self) -> None:
        """After them."""
        for i, value in enumerate(self._seeing):
            self.v.store_bits(value, self._seen, i * self.v.lanes)

    def loading(self, plane: Int, block: Int) -> list[tuple[Load, Load]]:
        """What loads both positions of the words of a block of a plane, vector by vector."""
        e, v, p = self.e, self.v, self.p
        size = v.lanes * 4 if self._way == "gathered" else 8
        table = e.at(p.pointer("table"), "i8", e.mul(plane, p.entries, size))
        vectors = SIDE // v.lanes
        first = e.add(e.mul(self._get("first"), self.step), e.mul(block, vectors))
        ahead = e.div(e.mul(self._words, self.step), v.lanes)
        found: list[tuple[Load, Load]] = []
        for i in range(vectors):
            entry = e.add(first, i)
            found.append((self._load_of(table, entry), self._load_of(table, e.add(entry, ahead))))
        return found

    def _load_of(self, table: Value, entry: Int) -> Load:
        """What loads the vector of positions of this number, given a channel's first element."""
        e, v = self.e, self.v
        is_there = e.less(entry, self._get("limit"))
        if self._way == "gathered":
            places = v.load_bits(table, e.mul(entry, v.lanes))
            none = v.bits_constant(NOWHERE)
            places = e.b.select(is_there, places, none)
            mask = e.b.icmp_signed("!=", places, none)
            return lambda channel: v.load_gathered(channel, places, mask)
        known = e.i64(e.select(is_there, e.load("i64", table, entry), 0))
        offset, load = emit_run_load(v, self._way, known)

        def load_and_fetch(channel: Value) -> Value:
            # The next box's meanwhile: no prefetcher follows as many pages as channels.
            e.prefetch(channel, v.element.storage, e.add(offset, self.p.ahead))
            return load(channel)

        return load_and_fetch


class ChannelSteps(Steps):
    """A step splits 16 words of 16 channels: rows of grad-output, or squares of x, which are turned."""

    def count(self, stretch: Stretch) -> Int:
        """Steps of a stretch."""
        return self.e.mul(stretch.tiles, self.p.planes, stretch.blocks)

    def emit_step(self, step: Int) -> list[Piece]:
        """What emits a step, piece by piece."""
        e, v, p = self.e, self.v, self.p
        blocks = self._get("blocks")
        rest, block = e.div(step, blocks), e.rem(step, blocks)
        tile, plane = e.div(rest, p.planes), e.rem(rest, p.planes)
        loads = self.loading(plane, block)
        at = e.add(e.mul(tile, p.tile), e.mul(plane, p.plane), e.mul(block, SIDE * UNIT_BYTES))
        to = e.at(self.scratch, "i8", e.add(self.target, at))
        target = [e.at(to, "i8", e.mul(p.part, part)) for part in self.parts]
        first_tile, last = self._get("tile"), e.sub(self.array.channels, 1)

        def split(row: int) -> None:
            # Channels beyond the last one are it, and their sums are not written.
            number = e.minimum(e.add(e.mul(e.add(first_tile, tile), SIDE), row), last)
            self.split(number, loads, row, self.squares if self.is_x else target)

        def turn(part: int) -> None:
            emit_turned(v, self.squares[part], SIDE, storing(v, target[part], UNIT_WORDS))

        splits = [lambda row=row: split(row) for row in range(SIDE)]
        turns = [lambda part=part: turn(part) for part in (self.parts if self.is_x else ())]
        return [self.begin_seeing, *splits, *turns, self.end_seeing]
