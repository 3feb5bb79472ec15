"""What the quantised kernel needs and promises, as data: as contract.py says for the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from convforge.ir.element import ELEMENTS, Element
from convforge.kernels.contract import Columns, Emitted, WayOut
from convforge.kernels.direct.contract import GATHER_PARAMETERS
from convforge.kernels.tile_unit.contract import TileKernel

# How products of bytes are summed. A packed element holds `ways` channels side by side:
#   floats  1 channel   x - zero as float32, fused multiply-adds: exact while sums stay below 2^24
#   pairs   2 channels  x - zero as int16, two products an int32 lane
#   quads   4 channels  x as it is, unsigned bytes, four products an int32 lane
Products = Literal["floats", "pairs", "quads"]
WAYS: dict[Products, int] = {"floats": 1, "pairs": 2, "quads": 4}
# The instruction that multiplies and sums pairs or quads; "plain" spells it out, on any processor.
Instruction = Literal["plain", "pmaddwd", "vpdpbusd"]
# What becomes of the sums: bytes at a scale, floats, or the sums themselves.
QuantizedOutput = Literal["uint8", "int8", "float32"]

# group_channels: input channels of a group. channels of the others counts packed elements.
DOT_PARAMETERS = (*GATHER_PARAMETERS, "group_channels")
# What the call has for a bias: words of 32 bits, first these, then a record of each phase and output channel.
# x_zero: what a padded input counts as. low, high: limits of an output, before its zero point is added.
DOT_HEADER = ("x_zero", "y_zero", "low", "high")
# acc: the int32 sum. The output is round((acc + correction + bias) * multiplier) + y_zero.
# correction: int32, -x_zero * (sum of the weights), where the zero point was not taken off before. The others
# are float32.
DOT_RECORD = ("correction", "bias", "multiplier")


@dataclass(frozen=True, slots=True)
class BytePacking:
    """How bytes lie side by side in a packed element. signed: whether they are int8, not uint8."""

    products: Products
    signed: bool
    columns: Columns

    @property
    def ways(self) -> int:
        """Channels side by side in a packed element."""
        return WAYS[self.products]

    @property
    def element(self) -> Element:
        """A packed element: stored as bytes, summed in 32 bits."""
        return dot_element(self.products, self.signed)


class OfBytes(Emitted):
    """A kernel whose inputs are packed bytes. output: what becomes of the sums."""

    __slots__ = ()
    output: QuantizedOutput

    @property
    def packing(self) -> BytePacking:
        """How the input is packed."""
        raise NotImplementedError

    @property
    def element(self) -> Element:
        """A packed element of the input."""
        return self.packing.element

    @property
    def out_element(self) -> Element:
        """An element of the output: as a vector holds it, and as it is stored."""
        return ELEMENTS[self.output]


@dataclass(frozen=True, slots=True)
class DotKernel(OfBytes):
    """What the machine code of the quantised kernel depends on.

    signed: whether inputs are int8, not uint8.
    """

    file: ClassVar[str] = "dot.gather"
    products: Products
    instruction: Instruction
    signed: bool
    output: QuantizedOutput
    lanes: int
    mr: int
    nv: int
    fused: bool
    columns: Columns
    way_out: WayOut
    along_rows: bool = False
    tail: int = 0

    has_bias: ClassVar[bool] = True
    activation: ClassVar[Literal["none"]] = "none"

    @property
    def packing(self) -> BytePacking:
        """How the input is packed."""
        return BytePacking(self.products, self.signed, self.columns)

    @property
    def ways(self) -> int:
        """Channels side by side in a packed element."""
        return self.packing.ways

    @property
    def flat_output(self) -> bool:
        """Whether neighbours of the flat run are neighbours in the output, with no gaps."""
        return self.way_out == "flat"

    @property
    def interleave(self) -> int:
        """Phases that are computed together, since their outputs alternate in memory."""
        return 2 if self.way_out == "pair" else 1

    @property
    def length(self) -> int:
        """Outputs of a tile along the flat run."""
        return self.nv * self.lanes

    @property
    def name(self) -> str:
        """A short name: dot 5x2 int8 pairs, pmaddwd."""
        how = self.products if self.products == "floats" else f"{self.products}, {self.instruction}"
        return f"dot {self.mr}x{self.nv} {'int8' if self.signed else 'uint8'} {how}"


@dataclass(frozen=True, slots=True)
class DotTilesKernel(OfBytes, TileKernel):
    """What the machine code of products of bytes on a tile unit depends on (unit.py).

    signed: whether inputs are int8, not uint8.
    """

    file: ClassVar[str] = "dot.unit"
    signed: bool
    output: QuantizedOutput
    lanes: int
    rows: int
    columns: int
    columns_in: Columns  # pyright: ignore[reportIncompatibleVariableOverride] - bytes become words first
    way_out: WayOut
    parts: int = 1

    @property
    def products(self) -> tuple[tuple[int, int], ...]:
        """Bytes as they are."""
        return ((0, 0),)

    @property
    def packing(self) -> BytePacking:
        """How the input is packed."""
        return BytePacking("quads", self.signed, self.columns_in)

    @property
    def name(self) -> str:
        """A short name: dot tiles 2x2 uint8, tdpbusd."""
        return f"dot tiles {self.rows}x{self.columns} {'int8' if self.signed else 'uint8'}, tdpbusd"


def dot_element(products: Products, signed: bool) -> Element:
    """A packed element: stored as bytes, summed in 32 bits."""
    compute = "f32" if products == "floats" else "i32"
    return Element("int8" if signed else "uint8", "i8", 1, compute, 4, unsigned=not signed)


QUANTIZE_PARAMETERS = ("count", "chunk")
QUANTIZE_SCALES = ("reciprocal", "zero", "low", "high")  # float32


@dataclass(frozen=True, slots=True)
class QuantizeKernel(Emitted):
    """What the machine code that quantises depends on; for processors that fuse (quantize.py)."""

    file: ClassVar[str] = "dot.quantize"
    lanes: int

    @property
    def name(self) -> str:
        """A short name."""
        return "quantize"
