"""Writes an input band into planes of words, two channels rounded to bf16 side by side; their products.

    packed[pair][residue][row][column] = bf16(x[2 pair][…]) | bf16(x[2 pair + 1][…])
                                         └─ lower 16 bits ─┘

The planes of both channels are packed as for all kernels (pack.py), into a place of their own that stays in
the first level, and become words from there. In the place of a channel beyond the last is what the pair
before had there: its weights are zeros. Magnitudes are looked at on the way: the instruction takes denormal
numbers for zero, so an image that has values whose rounding or products may be such, or infinite ones, is
left to another kernel (contract_split.INPUT_RANGE).

Contract: as pack.py; scratch from p.held on has room for two planes of each residue.
"""

from __future__ import annotations

from convforge.ir.element import Element
from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.text import I32, vector
from convforge.ir.vector import Vectors
from convforge.kernels.bf16_parts import emit_outside, emit_seen, emit_words, none_seen
from convforge.kernels.contract import Columns
from convforge.kernels.contract_pairs import PairInstruction
from convforge.kernels.contract_split import INPUT_RANGE
from convforge.kernels.flag import emit_flag
from convforge.kernels.pack import emit_pack
from convforge.kernels.parameters import Parameters


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
    storage, compute = v.element.storage, v.element.compute
    held = e.at(scratch, "i8", p.held)
    rows = e.minimum(rows, e.sub(p.total_rows, first_row))
    written = e.add(e.mul(e.sub(rows, 1), p.pitch), p.row_length)
    channel_planes = e.mul(p.planes, p.plane)
    with e.loop(0, p.channels, carried=none_seen(v), name="pair") as pair:
        first = e.mul(pair.index, 2)
        there = e.minimum(e.sub(p.group_channels, first), 2)
        # What the last vector of a plane reads behind it counts as seen.
        with e.loop(0, e.mul(p.planes, 2), name="end") as plane:
            v.store(v.zero(), e.at(held, compute, e.mul(plane.index, p.plane)), written)
        emit_pack(
            e, v, columns, p, source=e.at(source, storage, e.mul(first, p.x_channel)), target=held,
            channels=there, first_row=first_row, first_column=first_column, rows=rows,
        )  # fmt: skip
        words = e.at(target, compute, e.mul(pair.index, channel_planes))
        with e.loop(0, p.planes, carried=pair.carried, name="residue") as residue:
            plane = e.mul(residue.index, p.plane)
            low = e.at(held, compute, plane)
            high = e.at(low, compute, channel_planes)
            to = e.at(words, compute, plane)
            with e.loop(0, written, step=v.lanes, carried=residue.carried, name="word") as j:
                x0, x1 = v.load(low, j.index), v.load(high, j.index)
                j.next = emit_seen(v, emit_seen(v, j.carried, x0), x1)
                (word,) = emit_words(v, x0, x1, 1)
                v.store_bits(word, to, j.index)
            residue.next = j.results
        pair.next = residue.results
    emit_flag(e, scratch, emit_outside(v, pair.results, INPUT_RANGE))
