"""Contracts of the weight gradients; contract.py says what a contract is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from convforge.ir.element import Element
from convforge.kernels.contract import PACKING, Columns, Emitted, Side
from convforge.kernels.depthwise.contract import COPYING, RowCopy
from convforge.kernels.pack.contract import PACKED_BOX, SCATTER, STEPS
from convforge.kernels.pairs.contract import PairInstruction
from convforge.kernels.tile_unit.contract import RunWay
from convforge.schedule.windows import Windows
from convforge.schedule.winograd import Tiling

GRAD_WEIGHT_PARAMETERS = (
    *("batch", "channels", "out_channels", "channel_block", "channel_blocks", "out_block", "out_blocks"),
    *("x_batch", "x_channel", "g_batch", "g_channel", "g_step", "g_row", "g_slice"),
    *PACKING,
    *("slice_rows", "flat", "bands", "band_length", "depth", "height", "width"),
    *("taps", "distances", "w_out", "w_channel", "w_offsets", "g_packed", "g_plane", "mask", "sums"),
)
_BOXES = (
    *STEPS,
    *PACKED_BOX,
    *("g_batch", "g_channel", "g_column", "g_row", "g_slice", "g_panel"),
    *("taps", "w_out", "y_part", "g_packed", "sums"),
)
GRAD_WEIGHT_OUTER_PARAMETERS = (
    *("channels", "out_channels", "channel_block", "channel_blocks", "out_block", "out_blocks"),
    *_BOXES,
    *("runs", "run_table", "run_step", "sums_tile"),
)
GRAD_WEIGHT_GROUPS_PARAMETERS = (
    *("groups", "x_group_channel", "g_group_channel", *_BOXES),
    *(*SCATTER, "panels"),
)
GRAD_WEIGHT_DEPTHWISE_PARAMETERS = (
    *("groups", "group_block", "multiplier", "batch", "parts", "part_images", "bands", "band_rows"),
    *("x_batch", "x_channel", "g_batch", "g_channel", "g_row", "g_slice", "depth", "height", "width"),
    *(*PACKING, *COPYING, "slice_rows", "positions", "y_part", "sums"),
)
# sides: the addresses of two records of what is transformed, x and grad-output. *_at: bytes into scratch.
# sums_point, sums_tile: elements from the sums of a point, of a tile of grad-output channels, to the next's.
# sums: elements of all.
GRAD_WEIGHT_WINOGRAD_PARAMETERS = (
    *("channels", "out_channels", "channel_block", "channel_blocks", "out_block", "out_blocks", *STEPS),
    *("x_side", "g_side", "w_out", "y_part", "sums_at", "sums_point", "sums_tile", "sums"),
    *("x_energies_at", "g_energies_at", "checks_at", "leaving_at", "lines_at"),
)
# Vectors of scratch for what its check adds up.
WINOGRAD_CHECKED = 2
# v: the array that is packed as vectors, b: the one that is broadcast from where it lies.
GRAD_WEIGHT_POINTWISE_PARAMETERS = (
    *("b_channels", "v_channels", "b_block", "b_blocks", "v_block", "v_blocks", "batch", "parts", "steps"),
    *("part_steps", "images", "depths", "heights", "widths", "depth", "height", "width", "depth_boxes"),
    *("height_boxes", "width_boxes", "b_batch", "b_channel", "b_slice", "b_row", "b_column"),
    *("v_batch", "v_channel", "v_slice", "v_row", "v_column", "v_joined", "v_panel"),
    *("w_out", "y_part", "sums", "sums_tile"),
)
# A period is a number of images, each of `run` positions, in `bands` boxes of twice `words` positions. chunk:
# words of one chain of sums. a_side, b_side: the addresses of records of GRAD_WEIGHT_TILES_SIDE for
# grad-output and x. column_table: how many bytes each column tile, a channel tile's tap or a tile of a
# window, begins behind the first word; taps: columns of a channel tile. sum_table: for each channel of a
# block and position of the kernel how many elements its sum lies behind the first, or -1. sums_row: bytes
# from a channel tile's sums to the next's. unit_bytes, box_bytes: from the words of a unit of grad-output to
# those of the next, and from those of a box of x.
GRAD_WEIGHT_TILES_PARAMETERS = (
    *("channels", "out_channels", "channel_block", "channel_blocks", "out_block", "out_blocks"),
    *("parts", "steps", "part_steps", "batch", "images", "run", "bands", "words", "chunk"),
    *("a_side", "b_side", "column_table", "taps", "positions", "sum_table", "w_out", "y_part"),
    *("shapes", "unit_bytes", "box_bytes", "sums_at", "sums_row"),
)
# Of an array: elements from an image, a channel, a box to the next; planes: residues modulo the stride.
# table: which positions of the run hold what, `entries` vectors of a plane. blocks: of 16 words, or columns,
# by which a plane of a box is split. at: where words lie in scratch; tile, plane, part: bytes from a tile of
# channels, a plane, a part to the next.
GRAD_WEIGHT_TILES_SIDE = (
    *("array_batch", "array_channel", "ahead", "planes", "table", "entries", "blocks"),
    *("at", "tile", "plane", "part"),
)
# How far the split of a stretch of an array has come, in scratch: steps done, and all; elements from the
# array to its first image; the table's vector of its first position; vectors that are there; where its words
# lie; blocks of 16 words, or columns; its first tile of channels. Two vectors of what was seen of magnitudes
# follow on the next line.
GRAD_WEIGHT_PROGRESS = ("step", "steps", "origin", "first", "limit", "to", "blocks", "tile")
GRAD_WEIGHT_PROGRESS_BYTES = 256
# A run of taps that lie side by side in a packed row: how far its first reads in a panel, how many there are,
# which position of the kernel the first is, and the outputs first … stop - 1 of each axis that it reaches.
OUTER_RUN_FIELDS = (
    *("distance", "count", "position"),
    *("first_d", "stop_d", "first_h", "stop_h", "first_w", "stop_w"),
)


@dataclass(frozen=True, slots=True)
class GradWeightKernel(Emitted):
    """What the machine code of the grad-weight kernel depends on."""

    file: ClassVar[str] = "grad_weight.flat"
    element: Element
    lanes: int
    mr: int
    nk: int
    fused: bool
    columns: Columns
    unit_step: bool

    @property
    def name(self) -> str:
        """A short name: grad-weight 4x5 float32."""
        return f"grad-weight {self.mr}x{self.nk} {self.element.name}"


@dataclass(frozen=True, slots=True)
class GradWeightOuterKernel(Emitted):
    """What the machine code of the grad-weight kernel along channels depends on.

    ways: channels side by side in a packed position. picks: (tap of a run, channel of a tile, elements from
    the run's first) of every row of a tile. nv: vectors of grad-output channels of a tile. x_side, g_side:
    what lies side by side in the arrays.
    """

    file: ClassVar[str] = "grad_weight.outer"
    element: Element
    lanes: int
    ways: int
    picks: tuple[tuple[int, int, int], ...]
    nv: int
    fused: bool
    x_side: Side
    g_side: Side

    @property
    def mr(self) -> int:
        """Grad-output channels of a tile."""
        return self.nv * self.lanes

    @property
    def name(self) -> str:
        """A short name: grad-weight outer 8x3 float32."""
        return f"grad-weight outer {len(self.picks)}x{self.nv} {self.element.name}"


@dataclass(frozen=True, slots=True)
class GradWeightPairsKernel(GradWeightOuterKernel):
    """What the machine code of the same on pairs of bf16 numbers depends on (pairs.py)."""

    file: ClassVar[str] = "grad_weight.pairs"
    instruction: PairInstruction = "plain"

    @property
    def name(self) -> str:
        """A short name: grad-weight bf16 pairs 8x3 float32, vdpbf16ps."""
        size = f"{len(self.picks)}x{self.nv}"
        return f"grad-weight bf16 pairs {size} {self.element.name}, {self.instruction}"


@dataclass(frozen=True, slots=True)
class GradWeightPointwiseKernel(Emitted):
    """What the machine code of the grad-weight kernel of 1x1 kernels depends on.

    rows: channels broadcast to a tile. nv: vectors of a tile. swapped: whether x is packed as vectors and
    grad-output broadcast, instead of the other way round. v_side: what lies side by side in the packed array.
    """

    file: ClassVar[str] = "grad_weight.pointwise"
    element: Element
    lanes: int
    rows: int
    nv: int
    fused: bool
    swapped: bool
    v_side: Side

    @property
    def name(self) -> str:
        """A short name: grad-weight pointwise 8x3 float32."""
        return f"grad-weight pointwise {self.rows}x{self.nv} {self.element.name}"


@dataclass(frozen=True, slots=True)
class GradWeightTilesKernel(Emitted):
    """What the machine code of the grad-weight kernel on a tile unit depends on.

    parts: of each number (split_bf16/contract.py). rows: tiles of grad-output channels that are multiplied at
    once; columns: tiles of a tap of input channels. a_way, b_way: how positions of grad-output and of x are
    loaded. windows: those of x, where they are channels.
    """

    file: ClassVar[str] = "grad_weight.unit"
    element: Element
    lanes: int
    parts: int
    rows: int
    columns: int
    a_way: RunWay
    b_way: RunWay
    windows: Windows | None

    @property
    def name(self) -> str:
        """A short name: grad-weight tiles 2x2, 3 parts float32."""
        plural = "s" if self.parts > 1 else ""
        return f"grad-weight tiles {self.rows}x{self.columns}, {self.parts} part{plural} {self.element.name}"


@dataclass(frozen=True, slots=True)
class GradWeightGroupsKernel(Emitted):
    """What the machine code of the grad-weight kernel along groups depends on.

    channels, outs: input and grad-output channels of a group. taps: (elements from an output's own position
    in a panel, position in the kernel) of each. in_row: elements of a packed row. panel, g_panel: elements
    from a channel's panel to the next, and from a grad-output channel's. tile: (grad-output channels, pairs
    of a channel and a tap) of a register tile. scatters: whether rows of x are read as one run, and each
    element goes to a place of its own.
    """

    file: ClassVar[str] = "grad_weight.groups"
    element: Element
    lanes: int
    channels: int
    outs: int
    taps: tuple[tuple[int, int], ...]
    panel: int
    g_panel: int
    in_row: int
    tile: tuple[int, int]
    fused: bool
    x_side: Side
    g_side: Side
    scatters: bool

    @property
    def name(self) -> str:
        """A short name: grad-weight groups 9 taps float32."""
        return f"grad-weight groups {len(self.taps)} taps {self.element.name}"


@dataclass(frozen=True, slots=True)
class GradWeightDepthwiseKernel(Emitted):
    """What the machine code of the grad-weight kernel of depthwise layers depends on.

    distances: elements from an output's own position in the planes to what each tap reads. order, row_step,
    pitch, plane, columns, copy: of DepthwiseKernel. positions: where each tap lies in the kernel. passes: the
    taps whose sums are in registers together. rows: grad-output's of a tile; last: those left in the end.
    rest: columns of a row that do not fill a vector.
    """

    file: ClassVar[str] = "grad_weight.depthwise"
    element: Element
    lanes: int
    fused: bool
    distances: tuple[int, ...]
    order: tuple[tuple[int, int, int], ...]
    positions: tuple[int, ...]
    passes: tuple[tuple[int, ...], ...]
    rows: int
    last: int
    rest: int
    row_step: int
    pitch: int
    plane: int
    columns: Columns
    copy: RowCopy | None

    @property
    def name(self) -> str:
        """A short name: grad-weight depthwise 9 taps, 4 rows float32."""
        return f"grad-weight depthwise {len(self.distances)} taps, {self.rows} rows {self.element.name}"


@dataclass(frozen=True, slots=True)
class GradWeightWinogradKernel(Emitted):
    """What the machine code of Winograd's algorithm for the weight gradient depends on.

    rows: input channels of a register tile, nv: its vectors of grad-output channels. tiling: F(taps of the
    kernel, outputs of a tile). spacing: the dilation. point: elements from the values of a point to the
    next's. x_side, g_side: what lies side by side in the arrays. scatters: of which of them rows are read as
    one run, and each element goes to a place of its own.
    """

    file: ClassVar[str] = "grad_weight.winograd"
    element: Element
    lanes: int
    rows: int
    nv: int
    fused: bool
    tiling: Tiling
    spacing: tuple[int, int, int]
    point: int
    x_side: Side
    g_side: Side
    scatters: tuple[bool, bool]

    @property
    def name(self) -> str:
        """A short name: grad-weight winograd F(3x3, 2x2) 6x2 float32."""
        return f"grad-weight winograd {self.tiling.name} {self.rows}x{self.nv} {self.element.name}"
