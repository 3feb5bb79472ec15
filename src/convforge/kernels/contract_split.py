"""Contracts of the kernels on tile units (split_bf16.py); contract.py says what a contract is."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import Element
from convforge.kernels.contract import PACKING, Activation, Columns, Emitted, WayOut
from convforge.schedule.split_bf16 import TILE_NUMBERS, TILE_ROWS

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

# blocks, pairs: of channels (schedule/split_bf16.py); chain: blocks that are summed up in tiles. pair, part:
# words from a pair, and from a part, of the packed input to the next. words, sums, tile: where the packed
# input, held sums, and tiles on their way out lie in scratch, in bytes. shapes: the address of the tiles'.
SPLIT_PARAMETERS = (
    *("groups", "channels", "blocks", "pairs", "out_channels", "out_tiles", "task_tiles", "out_blocks"),
    *("bands", "band_tiles", "flat", "chain", "tile_group"),
    *("x_batch", "x_channel", "y_batch", "y_channel", "y_step", "y_row", "y_slice", "out_width"),
    *PACKING,
    *("slice_rows", "phases", "phase_table", "pair", "part", "words", "sums", "tile", "shapes"),
)
SPLIT_WEIGHT_PARAMETERS = (
    *("groups", "channels", "blocks", "pairs", "out_channels", "out_tiles"),
    *("w_group", "w_out", "w_channel", "phases", "phase_table"),
)
# Bytes of a row of weights; all rows have room for 32 channels, and so lie on one line of the cache each.
WEIGHT_ROW_BYTES = 64


@dataclass(frozen=True, slots=True)
class SplitKernel(Emitted):
    """What the machine code of products of bf16 parts depends on: rows x columns tiles of sums."""

    file: ClassVar[str] = "split_bf16"
    element: Element
    lanes: int
    parts: int
    rows: int
    columns: int
    columns_in: Columns
    way_out: WayOut
    has_bias: bool
    activation: Activation

    @property
    def mr(self) -> int:
        """Output channels of the tiles of sums together."""
        return self.rows * TILE_ROWS

    @property
    def length(self) -> int:
        """Positions of the flat run of the tiles of sums together."""
        return self.columns * TILE_NUMBERS

    @property
    def interleave(self) -> int:
        """Phases that are computed together, since their outputs alternate in memory."""
        return 2 if self.way_out == "pair" else 1

    @property
    def step_bytes(self) -> int:
        """Packed weights of one step: all parts of mr output channels, a block of channels and a tap."""
        return self.parts * self.mr * WEIGHT_ROW_BYTES

    @property
    def name(self) -> str:
        """A short name: split bf16 2x2, 6 products float32."""
        many = len(PRODUCTS[self.parts])
        plural = "s" if many > 1 else ""
        return f"split bf16 {self.rows}x{self.columns}, {many} product{plural} {self.element.name}"


@dataclass(frozen=True, slots=True)
class SplitWeightPacker(Emitted):
    """What the machine code that splits and packs weights depends on (split_bf16_weights.py)."""

    file: ClassVar[str] = "split_bf16_weights"
    element: Element
    lanes: int
    parts: int
    rows: int

    @property
    def mr(self) -> int:
        """Output channels that are packed together."""
        return self.rows * TILE_ROWS

    @property
    def name(self) -> str:
        """A short name."""
        return f"split weights {self.parts}x{self.mr} {self.element.name}"


@dataclass(frozen=True, slots=True)
class TileCheckKernel(Emitted):
    """One product of tiles, to see whether the unit computes (tile_check.py)."""

    file: ClassVar[str] = "tile_check"

    @property
    def name(self) -> str:
        """A short name."""
        return "tile check"


TILE_CHECK_PARAMETERS = ("shapes",)


def tile_shapes_bytes(shapes: Sequence[tuple[int, int]]) -> NDArray[np.uint8]:
    """What LDTILECFG reads, for tiles of (rows, bytes of a row): palette 1, nothing to resume."""
    rows, widths = [r for r, _ in shapes], [w for _, w in shapes]
    spare = [0] * (16 - len(shapes))
    packed = struct.pack("<BB14x16H16B", 1, 0, *widths, *spare, *rows, *spare)
    return np.frombuffer(packed, np.uint8)


def product_shapes(rows: int, columns: int, pairs: int) -> NDArray[np.uint8]:
    """The shapes of rows * columns tiles of sums, then `rows` of weights, then `columns` of inputs."""
    sums, weights, inputs = (TILE_ROWS, 4 * TILE_NUMBERS), (TILE_ROWS, 4 * pairs), (pairs, 4 * TILE_NUMBERS)
    return tile_shapes_bytes([sums] * (rows * columns) + [weights] * rows + [inputs] * columns)
