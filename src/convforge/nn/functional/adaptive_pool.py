"""Adaptive pooling: the output's size is given, the windows follow from it.

size 5, output 3 -> windows [0 1] [1 2 3] [3 4]: from floor(o·5/3) to ceil((o + 1)·5/3)
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convforge.autograd.arrays import array_api
from convforge.autograd.naming import named
from convforge.autograd.tensor import Tensor
from convforge.nn.functional.linear_map import apply_map
from convforge.nn.functional.max_pool import PickLargest
from convforge.nn.functional.precision import Array, is_floating
from convforge.nn.functional.refusal import require_float_mean, require_floating
from convforge.nn.functional.windows import along

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
]


def _ranges(size: int, out: int) -> list[slice]:
    return [slice(o * size // out, -(-(o + 1) * size // out)) for o in range(out)]


@dataclass(frozen=True, slots=True)
class AdaptiveMean:
    """Means over adaptive windows of the last axes, one axis after the other."""

    sizes: tuple[int, ...]
    outs: tuple[int, ...]

    def forward(self, x: Array) -> Array:
        """Average."""
        rank = len(self.sizes)
        for axis, size, out in zip(range(-rank, 0), self.sizes, self.outs):
            if size == out:
                continue
            parts = [x[along(axis, part)].mean(axis=axis, keepdims=True) for part in _ranges(size, out)]
            x = np.concatenate(parts, axis=axis) if parts else x[along(axis, slice(0, 0))]
        return x

    def adjoint(self, grad: Array) -> Array:
        """Spread each output's gradient over its window."""
        rank = len(self.sizes)
        for axis, size, out in reversed(list(zip(range(-rank, 0), self.sizes, self.outs))):
            if size == out:
                continue
            shape = list(grad.shape)
            shape[axis] = size
            total = np.zeros(shape, dtype=grad.dtype)
            for o, part in enumerate(_ranges(size, out)):
                length = grad.dtype.type(part.stop - part.start)
                total[along(axis, part)] += grad[along(axis, slice(o, o + 1))] / length
            grad = total
        return grad


def _check_input(function: str, shape: Sequence[int], rank: int, first: int) -> None:
    """Raise RuntimeError for another number of dimensions, or an empty axis from axis `first` on."""
    if len(shape) not in (rank + 1, rank + 2):
        if rank == 1:
            raise RuntimeError(
                f"Expected 2 to 3 dimensions, but got {len(shape)}-dimensional tensor for argument #1 "
                "'input' "
                f"(while checking arguments for {function})"
            )
        raise RuntimeError(
            f"{function}(): Expected {rank + 1}D or {rank + 2}D tensor, but got: {list(shape)}"
        )
    for axis in range(first, len(shape)):
        if shape[axis] == 0:
            raise RuntimeError(
                f"{function}(): Expected input to have non-zero size for non-batch dimensions, but input has "
                f"sizes {list(shape)} with dimension {axis} being empty"
            )


def _output_sizes(function: str, output_size: Any, shape: Sequence[int], rank: int) -> tuple[int, ...]:
    """Return the output's sizes: None in a tuple keeps the input's. Raises as PyTorch's argument parsing."""
    one = hasattr(output_size, "__index__")
    # One axis has no default sizes: a number is all there is.
    given: tuple[Any, ...] = (output_size,) * rank
    if not one and _is_sequence(output_size):
        given = tuple(output_size)
    elif not one:
        raise TypeError(
            f"{function}(): argument 'output_size' (position 2) must be tuple of ints, not "
            f"{type(output_size).__name__}"
        )
    if not one and rank > 1 and len(shape) <= len(given):
        raise ValueError(
            f"Input dimension should be at least {len(given) + 1}: the input has {len(shape)} dimensions"
        )
    outs: list[int] = []
    for at, number in enumerate(given):
        if number is None and rank > 1:
            outs.append(shape[at - len(given)])
        elif number is not None and hasattr(number, "__index__"):
            outs.append(operator.index(number))
        else:
            raise TypeError(
                f"{function}(): argument 'output_size' (position 2) must be tuple of ints, but found "
                "element of "
                f"type {type(number).__name__} at pos {at}"
            )
    if len(outs) != rank:
        raise RuntimeError(
            f"{function}: output_size must be {rank} numbers, one an axis: got {output_size!r}"
        )
    if min(outs) < 0:
        raise RuntimeError(
            f"{function}: elements of output_size must be greater than or equal to 0 but received {outs}"
        )
    return tuple(outs)


