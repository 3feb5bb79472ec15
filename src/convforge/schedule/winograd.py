"""Winograd's minimal filtering: the transforms of F(m, r), exact, and the gather of its tiles.

m outputs of r taps by m + r - 1 multiplications instead of m * r (Winograd 1980; Lavin and Gray, *Fast
Algorithms for Convolutional Neural Networks*, arXiv 1509.09308, whose names these are):

    Y = A^T [ (G g) * (B^T d) ]          d: m + r - 1 inputs, g: r taps, Y: m outputs

along each axis in turn. Tiles overlap by r - 1 inputs:

    F(2, 3):   d0 d1 d2 d3          tile 0, outputs 0 and 1
                     d2 d3 d4 d5    tile 1, outputs 2 and 3
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from convforge.problem.gather import Axis, Gather, Phase, Tap
from convforge.schedule.layout import Layout
from convforge.schedule.polyphase import Polyphase, why_not_neighbours

Int64s = NDArray[np.int64]
Matrix = tuple[tuple[Fraction, ...], ...]

# Points of interpolation, by how many are needed beside infinity. Those of F(2, 3) cost additions only.
# F(4, 3) by 3/4 and 3/2 has half the error of the usual 1 and 2, F(6, 3) two thirds of it by its own.
_POINTS: dict[int, tuple[str, ...]] = {
    1: ("0",),
    2: ("0", "1"),
    3: ("0", "1", "-1"),
    4: ("0", "1", "-1", "1/2"),
    5: ("0", "3/4", "-3/4", "3/2", "-3/2"),
    6: ("0", "3/4", "-3/4", "3/2", "-3/2", "1"),
    7: ("0", "1", "-1", "2", "-2", "1/2", "-1/2"),
}


@dataclass(frozen=True, slots=True)
class Transforms:
    """The matrices of F(m, r), n = m + r - 1. output: A^T, [m, n]. weight: G, [n, r]. data: B^T, [n, n]."""

    output: Matrix
    weight: Matrix
    data: Matrix


@lru_cache(maxsize=32)
def transforms(outputs: int, taps: int) -> Transforms:
    """The transforms of F(outputs, taps), by Toom and Cook's interpolation; F(1, r) is r plain products.

    Row i of the data's transform is the polynomial that vanishes at all points but the i-th; the weights'
    evaluates at the points, and divides by what that polynomial is there; the last of each is infinity's.
    """
    size = outputs + taps - 1
    points = tuple(Fraction(text) for text in _POINTS[size - 1]) if size > 1 else ()
    others = [tuple(q for q in points if q != p) for p in points]
    scales = [prod((p - q for q in rest), start=Fraction(1)) for p, rest in zip(points, others)]
    data = [(*_vanishing(rest), *[Fraction(0)] * (size - len(rest) - 1)) for rest in others]
    weight = [tuple(p**j / scale for j in range(taps)) for p, scale in zip(points, scales)]
    output = [(*(p**k for p in points), Fraction(int(k == outputs - 1))) for k in range(outputs)]
    data.append(_vanishing(points))
    weight.append(tuple(Fraction(int(j == taps - 1)) for j in range(taps)))
    return Transforms(tuple(output), tuple(weight), tuple(data))


def _vanishing(points: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    """Coefficients, lowest first, of the product of (x - p)."""
    polynomial = [Fraction(1)]
    for p in points:
        shifted = [Fraction(0), *polynomial]
        polynomial = [high - p * low for high, low in zip(shifted, [*polynomial, Fraction(0)])]
    return tuple(polynomial)


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a gather is cut into Winograd tiles. outputs, taps: m and r of (depth, height, width)."""

    outputs: tuple[int, int, int]
    taps: tuple[int, int, int]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Inputs of a tile along each axis."""
        d, h, w = (m + r - 1 for m, r in zip(self.outputs, self.taps))
        return d, h, w

    @property
    def points(self) -> int:
        """Products that a tile takes for each pair of channels."""
        return prod(self.sizes)

    @property
    def name(self) -> str:
        """F(2x2, 3x3), axes of one output and one tap left out."""
        pairs = [(m, r) for m, r in zip(self.outputs, self.taps) if m + r > 2]
        outputs, taps = ("x".join(map(str, sizes)) for sizes in zip(*pairs))
        return f"F({outputs}, {taps})"


def is_plain(gather: Gather) -> bool:
    """Whether a gather is one of stride 1."""
    return why_strided(gather) is None


def why_strided(gather: Gather) -> str | None:
    """The reason why a gather is not one of stride 1, or None."""
    for name, axis in zip(("depth", "height", "width"), gather.axes):
        if axis.in_step != 1 or axis.out_step != 1:
            return f"stride {max(axis.in_step, axis.out_step)} along the {name}, not 1"
    return None


def why_no_tiles(gather: Gather) -> str | None:
    """The reason why a gather has no Winograd tiles, or None: it needs evenly spaced taps, at strides
    neighbouring ones.
    """
    plain = is_plain(gather)
    for name, axis in zip(("depth", "height", "width"), gather.axes):
        if not plain:
            reason = why_not_neighbours(axis)
            if reason is not None:
                return f"{reason} along the {name}, at a stride"
            continue
        offsets = _offsets(axis)
        spacing = _spacing(axis)
        if not offsets or offsets != list(range(offsets[0], offsets[-1] + 1, spacing)):
            return f"taps along the {name} that are not evenly spaced"
        if spacing > 1 and axis.mode != "zeros":
            return f"dilation {spacing} along the {name} with padding mode {axis.mode!r}"
    return None


@lru_cache(maxsize=256)
def residues_of_points(poly: Polyphase, tiling: Tiling) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """[phase][point]: the residues that have weights there, not zeros whatever their taps are.

    3 taps at stride 2: of F(3, 2)'s four points the even inputs, of two taps, need all, the odd ones three.
    """
    weights = [transforms(m, r).weight for m, r in zip(tiling.outputs, tiling.taps)]
    lines = [[tuple(k for k, g in enumerate(row) if g) for row in matrix] for matrix in weights]
    points = [
        frozenset((a * tiling.taps[1] + b) * tiling.taps[2] + c for a, b, c in product(*reads))
        for reads in product(*lines)
    ]
    return tuple(
        tuple(
            tuple(r for r, window in enumerate(phase) if any(window[tap] is not None for tap in point))
            for point in points
        )
        for phase in poly.taps
    )


def _offsets(axis: Axis) -> list[int]:
    return sorted(tap.offset for tap in axis.phases[0].taps)


def _spacing(axis: Axis) -> int:
    """Inputs from one tap to the next."""
    offsets = _offsets(axis)
    return offsets[1] - offsets[0] if len(offsets) > 1 else 1


def spacings(gather: Gather) -> tuple[int, int, int]:
    """Inputs from one tap to the next along each axis."""
    d, h, w = (_spacing(axis) for axis in gather.axes)
    return d, h, w


def tile_gather(gather: Gather, tiling: Tiling) -> Gather:
    """The gather whose outputs are tiles, and whose taps are the inputs of a tile.

    A kernel of dilation s reads inputs s apart, so outputs s apart share a tile, and tiles come in blocks of
    s neighbours: F(2, 3) of dilation 3

        outputs   0 1 2 3 4 5  6 7 8 9 10 11        tile   0: 0 and 3,  1: 1 and 4,  2: 2 and 5,  3: 6 and 9 …

    Columns, and all that is dilated, have planes of their own for each input of a tile, so that rows of tiles
    follow each other without gaps.
    """
    axes: list[Axis] = []
    for axis, m, r, columns in zip(gather.axes, tiling.outputs, tiling.taps, (False, False, True)):
        step = _spacing(axis)
        blocks, rest = divmod(axis.out_size, m * step)
        tiles = blocks * step + min(step, rest)
        inputs = tuple(Tap(k, axis.lowest + k * step) for k in range(m + r - 1))
        axes.append(
            Axis(
                in_size=axis.in_size,
                out_size=tiles,
                in_step=m,
                out_step=1,
                phases=(Phase(0, tiles, inputs),),
                padding=axis.padding,
                mode=axis.mode,
                planes_apart=columns or step > 1,
                spacing=step,
            )
        )
    d, h, w = axes
    taps = tuple(product(*(axis.phases[0].taps for axis in axes)))
    return replace(gather, axes=(d, h, w), taps_by_phase=(taps,))


def gradient_gathers(gather: Gather, tiling: Tiling) -> tuple[Gather, Gather]:
    """What tiles of a weight gradient read of the input and of grad-output: whole blocks of tiles.

    Of a gradient the taps are the outputs of F(m, r), and grad-output takes the part of the weights: tiles of
    r outputs, whole ones, for those that an axis lacks at its end are zeros.

        F(3, 2), 5 outputs:   g0 g1 | g2 g3 | g4 0      each with 4 inputs, 2 further on than the tile before
    """
    x = rounded_gather(gather, tiling.taps)
    axes = [
        Axis(axis.out_size, up.out_size, 1, 1, (Phase(0, up.out_size, (Tap(0, 0),)),), (0, 0), "zeros")
        for axis, up in zip(gather.axes, x.axes)
    ]
    d, h, w = axes
    one = (d.phases[0].taps[0], h.phases[0].taps[0], w.phases[0].taps[0])
    return x, replace(gather, in_channels=gather.out_channels, axes=(d, h, w), taps_by_phase=((one,),))


def rounded_gather(gather: Gather, outputs: tuple[int, int, int]) -> Gather:
    """A gather of stride 1 with as many outputs more as make whole blocks of tiles of so many outputs.

    A block is a tile; where neighbouring taps do not read neighbours, the tiles of `tile_gather`'s blocks.
    """
    axes: list[Axis] = []
    for axis, m, spacing in zip(gather.axes, outputs, spacings(gather)):
        count = -(-axis.out_size // (m * spacing)) * m * spacing
        axes.append(replace(axis, out_size=count, phases=(replace(axis.phases[0], count=count),)))
    d, h, w = axes
    return replace(gather, axes=(d, h, w))


def output_rows(
    gather: Gather, tiles: Layout, tiling: Tiling, strides: tuple[int, int], no_row: int
) -> Int64s:
    """Element offset of the output row that each row of tiles makes; no_row where there is none.

    tiles: of `tile_gather`'s. strides: of depth and height, in elements.
    -> [outputs of a tile along depth * height, rows of tiles]
    """
    rows = np.arange(tiles.out_rows, dtype=np.int64)
    depth, height = np.divmod(rows, max(tiles.slice_rows, 1))
    found: list[Int64s] = []
    for kd in range(tiling.outputs[0]):
        ds = _output_of(tiles.gather.axes[0], depth, kd)
        for kh in range(tiling.outputs[1]):
            hs = _output_of(tiles.gather.axes[1], height, kh)
            real = (ds < gather.axes[0].out_size) & (hs < gather.axes[1].out_size)
            real &= height < tiles.gather.axes[1].columns
            found.append(np.where(real, ds * strides[0] + hs * strides[1], no_row))
    return np.stack(found)


def _output_of(axis: Axis, tile: Int64s, which: int) -> Int64s:
    """The output that is number `which` of a tile."""
    return tile + tile // axis.spacing * axis.spacing * (axis.in_step - 1) + which * axis.spacing
