"""What each kernel promises and needs, as data: read by its emitter, and by the plan that calls it.

Every kernel is `task(call, index, scratch)`. `call` points at five addresses: parameters (int64, by the
names below), x, weights, bias, y. Tasks may run in any order on any threads; `scratch` is the thread's own,
aligned to 64 bytes, and its first 8 bytes are 0 when a job begins. Inputs may have any strides and are read
only where they exist; nothing may alias the output.

Nothing here imports llvmlite: a plan whose code is on disk never loads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from convforge.ir.emitter import Deliver

Activation = Literal["none", "relu", "relu6", "leaky_relu", "hardswish"]
ACTIVATIONS: tuple[Activation, ...] = ("none", "relu", "relu6", "leaky_relu", "hardswish")
LEAKY_SLOPE = 0.01

# How neighbouring columns of a packed row lie in the input: side by side, every second, every so many (a
# number, where masked loads cost nothing), or at any stride, one by one; or, "dense", rows follow each other
# as they do in the plane.
Columns = Literal["dense", "unit", "pair", "strided"] | int
# What lies side by side in an array that is packed channel by channel: columns, every second column,
# channels, or nothing.
Side = Literal["unit", "pair", "channels", "strided"]
# How neighbouring columns of the flat run lie in the output: all of them side by side ("flat"), those of a
# row ("unit"), those of two phases in turn ("pair"), at any distance ("strided").
WayOut = Literal["flat", "unit", "pair", "strided"]
# One record for each residue of the width: positions before the run of the input, its length, where it
# starts; and the margins left and right of it that a padding mode fills: the positions first … stop - 1, and
# the address of their element offsets.
MARGIN_FIELDS = ("first", "stop", "offsets")
COLUMN_FIELDS = (
    *("lead", "count", "start"),
    *(f"{side}_{field}" for side in ("left", "right") for field in MARGIN_FIELDS),
)
# A row table's entry for a row that lies wholly on zero padding.
ZERO_ROW = -(1 << 62)
# Scratch begins with a header that says which band is packed behind it.
HEADER_BYTES = 64
# Where in the header a kernel that serves ordinary values only says that it has met others, and that a plain
# one must do its work again: an int64, not 0.
FLAG_BYTES = 8

# What packing needs to know of one input. Strides and sizes count elements; *_table are addresses.
PACKING = (
    *("pitch", "plane", "planes", "plane_rows", "total_rows", "row_length", "one_row"),
    *("row_residues", "column_residues", "row_table", "column_table", "x_column"),
)


class Emitted:
    """A kernel as data. The function `emit` of its `file`, a module below this folder, emits it."""

    __slots__ = ()
    file: ClassVar[str]

    def emit(self, triple: str, deliver: Deliver | None = None) -> str:
        """The IR of this kernel for a triple; llvmlite is imported here."""
        from convforge.ir.emitter import Module

        module = Module(triple, deliver)
        import_module(f"convforge.kernels.{self.file}").emit(self, module)
        return str(module)


def fill(names: Sequence[str], values: Mapping[str, int]) -> NDArray[np.int64]:
    """The array that a kernel reads its parameters from; every name must have its value, and one place."""
    assert len(set(names)) == len(names), f"parameters with two places: {sorted(names)}"
    missing = set(names) ^ set(values)
    assert not missing, f"parameters that do not match: {sorted(missing)}"
    return np.array([values[name] for name in names], dtype=np.int64)


# Independent chains of a fingerprint, and what its kernel reads: words of 32 bits in all, and of a task.
FINGERPRINT_CHAINS = 8
FINGERPRINT_PARAMETERS = ("words", "chunk")


@dataclass(frozen=True, slots=True)
class FingerprintKernel(Emitted):
    """What the machine code that fingerprints memory depends on (fingerprint.py)."""

    file: ClassVar[str] = "fingerprint"
    lanes: int

    @property
    def name(self) -> str:
        """A short name."""
        return "fingerprint"
