"""Types and values of LLVM's language, as text.

A value is its type and what is written for it: `%v7`, `12`, `<8 x i32> zeroinitializer`. Kernels are written
straight as text, since llvmlite.ir keeps every instruction as an object and formats it later: 40 ms for the
1200 instructions of a Winograd kernel, a third of what LLVM then takes to compile them; this takes 9.

Source: LLVM Language Reference Manual.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

Number = int | float


class Type:
    """A type: how it is written; `count` elements of type `element` where it is a vector."""

    __slots__ = ("count", "element", "text")

    def __init__(self, text: str, element: Type | None = None, count: int = 1) -> None:
        self.text = text
        self.element = element
        self.count = count

    @property
    def is_vector(self) -> bool:
        """Whether it is a vector."""
        return self.element is not None

    def __call__(self, value: Number) -> Value:
        """A constant of this scalar type: I64(3)."""
        return Value(self, _number(self.text, value))

    def __str__(self) -> str:
        return self.text


class Value:
    """What an instruction can name: a result, an argument, a constant."""

    __slots__ = ("text", "type")

    def __init__(self, kind: Type, text: str) -> None:
        self.type = kind
        self.text = text

    def __str__(self) -> str:
        """As an operand with its type."""
        return f"{self.type.text} {self.text}"


VOID, POINTER = Type("void"), Type("ptr")
I1, I8, I16, I32, I64 = (Type(f"i{bits}") for bits in (1, 8, 16, 32, 64))
HALF, FLOAT, DOUBLE = Type("half"), Type("float"), Type("double")


@lru_cache(maxsize=256)
def vector(element: Type, count: int) -> Type:
    """The type of `count` elements side by side."""
    return Type(f"<{count} x {element.text}>", element, count)


@lru_cache(maxsize=64)
def integer(bits: int) -> Type:
    """The type of integers of so many bits."""
    return Type(f"i{bits}")


def like(value: Value, scalar: Type) -> Type:
    """The type of as many elements of another scalar type as a value has."""
    return vector(scalar, value.type.count) if value.type.is_vector else scalar


def constant(kind: Type, values: Sequence[Number]) -> Value:
    """A vector of known numbers."""
    return Value(kind, _listed(kind, tuple(values), tuple(map(str, values))))


def splat(kind: Type, value: Number) -> Value:
    """One known number, in every lane where the type is a vector."""
    return constant(kind, [value] * kind.count) if kind.is_vector else kind(value)


def zeros(kind: Type) -> Value:
    """All bits zero."""
    return Value(kind, "zeroinitializer")


def anything(kind: Type) -> Value:
    """A value that nobody looks at."""
    return Value(kind, "poison")


@lru_cache(maxsize=1024)
def _listed(kind: Type, values: tuple[Number, ...], spelt: tuple[str, ...]) -> str:
    # Equal numbers are not always the same: -0.0 == 0.0. Hence `spelt`, which tells them apart in the cache.
    assert kind.element is not None
    assert len(values) == len(spelt) == kind.count
    inner = kind.element.text
    return f"<{', '.join(f'{inner} {_number(inner, value)}' for value in values)}>"


def _number(kind: str, value: Number) -> str:
    """A number as LLVM reads it: floats by their bits, so that none is rounded on the way."""
    if kind[0] == "i":
        return str(int(value))
    if kind == "half":
        return f"0xH{struct.unpack('<H', struct.pack('<e', value))[0]:04X}"
    if kind == "float":
        value = struct.unpack("<f", struct.pack("<f", value))[0]
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
