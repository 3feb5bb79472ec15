"""Which lane holds which element: vectors shuffled, woven together and taken apart."""

from __future__ import annotations

from collections.abc import Sequence

from convforge.ir.element import Element
from convforge.ir.emitter import Emitter
from convforge.ir.text import I32, Value, constant, vector


class Lanes:
    """Vectors of `lanes` elements, whatever they are."""

    e: Emitter
    element: Element
    lanes: int

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """Pick lanes of a (0 …) and b (lanes …)."""
        picks = constant(vector(I32, len(lanes)), list(lanes))
        return self.e.b.shuffle_vector(a, b, picks)

    def deinterleave(self, vectors: Sequence[Value]) -> list[Value]:
        """The inverse of `interleave`: a0 a1 …, b0 b1 … of vectors that hold a0 b0 a1 b1 …"""
        many = len(vectors)
        results: list[Value] = []
        for i in range(many):
            value = vectors[0]
            places = [lane * many + i for lane in range(self.lanes)]
            held = [at % self.lanes for at in places]
            for k in range(1, many):
                picks = [
                    self.lanes + at % self.lanes if at // self.lanes == k else lane
                    for at, lane in zip(places, held)
                ]
                value = self.shuffle(value, vectors[k], picks)
                held = list(range(self.lanes))
            results.append(value)
        return results

    def interleave(self, vectors: Sequence[Value]) -> list[Value]:
        """a0 b0 a1 b1 … of vectors a, b, …: as many vectors as were given."""
        many = len(vectors)
        results: list[Value] = []
        for first in range(0, many * self.lanes, self.lanes):
            value = vectors[0]
            # Lane l of the result is lane `at // many` of vector `at % many`, where at = first + l.
            places = range(first, first + self.lanes)
            held = [at // many for at in places]
            for i in range(1, many):
                picks = [
                    self.lanes + at // many if at % many == i else lane for at, lane in zip(places, held)
                ]
                value = self.shuffle(value, vectors[i], picks)
                held = list(range(self.lanes))
            results.append(value)
        return results

    def alternate(self, a: Value, b: Value, odd: int) -> Value:
        """Every second element of a, then of b (the odd ones where odd is 1): `in_order` puts them in order.

        Every 128 bits are filled from the same 128 of a and of b: a0 a2 b0 b2, then a4 a6 b4 b6, … A shuffle
        of that kind takes 0.7 cycles (Zen 4, 512 bits); one across all of a vector takes a multiply-add's.
        """
        return self.shuffle(a, b, [2 * at + odd for at in self._alternate_order()])

    def in_order(self, value: Value) -> Value:
        """Undo the order of `alternate`."""
        order = self._alternate_order()
        return self.shuffle(value, value, [order.index(i) for i in range(self.lanes)])

    def _alternate_order(self) -> list[int]:
        """Which of the every-second elements of a and b, counted through, each lane of `alternate` holds."""
        half = max(1, 8 // self.element.compute_bytes)  # elements of one source in 128 bits
        starts = range(0, self.lanes // 2, half)
        return [at + i for s in starts for at in (s, s + self.lanes // 2) for i in range(half)]
