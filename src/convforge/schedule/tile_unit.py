"""How a convolution on a tile unit is blocked: shapes of tiles, blocks of channels.

Words of 32 bits hold several channels each: two bf16 numbers, or four bytes. A step multiplies `depth` words
of one tap: `rows` tiles of weights (16 output channels each) with
`columns` tiles of the input (16 positions of the flat run each), into rows * columns tiles of sums:

    2x2     positions  B0 B1          1x3, for up to 16 channels     3x1, for up to 16 positions
    weights A0         C0 C1
            A1         C2 C3
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Literal

from convforge.problem.gather import Gather, Phase, Tap
from convforge.schedule.schedule import Order

# Of the tile unit: tiles, rows of a tile (output channels, words of channels), numbers in a row of sums.
TILES, TILE_ROWS, TILE_NUMBERS = 8, 16, 16
# Positions of two channels that are split together where the input lies: whole lines of it, of which 16, one
# of each of 32 channels, come slower.
STEP_POSITIONS = 64
# How a kernel reads the input: all of a window packed before; or step by step, of one tap: as it lies, by a
# table of places, from planes where taps are channels (schedule/fold.py); by a table of vectors whose lanes
# are neighbours, or neighbours with gaps between them (schedule/tap_rows.py).
WayIn = Literal["packed", "in place", "gathered", "planes", "masked", "expanded"]


@dataclass(frozen=True, slots=True)
class TileUnitSchedule:
    """Blocking of the output product on a tile unit.

    parts: numbers that a value is split into. rows, columns: tiles of sums. blocks, depth: of channels, and
    words of a block. chain: blocks of channels that are summed up in tiles. band_tiles: products of tiles of
    one task; window_tiles: those whose input is packed together; beside: steps of the next window's
    split that are woven into each step; tile_group: those that share each fetch of
    weights. channel_tiles: those of output channels of one task. fold: last axes whose taps are channels
    (schedule/fold.py). way_in: how the input is read.
    """

    parts: int
    rows: int
    columns: int
    blocks: int
    depth: int
    chain: int
    band_tiles: int
    window_tiles: int
    tile_group: int
    channel_tiles: int
    fold: int = 0
    way_in: WayIn = "packed"
    beside: int = 0

    @property
    def order(self) -> Order:
        """The order of an output's sum: neither shapes of tiles nor threads have a say."""
        return ("tile unit", self.parts, self.fold, self.depth, self.chain)


def channel_blocks(channels: int, ways: int) -> tuple[int, int]:
    """(blocks, words of a block) of channels, `ways` a word: as few blocks of up to 16 words as can be, even
    ones.

    65 channels in pairs are three blocks of 22; in blocks of 32 the third would have 31 channels of zeros.
    """
    blocks = -(-channels // (ways * TILE_ROWS))
    return blocks, -(-channels // (ways * blocks))


def images_as_slices(gather: Gather) -> Gather | None:
    """The gather whose one input is a volume with the images as its slices; None for a kernel with depth.

    Then the flat run goes on from image to image, and tiles with it: 49 positions of a 1x1 layer on 7x7 maps
    fill 3.06 tiles of 16 and not 4.
    """
    d, h, w = gather.axes
    if d.in_size > 1 or d.out_size > 1 or [p.taps for p in d.phases] != [(Tap(0, 0),)]:
        return None
    images = replace(
        d, in_size=gather.batch, out_size=gather.batch, phases=(Phase(0, gather.batch, (Tap(0, 0),)),)
    )
    return replace(gather, batch=1, axes=(images, h, w))


def maps_as_rows(gather: Gather) -> Gather | None:
    """The gather whose maps are one row each, where every output reads the one input in its place; else None.

    Then a band packs just what it covers, and not the whole of the rows that it begins and ends in.
    """
    if any(
        axis.in_size != axis.out_size or [p.taps for p in axis.phases] != [(Tap(0, 0),)]
        for axis in gather.axes
    ):
        return None
    d, h, w = gather.axes
    one, many = (Phase(0, n, (Tap(0, 0),)) for n in (1, prod(axis.in_size for axis in gather.axes)))
    point = [replace(axis, in_size=1, out_size=1, phases=(one,)) for axis in (d, h)]
    row = replace(w, in_size=many.count, out_size=many.count, phases=(many,))
    return replace(gather, axes=(*point, row))


def usual_way_in(gather: Gather) -> WayIn:
    """How the input is read of arrays that lie as they usually do, rows and channels without gaps."""
    axes = gather.axes
    if any(len(taps) > 1 for taps in gather.taps_by_phase) or any(
        a.reach or len(a.residues) > 1 for a in axes
    ):
        return "packed"
    whole = all(a.in_step == 1 and a.lowest == 0 and a.in_size == a.columns for a in axes)
    return "in place" if whole else "gathered"


def why_shape_illegal(rows: int, columns: int) -> str | None:
    """The reason why tiles of sums in so many rows and columns cannot be used, or None."""
    needed = rows * columns + rows + columns
    if needed > TILES:
        return f"{needed} tiles ({rows * columns} sums, {rows} weights, {columns} inputs) exceed {TILES}"
    return None


def tile_shapes() -> list[tuple[int, int]]:
    """All legal (rows, columns)."""
    sizes = range(1, TILES)
    return [(r, c) for r in sizes for c in sizes if why_shape_illegal(r, c) is None]
