"""A tile of depthwise outputs, all taps unrolled: a vector of the input is read once for all that need it.

    sum[r, j] = sum over tap of w[tap] * x[r * row step + its row, j * column step + its column]

    3x3, 7 rows:   9 input rows x 3 columns = 27 vectors read for 63 multiply-adds

The input is gone through in its own order, so each output adds its taps in the order of the kernel, as the
direct family does: its bits do not depend on the way, the tile or the layout of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Literal

from convforge.ir.emitter import Int, Value
from convforge.ir.vector import Vectors

Place = tuple[int, ...]  # where a tap reads from its output's position, or a vector of the input begins


class Factors:
    """The weights of one channel: the first `held` stay in registers, the others are operands in memory.

    A multiply-add that broadcasts its operand from memory is as fast as one on registers (Zen 4), as long as
    the input's own loads leave room; a spilled broadcast would read 16 times as much.
    """

    def __init__(self, v: Vectors, pointer: Value, count: int, held: int) -> None:
        self._v, self._pointer = v, pointer
        self._held = [v.load_broadcast(pointer, i) for i in range(min(held, count))]
        self._loaded: set[int] = set()

    def need(self, taps: Iterable[int]) -> None:
        """Announce the next weights, so that none is kept in a register since its last use."""
        loads = {tap for tap in taps if tap >= len(self._held)}
        if loads & self._loaded:
            self._v.e.forget_loads()
            self._loaded.clear()
        self._loaded |= loads

    def __getitem__(self, tap: int) -> Value:
        return self._held[tap] if tap < len(self._held) else self._v.load_broadcast(self._pointer, tap)


def emit_tile(
    v: Vectors,
    *,
    taps: Sequence[Place],
    row_step: int,
    rows: int,
    vectors: int,
    starts: Sequence[int] | None,
    factors: Factors,
    read: Callable[[Place, int], Value | None],
) -> list[Value]:
    """Sums of `rows` rows of `vectors` vectors, row by row.

    taps: (…, row, column) each. `read` gives the vector of the input whose first lane is at a place counted
    from the first output of vector number so and so, or None where it is known to be zero. starts: the column
    of the input where each vector begins, counted from the first's, where they may share what they read, then
    of number 0; None where they do not follow each other: they share the weights.
    """
    uses: dict[tuple[Place, int], list[tuple[int, int]]] = {}
    for r in range(rows):
        for j in range(vectors):
            for t, (*outer, row, column) in enumerate(taps):
                at, number = (column, j) if starts is None else (column + starts[j], 0)
                place = (*outer, row + r * row_step, at)
                uses.setdefault((place, number), []).append((r * vectors + j, t))
    sums = [v.zero()] * (rows * vectors)
    line: Place = ()
    for place, group in groupby(sorted(uses), key=lambda key: key[0]):
        # The compiler may not load ahead of a row: it would spill (stride 2, 3x3: 40 times a tile).
        if place[:-1] != line:
            line = place[:-1]
            v.e.forget_loads()
        numbers = [number for _, number in group]
        loaded = {number: value for number in numbers if (value := read(place, number)) is not None}
        # Row by row: the vectors of one take the same weight, one after the other.
        terms = sorted((output, t, number) for number in loaded for output, t in uses[place, number])
        factors.need(t for _, t, _ in terms)
        for t, outputs in groupby(terms, key=lambda term: term[1]):
            factor = factors[t]
            for output, _, number in outputs:
                sums[output] = v.multiply_add(factor, loaded[number], sums[output])
    return sums


class Rows:
    """Reads vectors of input rows that lie in memory as users keep them, columns side by side.

    row: where a row of the input begins, by its place: a pointer and the offset of the tile's first column;
    None for a row of zeros. mask: of the vector that begins so many columns behind the tile's first, the
    lanes that lie in the row; False where none does, None where all do. packed: rows of the compute type.

    Every second column (`step` 2, from `lowest` on) is taken out of two vectors, and the two are kept for the
    columns between; lanes are then in the order of `Vectors.alternate`.
    """

    def __init__(
        self,
        v: Vectors,
        step: int,
        lowest: int,
        row: Callable[[Place], tuple[Value, Int] | None],
        mask: Callable[[int], Value | Literal[False] | None],
        *,
        packed: bool = False,
    ) -> None:
        self._packed = packed
        self._v, self._step, self._lowest = v, step, lowest
        self._row, self._mask = row, mask
        self._pairs: dict[Place, tuple[Value, Value]] = {}

    def __call__(self, place: Place, _number: int) -> Value | None:
        """The vector at a place: (…, row, column)."""
        *outer, column = place
        line = self._row(tuple(outer))
        if line is None:
            return None
        if self._step == 1:
            return self._load(line, column)
        odd = (column - self._lowest) % 2
        begin = (*outer, column - odd)
        if begin not in self._pairs:
            low, high = self._load(line, column - odd), self._load(line, column - odd + self._v.lanes)
            if low is None and high is None:
                return None
            zero = self._v.zero()
            self._pairs[begin] = (zero if low is None else low, zero if high is None else high)
        return self._v.alternate(*self._pairs[begin], odd)

    def _load(self, line: tuple[Value, Int], column: int) -> Value | None:
        mask = self._mask(column)
        if mask is False:
            return None
        pointer, offset = line
        if self._packed:
            return self._v.load(pointer, self._v.e.add(offset, column))
        return self._v.load_stored(pointer, self._v.e.add(offset, column), mask)


class Shifted:
    """Reads vectors of rows of half types: the row's own, each widened once, and those between taken out of
    two of these.

        own  a b c d | e f g h | i j . .      column 1  b c d e | f g h i | j . . .

    row, mask: as of `Rows`.
    """

    def __init__(
        self,
        v: Vectors,
        row: Callable[[Place], tuple[Value, Int] | None],
        mask: Callable[[int], Value | Literal[False] | None],
    ) -> None:
        self._v, self._row, self._mask = v, row, mask
        self._loaded: dict[Place, Value | None] = {}

    def __call__(self, place: Place, _number: int) -> Value | None:
        """The vector at a place: (…, row, column)."""
        *outer, column = place
        line = self._row(tuple(outer))
        if line is None:
            return None
        own, shift = divmod(column, self._v.lanes)
        low = self._own(line, (*outer, own))
        high = self._own(line, (*outer, own + 1)) if shift else None
        if low is None and high is None:
            return None
        low, high = (self._v.zero() if value is None else value for value in (low, high))
        return self._v.shuffle(low, high, range(shift, shift + self._v.lanes)) if shift else low

    def _own(self, line: tuple[Value, Int], place: Place) -> Value | None:
        if place not in self._loaded:
            column = place[-1] * self._v.lanes
            mask, (pointer, offset) = self._mask(column), line
            at = self._v.e.add(offset, column)
            self._loaded[place] = None if mask is False else self._v.load_stored(pointer, at, mask)
        return self._loaded[place]


class Words:
    """Reads vectors of every second column of rows of bfloat16: words lie in their lanes already, a shift or
    a mask widens them.

        words of a lane     a b | c d | e f | g h
        column 0            a0    c0    e0    g0
        column 1            b0    d0    f0    h0

    Neighbouring outputs are two such vectors, woven as they leave. row, mask: as of `Rows`; a mask is of all
    words. 3x3 of stride 2 at 112x112, 96 channels, took 57 us (two cores of Zen 4), each column widened by
    itself and taken apart 85.
    """

    def __init__(
        self,
        v: Vectors,
        lowest: int,
        row: Callable[[Place], tuple[Value, Int] | None],
        mask: Callable[[int], Value | Literal[False] | None],
    ) -> None:
        self._v, self._lowest = v, lowest
        self._row, self._mask = row, mask
        self._loaded: dict[Place, Value | None] = {}

    def __call__(self, place: Place, _number: int) -> Value | None:
        """The vector at a place: (…, row, column)."""
        *outer, column = place
        line = self._row(tuple(outer))
        if line is None:
            return None
        odd = (column - self._lowest) % 2
        key = (*outer, column - odd)
        if key not in self._loaded:
            self._loaded[key] = self._load(line, column - odd)
        words = self._loaded[key]
        return None if words is None else self._v.widen_every_second(words, odd)

    def _load(self, line: tuple[Value, Int], column: int) -> Value | None:
        mask = self._mask(column)
        if mask is False:
            return None
        pointer, offset = line
        return self._v.load_words(pointer, self._v.e.add(offset, column), mask)
