"""Vectors of numbers that lie equally far apart, for kernels that pack weights."""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.text import I32
from convforge.ir.vector import Vectors


class NumberLoader:
    """Loads them: side by side, or gathered; those of 16 bits, of which no processor gathers any, one by one
    into `line` first, a vector of the compute type.

    Offsets have 32 bits: a vector's numbers lie less than 2^31 elements apart.
    """

    def __init__(self, e: Emitter, v: Vectors, line: Value) -> None:
        self._e, self._v, self._line = e, v, line

    def load(self, x: Value, apart: Int, first: Int, count: Int) -> Value:
        """A vector of x's numbers from `first` on, those from `count` on zeros."""
        e, v = self._e, self._v
        storage, here = v.element.storage, e.at(x, v.element.storage, e.mul(apart, first))
        left = e.sub(count, first)
        if v.element.storage_bytes < 4:
            v.store(v.zero(), self._line)
            with e.loop(0, e.maximum(e.minimum(left, v.lanes), 0), name="number") as i:
                e.store(v.widen(e.load(storage, here, e.mul(i.index, apart))), "f32", self._line, i.index)
            return v.load(self._line)
        mask = v.first(left)
        with e.b.if_else(e.equal(apart, 1)) as (beside, far):
            with beside:
                together, from_beside = v.load_stored(here, 0, mask), e.b.block
            with far:
                places = e.b.mul(v.iota(), v.broadcast(e.b.trunc(e.i64(apart), I32)))
                gathered, from_far = v.load_gathered(here, places, mask), e.b.block
        value = e.b.phi(v.type)
        value.add_incoming(together, from_beside)
        value.add_incoming(gathered, from_far)
        return value
