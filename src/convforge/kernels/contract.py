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
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import Element
from convforge.schedule.winograd import Tiling

Activation = Literal["none", "relu", "relu6", "leaky_relu", "hardswish"]
ACTIVATIONS: tuple[Activation, ...] = ("none", "relu", "relu6", "leaky_relu", "hardswish")
LEAKY_SLOPE = 0.01

# How neighbouring columns of a packed row lie in the input: side by side, every second, or at any stride.
Columns = Literal["unit", "pair", "strided"]
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

# What packing needs to know of one input. Strides and sizes count elements; *_table are addresses.
_PACKING = (
    *("pitch", "plane", "planes", "plane_rows", "total_rows", "row_length", "one_row"),
    *("row_residues", "column_residues", "row_table", "column_table", "x_column"),
)
GATHER_PARAMETERS = (
    *("groups", "group_block", "group_blocks", "channels", "out_channels", "out_tiles"),
    *("task_tiles", "out_blocks", "bands", "band_tiles", "flat", "channel_block", "tile_group"),
    *("x_batch", "x_channel", "y_batch", "y_channel", "y_step", "y_row", "y_slice", "out_width"),
    *_PACKING,
    *("slice_rows", "phases", "phase_table", "accumulators", "tile"),
)
PHASE_FIELDS = (
    *("taps", "weights", "selections", "tile_selection", "tile_step"),
    *("y_offset", "depth", "height", "width"),
)
# Which taps a tile needs: how many, and for each (channel of a block, tap) how far it reads in the planes and
# where its weights lie. A tile finds its own by tile_selection[tile * tile_step].
SELECTION_FIELDS = ("taps", "distances", "rows")

CHANNELS_PARAMETERS = (
    *("groups", "channels", "out_channels", "out_tiles", "task_tiles", "out_blocks", "channel_block"),
    *("x_batch", "x_channel", "y_batch", "y_channel", *_PACKING),
    *("phases", "phase_table", "accumulators"),
)
CHANNELS_PHASE_FIELDS = ("taps", "weights", "pixel_tiles", "tiles")
# What a tile of outputs lists: its taps as in SELECTION_FIELDS; behind them come the places of its outputs in
# the packed planes, then those in the output array, all in elements.
CHANNELS_TILE_FIELDS = ("taps", "distances", "rows")
DEPTHWISE_PARAMETERS = (
    *("groups", "group_block", "group_blocks", "multiplier", "bands", "band_rows"),
    *("x_batch", "x_channel", "y_batch", "y_channel", "y_row", "y_slice", "depth", "height", "width"),
    *("planes", "plane_rows", "total_rows", "row_length", "one_row", "slice_rows"),
    *("row_residues", "column_residues", "row_table", "column_table", "x_column"),
    *("first_real", "stop_real"),
)
DEPTHWISE_MAP_PARAMETERS = (
    *("groups", "group_block", "group_blocks", "multiplier"),
    *("x_batch", "x_channel", "y_batch", "y_channel"),
)
DEPTHWISE_ROWS_PARAMETERS = (
    *("groups", "group_block", "group_blocks", "multiplier"),
    *("bands", "band_rows", "strips", "strip_columns"),
    *("x_batch", "x_channel", "x_slice", "x_row", "y_batch", "y_channel", "y_slice", "y_row"),
    *("in_depth", "in_height", "in_width", "depth", "height", "width", "depth_step", "zero_words"),
)
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
    *_PACKING,
    *("lowest", "in_width", "spacing", "reach", "weights_step"),
)
# offsets: the element offset of each tap in the weight array. lines: where one channel's taps lie in scratch.
# tile_step: elements from the packed weights of a tile of output channels to the next one's.
WINOGRAD_WEIGHT_PARAMETERS = (
    *("groups", "channels", "out_channels", "out_tiles", "w_group", "w_out", "w_channel", "offsets"),
    *("lines", "tile_step"),
)
GRAD_WEIGHT_PARAMETERS = (
    *("batch", "channels", "out_channels", "channel_block", "channel_blocks", "out_block", "out_blocks"),
    *("x_batch", "x_channel", "g_batch", "g_channel", "g_step", "g_row", "g_slice"),
    *_PACKING,
    *("slice_rows", "flat", "bands", "band_length", "depth", "height", "width"),
    *("taps", "distances", "w_out", "w_channel", "w_offsets", "g_packed", "g_plane", "mask", "sums"),
)


@dataclass(frozen=True, slots=True)
class GatherKernel:
    """What the machine code of the direct kernel depends on. Everything else is a run-time parameter.

    columns None: the input is read where it lies.
    """

    element: Element
    lanes: int
    mr: int
    nv: int
    fused: bool
    columns: Columns | None
    way_out: WayOut
    has_bias: bool
    activation: Activation

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
        """A short name: direct 6x4 float32."""
        return f"direct {self.mr}x{self.nv} {self.element.name}"

    def emit(self, triple: str) -> str:
        """The IR of this kernel."""
        from convforge.ir.emitter import Module
        from convforge.kernels.gather import emit_gather

        module = Module(triple)
        emit_gather(self, module)
        return str(module)


