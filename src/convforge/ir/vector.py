"""Vectors of one dtype: those of its compute type, and the user's arrays, of its storage type."""

from __future__ import annotations

from collections.abc import Callable

from convforge.ir.bf16 import are_rounded_at_once, emit_rounding, spell_rounding
from convforge.ir.compute import ComputeVectors, suffix_of
from convforge.ir.element import Element
from convforge.ir.emitter import TYPES, Emitter, Int
from convforge.ir.function import Block
from convforge.ir.text import (
    I16,
    I32,
    POINTER,
    Value,
    like,
    splat,
    vector,
    zeros,
)


class Vectors(ComputeVectors):
    """Emits vectors of `lanes` elements of one dtype into one function: what is loaded is widened, what is
    stored narrowed.

    streams: whether whole lines of what they are stored to go past the caches (kernels/streaming.py).
    """

    def __init__(
        self, emitter: Emitter, element: Element, lanes: int, *, fused: bool, streams: bool = False
    ) -> None:
        super().__init__(emitter, element, lanes, fused=fused)
        self.streams = streams
        self.stored_type = vector(TYPES[element.storage], lanes)

    # Memory in the storage type: the user's arrays.

    @property
    def masks_are_free(self) -> bool:
        """Whether a masked load or store takes as long as a plain one: with AVX-512."""
        return self.lanes * self.element.compute_bytes >= 64

    @property
    def masks_by_branches(self) -> bool:
        """Whether LLVM makes a branch for each lane of a masked load or store of storage.

        It does so for elements of less than 32 bits, but for AVX-512's. One branch before them, to where all
        lanes are wanted, made a 1x1 layer of bytes 12 % faster, a depthwise one of halves 50 % (Zen 1); but
        Winograd's loads a quarter slower, of which few are of all lanes.
        """
        return self.element.storage_bytes < 4 and not self.masks_are_free

    def load_stored(
        self, pointer: Value, offset: Int, mask: Value | None = None, *, mostly_all: bool = False
    ) -> Value:
        """Load storage where the mask is set, zero elsewhere, and widen. Unset lanes touch no memory.

        No mask: all lanes. mostly_all: whether the mask is mostly set in all lanes.
        """
        kind, width = self.stored_type, self.element.storage_bytes
        if mask is None:
            at = self.e.at(pointer, self.element.storage, offset)
            return self.widen(self.e.b.load(at, typ=kind, align=width))
        name = f"llvm.masked.load.v{self.lanes}{suffix_of(self.element.storage)}.p0"
        function = self.e.module.declare(name, kind, [POINTER, I32, self._mask_type(), kind])
        at = self.e.at(pointer, self.element.storage, offset)
        if not (mostly_all and self.masks_by_branches):
            return self.widen(self.e.b.call(function, [at, I32(width), mask, zeros(kind)]))
        loaded: list[tuple[Value, Block]] = []
        with self.e.b.if_else(self._all(mask)) as (whole, part):
            with whole:
                loaded.append((self.e.b.load(at, typ=kind, align=width), self.e.b.block))
            with part:
                value = self.e.b.call(function, [at, I32(width), mask, zeros(kind)])
                loaded.append((value, self.e.b.block))
        result = self.e.b.phi(kind)
        for value, block in loaded:
            result.add_incoming(value, block)
        return self.widen(result)

    def load_expanded(self, pointer: Value, offset: Int, mask: Value) -> Value:
        """Load neighbours in storage into the lanes where the mask is set, zero elsewhere, and widen."""
        # Half types as integers: LLVM expands no others of 16 bits in one instruction.
        is_half = self.element.storage in ("f16", "bf16")
        suffix = "i16" if is_half else suffix_of(self.element.storage)
        kind = vector(I16, self.lanes) if is_half else self.stored_type
        name = f"llvm.masked.expandload.v{self.lanes}{suffix}"
        function = self.e.module.declare(name, kind, [POINTER, self._mask_type(), kind])
        found = self.e.b.call(function, [self.e.at(pointer, self.element.storage, offset), mask, zeros(kind)])
        return self.widen(self.e.b.bitcast(found, self.stored_type) if is_half else found)

    def load_gathered(self, pointer: Value, offsets: Value, mask: Value) -> Value:
        """Load storage at these offsets (32 bits each) where the mask is set, zero elsewhere, and widen."""
        kind = self.stored_type
        name = f"llvm.masked.gather.v{self.lanes}{suffix_of(self.element.storage)}.v{self.lanes}p0"
        places = self.e.b.gep(pointer, [offsets], source_etype=TYPES[self.element.storage])
        function = self.e.module.declare(name, kind, [places.type, I32, self._mask_type(), kind])
        width = I32(self.element.storage_bytes)
        return self.widen(self.e.b.call(function, [places, width, mask, zeros(kind)]))

    def load_words(self, pointer: Value, offset: Int, mask: Value | None = None) -> Value:
        """Of bf16, not widened: twice as many neighbours as there are lanes, zero where no mask is set."""
        kind = vector(TYPES[self.element.storage], 2 * self.lanes)
        at, width = self.e.at(pointer, self.element.storage, offset), self.element.storage_bytes
        if mask is None:
            return self.e.b.load(at, typ=kind, align=width)
        name = f"llvm.masked.load.v{kind.count}i16.p0"
        function = self.e.module.declare(name, kind, [POINTER, I32, mask.type, kind])
        return self.e.b.call(function, [at, I32(width), mask, zeros(kind)])

    def widen_every_second(self, words: Value, odd: int) -> Value:
        """Words number 0, 2, 4, … of `load_words`, or 1, 3, 5, …: the upper halves of lanes already."""
        bits = self.e.b.bitcast(words, vector(I32, self.lanes))
        if odd:
            return self.e.b.bitcast(self.e.b.and_(bits, splat(bits.type, -0x10000)), self.type)
        return self.e.b.bitcast(self.e.b.shl(bits, splat(bits.type, 16)), self.type)

    def load_leading(self, pointer: Value, offset: Int, count: int, *, computed: bool = False) -> Value:
        """The first `count` lanes, half a vector or less, the others zero. computed: of the compute type."""
        kind = self.element.compute if computed else self.element.storage
        width = self.element.compute_bytes if computed else self.element.storage_bytes
        at = self.e.at(pointer, kind, offset)
        value = self.e.b.load(at, typ=vector(TYPES[kind], count), align=width)
        value = value if computed else self.widen(value)
        picks = [*range(count), *[count] * (self.lanes - count)]
        return self.shuffle(value, zeros(value.type), picks)

    def load_pairs(self, pointer: Value, offset: Int) -> list[Value]:
        """[a, b] of storage that holds a0 b0 a1 b1 …, two vectors of it; widened."""
        size, element = self.lanes * self.element.compute_bytes, self.element
        # From two loads of 128 bits each, 256 bits are in order at once; halves are not shuffled across.
        pieces = 4 if size == 32 else 2
        kind = vector(TYPES[element.storage], 2 * self.lanes // pieces)
        loaded = [
            self.widen(
                self.e.b.load(
                    self.e.at(pointer, element.storage, self.e.add(offset, i * kind.count)),
                    typ=kind, align=element.storage_bytes,
                )
            )
            for i in range(pieces)
        ]  # fmt: skip
        if pieces == 2:
            first, second = loaded
        else:
            first, second = (self.shuffle(loaded[i], loaded[i + 2], range(self.lanes)) for i in (0, 1))
        return [self.shuffle(first, second, self._every_second(pieces, odd)) for odd in (0, 1)]

    def _every_second(self, pieces: int, odd: int) -> list[int]:
        """Lanes for `load_pairs`; of four pieces first holds numbers 0 and 2, second 1 and 3."""
        part = 2 * self.lanes // pieces
        at = [*range(odd, part, 2), *range(self.lanes + odd, self.lanes + part, 2)]
        return at if pieces == 2 else [*at, *(part + lane for lane in at)]

    def store_stored(
        self,
        value: Value,
        pointer: Value,
        offset: Int,
        mask: Value | None = None,
        *,
        mostly_all: bool = False,
    ) -> None:
        """Narrow to storage and store where the mask is set. Unset lanes touch no memory.

        No mask: all lanes. mostly_all: whether the mask is mostly set in all lanes.
        """
        kind, width = self.element.storage, self.element.storage_bytes
        if mask is None:
            self.e.b.store(self.narrow(value), self.e.at(pointer, kind, offset), align=width)
        elif not (mostly_all and self.masks_by_branches):
            self._masked_store(self.narrow(value), kind, width, pointer, offset, mask)
        else:
            value = self.narrow(value)
            with self.e.b.if_else(self._all(mask)) as (whole, part):
                with whole:
                    self.e.b.store(value, self.e.at(pointer, kind, offset), align=width)
                with part:
                    self._masked_store(value, kind, width, pointer, offset, mask)

    def store_streamed(self, value: Value, pointer: Value, offset: Int) -> None:
        """Narrow to storage and store all lanes past the caches: to a multiple of their bytes."""
        size = self.lanes * self.element.storage_bytes
        at = self.e.at(pointer, self.element.storage, offset)
        self.e.b.store(self.narrow(value), at, align=size, streamed=True)

    def store_run(self, value: Callable[[Int], Value], pointer: Value, count: Int) -> None:
        """Narrow to storage and store `count` elements, none if negative; value(i): the vector from i on.

        Only what does not fill a vector is stored under a mask: with AVX2 that takes AMD's processors 20
        cycles or more, a tenth of a layer's time where every store did.
        """
        e = self.e
        count = e.maximum(count, 0)
        rest = e.rem(count, self.lanes)
        whole = e.sub(count, rest)
        with e.loop(0, whole, step=self.lanes, name="whole") as i:
            self.store_stored(value(i.index), pointer, i.index)
        with e.when(e.less(0, rest)):
            self.store_stored(value(whole), pointer, whole, self.first(rest))

    def store_leading(self, value: Value, pointer: Value, offset: int, count: int) -> None:
        """Narrow to storage and store the first `count` lanes, a number known now: in pieces of 8, 4, 2, 1.

        With AVX2 a masked store takes AMD's processors 20 cycles or more; and LLVM 22 makes one of a single
        truncated lane as wide as it was before (vmovd for a bfloat16), which overwrites its neighbour.
        """
        at, count = 0, min(count, self.lanes)
        while at < count:
            size = 1 << ((count - at).bit_length() - 1)
            to = self.e.at(pointer, self.element.storage, offset + at)
            if size == 1:
                part = self.e.b.extract_element(value, I32(at))
            else:
                part = value if size == self.lanes else self.shuffle(value, value, range(at, at + size))
            self.e.b.store(self.narrow(part), to, align=self.element.storage_bytes)
            at += size

    # Conversion; works on scalars and vectors alike.

    def widen(self, value: Value) -> Value:
        """Storage to compute type."""
        storage, compute = self.element.storage, self.element.compute
        if storage == compute:
            return value
        target = like(value, TYPES[compute])
        if storage == "bf16":
            bits = self.e.b.zext(value, like(value, I32))
            return self.e.b.bitcast(self.e.b.shl(bits, splat(bits.type, 16)), target)
        if storage == "f16":
            return self.e.b.fpext(value, target)
        return self.e.b.zext(value, target) if self.element.unsigned else self.e.b.sext(value, target)

    def narrow(self, value: Value) -> Value:
        """Compute to storage type: floats round to nearest even, integers wrap. What is narrow stays."""
        return self.narrowed([value])[0]

    def narrowed(self, values: list[Value]) -> list[Value]:
        """As `narrow`, of all that leaves together: quicker than one by one where bf16 is rounded."""
        storage, compute = self.element.storage, self.element.compute
        if storage == compute or not values or (values[0].type.element or values[0].type) is TYPES[storage]:
            return values
        b, target = self.e.b, like(values[0], TYPES[storage])
        if storage == "f16":
            return [b.fptrunc(value, target) for value in values]
        if storage != "bf16":
            return [b.trunc(value, target) for value in values]
        if self.element.rounds and are_rounded_at_once(values[0]):
            return emit_rounding(self.e, values)
        return [spell_rounding(b, value) for value in values]
