"""Turns a square of 16 x 16 words of 32 bits: its rows become columns.

    target[column][row] = source[row][column]

Vectors are put together from quarters of rows (128 bits, loaded into their place), so that what is left to do
within each 128 bits are two rounds of shuffles, and none goes across a vector:

    rows 0, 4, 8, 12      a0 a1 a2 a3 | e0 … | i0 … | m0 …         a0 b0 c0 d0 | e0 f0 g0 h0 | …
    rows 1, 5, 9, 13      b0 b1 b2 b3 | f0 … | j0 … | n0 …   ->    a1 b1 c1 d1 | …
    rows 2, 6, 10, 14     c0 …                                     a2 …
    rows 3, 7, 11, 15     d0 …                                     a3 …

With AVX-512 32 shuffles a square, and 64 loads; in four rounds from whole vectors it would be 64 shuffles,
all on the one port that has them.
"""

from __future__ import annotations

from collections.abc import Callable

from convforge.ir.emitter import Int
from convforge.ir.text import I32, Value, vector
from convforge.ir.vector import Vectors

SIDE = 16
_QUARTER = 4


# Given a vector of a row of the target, the row, and its first column.
Store = Callable[[Value, int, int], None]


def emit_turned(v: Vectors, source: Value, source_step: Int, store: Store) -> None:
    """Turn one square of words; source_step: from a row to the next. Nothing aliases."""
    e = v.e
    for row in range(0, SIDE, v.lanes):
        for column in range(0, SIDE, _QUARTER):
            lines = [
                _joined(
                    v,
                    [
                        e.b.load(
                            e.at(source, "i32", e.add(e.mul(row + _QUARTER * j + r, source_step), column)),
                            typ=vector(I32, _QUARTER),
                            align=4,
                        )
                        for j in range(v.lanes // _QUARTER)
                    ],
                )
                for r in range(_QUARTER)
            ]
            for i, turned in enumerate(_turned_quarters(v, lines), start=column):
                store(e.b.bitcast(turned, v.type), i, row)


def storing(v: Vectors, target: Value, step: Int) -> Store:
    """Into rows that are `step` words apart."""
    return lambda value, row, column: v.store(value, target, v.e.add(v.e.mul(row, step), column))


def emit_turned_rows(v: Vectors, source: Value, rows: int, store: Callable[[int, int, Value], None]) -> None:
    """Turn the first rows of a square whose rows follow each other: target row by target row, four columns
    at a time. store: given the row, the first column, and a vector of four; beyond the last row are zeros.
    """

    def line(row: int, first: int) -> Value:
        return v.load_bits(source, row * SIDE + first) if row < rows else v.bits_constant(0)

    for first in range(0, SIDE, v.lanes):
        turned = [
            _turned_quarters(v, [line(row + r, first) for r in range(_QUARTER)])
            for row in range(0, rows, _QUARTER)
        ]
        for column in range(v.lanes):
            begins = column // _QUARTER * _QUARTER
            for number, quarters in enumerate(turned):
                words = quarters[column % _QUARTER]
                store(
                    first + column,
                    number * _QUARTER,
                    v.shuffle(words, words, range(begins, begins + _QUARTER)),
                )


def _joined(v: Vectors, pieces: list[Value]) -> Value:
    """One vector of pieces side by side."""
    while len(pieces) > 1:
        both = range(2 * v.lanes // len(pieces))
        pieces = [v.shuffle(a, b, both) for a, b in zip(pieces[::2], pieces[1::2], strict=True)]
    return pieces[0]


def _turned_quarters(v: Vectors, lines: list[Value]) -> list[Value]:
    """Squares of 4 x 4 words within each 128 bits of four vectors, turned."""

    def pick(a: Value, b: Value, lanes: tuple[int, ...]) -> Value:
        places = [first + lane % _QUARTER + v.lanes * (lane // _QUARTER)
                  for first in range(0, v.lanes, _QUARTER) for lane in lanes]  # fmt: skip
        return v.shuffle(a, b, places)

    low, high, first, second = (0, 4, 1, 5), (2, 6, 3, 7), (0, 1, 4, 5), (2, 3, 6, 7)
    a, b, c, d = lines
    halves = [(pick(a, b, half), pick(c, d, half)) for half in (low, high)]
    return [pick(*pair, part) for pair in halves for part in (first, second)]
