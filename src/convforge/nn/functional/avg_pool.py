"""Average pooling: sums over windows, axis by axis, divided by the windows' sizes."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from convforge.autograd.arrays import array_api
from convforge.autograd.tensor import Tensor
from convforge.nn.functional.linear_map import apply_map
from convforge.nn.functional.precision import Array
from convforge.nn.functional.refusal import require_floating
from convforge.nn.functional.windows import Window, along, pool_windows

__all__ = ["avg_pool1d", "avg_pool2d", "avg_pool3d", "lp_pool1d", "lp_pool2d", "lp_pool3d"]


@dataclass(frozen=True, slots=True)
class WindowMean:
    """Sums over windows of the last axes, over `divisor` (an array that broadcasts to the output's plane).

    The sum of a k × k window is taken in k + k passes: along one axis, then along the other.
    """

    windows: tuple[Window, ...]
    divisor: Array

    def forward(self, x: Array) -> Array:
        """Average."""
        rank = len(self.windows)
        for axis, window in enumerate(self.windows, start=-rank):
            if window.kernel == 1 and window.stride == 1 and not window.padding:
                continue
            shape = list(x.shape)
            shape[axis] = window.out
            total = np.zeros(shape, dtype=x.dtype)
            for tap in window.taps():
                total[along(axis, tap.out)] += x[along(axis, tap.inp)]
            x = total
        divisor = self.divisor.astype(x.dtype)
        if x.dtype.kind == "i":
            # Towards zero, as C divides.
            return np.sign(x) * (np.abs(x) // divisor)
        return x / divisor

    def adjoint(self, grad: Array) -> Array:
        """Spread each output's gradient over its window."""
        grad = grad / self.divisor.astype(grad.dtype)
        rank = len(self.windows)
        for axis, window in reversed(list(enumerate(self.windows, start=-rank))):
            shape = list(grad.shape)
            shape[axis] = window.size
            total = np.zeros(shape, dtype=grad.dtype)
            for tap in window.taps():
                total[along(axis, tap.inp)] += grad[along(axis, tap.out)]
            grad = total
        return grad


def _counts(window: Window, count_include_pad: bool) -> Array:
    """How many elements each window of one axis has; those beyond the padding are never counted."""
    starts = np.arange(window.out) * window.stride - window.padding
    ends = np.minimum(starts + window.kernel, window.size + window.padding)
    if not count_include_pad:
        starts, ends = np.maximum(starts, 0), np.minimum(ends, window.size)
    return ends - starts


def _check_dtype(rank: int, input: Tensor) -> None:
    """Raise NotImplementedError unless floating or int64, the one integer that PyTorch averages."""
    if input._data.dtype != np.int64:
        require_floating("avg_pool3d_out_frame" if rank == 3 else "avg_pool2d", input)


def _avg_pool(
    rank: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    function = f"avg_pool{rank}d"
    windows = pool_windows(function, input.shape, rank, kernel_size, stride, padding, 1, ceil_mode)
    _check_dtype(rank, input)
    if divisor_override is None:
        divisor = functools.reduce(np.multiply.outer, [_counts(w, count_include_pad) for w in windows])
    else:
        number = operator.index(divisor_override)
        if number == 0:
            raise RuntimeError("divisor_override (=0) must be not zero: use None for the size of the window")
        divisor = np.asarray(number)
    name = "SqueezeBackward1" if rank == 1 else f"AvgPool{rank}DBackward0"
    return apply_map(input, WindowMean(windows, np.asarray(divisor)), name)


@array_api
def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Mean over windows of the last axis.

    input: (N, C, L) or (C, L) -> (N, C, L_out) or (C, L_out)
    1 3 2 6, kernel 2 -> 2 4

    Integers (int64) are divided towards zero, as in PyTorch.

    Raises RuntimeError where an argument is out of range or the output would be empty.
    """
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@array_api
def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Mean over windows of the last two axes.

    input: (N, C, H, W) or (C, H, W)
    count_include_pad: whether zeros of the padding count as elements
    divisor_override: divide by this number rather than by the size of the window
    """
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


@array_api
def avg_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Mean over windows of the last three axes; see `avg_pool2d`.

    input: (N, C, D, H, W) or (C, D, H, W)
    """
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _lp_pool(
    rank: int, input: Tensor, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Tensor:
    windows = pool_windows(f"lp_pool{rank}d", input.shape, rank, kernel_size, stride, 0, 1, ceil_mode)
    # As PyTorch: a window cut off by ceil_mode counts as if it were whole.
    area = np.asarray(functools.reduce(np.multiply.outer, [_counts(w, True) for w in windows]))
    whole = int(np.prod([w.kernel for w in windows]))
    powers = input**norm_type
    _check_dtype(rank, powers)
    mean = apply_map(powers, WindowMean(windows, area), "AvgPoolBackward0")
    return (mean.sign() * mean.abs().relu() * whole) ** (1.0 / norm_type)


@array_api
def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """(Σ x^p)^(1/p) over windows of the last axis."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


@array_api
def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """(Σ x^p)^(1/p) over windows of the last two axes."""
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


@array_api
def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """(Σ x^p)^(1/p) over windows of the last three axes."""
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)
