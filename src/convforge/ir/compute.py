"""Vectors of one compute type: how they are made, masks, packed memory and scratch, fused multiply-add."""

from __future__ import annotations

from convforge.ir.element import Element
from convforge.ir.emitter import TYPES, Emitter, Int
from convforge.ir.lanes import Lanes
from convforge.ir.text import (
    I1,
    I32,
    POINTER,
    VOID,
    Type,
    Value,
    anything,
    constant,
    integer,
    splat,
    vector,
    zeros,
)


class ComputeVectors(Lanes):
    """Emits vectors of `lanes` elements of an element's compute type into one function."""

    def __init__(self, emitter: Emitter, element: Element, lanes: int, *, fused: bool) -> None:
        self.e = emitter
        self.element = element
        self.lanes = lanes
        self.fused = fused
        self.scalar = TYPES[element.compute]
        self.type = vector(self.scalar, lanes)

    # Making.

    def zero(self) -> Value:
        """All lanes zero."""
        return zeros(self.type)

    def constant(self, value: float) -> Value:
        """All lanes one number."""
        return splat(self.type, value)

    def broadcast(self, scalar: Value) -> Value:
        """All lanes one emitted scalar of the compute type."""
        return self._everywhere(scalar, vector(scalar.type, self.lanes))

    def _everywhere(self, scalar: Value, kind: Type) -> Value:
        first = self.e.b.insert_element(anything(kind), scalar, I32(0))
        return self.e.b.shuffle_vector(first, anything(kind), zeros(vector(I32, kind.count)))

    def iota(self) -> Value:
        """0, 1, 2, … as 32-bit integers: lane numbers."""
        return constant(vector(I32, self.lanes), list(range(self.lanes)))

    def first(self, count: Int) -> Value:
        """Mask of the lanes below `count` (an i64, may be negative or above `lanes`)."""
        clamped = self.e.minimum(self.e.maximum(count, 0), self.lanes)
        limit = self.e.b.trunc(self.e.i64(clamped), I32)
        return self.e.b.icmp_signed("<", self.iota(), self.broadcast(limit))

    def from_lane(self, first: Int) -> Value:
        """Mask of the lanes from number `first` on (an i64, may be negative)."""
        limit = self.e.b.trunc(self.e.i64(first), I32)
        return self.e.b.icmp_signed(">=", self.iota(), self.broadcast(limit))

    def between(self, start: Int, count: Int, times: int = 1) -> Value:
        """Mask of the lanes whose number plus `start` lies in [0, count): one unsigned comparison.

        times: so many times as many lanes.
        """
        kind = vector(I32, times * self.lanes)
        numbers = constant(kind, list(range(kind.count)))
        first, stop = (self._everywhere(self.e.b.trunc(self.e.i64(n), I32), kind) for n in (start, count))
        return self.e.b.icmp_unsigned("<", self.e.b.add(numbers, first), stop)

    def span(self, start: int, stop: int, times: int = 1) -> Value | None:
        """Mask of the lanes start … stop - 1, known now; None where that is all of them. times: as above."""
        lanes = times * self.lanes
        if start <= 0 and stop >= lanes:
            return None
        return constant(vector(I1, lanes), [int(start <= i < stop) for i in range(lanes)])

    # Memory in the compute type: packed buffers and scratch.

    def load(self, pointer: Value, offset: Int = 0) -> Value:
        """Load a vector of the compute type from any element address."""
        at = self.e.at(pointer, self.element.compute, offset)
        return self.e.b.load(at, typ=self.type, align=self.element.compute_bytes)

    def store(self, value: Value, pointer: Value, offset: Int = 0) -> None:
        """Store a vector of the compute type to any element address."""
        self.e.b.store(
            value, self.e.at(pointer, self.element.compute, offset), align=self.element.compute_bytes
        )

    def store_masked(self, value: Value, pointer: Value, offset: Int, mask: Value) -> None:
        """Store a vector of the compute type where the mask is set. Unset lanes touch no memory."""
        self._masked_store(value, self.element.compute, self.element.compute_bytes, pointer, offset, mask)

    def load_broadcast(self, pointer: Value, offset: Int = 0) -> Value:
        """Load one element of the compute type into all lanes."""
        return self.broadcast(self.e.load(self.element.compute, pointer, offset))

    def copy(self, source: Value, target: Value, count: int) -> None:
        """Copy `count` elements of the compute type, in as few pieces as powers of two make."""
        kind, size, at = self.element.compute, self.element.compute_bytes, 0
        while at < count:
            piece = min(self.lanes, 1 << (count - at).bit_length() - 1)
            value = self.e.b.load(self.e.at(source, kind, at), typ=vector(TYPES[kind], piece), align=size)
            self.e.b.store(value, self.e.at(target, kind, at), align=size)
            at += piece

    def store_computed(self, value: Value, pointer: Value, offset: Int, mask: Value | None = None) -> None:
        """Store the compute type where the mask is set; no mask: all lanes. Unset lanes touch no memory."""
        if mask is None:
            self.store(value, pointer, offset)
        else:
            self.store_masked(value, pointer, offset, mask)

    # Masks as bits of the compute type's width, one element a lane: they work on every processor.

    @property
    def bits(self) -> str:
        """The integer type as wide as the compute type."""
        return f"i{8 * self.element.compute_bytes}"

    def load_bits(self, pointer: Value, offset: Int) -> Value:
        """Load a mask: all bits of a lane set, or none."""
        kind = vector(TYPES[self.bits], self.lanes)
        return self.e.b.load(
            self.e.at(pointer, self.bits, offset), typ=kind, align=self.element.compute_bytes
        )

    def span_bits(self, start: int, stop: int) -> Value:
        """A mask whose lanes start … stop - 1 are set."""
        lanes = [-int(start <= i < stop) for i in range(self.lanes)]
        return constant(vector(TYPES[self.bits], self.lanes), lanes)

    def clear_bits(self, pointer: Value, offset: Int) -> None:
        """Store an empty mask."""
        kind = vector(TYPES[self.bits], self.lanes)
        at = self.e.at(pointer, self.bits, offset)
        self.e.b.store(zeros(kind), at, align=self.element.compute_bytes)

    def bits_constant(self, value: int) -> Value:
        """Integers as wide as the compute type, all one number."""
        return splat(vector(TYPES[self.bits], self.lanes), value)

    def store_bits(self, value: Value, pointer: Value, offset: Int) -> None:
        """Store integers as wide as the compute type."""
        at = self.e.at(pointer, self.bits, offset)
        self.e.b.store(value, at, align=self.element.compute_bytes)

    def magnitude(self, value: Value) -> Value:
        """The bits of |value| as integers: larger for larger floats, infinity above all, NaN beyond it."""
        kind = vector(TYPES[self.bits], self.lanes)
        sign = 1 << (8 * self.element.compute_bytes - 1)
        return self.e.b.and_(self.e.b.bitcast(value, kind), splat(kind, sign - 1))

    def larger(self, a: Value, b: Value) -> Value:
        """The larger of unsigned integers, lane by lane."""
        return self.e.b.select(self.e.b.icmp_unsigned(">", a, b), a, b)

    def largest(self, bits: Value) -> Value:
        """The largest of all lanes of unsigned integers, in every lane."""
        width = self.lanes
        while width > 1:
            width //= 2
            turned = [(lane + width) % self.lanes for lane in range(self.lanes)]
            bits = self.larger(bits, self.shuffle(bits, bits, turned))
        return bits

    def as_float(self, bits: Value) -> Value:
        """Integers as wide as the compute type, read as floats."""
        return self.e.b.bitcast(bits, self.type)

    def any(self, mask: Value) -> Value:
        """Whether a lane of a mask is set: one bit."""
        bits = integer(mask.type.count)
        return self.e.b.icmp_unsigned("!=", self.e.b.bitcast(mask, bits), bits(0))

    def _all(self, mask: Value) -> Value:
        """Whether all lanes of a mask are set: one bit."""
        bits = integer(self.lanes)
        return self.e.b.icmp_signed("==", self.e.b.bitcast(mask, bits), bits(-1))

    def keep(self, value: Value, mask: Value) -> Value:
        """The lanes of a loaded mask, zero elsewhere; also where the value is infinite or NaN."""
        b = self.e.b
        if not self.element.is_float:
            return b.and_(value, mask)
        return b.bitcast(b.and_(b.bitcast(value, mask.type), mask), self.type)

    # Arithmetic.

    def multiply_add(self, a: Value, b: Value, c: Value) -> Value:
        """a * b + c; fused where the processor fuses, two operations elsewhere."""
        if not self.element.is_float:
            return self.e.b.add(self.e.b.mul(a, b), c)
        if not self.fused:
            return self.e.b.fadd(self.e.b.fmul(a, b), c)
        name = f"llvm.fma.v{self.lanes}{self.element.compute}"
        function = self.e.module.declare(name, self.type, [self.type] * 3)
        return self.e.b.call(function, [a, b, c])

    def add(self, a: Value, b: Value) -> Value:
        """a + b."""
        return self.e.b.fadd(a, b) if self.element.is_float else self.e.b.add(a, b)

    def subtract(self, a: Value, b: Value) -> Value:
        """a - b."""
        return self.e.b.fsub(a, b) if self.element.is_float else self.e.b.sub(a, b)

    def scale(self, a: Value, factor: float) -> Value:
        """a * factor, of floats."""
        return self.e.b.fneg(a) if factor == -1.0 else self.e.b.fmul(a, self.constant(factor))

    def stir(self, value: Value, bits: int) -> Value:
        """value ^ (value >> bits) of unsigned integers: invertible, and carries high bits down."""
        return self.e.b.xor(value, self.e.b.lshr(value, self.constant(bits)))

    def sum(self, value: Value) -> Value:
        """Sum of all lanes by halves, a fixed order: ((0+4)+(2+6))+((1+5)+(3+7))."""
        width = self.lanes
        while width > 1:
            width //= 2
            low = self.shuffle(value, value, list(range(width)))
            high = self.shuffle(value, value, list(range(width, 2 * width)))
            value = self.add(low, high)
        return self.e.b.extract_element(value, I32(0))

    def _mask_type(self) -> Type:
        return vector(I1, self.lanes)

    def _masked_store(
        self, value: Value, kind: str, width: int, pointer: Value, offset: Int, mask: Value
    ) -> None:
        name = f"llvm.masked.store.v{self.lanes}{suffix_of(kind)}.p0"
        arguments = [value.type, POINTER, I32, self._mask_type()]
        function = self.e.module.declare(name, VOID, arguments)
        self.e.b.call(function, [value, self.e.at(pointer, kind, offset), I32(width), mask])


def suffix_of(kind: str) -> str:
    """Of an intrinsic's name, for elements of this type."""
    return "i16" if kind == "bf16" else kind
