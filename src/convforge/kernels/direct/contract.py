"""What the kernels of `direct` promise and need: their parameters, tables, and themselves as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from convforge.ir.element import Element
from convforge.kernels.contract import PACKING, Activation, Columns, Emitted, WayOut

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
    *("phases", "phase_table", "map_pieces", "copies", "accumulators", "held_step", "run"),
)
# fetched: lines of the next block's weights that are fetched beside a tile of outputs.
CHANNELS_PHASE_FIELDS = ("taps", "weights", "pixel_tiles", "tiles", "fetched")
# What a tile of outputs lists: its taps as in SELECTION_FIELDS, whether its outputs lie side by side; behind
# that their places in the packed planes, then those in the output array, all in elements.
CHANNELS_TILE_FIELDS = ("taps", "distances", "rows", "is_run")


@dataclass(frozen=True, slots=True)
class GatherKernel(Emitted):
    """What the machine code of the direct kernel depends on. Everything else is a run-time parameter.

    columns None: the input is read where it lies; `copied`: a group of tiles at a time, side by side;
    `fetches`: the next tile's lines are fetched beside the products of each.
    along_rows: every tile lies within one row of the output; otherwise tiles follow each other along the
    flat run. tail: vectors of a row's last tile, 0 where it has as many as the others. streams: whether
    whole lines of the output go past the caches.
    """

    file: ClassVar[str] = "direct.gather"
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
    are fetched beside this one's products. runs: whether the outputs of tiles can lie side by side. ahead:
    how many steps before it is read the input's line is fetched, or 0: the tables have so many more. fills:
    whether a channel's `run` of outputs is filled with its bias first, as phases without taps are not listed.
    """

    file: ClassVar[str] = "direct.channels"
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
