"""Contracts of Winograd's kernels; contract.py says what a contract is."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

from convforge.ir.element import Element
from convforge.kernels.contract import PACKING, Activation, Columns, Emitted, Side, WayOut
from convforge.kernels.pack.contract import BOX, PACKED_BOX, SCATTER
from convforge.schedule.winograd import Tiling

# Vectors of a block that transforms keep in registers.
IN_REGISTERS = 16
# A task holds a band of up to band_length tiles of each of `images` images, one after the other in a run of
# `run` elements, a channel's row. The sums of out_group tiles of channels and of
# tile_group elements of the run are held before they leave. values, spread, sums, leaving, lines: where these
# lie in scratch, in bytes. point, sums_point: elements from the values, the sums of one point to the next's.
# distances: how far in the planes each input of a tile lies from the tile; reach: the farthest row of them.
# lowest: column of the input that the first tile's first is, negative on padding; spacing: the dilation.
# out_row_table: element offsets of output rows, of out_rows rows of tiles. weights_step: elements from the
# weights of a tile of output channels to the next one's.
WINOGRAD_PARAMETERS = (
    *(
        "batch",
        "groups",
        "channels",
        "out_channels",
        "out_tiles",
        "task_tiles",
        "out_blocks",
        "channel_block",
    ),
    *("images", "bands", "band_length", "flat", "run", "value_block", "out_group", "tile_group"),
    *("distances", "values", "point", "spread", "sums", "sums_point", "leaving", "lines"),
    *("x_batch", "x_channel", "y_batch", "y_channel", "y_step", "width", "out_rows", "out_row_table"),
    *PACKING,
    *("lowest", "in_width", "spacing", "reach", "weights_step"),
)
# Of an array that is transformed with vectors along channels (box.py). distances: how far from a
# tile's first position in a panel each of its inputs lies. row, residue: elements from the values of a tile,
# of a residue of the input of that tile, to the next's. tiles: of a box at most. *_at: bytes into scratch.
# block, part: for a tile unit, words from the values of a block of channels, of a part of it, to the next's;
# kept_at: where those of one vector of channels wait for the other one's.
WINOGRAD_SIDE_PARAMETERS = (
    *(*PACKED_BOX, *SCATTER, "distances", "panel_at", "values_at", "lines_at", "row", "residue", "tiles"),
    *("block", "part", "kept_at"),
)
# Boxes of windows, of tasks of task_tiles tiles of output channels, out_group of them summed together, for
# each of `phases` in turn. phase_table: a record of WINOGRAD_PHASE_FIELDS for each. block_table: where in
# `blocks` those of each phase and point begin; records of WINOGRAD_BLOCK_FIELDS. point_rows: weights of a
# point, of each output channel. y_*: strides of a phase's outputs; joined: whether its rows follow each
# other and a box has whole ones. sums_point, sums_tile: elements from the sums of a point, of a tile of
# channels, to the next's. window_distances: of the inputs whose magnitudes are looked at together.
# in_blocks, shapes: for a tile unit, blocks of channels, and the address of the tiles' shapes.
WINOGRAD_CHANNELS_PARAMETERS = (
    *("groups", "channels", "out_channels", "out_tiles", "task_tiles", "out_blocks", "out_group", "boxes"),
    *("phases", "phase_table", "block_table", "blocks", "point_rows", "weights_step", *BOX, "x_side"),
    *("y_batch", "y_channel", "y_slice", "y_row", "y_column", "joined", "sums_point", "sums_tile"),
    *("window_distances", "magnitudes_at", "windows_at", "sums_at", "leaving_at", "lines_at"),
    *("in_blocks", "shapes"),
)
# offset: of a phase's first output, in elements. begin: the window of that output; count: outputs.
WINOGRAD_PHASE_FIELDS = (*("offset", "begin_d", "begin_h", "begin_w", "count_d", "count_h", "count_w"),)
# A block of the values of a tile that meets a block of weights: where in both it begins, and its length.
WINOGRAD_BLOCK_FIELDS = ("values", "weights", "count")
# The offset of a tap that does not exist.
NO_TAP = -(1 << 62)
# offsets: the element offset in the weight array of each tap of each phase and residue, or NO_TAP.
# out_tiles: of one phase. lines: where one channel's taps lie in scratch. tile_step: elements from the packed
# weights of a tile of output channels to the next one's. point_rows: channels of a point, of all residues,
# and those that it has room for beside.
WINOGRAD_WEIGHT_PARAMETERS = (
    *("groups", "phases", "residues", "channels", "out_channels", "out_tiles"),
    *("w_group", "w_out", "w_channel", "offsets", "lines", "tile_step", "point_rows"),
)


def vectors_together(parts: int) -> int:
    """Vectors of input channels that are packed and transformed together: two are a line of words."""
    return 2 if parts else 1


@dataclass(frozen=True, slots=True)
class WinogradKernel(Emitted):
    """What the machine code of Winograd's algorithm depends on.

    margins: whether a padding mode fills columns. columns: "unit" where the input's lie side by side.
    spaced: whether the width is dilated.
    """

    file: ClassVar[str] = "winograd.tiles"
    element: Element
    lanes: int
    mr: int
    nv: int
    fused: bool
    tiling: Tiling
    columns: Columns
    margins: bool
    spaced: bool
    way_out: WayOut
    has_bias: bool
    activation: Activation

    @property
    def length(self) -> int:
        """Winograd tiles that are multiplied together."""
        return self.nv * self.lanes

    @property
    def name(self) -> str:
        """A short name: winograd F(2x2, 3x3) 6x4 float32."""
        return f"winograd {self.tiling.name} {self.mr}x{self.nv} {self.element.name}"


@dataclass(frozen=True, slots=True)
class WinogradWeightPacker(Emitted):
    """What the machine code that transforms and packs weights depends on (weights.py).

    woven: whether of each 32 channels the first 16 alternate with the others, as words of a tile unit do.
    """

    file: ClassVar[str] = "winograd.weights"
    element: Element
    lanes: int
    mr: int
    tiling: Tiling
    woven: bool = False

    @property
    def padded_mr(self) -> int:
        """Output channels of a tile, in whole vectors."""
        return -(-self.mr // self.lanes) * self.lanes

    @property
    def name(self) -> str:
        """A short name."""
        return f"winograd weights {self.mr} {self.element.name}"


@dataclass(frozen=True, slots=True)
class WinogradChannelsKernel(Emitted):
    """What the machine code of Winograd's algorithm with vectors along channels depends on.

    rows: tiles of a register tile, nv: its vectors of output channels. spacing: the dilation. steps: residues
    of the input along each axis. windows: inputs along each axis that an output reads at least, of all
    residues. point: elements from the values of a point to the next's. side, scatters: how the input is
    packed. way: whether columns or channels of the output lie side by side. parts: bf16 numbers that a value
    is split into for products on a tile unit, 0 for multiply-adds; fetched: lines of the weights to come that
    are fetched beside each of its products.
    """

    file: ClassVar[str] = "winograd.channels"
    element: Element
    lanes: int
    rows: int
    nv: int
    fused: bool
    tiling: Tiling
    spacing: tuple[int, int, int]
    steps: tuple[int, int, int]
    windows: tuple[int, int, int]
    point: int
    side: Side
    scatters: bool
    way: Literal["unit", "channels", "strided"]
    has_bias: bool
    activation: Activation
    parts: int = 0
    fetched: int = 0

    @property
    def mr(self) -> int:
        """Output channels of a tile."""
        return self.nv * self.lanes

    @property
    def residues(self) -> int:
        """Of the input."""
        return prod(self.steps)

    @property
    def looked_at(self) -> tuple[int, int, int]:
        """Inputs along each axis, of all residues, whose magnitudes are looked at for a tile."""
        d, h, w = (
            step * (m - 1) + (taps if step == 1 else window)
            for step, m, taps, window in zip(self.steps, self.tiling.outputs, self.tiling.taps, self.windows)
        )
        return d, h, w

    @property
    def name(self) -> str:
        """A short name: winograd F(2x2, 3x3) along channels 6x2 float32."""
        if self.parts:
            return f"winograd {self.tiling.name} by {self.parts} bf16 parts {self.element.name}"
        return f"winograd {self.tiling.name} along channels {self.rows}x{self.nv} {self.element.name}"
