"""Padding modes as index maps, and their adjoints."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from convforge.problem.spec import ConvSpec, PaddingMode

Pads = tuple[tuple[int, int], ...]


def padding_map(mode: PaddingMode, size: int, before: int, after: int) -> npt.NDArray[np.int64]:
    """Source index of every element of a padded axis, -1 where a zero stands: shape (before + size + after,).

    Size 4 (a b c d), 2 before, 1 after:
        zeros      0 0 | a b c d | 0      -1 -1 0 1 2 3 -1
        reflect    c b | a b c d | c       2  1 0 1 2 3  2
        replicate  a a | a b c d | d       0  0 0 1 2 3  3
        circular   c d | a b c d | a       2  3 0 1 2 3  0

    `normalize_conv` has seen to it that reflect pads are below the size and circular pads not above it.
    """
    position = np.arange(-before, size + after, dtype=np.int64)
    match mode:
        case "zeros":
            position[(position < 0) | (position >= size)] = -1
            return position
        case "reflect":
            mirrored = np.abs(position)
            return np.where(mirrored >= size, 2 * (size - 1) - mirrored, mirrored)
        case "replicate":
            return np.clip(position, 0, max(size - 1, 0))
        case "circular":
            return position % size if size else position


def padded_size(spec: ConvSpec) -> tuple[int, ...]:
    """Spatial size of the padded array: the input's of a convolution, the output's if transposed."""
    inner = spec.output_size if spec.transposed else spec.input_size
    return tuple(before + size + after for size, (before, after) in zip(inner, spec.padding, strict=True))


def pad_array(array: npt.NDArray[Any], mode: PaddingMode, padding: Pads) -> npt.NDArray[Any]:
    """A copy of the array with its last `len(padding)` axes padded.

    array: (…, d_1, …, d_rank) -> (…, before_1 + d_1 + after_1, …)
    """
    for axis, (before, after) in enumerate(padding, start=array.ndim - len(padding)):
        if mode == "zeros":
            widths = [(0, 0)] * array.ndim
            widths[axis] = (before, after)
            array = np.pad(array, widths)
        else:
            array = np.take(array, padding_map(mode, array.shape[axis], before, after), axis=axis)
    return array


def fold_padding(array: npt.NDArray[Any], mode: PaddingMode, padding: Pads) -> npt.NDArray[Any]:
    """The adjoint of `pad_array`: every padded element is added to the element that it was read from.

    array: (…, before_1 + d_1 + after_1, …) -> (…, d_1, …, d_rank); a view of it where the mode is zeros.
    reflect, 1 before, 1 after:  p | a b c d | q  ->  a, b + p, c + q, d
    """
    for axis, (before, after) in enumerate(padding, start=array.ndim - len(padding)):
        lines = np.moveaxis(array, axis, 0)
        size = len(lines) - before - after
        inner = lines[before : before + size]
        if mode != "zeros" and (before or after):
            source = padding_map(mode, size, before, after)
            inner = inner.copy()
            # One line at a time: replicate sends many rim lines to one, which a fancy-indexed += would lose.
            for rim in (*range(before), *range(before + size, len(lines))):
                inner[source[rim]] += lines[rim]
        array = np.moveaxis(inner, 0, axis)
    return array
