"""What packing needs to know of a box of an array, and the packer of weights as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from convforge.ir.element import Element
from convforge.kernels.contract import Emitted

# Outputs of a box: images, slices, rows, columns, and the boxes along each axis; of sizes depth … width.
BOX = (
    *("batch", "images", "depths", "heights", "widths"),
    *("depth", "height", "width", "depth_boxes", "height_boxes", "width_boxes"),
)
# Boxes in order, dealt out to parts.
STEPS = ("parts", "steps", "part_steps", *BOX)
# How what a box reads of an array is packed with channels side by side.
PACKED_BOX = (
    *("x_batch", "x_channel", "x_column", "row_residues", "column_residues", "row_table", "total_rows"),
    *("slice_rows", "column_table", "reach_d", "reach_h", "reach_w", "in_depths", "in_heights", "in_row"),
    *("tile_channels", "plane", "panel"),
)
SCATTER = ("scatter_table", "place_table", "box_heights")
# Of a box whose rows lie one behind the other: its first element in an image, how many there are, and the
# first of their places in a panel.
SCATTER_FIELDS = ("first", "count", "places")

# What of a weight array lies side by side: all that one output channel has, in the order of packed memory;
# the output channels; or what a kernel need not know, as it loads number by number.
WeightSide = Literal["taps", "outs", "numbers"]


@dataclass(frozen=True, slots=True)
class WeightPacker(Emitted):
    """What the machine code that packs weights depends on (weights.py).

    side: as above; vectors of `lanes` are for the first two. Then mr is whole vectors, a power of two below
    one, or masks are free.
    """

    file: ClassVar[str] = "pack.weights"
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
