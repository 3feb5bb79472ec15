"""What is packed for a stretch of the flat run, and how many stretches memory wants at least."""

from __future__ import annotations

from dataclasses import dataclass

from convforge.ir.element import Element
from convforge.schedule import Layout, RunTiles
from convforge.target import Target

# The packed band of a thread takes no more, whatever its halos cost.
BAND_LIMIT_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Band:
    """What is packed for a stretch of the flat run: rows of each plane, columns of each row, and the
    elements from one plane to the next.
    """

    rows: int
    row_length: int
    plane: int


def band_of(layout: Layout, length: int, lanes: int, overrun: int) -> Band:
    """The band of any `length` outputs of the flat run, of which tiles read up to `overrun` more.

    The last row may be written, and the last tile read, beyond the rows. Planes an exact power of two
    apart would fall on the same lines of the cache: hence the extra line.
    """
    reach = layout.gather.axes[2].reach
    if layout.is_one_row:
        rows, row_length = 1, min(length + reach, layout.row_length)
        size = row_length
    else:
        rows = min((length + layout.pitch - 2) // layout.pitch + 1 + layout.reach_rows, layout.total_rows)
        row_length = layout.row_length
        size = rows * layout.pitch + row_length
    size += reach + overrun + lanes
    lines = -(-size // lanes)
    return Band(rows, row_length, (lines + (1 if lines % 64 in (0, 63) else 0)) * lanes)


def fewest_bands(run: RunTiles, element: Element, target: Target, limit: int) -> int:
    """The fewest bands of tiles whose packed input takes at most `limit` bytes.

    None is shorter than its halo, whatever memory that takes: so packing makes two rows of one at most. A
    kernel that reaches over half the input (dilation 300 of 1000) was packed anew for every tile, 500 times
    slower.
    """
    lanes = target.vector_bytes // element.compute_bytes
    layout, tiles = run.layout, run.count
    planes = layout.gather.in_channels * layout.planes
    low, high = 1, max(1, min(tiles, layout.flat // max(layout.reach, 1)))
    while low < high:
        middle = (low + high) // 2
        band = band_of(layout, run.reach(-(-tiles // middle)), lanes, run.length)
        fits = planes * band.plane * element.compute_bytes <= limit
        low, high = (low, middle) if fits else (middle + 1, high)
    return low
