"""What the kernels of pairs of bf16 numbers need and promise, as data: as contract.py says for the others.

A packed element is a word of 32 bits: two numbers of an input, or of a weight, each rounded to bf16.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from convforge.ir.element import Element
from convforge.kernels.contract import Emitted
from convforge.kernels.direct.contract import (
    CHANNELS_PARAMETERS,
    GATHER_PARAMETERS,
    ChannelsKernel,
    GatherKernel,
)
from convforge.kernels.pack.contract import WEIGHT_PARAMETERS

# What multiplies two words and adds both products in fp32; "plain" spells it out, on any processor.
PairInstruction = Literal["vdpbf16ps", "plain"]
# group_channels: of the array; `channels` counts words, each of `ways` channels. held: where in scratch their
# planes lie before they become words. partners: for each plane, elements from there to the second number's.
_PAIRS = ("group_channels", "ways", "held", "partners")
PAIRS_PARAMETERS = (*GATHER_PARAMETERS, *_PAIRS)
CHANNELS_PAIRS_PARAMETERS = (*CHANNELS_PARAMETERS, *_PAIRS)
# `channels` counts those of the array.
PAIR_WEIGHT_PARAMETERS = (*WEIGHT_PARAMETERS, "pairs")


@dataclass(frozen=True, slots=True)
class PairsKernel(GatherKernel):
    """What the machine code of the direct kernel on pairs depends on (gather.py)."""

    file: ClassVar[str] = "pairs.gather"
    instruction: PairInstruction = "plain"

    @property
    def name(self) -> str:
        """A short name: bf16 pairs 6x4 float32, vdpbf16ps."""
        by_rows = ", row by row" if self.along_rows else ""
        return f"bf16 pairs {self.mr}x{self.nv} {self.element.name}, {self.instruction}{by_rows}"


@dataclass(frozen=True, slots=True)
class ChannelsPairsKernel(ChannelsKernel):
    """What the machine code of the small-map kernel on pairs depends on (channels.py)."""

    file: ClassVar[str] = "pairs.channels"
    instruction: PairInstruction = "plain"

    @property
    def name(self) -> str:
        """A short name: bf16 channels 6x4 float32, vdpbf16ps."""
        return f"bf16 channels {self.pixels}x{self.nv} {self.element.name}, {self.instruction}"


@dataclass(frozen=True, slots=True)
class PairWeightPacker(Emitted):
    """What the machine code that packs weights in pairs depends on (weights.py)."""

    file: ClassVar[str] = "pairs.weights"
    element: Element
    lanes: int
    mr: int

    @property
    def name(self) -> str:
        """A short name: pack pairs of weights 6 float32."""
        return f"pack pairs of weights {self.mr} {self.element.name}"
