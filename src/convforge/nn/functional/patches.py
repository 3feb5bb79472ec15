"""Unfold and fold: the windows of an image as columns, and the image as the sum of its columns.

image   a b c      unfold, kernel 2      a b      fold adds each window back
        d e f      ----------------->    b c      <------------------------
                                         d e
                                         e f      rows: taps of the kernel; columns: windows
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convforge.autograd.arrays import array_api
from convforge.autograd.naming import named
from convforge.autograd.tensor import Tensor
from convforge.nn.functional.linear_map import apply_adjoint, apply_map
from convforge.nn.functional.precision import Array
from convforge.nn.functional.refusal import not_implemented
from convforge.nn.functional.windows import Window, int_tuple

__all__ = ["fold", "unfold"]


@dataclass(frozen=True, slots=True)
class _Columns:
    """(N, C, H, W) -> (N, C · kernel area, windows)."""

    shape: tuple[int, ...]
    windows: tuple[Window, ...]

    def _grid_shape(self) -> tuple[int, ...]:
        return (*self.shape[:2], *(w.kernel for w in self.windows), *(w.out for w in self.windows))

    def _taps(self) -> Any:
        """(index into the grid, index into the image) for each tap of the kernel that reads the image."""
        lists = [
            [(_tap_number(w, tap.inp.start, tap.out.start), tap) for tap in w.taps()] for w in self.windows
        ]
        for row, row_tap in lists[0]:
            for column, column_tap in lists[1]:
                yield (..., row, column, row_tap.out, column_tap.out), (..., row_tap.inp, column_tap.inp)

    def forward(self, x: Array) -> Array:
        """Copy each tap of all windows."""
        grid = np.zeros(self._grid_shape(), dtype=x.dtype)
        for there, here in self._taps():
            grid[there] = x[here]
        return grid.reshape(self._columns_shape())

    def _columns_shape(self) -> tuple[int, ...]:
        area = math.prod(w.kernel for w in self.windows)
        return (self.shape[0], self.shape[1] * area, math.prod(w.out for w in self.windows))

    def adjoint(self, grad: Array) -> Array:
        """Add each tap of all windows."""
        grid = grad.reshape(self._grid_shape())
        out = np.zeros(self.shape, dtype=grad.dtype)
        for there, here in self._taps():
            out[here] += grid[there]
        return out


def _tap_number(window: Window, first_input: int, first_output: int) -> int:
    return (first_input - first_output * window.stride + window.padding) // window.dilation


def _windows(
    function: str, sizes: Sequence[int], kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[Window, ...]:
    """Raises RuntimeError where a number is out of range or there is no window."""
    numbers = {
        name: int_tuple(function, name, value, 2)
        for name, value in (
            ("kernel_size", kernel_size),
            ("dilation", dilation),
            ("padding", padding),
            ("stride", stride),
        )
    }
    for name in ("kernel_size", "dilation", "stride"):
        if min(numbers[name]) < 1:
            raise RuntimeError(f"{function}(): {name} should be greater than zero, but got {numbers[name]}")
    if min(numbers["padding"]) < 0:
        raise RuntimeError(f"{function}(): padding should be non-negative, but got {numbers['padding']}")
    windows: list[Window] = []
    for axis, size in enumerate(sizes):
        kernel, gap, pad, step = (
            numbers[name][axis] for name in ("kernel_size", "dilation", "padding", "stride")
        )
        windows.append(
            Window(size, kernel, step, pad, gap, (size + 2 * pad - gap * (kernel - 1) - 1) // step + 1)
        )
    if min(window.out for window in windows) < 1:
        raise RuntimeError(
            f"{function}(): Given spatial size {tuple(sizes)}, kernel_size={numbers['kernel_size']}, "
            f"dilation={numbers['dilation']}, padding={numbers['padding']}, "
            f"stride={numbers['stride']}, calculated "
            f"shape of the array of sliding blocks as {tuple(w.out for w in windows)}, but its "
            f"components must be at least one"
        )
    return tuple(windows)


@array_api
def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The windows of an image as columns.

    input: (N, C, H, W) or (C, H, W) -> (N, C · kh · kw, windows) or without N

    Raises RuntimeError where an argument is out of range or there is no window, IndexError for fewer than
    three dimensions, NotImplementedError for integers.
    """
    shape = tuple(input.shape)
    if len(shape) < 3 and shape[1:] != (0,):
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-max(len(shape), 1)}, "
            f"{max(len(shape), 1) - 1}]): "
            f"unfold() takes (N, C, H, W) or (C, H, W), not {list(shape)}"
        )
    if len(shape) not in (3, 4) or 0 in shape[-3:]:
        raise RuntimeError(
            "unfold(): Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other "
            f"non-zero dimensions for input, but got: {list(shape)}"
        )
    if input._data.dtype.kind in "iu":
        raise not_implemented("im2col_out_cpu", input)
    windows = _windows("unfold", shape[-2:], kernel_size, dilation, padding, stride)
    if len(shape) == 3:
        columns = apply_map(input.unsqueeze(0), _Columns((1, *shape), windows), "Im2ColBackward0")
        return named(columns.squeeze(0), "Im2ColBackward0")
    return apply_map(input, _Columns(shape, windows), "Im2ColBackward0")


@array_api
def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """The image that is the sum of its windows: the adjoint of `unfold`.

    input: (N, C · kh · kw, windows) or without N -> (N, C, *output_size) or without N

    Raises RuntimeError where an argument is out of range, or the input does not have that many rows or
    windows.
    """
    shape = tuple(input.shape)
    if len(shape) not in (2, 3) or 0 in shape[-2:]:
        raise RuntimeError(
            "fold(): Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            f"non-zero dimensions for input, but got: {list(shape)}"
        )
    sizes = int_tuple("fold", "output_size", output_size, 2)
    if min(sizes) < 1:
        raise RuntimeError(f"fold(): output_size should be greater than zero, but got {sizes}")
    windows = _windows("fold", sizes, kernel_size, dilation, padding, stride)
    area = math.prod(window.kernel for window in windows)
    rows, columns = shape[-2:]
    if rows % area:
        raise RuntimeError(
            f"Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={rows} and kernel_size={tuple(w.kernel for w in windows)}."
        )
    expected = math.prod(window.out for window in windows)
    if columns != expected:
        raise RuntimeError(
            f"Given output_size={sizes}, kernel_size={tuple(w.kernel for w in windows)}, "
            f"dilation={tuple(w.dilation for w in windows)}, padding={tuple(w.padding for w in windows)}, "
            f"stride={tuple(w.stride for w in windows)}, expected size of input's dimension 2 to match "
            "the calculated "
            f"number of sliding blocks {' * '.join(str(w.out) for w in windows)} = {expected}, but got "
            f"input.size(2)={columns}."
        )
    batched = len(shape) == 3
    if input._data.dtype.kind in "iu":
        raise not_implemented("col2im_out_cpu", input)
    columns_map = _Columns((shape[0] if batched else 1, rows // area, *sizes), windows)
    image = apply_adjoint(input if batched else input.unsqueeze(0), columns_map, "Col2ImBackward0")
    return image if batched else named(image.squeeze(0), "Col2ImBackward0")
