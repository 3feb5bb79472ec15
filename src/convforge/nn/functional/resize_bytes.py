"""Resizing pictures of bytes: sums in integers, as PyTorch and Pillow do, so that bytes come out bit for bit.

Weights are rounded to 16 bits: as many binary places as the largest weight leaves room for. Each axis is
summed in 32 bits, rounded to a byte, and only then the next axis follows.
Source: ATen/native/cpu/UpSampleKernel.cpp, compute_index_ranges_int16_weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convforge.nn.functional.precision import Array
from convforge.nn.functional.resize_taps import Taps

_MOST_PLACES = 22


def _merged(index: Array, weight: Array) -> Array:
    """The weights, with those of a position that is read several times together at its last tap."""
    merged = weight.copy()
    for tap in range(1, len(index)):
        same = index[tap] == index[tap - 1]
        merged[tap] += np.where(same, merged[tap - 1], 0)
        merged[tap - 1] = np.where(same, 0, merged[tap - 1])
    return merged


def _whole(weight: Array) -> tuple[Array, int]:
    """The weights times a power of two, rounded, and that power."""
    largest = float(weight.max(initial=0))
    places = 0
    while places < _MOST_PLACES and int(0.5 + largest * (1 << (places + 1))) < 1 << 15:
        places += 1
    # Half away from zero, as C rounds by adding half and cutting.
    return np.trunc(weight * (1 << places) + np.where(weight < 0, -0.5, 0.5)).astype(np.int32), places


def resize_bytes(x: Array, axes: Sequence[tuple[int, Taps]]) -> Array:
    """Resize uint8 along axes, in order; each with its taps, whose weights are float64."""
    for axis, (index, weight) in axes:
        if weight is None:
            x = np.take(x, index[0], axis=axis)
            continue
        whole, places = _whole(_merged(index, weight))
        shape = [1] * x.ndim
        shape[axis] = -1
        total: Array = np.full((), 1 << (places - 1) if places else 0, np.int32)
        for tap, positions in enumerate(index):
            total = total + np.take(x, positions, axis=axis).astype(np.int32) * whole[tap].reshape(shape)
        x = (total >> places).clip(0, 255).astype(np.uint8)
    return x
