"""What the kernels on tile units (nest.py) share, as data; kernels/contract.py says what a contract is."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from convforge.kernels.contract import PACKING, Columns, Emitted, WayOut
from convforge.schedule.tile_unit import TILE_NUMBERS, TILE_ROWS

# group_channels: channels of the input array that a group has; channels: those, or the words of bytes that
# hold them. blocks, depth: of channels, and words of a block (schedule/tile_unit.py); chain: blocks of
# channels that are summed up in tiles. repacks: whether a task packs more than once. block, part: units from
# a block, and from a part, of the packed input to the next. units, sums, tile: where the packed input, held
# sums, and tiles on their way out lie in scratch, in bytes; window_bytes: from a window's units to the next
# one's. fetched: channels of a tile whose lines of the output are fetched before. shapes: the address of the
# tiles'. fold: that of FOLD_PARAMETERS, where taps are folded into channels. places: that of the int32 offset
# of each position in a channel of the input, or NOWHERE.
TILE_PARAMETERS = (
    *("groups", "group_channels", "channels", "blocks", "depth", "out_channels", "out_tiles", "task_tiles"),
    *("out_blocks", "bands", "band_tiles", "window_tiles", "flat", "chain", "tile_group", "repacks"),
    *("x_batch", "x_channel", "y_batch", "y_channel", "y_step", "y_row", "y_slice", "out_width"),
    *PACKING,
    *(
        "slice_rows",
        "phases",
        "phase_table",
        "block",
        "part",
        "units",
        "window_bytes",
        "sums",
        "tile",
        "fetched",
        "shapes",
        "fold",
        "places",
    ),
)
NOWHERE = -(1 << 31)
# How vectors of positions are loaded by a table: neighbours, some masked off; neighbours that gaps part (an
# entry is an offset and a mask, in the lower 16 bits); from anywhere (an entry is a vector of int32 offsets).
RunWay = Literal["masked", "expanded", "gathered"]
RUN_MASK_BITS = 16

# A unit is a row of a tile: the words of a block of channels at one position of the input, or a word at 16
# positions; as many of weights. Each lies on one line of the cache: the tile unit loads 16 lines in 8 cycles,
# rows across two lines each in 48.
UNIT_WORDS = 16
UNIT_BYTES = 4 * UNIT_WORDS


class TileKernel(Emitted):
    """A kernel of the nest: rows x columns tiles of sums. parts: numbers that each value is split into.

    columns_in: how planes are packed before they become units; None: they are not.
    """

    __slots__ = ()
    lanes: int
    parts: int
    rows: int
    columns: int
    columns_in: Columns | None
    way_out: WayOut

    @property
    def upright(self) -> bool:
        """Whether positions are columns of the second factor, as sums leave, not rows of the first."""
        return False

    @property
    def products(self) -> tuple[tuple[int, int], ...]:
        """Which of a weight's parts are multiplied with which of an input's, in order."""
        raise NotImplementedError

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
        return self.parts * self.mr * UNIT_BYTES


# What a tile unit multiplies: bf16 numbers, or unsigned bytes of inputs with signed ones of weights.
TileNumbers = Literal["bf16", "bytes"]


@dataclass(frozen=True, slots=True)
class TileCheckKernel(Emitted):
    """One product of tiles, to see whether the unit computes (check.py)."""

    file: ClassVar[str] = "tile_unit.check"
    numbers: TileNumbers

    @property
    def name(self) -> str:
        """A short name."""
        return f"tile check of {self.numbers}"


TILE_CHECK_PARAMETERS = ("shapes",)


def tile_shapes_bytes(shapes: Sequence[tuple[int, int]]) -> NDArray[np.uint8]:
    """What LDTILECFG reads, for tiles of (rows, bytes of a row): palette 1, nothing to resume."""
    rows, widths = [r for r, _ in shapes], [w for _, w in shapes]
    spare = [0] * (16 - len(shapes))
    packed = struct.pack("<BB14x16H16B", 1, 0, *widths, *spare, *rows, *spare)
    return np.frombuffer(packed, np.uint8)


def product_shapes(rows: int, columns: int, depth: int, *, upright: bool = False) -> NDArray[np.uint8]:
    """The shapes of rows * columns tiles of sums, then `rows` of weights, then `columns` of inputs."""
    sums, first, second = (TILE_ROWS, 4 * TILE_NUMBERS), (TILE_ROWS, 4 * depth), (depth, 4 * TILE_NUMBERS)
    weights, inputs = (first, second) if upright else (second, first)
    return tile_shapes_bytes([sums] * (rows * columns) + [weights] * rows + [inputs] * columns)
