"""What a convolution by fast Fourier transforms computes at a time, and the input of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.problem.gather import Axis

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """What is computed at a time: images first … stop - 1, and of each axis (first block, number)."""

    first: int
    stop: int
    ranges: tuple[tuple[int, int], ...]

    @property
    def blocks(self) -> int:
        """Of all images."""
        return (self.stop - self.first) * prod(number for _, number in self.ranges)


def pieces(batch: int, counts: tuple[int, int, int], most: int) -> Iterator[Piece]:
    """All blocks of all images, in pieces of up to `most` blocks where possible: several images, or some of
    the blocks of one along its first axis that has several, or single ones along the next.
    """
    whole = prod(counts)
    everything = tuple((0, n) for n in counts)
    if whole <= most:
        images = max(1, most // whole)
        for first in range(0, batch, images):
            yield Piece(first, min(first + images, batch), everything)
        return
    axis = next(i for i, n in enumerate(counts) if n > 1)
    rest = whole // counts[axis]
    step = max(1, most // rest)
    for image in range(batch):
        for first in range(0, counts[axis], step):
            number = min(step, counts[axis] - first)
            ranges = tuple((first, number) if i == axis else r for i, r in enumerate(everything))
            yield Piece(image, image + 1, ranges)


def padded(images: Array, places: list[NDArray[np.int64]], axes: tuple[Axis, Axis, Axis]) -> Array:
    """(channel, image, places): the input at these places of its padded axes, counted from the first tap."""
    for number, (axis, at) in enumerate(zip(axes, places), start=2):
        if axis.mode != "zeros" and any(axis.padding):
            sources = axis.sources_at(0, at)
            images = np.take(images, sources, axis=number)
            images[(slice(None),) * number + (sources < 0,)] = 0
    result = np.zeros((*images.shape[:2], *map(len, places)), images.dtype)
    inner: list[slice] = []
    outer: list[slice] = []
    for axis, at, size in zip(axes, places, images.shape[2:]):
        if axis.mode != "zeros" and any(axis.padding):
            inner.append(slice(None))
            outer.append(slice(None))
            continue
        begin = int(at[0]) + axis.lowest
        first, stop = max(0, begin), max(0, min(size, begin + len(at)))
        inner.append(slice(first, stop))
        outer.append(slice(first - begin, max(first, stop) - begin))
    result[:, :, *outer] = images[:, :, *inner]
    return result
