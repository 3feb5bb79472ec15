"""Filters known by name, and how a two-dimensional filter becomes a layer's weight."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from convforge.errors import ConvValueError

Grid = npt.NDArray[np.float32]
Shows = Literal["image", "signed", "magnitude", "any"]
"""How numbers become a picture: 0…1 as they are, zero in the middle, zero is black, or lowest to highest."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One grid, or two for the two directions of an edge, whose results join as √(x² + y²).

    Written as PyTorch's layers use them, correlation: the grid is not flipped.
    """

    name: str
    grids: tuple[Grid, ...]
    shows: Shows


def _grid(*rows: tuple[float, ...]) -> Grid:
    return np.array(rows, dtype=np.float32)


# x is the derivative to the right: it answers to vertical edges.
_SOBEL = _grid((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))
_PREWITT = _grid((-1, 0, 1), (-1, 0, 1), (-1, 0, 1))
_SCHARR = _grid((-3, 0, 3), (-10, 0, 10), (-3, 0, 3))

FIXED: dict[str, tuple[tuple[Grid, ...], Shows]] = {
    "sobel": ((_SOBEL, _SOBEL.T), "magnitude"),
    "sobel-x": ((_SOBEL,), "signed"),
    "sobel-y": ((_SOBEL.T,), "signed"),
    "prewitt": ((_PREWITT, _PREWITT.T), "magnitude"),
    "scharr": ((_SCHARR, _SCHARR.T), "magnitude"),
    "laplacian": ((_grid((0, 1, 0), (1, -4, 1), (0, 1, 0)),), "signed"),
    "edge": ((_grid((-1, -1, -1), (-1, 8, -1), (-1, -1, -1)),), "signed"),
    "sharpen": ((_grid((0, -1, 0), (-1, 5, -1), (0, -1, 0)),), "image"),
    "emboss": ((_grid((-2, -1, 0), (-1, 1, 1), (0, 1, 2)),), "image"),
}
ANY_SIZE = ("gaussian", "blur", "box", "identity")
NAMES = (*FIXED, *ANY_SIZE)


def named_filter(name: str, kernel_size: tuple[int, ...]) -> Filter:
    """The filter of this name, for a layer of this kernel size.

    gaussian (also called blur), box and identity come in every size, the edge filters in 3×3.

    Raises ConvValueError for another size or name.
    """
    if name in FIXED:
        grids, shows = FIXED[name]
        if kernel_size != (3, 3):
            raise ConvValueError(
                f"{name} is 3×3 and the layer's kernel_size is {kernel_size}: write kernel_size 3"
            )
        return Filter(name, grids, shows)
    if name not in ANY_SIZE:
        close = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(NAMES)}"
        raise ConvValueError(f"{name}: neither a filter's name nor a file: {hint}")
    if name == "identity":
        grid = np.zeros(kernel_size, np.float32)
        grid[tuple((size - 1) // 2 for size in kernel_size)] = 1
    elif name == "box":
        grid = np.full(kernel_size, 1 / np.prod(kernel_size), np.float32)
    else:
        grid = np.outer(*(_gaussian(size) for size in kernel_size)).astype(np.float32)
    return Filter(name, (grid,), "image")


def _gaussian(size: int) -> npt.NDArray[np.float64]:
    """A bell of `size` taps that sum to 1. Source: OpenCV, getGaussianKernel, for its choice of sigma."""
    sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8
    taps = np.exp(-(((np.arange(size) - (size - 1) / 2) / sigma) ** 2) / 2)
    return taps / taps.sum()


def spread(grid: Grid, weight_shape: tuple[int, ...], *, groups: int, transposed: bool) -> Grid:
    """The weight that applies one grid to a photograph.

    weight_shape: (out, in / groups, kh, kw), or (in, out / groups, kh, kw) if transposed; the result has it.

    Where a group has as many outputs as inputs, each channel is filtered by itself: a blurred RGB stays RGB.
    Else every output is the mean of the filtered channels: the edges of the brightness.
    """
    first, second = weight_shape[:2]
    inputs, outputs = (first // groups, second) if transposed else (second, first // groups)
    if inputs != outputs:
        return np.broadcast_to(grid / np.float32(inputs), weight_shape).copy()
    weight = np.zeros(weight_shape, np.float32)
    weight[np.arange(first), np.arange(first) % second] = grid
    return weight