@dataclass(frozen=True, slots=True)
class ChannelsKernel:
    """What the machine code of the small-map kernel depends on: pixels x nv vectors of channels a tile.

    columns None: the input is read where it lies.
    """

    element: Element
    lanes: int
    pixels: int
    nv: int
    fused: bool
    columns: Columns | None
    has_bias: bool
    activation: Activation

    @property
    def mr(self) -> int:
        """Output channels of a tile."""
        return self.nv * self.lanes

    @property
    def name(self) -> str:
        """A short name: channels 6x4 float32."""
        return f"channels {self.pixels}x{self.nv} {self.element.name}"

    def emit(self, triple: str) -> str:
        """The IR of this kernel."""
        from convforge.ir.emitter import Module
        from convforge.kernels.channels import emit_channels

        module = Module(triple)
        emit_channels(self, module)
        return str(module)


# Where in its header a Winograd kernel says that a plain one must do its work again: an int64, not 0.
WINOGRAD_FLAG_BYTES = 8


@dataclass(frozen=True, slots=True)
class WinogradKernel:
    """What the machine code of Winograd's algorithm depends on.

    margins: whether a padding mode fills columns. columns: "unit" where the input's lie side by side.
    spaced: whether the width is dilated.
    """

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
        pairs = [(m, r) for m, r in zip(self.tiling.outputs, self.tiling.taps) if m + r > 2]
        outputs, taps = ("x".join(map(str, sizes)) for sizes in zip(*pairs))
        return f"winograd F({outputs}, {taps}) {self.mr}x{self.nv} {self.element.name}"

    def emit(self, triple: str) -> str:
        """The IR of this kernel."""
        from convforge.ir.emitter import Module
        from convforge.kernels.winograd import emit_winograd

        module = Module(triple)
        emit_winograd(self, module)
        return str(module)


@dataclass(frozen=True, slots=True)
class WinogradWeightPacker:
    """What the machine code that transforms and packs weights depends on (winograd_weights.py)."""

    element: Element
    mr: int
    tiling: Tiling

    @property
    def name(self) -> str:
        """A short name."""
        return f"winograd weights {self.mr} {self.element.name}"

    def emit(self, triple: str) -> str:
        """The IR of this kernel."""
        from convforge.ir.emitter import Module
        from convforge.kernels.winograd_weights import emit_winograd_weights

        module = Module(triple)
        emit_winograd_weights(self, module)
        return str(module)


@dataclass(frozen=True, slots=True)
class DepthwiseKernel:
    """What the machine code of the packed depthwise kernel depends on.

    taps: (plane, row, column) that each reads, from its output's own row and column. order: (depth, height,
    width) of each in the input. row_step: input rows from one output row to the next. rows: output rows of a
    tile. held: weights in registers. pitch, plane: elements from row to row, from plane to plane.
    """

    element: Element
    lanes: int
    rows: int
    held: int
    fused: bool
    taps: tuple[tuple[int, int, int], ...]
    order: tuple[tuple[int, int, int], ...]
    row_step: int
    pitch: int
    plane: int
    columns: Columns
    has_bias: bool
    activation: Activation

    @property
    def tap_count(self) -> int:
        """Taps of a channel."""
        return len(self.taps)

    @property
    def vectors(self) -> int:
        """Vectors of columns of a tile."""
        return 1

    @property
    def name(self) -> str:
        """A short name: depthwise 9 taps, 7 rows, float32."""
        return f"depthwise {len(self.taps)} taps, {self.rows} rows, {self.element.name}"

    def emit(self, triple: str) -> str:
        """The IR of this kernel."""
        from convforge.ir.emitter import Module
        from convforge.kernels.depthwise import emit_depthwise

        module = Module(triple)
        emit_depthwise(self, module)
        return str(module)


@dataclass(frozen=True, slots=True)
class DepthwiseMapKernel:
    """What the machine code of the small-map depthwise kernel depends on: the whole map.

    taps: (row, column) that each reads, from its output's position times `steps`. held: weights in registers.
    rows, vectors: a tile, in output rows and vectors of columns. x_row, y_row: elements from row to row.
    """

    element: Element
    lanes: int
    rows: int
    vectors: int
    held: int
    fused: bool
    taps: tuple[tuple[int, int], ...]
    steps: tuple[int, int]
    in_size: tuple[int, int]
    out_size: tuple[int, int]
    x_row: int
    y_row: int
    has_bias: bool
    activation: Activation

    @property
    def name(self) -> str:
        """A short name: depthwise map 7x7, 9 taps, float32."""
        size = "x".join(map(str, self.out_size))
        return f"depthwise map {size}, {len(self.taps)} taps, {self.element.name}"

    def emit(self, triple: str) -> str:
        """The IR of this kernel."""
        from convforge.ir.emitter import Module
        from convforge.kernels.depthwise_map import emit_depthwise_map

        module = Module(triple)
        emit_depthwise_map(self, module)
        return str(module)


