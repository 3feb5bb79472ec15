"""Boxes of outputs, and what they read of an array, packed with channels side by side."""

from __future__ import annotations

from convforge.kernels.contract import Side
from convforge.plan.tables import InputTables
from convforge.schedule import Layout

# Images, slices, rows and columns.
Sizes = tuple[int, int, int, int]


def box_of_outputs(batch: int, sizes: tuple[int, ...], length: int) -> Sizes:
    """(images, slices, rows, columns) of about `length` outputs: one run of every image's outputs."""
    pieces = [1, 1, 1, 1]
    inner = 1
    for axis, size in reversed(list(enumerate((batch, *sizes)))):
        fits = max(1, length // inner)
        if size <= fits:
            pieces[axis] = size
            inner *= size
            continue
        # Boxes of equal size.
        count = -(-size // fits)
        pieces[axis] = -(-size // count)
        break
    return pieces[0], pieces[1], pieces[2], pieces[3]


def block_counts(tiles: int) -> list[int]:
    """Numbers of blocks worth a look, for so many tiles of channels."""
    return [n for n in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128) if n < tiles] + [tiles]


def box_counts(layout: Layout, box: Sizes) -> tuple[int, int, int]:
    """Boxes along each axis of the outputs."""
    d, h, w = (-(-axis.columns // size) for axis, size in zip(layout.gather.axes, box[1:]))
    return d, h, w


def place_values(layout: Layout, box: Sizes) -> dict[str, int]:
    """Parameters that say where boxes of outputs lie."""
    gather = layout.gather
    d, h, w = gather.axes
    counts = box_counts(layout, box)
    return {
        "batch": gather.batch,
        "images": box[0],
        "depths": box[1],
        "heights": box[2],
        "widths": box[3],
        "depth": d.columns,
        "height": h.columns,
        "width": w.columns,
        "depth_boxes": counts[0],
        "height_boxes": counts[1],
        "width_boxes": counts[2],
    }


def packed_values(
    layout: Layout, box: Sizes, ways: int, tables: InputTables, x_steps: tuple[int, ...]
) -> dict[str, int]:
    """Parameters that say how what boxes read of an array of these element steps is packed."""
    d, h, w = layout.gather.axes
    _, depths, heights, widths = box
    return {
        "x_batch": x_steps[0],
        "x_channel": x_steps[1],
        "x_column": x_steps[4] * w.in_step,
        "row_residues": layout.row_residues,
        "column_residues": len(w.residues),
        "row_table": tables.rows.ctypes.data,
        "total_rows": layout.total_rows,
        "slice_rows": layout.slice_rows,
        "column_table": tables.columns.ctypes.data,
        "reach_d": d.reach,
        "reach_h": h.reach,
        "reach_w": w.reach,
        "in_depths": depths + d.reach,
        "in_heights": heights + h.reach,
        "in_row": (widths + w.reach) * ways,
    }


def side_of(steps: tuple[int, ...], columns: int, in_step: int, ways: int) -> Side:
    """What lies side by side in an array of these element steps."""
    if (steps[4] == 1 or columns == 1) and in_step <= 2:
        return "unit" if in_step == 1 else "pair"
    # Vectors of one or two lanes are not worth a kernel of their own.
    return "channels" if steps[1] == 1 and ways >= 4 else "strided"
