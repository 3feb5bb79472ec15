"""Writing draws into arrays of any strides, in the order in which PyTorch's TensorIterator visits them.

PyTorch walks a tensor in memory order, not in index order: the transpose of a (3, 4) array gets the numbers
that the (3, 4) array itself would get.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Draw = Callable[[int], Array]

# Draws pass through the level-2 cache in pieces: 16384 words of 64 bits are 128 KiB. A multiple of 16.
PIECE = 1 << 14


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Whether the dtype is a real floating-point one, bfloat16 included."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def as_real(array: Any) -> Array:
    """A complex array's memory as real numbers, with a last axis of 2: `view_as_real`."""
    real = array.real  # a view that starts at the array's memory and keeps its strides
    return np.lib.stride_tricks.as_strided(real, (*array.shape, 2), (*array.strides, real.itemsize))


def memory_order(array: Array) -> Array:
    """A view whose index order is the array's memory order: axes sorted by stride, the longest first."""
    axes = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    return array.transpose(axes)


def check_writable(array: Array, name: str) -> None:
    """Raise RuntimeError where `array` cannot be filled: read-only, or elements that share memory."""
    shared = any(stride == 0 and size > 1 for stride, size in zip(array.strides, array.shape))
    if shared and array.size:  # NumPy gives empty arrays strides of 0
        raise RuntimeError(
            f"{name}: unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location. Please clone() the tensor before performing the operation."
        )
    if not array.flags.writeable:
        raise RuntimeError(f"{name}: the array is read-only: pass a copy")


def fill(array: Array, draw: Draw) -> None:
    """Fill `array` with `draw(count)` called for consecutive pieces, in memory order; casts as C does."""
    view = memory_order(array)
    if view.flags.c_contiguous:
        fill_flat(view.reshape(-1), draw)
        return
    flat = np.empty(view.size, view.dtype)
    fill_flat(flat, draw)
    view[...] = flat.reshape(view.shape)


def fill_flat(flat: Array, draw: Draw) -> None:
    """Fill the one-dimensional `flat` piece by piece."""
    for start in range(0, flat.size, PIECE):
        part = flat[start : start + PIECE]
        part[...] = draw(part.size)