def _is_sequence(value: Any) -> bool:
    return hasattr(value, "__iter__") and hasattr(value, "__len__")


def _adaptive_avg_pool(rank: int, input: Tensor, output_size: Any) -> Tensor:
    function = f"adaptive_avg_pool{rank}d"
    shape = tuple(input.shape)
    outs = _output_sizes(function, output_size, shape, rank)
    if rank == 1:
        _check_input(function, shape, rank, len(shape))
    if set(outs) == {1}:
        # One window a plane: PyTorch takes the mean, of any number of axes and of empty ones too.
        require_float_mean(input)
        mean = input.mean(tuple(range(-1, -rank - 1, -1)), keepdim=True)
        return named(mean, "SqueezeBackward1") if rank == 1 else mean
    _check_input(function, shape, rank, len(shape) - rank)
    require_floating("adaptive_avg_pool3d_cpu" if rank == 3 else "adaptive_avg_pool2d", input)
    name = "SqueezeBackward1" if rank == 1 else f"AdaptiveAvgPool{rank}DBackward0"
    return apply_map(input, AdaptiveMean(shape[-rank:], outs), name)


@array_api
def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Mean over `output_size` windows of the last axis. input: (N, C, L) or (C, L)."""
    return _adaptive_avg_pool(1, input, output_size)


@array_api
def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Mean over a grid of windows of the last two axes.

    input: (N, C, H, W) or (C, H, W)
    output_size: one int, or (H_out, W_out); None keeps an axis as it is. 1 is global average pooling
    """
    return _adaptive_avg_pool(2, input, output_size)


@array_api
def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Mean over a grid of windows of the last three axes; see `adaptive_avg_pool2d`."""
    return _adaptive_avg_pool(3, input, output_size)


def _largest(x: Array, outs: tuple[int, ...]) -> tuple[Array, Array]:
    """Maxima over adaptive windows, and their positions in the flattened plane."""
    rank = len(outs)
    lead, sizes = x.shape[:-rank], x.shape[-rank:]
    best = np.empty(lead + outs, dtype=x.dtype)
    where = np.empty(lead + outs, dtype=np.int64)
    plane = np.arange(math.prod(sizes), dtype=np.int64).reshape(sizes)
    floating = is_floating(x.dtype)
    grid = [list(enumerate(_ranges(size, out))) for size, out in zip(sizes, outs)]
    for cell in itertools.product(*grid):
        out = (..., *(o for o, _ in cell))
        parts = tuple(part for _, part in cell)
        values = x[(..., *parts)]
        values = values.reshape(*lead, math.prod(values.shape[-rank:]))
        first = values.argmax(axis=-1)
        if floating:
            is_nan = np.isnan(values)
            if is_nan.any():
                # PyTorch answers with the last NaN, argmax with the first.
                last = values.shape[-1] - 1 - is_nan[..., ::-1].argmax(axis=-1)
                first = np.where(is_nan.any(axis=-1), last, first)
        best[out] = np.take_along_axis(values, first[..., None], axis=-1)[..., 0]
        where[out] = plane[parts].reshape(-1)[first]
    return best, where


def _adaptive_max_pool(rank: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    function = f"adaptive_max_pool{rank}d"
    shape = tuple(input.shape)
    outs = _output_sizes(function, output_size, shape, rank)
    _check_input(function, shape, rank, 1)
    require_floating("adaptive_max_pool3d_cpu" if rank == 3 else "adaptive_max_pool2d", input)
    best, where = _largest(input._data, outs)
    name = "SqueezeBackward1" if rank == 1 else f"AdaptiveMaxPool{rank}DBackward0"
    values, indices = PickLargest.apply(input, best, where, rank, name)
    return (values, indices) if return_indices else values


@array_api
def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum over `output_size` windows of the last axis. input: (N, C, L) or (C, L)."""
    return _adaptive_max_pool(1, input, output_size, return_indices)


@array_api
def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum over a grid of windows of the last two axes.

    input: (N, C, H, W) or (C, H, W)
    output_size: one int, or (H_out, W_out); None keeps an axis as it is
    return_indices: return also the positions of the maxima in each plane, int64
    """
    return _adaptive_max_pool(2, input, output_size, return_indices)


@array_api
def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum over a grid of windows of the last three axes; see `adaptive_max_pool2d`."""
    return _adaptive_max_pool(3, input, output_size, return_indices)
