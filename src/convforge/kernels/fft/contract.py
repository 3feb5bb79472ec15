"""Contract of the kernel that multiplies spectra; contract.py says what a contract is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from convforge.ir.element import Element
from convforge.kernels.contract import Emitted

# A spectrum is a row of complex numbers, real and imaginary parts in turn, `row` elements long: whole
# vectors, whatever stands behind its end. channels, out_channels: of a group. blocks: transformed blocks of
# the input, whose rows follow each other; a channel's begin `x_channel`, `y_channel` elements apart. vectors:
# of a row; a task takes task_vectors of them, and there are `cuts` such pieces.
SPECTRUM_PARAMETERS = (
    *("channels", "out_channels", "out_tiles", "blocks", "vectors", "task_vectors", "cuts"),
    *("row", "x_channel", "y_channel"),
)


@dataclass(frozen=True, slots=True)
class SpectrumKernel(Emitted):
    """What the machine code of products of spectra depends on: mr output channels by nb blocks at a time."""

    file: ClassVar[str] = "fft.spectrum"
    element: Element
    lanes: int
    mr: int
    nb: int
    fused: bool

    @property
    def name(self) -> str:
        """A short name: fft 2x3 float32."""
        return f"fft {self.mr}x{self.nb} {self.element.name}"
