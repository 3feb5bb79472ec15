"""What holds for a whole run of the layer benchmark."""

from __future__ import annotations

from dataclasses import dataclass

PRECISIONS = ("highest", "high", "medium")
PRODUCTS = ("output", "gradients")


@dataclass(frozen=True, slots=True)
class Settings:
    """Threads of every library, the dtype by NumPy's name, the batch size.

    `isa` is what every library is held to (`benchmarks.isa`), `precision` convforge's setting, `product`
    what is timed: the output, or the gradients of input and weight together.
    """

    threads: int
    dtype: str
    batch: int
    isa: str = "native"
    precision: str = "highest"
    product: str = "output"