@dataclass(frozen=True, slots=True)
class DepthwiseRowsKernel:
    """What the machine code of the depthwise kernel that reads rows in place depends on.

    taps: (depth, row, column) that each reads, from its output's position times the steps. held: weights in
    registers. rows, vectors: a tile, in output rows and vectors of columns. padded: whether a tile may need
    a row that the input lacks.
    """

    element: Element
    lanes: int
    rows: int
    vectors: int
    held: int
    fused: bool
    taps: tuple[tuple[int, int, int], ...]
    row_step: int
    column_step: int
    padded: bool
    has_bias: bool
    activation: Activation

    @property
    def name(self) -> str:
        """A short name: depthwise rows 7x1, 9 taps, float32."""
        return f"depthwise rows {self.rows}x{self.vectors}, {len(self.taps)} taps, {self.element.name}"

    def emit(self, triple: str) -> str:
        """The IR of this kernel."""
        from convforge.ir.emitter import Module
        from convforge.kernels.depthwise_rows import emit_depthwise_rows

        module = Module(triple)
        emit_depthwise_rows(self, module)
        return str(module)


@dataclass(frozen=True, slots=True)
class DepthwiseLargeKernel:
    """What the machine code of the depthwise kernel with loops over its taps depends on.

    size: the kernel's (depth, height, width). rows, vectors: a tile, in output rows and vectors of columns.
    pitch, plane: elements from row to row, from plane to plane.
    """

    element: Element
    lanes: int
    rows: int
    vectors: int
    fused: bool
    size: tuple[int, int, int]
    pitch: int
    plane: int
    columns: Columns
    has_bias: bool
    activation: Activation

    @property
    def tap_count(self) -> int:
        """Taps of a channel."""
        return self.size[0] * self.size[1] * self.size[2]

    @property
    def name(self) -> str:
        """A short name: depthwise large 31x31, 8x2 tile, float32."""
        size = "x".join(map(str, self.size[1:] if self.size[0] == 1 else self.size))
        return f"depthwise large {size}, {self.rows}x{self.vectors} tile, {self.element.name}"

    def emit(self, triple: str) -> str:
        """The IR of this kernel."""
        from convforge.ir.emitter import Module
        from convforge.kernels.depthwise_large import emit_depthwise_large

        module = Module(triple)
        emit_depthwise_large(self, module)
        return str(module)


@dataclass(frozen=True, slots=True)
class GradWeightKernel:
    """What the machine code of the grad-weight kernel depends on."""

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

    def emit(self, triple: str) -> str:
        """The IR of this kernel."""
        from convforge.ir.emitter import Module
        from convforge.kernels.grad_weight import emit_grad_weight

        module = Module(triple)
        emit_grad_weight(self, module)
        return str(module)


@dataclass(frozen=True, slots=True)
class WeightPacker:
    """What the machine code that packs weights depends on (pack_weights.py)."""

    element: Element
    mr: int

    @property
    def name(self) -> str:
        """A short name: pack weights 6 float32."""
        return f"pack weights {self.mr} {self.element.name}"

    def emit(self, triple: str) -> str:
        """The IR of this kernel."""
        from convforge.ir.emitter import Module
        from convforge.kernels.pack_weights import emit_pack_weights

        module = Module(triple)
        emit_pack_weights(self, module)
        return str(module)


WEIGHT_PARAMETERS = (
    *("groups", "channels", "out_channels", "out_tiles", "w_group", "w_out", "w_channel"),
    *("phases", "phase_table"),
)
# One record for each phase: how many taps, where its packed weights begin, the element offset of each tap.
WEIGHT_PHASE_FIELDS = ("taps", "weights", "offsets")


def fill(names: Sequence[str], values: Mapping[str, int]) -> NDArray[np.int64]:
    """The array that a kernel reads its parameters from; every name must have its value."""
    missing = set(names) ^ set(values)
    assert not missing, f"parameters that do not match: {sorted(missing)}"
    return np.array([values[name] for name in names], dtype=np.int64)


# Independent chains of a fingerprint, and what its kernel reads: words of 32 bits in all, and of a task.
FINGERPRINT_CHAINS = 8
FINGERPRINT_PARAMETERS = ("words", "chunk")


@dataclass(frozen=True, slots=True)
class FingerprintKernel:
    """What the machine code that fingerprints memory depends on (fingerprint.py)."""

    lanes: int

    @property
    def name(self) -> str:
        """A short name."""
        return "fingerprint"

    def emit(self, triple: str) -> str:
        """The IR of this kernel."""
        from convforge.ir.emitter import Module
        from convforge.kernels.fingerprint import emit_fingerprint

        module = Module(triple)
        emit_fingerprint(self, module)
        return str(module)
