"""Writes an input band into planes of words, two numbers rounded to bf16 side by side; their products.

    packed[pair][residue][row][column] = bf16(x[2 pair][…]) | bf16(x[2 pair + 1][…])
                                         └─ lower 16 bits ─┘

or, of one channel, a number and the one that the next tap reads (plan/pairs/words.py). The planes of a word's
channels are packed as for all kernels (pack/planes.py), into a place of their own that stays in the first
level, and become words from there. In the place of a channel beyond the last is what the pair before had
there: its weights are zeros, as those of a number beyond the last tap. Magnitudes are looked at on the way:
the instruction takes denormal numbers for zero, so an image that has values whose rounding or products may be
such, or infinite ones, is left to another kernel (split_bf16.contract.INPUT_RANGE).

Contract: as pack/planes.py; scratch from p.held on has room for two planes of each residue.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convforge.ir.element import Element
from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.text import I16, I32, splat, vector
from convforge.ir.vector import Vectors
from convforge.kernels.bf16_parts import emit_outside, emit_seen, emit_words, none_seen
from convforge.kernels.contract import Columns
from convforge.kernels.flag import emit_flag
from convforge.kernels.pack.planes import dense_run, emit_pack
from convforge.kernels.pairs.contract import PairInstruction
from convforge.kernels.parameters import Parameters
from convforge.kernels.split_bf16.contract import INPUT_RANGE


class PairVectors(Vectors):
    """Vectors whose products are those of words: as floats they are only carried."""

    def __init__(
        self, emitter: Emitter, element: Element, lanes: int, instruction: PairInstruction, *, fused: bool
    ) -> None:
        super().__init__(emitter, element, lanes, fused=fused)
        self._instruction = instruction

    def multiply_add(self, a: Value, b: Value, c: Value) -> Value:
        """c + a1 * b1 + a0 * b0, of words a and b."""
        words = vector(I32, self.lanes)
        a, b = self.e.b.bitcast(a, words), self.e.b.bitcast(b, words)
        if self._instruction == "plain":
            for half in (self._upper, self._lower):
                c = super().multiply_add(half(a), half(b), c)
            return c
        # Declared as LLVM up to 15 has it, with words; later ones read that too.
        name = f"llvm.x86.avx512bf16.dpbf16ps.{32 * self.lanes}"
        function = self.e.module.declare(name, self.type, [self.type, words, words])
        return self.e.b.call(function, [c, a, b])

    def _upper(self, words: Value) -> Value:
        return self.as_float(self.e.b.and_(words, self.bits_constant(-0x10000)))

    def _lower(self, words: Value) -> Value:
        return self.as_float(self.e.b.shl(words, self.bits_constant(16)))


def emit_pack_pairs(
    e: Emitter,
    v: Vectors,
    columns: Columns,
    p: Parameters,
    *,
    source: Value,
    scratch: Value,
    target: Value,
    first_row: Int,
    first_column: Int,
    rows: Int,
) -> None:
    """Pack all channels of a group: `rows` rows from first_row on, of all planes; set the flag where that
    would not be exact.
    """
    if columns == "dense":
        _emit_dense(
            e, v, p, source=source, scratch=scratch, target=target,
            first_row=first_row, first_column=first_column, rows=rows,
        )  # fmt: skip
        return
    storage, compute = v.element.storage, v.element.compute
    held = e.at(scratch, "i8", p.held)
    rows = e.minimum(rows, e.sub(p.total_rows, first_row))
    written = e.add(e.mul(e.sub(rows, 1), p.pitch), p.row_length)
    channel_planes = e.mul(p.planes, p.plane)
    with e.loop(0, p.channels, carried=none_seen(v), name="pair") as pair:
        first = e.mul(pair.index, p.ways)
        there = e.minimum(e.sub(p.group_channels, first), p.ways)
        # What the last vectors of a plane read behind it counts as seen.
        with e.loop(0, e.mul(p.planes, 2), name="end") as plane:
            end = e.at(held, compute, e.add(e.mul(plane.index, p.plane), written))
            for i in range(2):
                v.store(v.zero(), end, i * v.lanes)
        emit_pack(
            e, v, columns, p, source=e.at(source, storage, e.mul(first, p.x_channel)), target=held,
            channels=there, first_row=first_row, first_column=first_column, rows=rows,
        )  # fmt: skip
        words = e.at(target, compute, e.mul(pair.index, channel_planes))
        with e.loop(0, p.planes, carried=pair.carried, name="residue") as residue:
            plane = e.mul(residue.index, p.plane)
            low = e.at(held, compute, plane)
            high = e.at(low, compute, e.load("i64", p.pointer("partners"), residue.index))
            to = e.at(words, compute, plane)
            with e.loop(0, written, step=v.lanes, carried=residue.carried, name="word") as j:
                x0, x1 = v.load(low, j.index), v.load(high, j.index)
                j.next = emit_seen(v, emit_seen(v, j.carried, x0), x1)
                (word,) = emit_words(v, x0, x1, 1)
                v.store_bits(word, to, j.index)
            residue.next = j.results
        pair.next = residue.results
    emit_flag(e, scratch, emit_outside(v, pair.results, INPUT_RANGE))


def _emit_dense(
    e: Emitter,
    v: Vectors,
    p: Parameters,
    *,
    source: Value,
    scratch: Value,
    target: Value,
    first_row: Int,
    first_column: Int,
    rows: Int,
) -> None:
    """The same where planes lie in the input as they are: words are made from there. The partner of a lone
    last channel is the channel itself.
    """
    storage, compute = v.element.storage, v.element.compute
    begin, count = dense_run(e, p, first_row, first_column, e.minimum(rows, e.sub(p.total_rows, first_row)))
    words = _HalfWords(v) if storage == "bf16" else _RoundedWords(v)
    with e.loop(0, p.channels, carried=words.none_seen(), name="pair") as pair:
        first = e.mul(pair.index, 2)
        low = e.at(source, storage, e.add(e.mul(first, p.x_channel), begin))
        partner = e.select(e.less(e.add(first, 1), p.group_channels), p.x_channel, 0)
        high = e.at(low, storage, partner)
        to = e.at(target, compute, e.mul(pair.index, p.plane))
        with e.loop(0, count, step=words.length, carried=pair.carried, name="word") as j:
            mask = v.between(j.index, count, words.length // v.lanes)
            found, j.next = words.read(low, high, j.index, mask, j.carried)
            for i, word in enumerate(found):
                v.store_bits(word, to, e.add(j.index, i * v.lanes))
        pair.next = j.results
    emit_flag(e, scratch, words.outside(pair.results))


class _RoundedWords:
    """Words of a vector of each of two channels, whose numbers are rounded."""

    def __init__(self, v: Vectors) -> None:
        self._v = v
        self.length = v.lanes

    def none_seen(self) -> list[Value]:
        """What is carried from the first vector on."""
        return none_seen(self._v)

    def read(
        self, low: Value, high: Value, at: Int, mask: Value, seen: Sequence[Value]
    ) -> tuple[list[Value], list[Value]]:
        """Words from `at` on, and what has been seen."""
        v = self._v
        x0, x1 = v.load_stored(low, at, mask), v.load_stored(high, at, mask)
        return emit_words(v, x0, x1, 1), emit_seen(v, emit_seen(v, seen, x0), x1)

    def outside(self, seen: Sequence[Value]) -> Value:
        """Whether any number was outside of the range: one bit."""
        return emit_outside(self._v, seen, INPUT_RANGE)


class _HalfWords(_RoundedWords):
    """Words of two vectors of each of two channels that are bf16 already, which are looked at in 16 bits.

    a0 a1 a2 … a31,  b0 b1 b2 … b31      a0 b0 a1 b1 … a15 b15,  a16 b16 … a31 b31
    """

    def __init__(self, v: Vectors) -> None:
        super().__init__(v)
        self.length = 2 * v.lanes
        self._halves = vector(I16, self.length)

    def none_seen(self) -> list[Value]:
        return [splat(self._halves, 0)] * 2

    def read(
        self, low: Value, high: Value, at: Int, mask: Value, seen: Sequence[Value]
    ) -> tuple[list[Value], list[Value]]:
        v, b, lanes = self._v, self._v.e.b, self._v.lanes
        x0, x1 = v.load_words(low, at, mask), v.load_words(high, at, mask)
        largest, smallest = seen
        for x in (x0, x1):
            magnitude = b.and_(x, splat(self._halves, 0x7FFF))
            negated = b.sub(splat(self._halves, 0), magnitude)
            largest, smallest = v.larger(largest, magnitude), v.larger(smallest, negated)
        turns = [[at for i in range(lanes) for at in (j + i, self.length + j + i)] for j in (0, lanes)]
        words = [b.bitcast(v.shuffle(x0, x1, turn), vector(I32, lanes)) for turn in turns]
        return words, [largest, smallest]

    def outside(self, seen: Sequence[Value]) -> Value:
        b = self._v.e.b
        least, most = (int(np.float32(limit).view(np.uint32)) >> 16 for limit in INPUT_RANGE)
        too_large = b.icmp_unsigned(">", seen[0], splat(self._halves, most))
        too_small = b.icmp_unsigned(">", seen[1], splat(self._halves, (1 << 16) - least))
        return self._v.any(b.or_(too_large, too_small))
