"""Contract of packing boxes (pack_box.py): the parameters that say where one lies and what it reads."""

from __future__ import annotations

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
