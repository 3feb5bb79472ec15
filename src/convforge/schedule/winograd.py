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
from math import prod

from convforge.problem.gather import Axis, Gather, Phase, Tap

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


def why_no_tiles(gather: Gather) -> str | None:
    """The reason why a gather has no Winograd tiles, or None: each axis needs neighbouring taps, step 1."""
    for name, axis in zip(("depth", "height", "width"), gather.axes):
        if axis.in_step != 1 or axis.out_step != 1:
            return f"step {max(axis.in_step, axis.out_step)} along the {name}, not 1"
        offsets = sorted(tap.offset for tap in axis.phases[0].taps)
        if offsets != list(range(offsets[0], offsets[0] + len(offsets))) if offsets else True:
            return f"taps along the {name} that are not neighbours"
    return None


def tiles_of(gather: Gather, tiling: Tiling) -> Gather:
    """The gather whose outputs are tiles, and whose taps are the inputs of a tile.

    Columns have planes of their own for each tap, so that rows of tiles follow each other without gaps.
    """
    axes = [
        _tiled(axis, m, r, apart=last)
        for axis, m, r, last in zip(gather.axes, tiling.outputs, tiling.taps, (False, False, True))
    ]
    d, h, w = axes
    taps = tuple(
        (td, th, tw) for td in d.phases[0].taps for th in h.phases[0].taps for tw in w.phases[0].taps
    )
    return replace(gather, axes=(d, h, w), taps_by_phase=(taps,))


def _tiled(axis: Axis, outputs: int, taps: int, *, apart: bool) -> Axis:
    tiles = -(-axis.out_size // outputs)
    inputs = tuple(Tap(i, axis.lowest + i) for i in range(outputs + taps - 1))
    return Axis(
        in_size=axis.in_size,
        out_size=tiles,
        in_step=outputs,
        out_step=1,
        phases=(Phase(0, tiles, inputs),),
        padding=axis.padding,
        mode=axis.mode,
        planes_apart=apart,
    )
