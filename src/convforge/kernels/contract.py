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
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import Element

if TYPE_CHECKING:
    from convforge.ir.emitter import Deliver

Activation = Literal["none", "relu", "relu6", "leaky_relu", "hardswish"]
ACTIVATIONS: tuple[Activation, ...] = ("none", "relu", "relu6", "leaky_relu", "hardswish")
LEAKY_SLOPE = 0.01

# How neighbouring columns of a packed row lie in the input: side by side, every second, every fourth (where
# masked loads cost nothing), or at any stride; or, "dense", rows follow each other as they do in the plane.
Columns = Literal["dense", "unit", "pair", "quad", "strided"]
COLUMN_STEPS: dict[Columns, int] = {"unit": 1, "pair": 2, "quad": 4}
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
# Where in the header a kernel that serves ordinary values only says that it has met others, and that a plain
# one must do its work again: an int64, not 0.
FLAG_BYTES = 8

# What packing needs to know of one input. Strides and sizes count elements; *_table are addresses.
PACKING = (
    *("pitch", "plane", "planes", "plane_rows", "total_rows", "row_length", "one_row"),
    *("row_residues", "column_residues", "row_table", "column_table", "x_column"),
)
GATHER_PARAMETERS = (
    *("groups", "group_block", "group_blocks", "channels", "out_channels", "out_tiles"),
    *("task_tiles", "out_blocks", "bands", "band_tiles", "tiles", "flat"),
    *("row_tiles", "row_outputs", "slice_outputs", "channel_block", "tile_group"),
    *("x_batch", "x_channel", "y_batch", "y_channel", "y_step", "y_row", "y_slice", "out_width"),
    *PACKING,
    *("slice_rows", "reach_rows", "phases", "phase_table", "accumulators", "tile"),
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
    *("x_batch", "x_channel", "y_batch", "y_channel", *PACKING),
    *("phases", "phase_table", "copies", "accumulators", "run"),
)
# fetched: lines of the next block's weights that are fetched beside a tile of outputs.
CHANNELS_PHASE_FIELDS = ("taps", "weights", "pixel_tiles", "tiles", "fetched")
# What a tile of outputs lists: its taps as in SELECTION_FIELDS; behind them come the places of its outputs in
# the packed planes, then those in the output array, all in elements.
CHANNELS_TILE_FIELDS = ("taps", "distances", "rows")


class Emitted:
    """A kernel as data. Its `file` in this folder emits it, by a function of the same name: emit_gather."""

    __slots__ = ()
    file: ClassVar[str]

    def emit(self, triple: str, deliver: Deliver | None = None) -> str:
        """The IR of this kernel for a triple; llvmlite is imported here."""
        from convforge.ir.emitter import Module

        module = Module(triple, deliver)
        getattr(import_module(f"convforge.kernels.{self.file}"), f"emit_{self.file}")(self, module)
        return str(module)


@dataclass(frozen=True, slots=True)
class GatherKernel(Emitted):
    """What the machine code of the direct kernel depends on. Everything else is a run-time parameter.

    columns None: the input is read where it lies; `copied`: a group of tiles at a time, side by side;
    `fetches`: the next tile's lines are fetched beside the products of each.
    along_rows: every tile lies within one row of the output; otherwise tiles follow each other along the
    flat run. tail: vectors of a row's last tile, 0 where it has as many as the others. streams: whether
    whole lines of the output go past the caches.
    """

    file: ClassVar[str] = "gather"
    element: Element
    lanes: int
    mr: int
    nv: int
    fused: bool
    columns: Columns | None
    way_out: WayOut
    has_bias: bool
    activation: Activation
    copied: bool = False
    fetches: bool = False
    along_rows: bool = False
    tail: int = 0
    streams: bool = False

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
        """A short name: direct 6x4 float32, row by row."""
        return f"direct {self.mr}x{self.nv} {self.element.name}{', row by row' if self.along_rows else ''}"


@dataclass(frozen=True, slots=True)
class ChannelsKernel(Emitted):
    """What the machine code of the small-map kernel depends on: pixels x nv vectors of channels a tile.

    columns None: the input is read where it lies. copied: wherever that is, or from the planes, the pixels of
    a tile are copied first, side by side for each channel and tap. fetches: whether the next block's weights
    are fetched beside this one's products. runs: whether the outputs of a tile lie side by side. ahead: how
    many steps before it is read the input's line is fetched, or 0: the tables have so many more. fills:
    whether a channel's `run` of outputs is filled with its bias first, as phases without taps are not listed.
    """

    file: ClassVar[str] = "channels"
    element: Element
    lanes: int
    pixels: int
    nv: int
    fused: bool
    columns: Columns | None
    has_bias: bool
    activation: Activation
    copied: bool = False
    fetches: bool = False
    runs: bool = False
    ahead: int = 0
    fills: bool = False

    @property
    def mr(self) -> int:
        """Output channels of a tile."""
        return self.nv * self.lanes

    @property
    def name(self) -> str:
        """A short name: channels 6x4 float32."""
        return f"channels {self.pixels}x{self.nv} {self.element.name}"


# What of a weight array lies side by side: all that one output channel has, in the order of packed memory;
# the output channels; or what a kernel need not know, as it loads number by number.
WeightSide = Literal["taps", "outs", "numbers"]


@dataclass(frozen=True, slots=True)
class WeightPacker(Emitted):
    """What the machine code that packs weights depends on (pack_weights.py).

    side: as above; vectors of `lanes` are for the first two. Then mr is whole vectors, a power of two below
    one, or masks are free.
    """

    file: ClassVar[str] = "pack_weights"
    element: Element
    mr: int
    lanes: int = 1
    side: WeightSide = "numbers"

    @property
    def name(self) -> str:
        """A short name: pack weights 6 float32."""
        return f"pack weights {self.mr} {self.element.name}"


WEIGHT_PARAMETERS = (
    *("groups", "channels", "out_channels", "out_tiles", "w_group", "w_out", "w_channel"),
    *("phases", "phase_table"),
)
# One record for each phase: how many taps, where its packed weights begin, the element offset of each tap.
WEIGHT_PHASE_FIELDS = ("taps", "weights", "offsets")


def fill(names: Sequence[str], values: Mapping[str, int]) -> NDArray[np.int64]:
    """The array that a kernel reads its parameters from; every name must have its value, and one place."""
    assert len(set(names)) == len(names), f"parameters with two places: {sorted(names)}"
    missing = set(names) ^ set(values)
    assert not missing, f"parameters that do not match: {sorted(missing)}"
    return np.array([values[name] for name in names], dtype=np.int64)


# Independent chains of a fingerprint, and what its kernel reads: words of 32 bits in all, and of a task.
FINGERPRINT_CHAINS = 8
FINGERPRINT_PARAMETERS = ("words", "chunk")


@dataclass(frozen=True, slots=True)
class FingerprintKernel(Emitted):
    """What the machine code that fingerprints memory depends on (fingerprint.py)."""

    file: ClassVar[str] = "fingerprint"
    lanes: int

    @property
    def name(self) -> str:
        """A short name."""
        return "fingerprint"
