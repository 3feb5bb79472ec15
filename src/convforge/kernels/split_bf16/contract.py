"""Contracts of products of bf16 parts (products.py); kernels/contract.py says what a contract is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from convforge.ir.element import Element
from convforge.kernels.contract import HEADER_BYTES, PACKING, Activation, Columns, Emitted, WayOut
from convforge.kernels.tile_unit.contract import UNIT_BYTES, UNIT_WORDS, TileKernel
from convforge.schedule.tile_unit import STEP_POSITIONS, TILE_ROWS, WayIn

# Which products of a weight's part and an input's part make up the product of both, by the number of parts:
# those left out are below the last bit that the precision keeps. From one to the next mostly one factor
# changes, so that its tiles stay loaded; the largest comes last.
PRODUCTS: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((0, 0),),
    2: ((0, 1), (0, 0), (1, 0)),
    3: ((0, 2), (0, 1), (1, 1), (1, 0), (2, 0), (0, 0)),
}
# Magnitudes, zero aside, between which all parts are normal numbers, products with the other's parts lose
# nothing above 2^-26 of themselves to the unit's flushing of small numbers (2^-126), and sums of 2^17
# products stay finite.
INPUT_RANGE = (2.0**-60, 2.0**60)
WEIGHT_RANGE = (2.0**-40, 2.0**50)
SUM_LIMIT = 1 << 17

# How the planes are packed from which folded channels (schedule/fold.py) are read. row_sources: the row of
# these planes for each row of the run's, where that has another pitch; sources: where each folded channel
# begins, for each plane of the run's.
FOLD_PARAMETERS = ("channels", "x_channel", *PACKING, "row_sources", "sources")


def square_bytes(parts: int) -> int:
    """Of all parts' squares of words (pack/turn.py)."""
    return parts * UNIT_WORDS * UNIT_BYTES


# How far the split of a window has come, in scratch: steps done, and all; the first position, and where its
# units lie; the position with which planes of folded channels begin. Two vectors of what was seen of
# magnitudes follow on the next line.
PROGRESS = ("step", "steps", "first", "units", "planes")
PROGRESS_BYTES = 256


SPLIT_WEIGHT_PARAMETERS = (
    *("groups", "channels", "blocks", "pairs", "out_channels", "out_tiles"),
    *("w_group", "w_out", "w_channel", "phases", "phase_table"),
)


def _tiles_name(kernel: SplitKernel | SplitTapsKernel) -> str:
    """2x2, 6 products float32."""
    many = len(kernel.products)
    plural = "s" if many > 1 else ""
    return f"{kernel.rows}x{kernel.columns}, {many} product{plural} {kernel.element.name}"


@dataclass(frozen=True, slots=True)
class SplitKernel(TileKernel):
    """What the machine code of products of bf16 parts depends on: rows x columns tiles of sums.

    folded: whether channels are taps of the input's channels (schedule/fold.py). woven: steps of the next
    window's split with each of this one's products.
    """

    file: ClassVar[str] = "split_bf16.products"
    element: Element
    lanes: int
    parts: int
    rows: int
    columns: int
    columns_in: Columns | None
    way_out: WayOut
    has_bias: bool
    activation: Activation
    way_in: WayIn = "packed"
    folded: bool = False
    woven: int = 0

    @property
    def upright(self) -> bool:
        """For one tap, so that no tile's rows begin between lines."""
        return self.way_in != "packed"

    @property
    def products(self) -> tuple[tuple[int, int], ...]:
        """As in PRODUCTS."""
        return PRODUCTS[self.parts]

    @property
    def name(self) -> str:
        """A short name: split bf16 2x2, 6 products float32."""
        return f"split bf16 {_tiles_name(self)}"


# How taps' products are added up (taps.py): band: outputs of a task; behind: positions after which
# an output's taps are all there; row_tiles: of products; ring, pitch: positions that are kept of each row of
# products, a power of two, and numbers from a row to the next; rows: where these lie in scratch.
TAPS_PARAMETERS = (
    *("groups", "group_channels", "channels", "blocks", "depth", "part", "out_channels"),
    *("bands", "band", "behind", "flat", "row_tiles", "ring", "ring_pitch"),
    *("x_batch", "x_channel", "y_batch", "y_channel", "y_step", "y_row", "y_slice", "out_width"),
    *("pitch", "slice_rows", "phases", "phase_table", "units", "window_bytes", "rows", "tile"),
    *("shapes", "fold", "places"),
)


@dataclass(frozen=True, slots=True)
class SplitTapsKernel(TileKernel):
    """What the machine code of products tap by tap depends on: rows x columns tiles of sums, for so many
    outputs. way_in, woven: as of SplitKernel.
    """

    file: ClassVar[str] = "split_bf16.taps"
    element: Element
    lanes: int
    parts: int
    rows: int
    columns: int
    outputs: int
    columns_in: Columns | None
    way_out: WayOut
    has_bias: bool
    activation: Activation
    way_in: WayIn
    woven: int

    @property
    def upright(self) -> bool:
        """As kernels of one tap."""
        return True

    @property
    def products(self) -> tuple[tuple[int, int], ...]:
        """As in PRODUCTS."""
        return PRODUCTS[self.parts]

    @property
    def mr(self) -> int:
        """Output channels that leave together: all."""
        return self.outputs

    @property
    def length(self) -> int:
        """Positions that leave together: a window's."""
        return STEP_POSITIONS

    @property
    def tile_rows(self) -> int:
        """Of tiles of sums."""
        return self.rows * TILE_ROWS

    @property
    def step_bytes(self) -> int:
        """Packed weights of one step: all parts of a tile's rows and a block of channels."""
        return self.parts * self.tile_rows * UNIT_BYTES

    @property
    def name(self) -> str:
        """A short name: split bf16 tap by tap 2x2, 6 products float32."""
        return f"split bf16 tap by tap {_tiles_name(self)}"


@dataclass(frozen=True, slots=True)
class SplitWeightPacker(Emitted):
    """What the machine code that splits and packs weights depends on (weights.py).

    upright: for a kernel whose positions are columns. turned: whether these are read along output channels,
    which lie side by side in a transposed layer's array, and turned.
    """

    file: ClassVar[str] = "split_bf16.weights"
    element: Element
    lanes: int
    parts: int
    rows: int
    upright: bool
    turned: bool = False

    @property
    def mr(self) -> int:
        """Output channels that are packed together."""
        return self.rows * TILE_ROWS

    @property
    def scratch_bytes(self) -> int:
        """Of a thread: header, a vector, squares."""
        return HEADER_BYTES + UNIT_BYTES + (square_bytes(self.parts) if self.turned else 0)

    @property
    def name(self) -> str:
        """A short name."""
        return f"split weights {self.parts}x{self.mr} {self.element.name}"
