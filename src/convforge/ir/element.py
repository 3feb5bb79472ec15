"""How one array element is stored, and in which type it is computed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Element:
    """Storage and arithmetic of one dtype.

    `storage` and `compute` name LLVM types: "f16 f32 f64" are floats, "bf16" is a float kept in 16 integer
    bits, "i8 i16 i32 i64" are integers (unsigned where `unsigned`). Integer sums wrap around, as PyTorch's.
    rounds: of bf16, whether the processor has an instruction that rounds to it (AVX512_BF16).
    """

    name: str
    storage: str
    storage_bytes: int
    compute: str
    compute_bytes: int
    unsigned: bool = False
    rounds: bool = False

    @property
    def is_float(self) -> bool:
        """Whether arithmetic is floating point."""
        return self.compute.startswith("f")


# Half types accumulate in fp32; small integers in 32 bits, whose low bits are the wrapped answer.
ELEMENTS: dict[str, Element] = {
    "float32": Element("float32", "f32", 4, "f32", 4),
    "float64": Element("float64", "f64", 8, "f64", 8),
    "float16": Element("float16", "f16", 2, "f32", 4),
    "bfloat16": Element("bfloat16", "bf16", 2, "f32", 4),
    "int8": Element("int8", "i8", 1, "i32", 4),
    "uint8": Element("uint8", "i8", 1, "i32", 4, unsigned=True),
    "int16": Element("int16", "i16", 2, "i32", 4),
    "int32": Element("int32", "i32", 4, "i32", 4),
    "int64": Element("int64", "i64", 8, "i64", 8),
}
