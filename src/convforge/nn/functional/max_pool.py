"""Maximum pooling and its inverse. The gradient goes to the one element that was the maximum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convforge.autograd.arrays import array_api
from convforge.autograd.function import Function
from convforge.autograd.grad_mode import is_grad_enabled
from convforge.autograd.tensor import Tensor, from_data
from convforge.nn.functional.linear_map import apply_adjoint, apply_map
from convforge.nn.functional.precision import Array, is_floating
from convforge.nn.functional.refusal import not_implemented, require_floating
from convforge.nn.functional.windows import Window, along, int_tuple, pool_windows, taps_of

__all__ = ["max_pool1d", "max_pool2d", "max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d"]


@dataclass(frozen=True, slots=True)
class PickFromPlane:
    """out[n, c, o] = x[n, c, index[n, c, o]], with positions counted over the whole flattened plane.

    shape: the input's; the last `rank` axes are the plane.
    """

    shape: tuple[int, ...]
    rank: int
    index: Array

    def _flat_index(self) -> Array:
        planes = math.prod(self.shape[: -self.rank])
        area = math.prod(self.shape[-self.rank :])
        return (
            self.index.reshape(planes, math.prod(self.index.shape[-self.rank :]))
            + np.arange(planes, dtype=np.int64)[:, None] * area
        )

    def forward(self, x: Array) -> Array:
        """Read each position."""
        return x.reshape(-1)[self._flat_index()].reshape(self.index.shape)

    def adjoint(self, grad: Array) -> Array:
        """Add each gradient to its position."""
        size = math.prod(self.shape)
        # bincount adds in float64 and in order: 20 times the speed of np.add.at.
        total = np.bincount(self._flat_index().reshape(-1), grad.reshape(-1), minlength=size)
        return total.astype(grad.dtype).reshape(self.shape)


def largest(x: Array, windows: Sequence[Window]) -> tuple[Array, Array]:
    """Return the maximum of each window, and its position in the flattened plane (int64).

    The first of equal elements wins; NaN wins over all, the last one over the others, as in PyTorch.
    """
    rank = len(windows)
    lead, plane = x.shape[:-rank], x.shape[-rank:]
    pitches = [math.prod(plane[axis + 1 :]) for axis in range(rank)]
    outs = tuple(w.out for w in windows)
    floating = is_floating(x.dtype)
    has_nan = floating and bool(np.isnan(x).any())
    best = np.full(lead + outs, -np.inf if floating else np.iinfo(x.dtype).min, dtype=x.dtype)
    where = np.empty(lead + outs, dtype=np.int64)
    # A window whose elements are all -inf answers with its first element inside the input.
    where[...] = _grid([_first_inputs(window) for window in windows], pitches)
    for taps in taps_of(windows):
        out = (..., *(tap.out for tap in taps))
        values = x[(..., *(tap.inp for tap in taps))]
        position = _grid([range(tap.inp.start, tap.inp.stop, tap.inp.step) for tap in taps], pitches)
        better = values > best[out]
        if has_nan:
            better |= np.isnan(values)
        np.copyto(best[out], values, where=better)
        np.copyto(where[out], position, where=better)
    return best, where


def _largest_values(x: Array, windows: Sequence[Window]) -> Array:
    """The maxima alone: along one axis, then along the next; np.maximum keeps NaN."""
    rank = len(windows)
    lowest = -np.inf if is_floating(x.dtype) else np.iinfo(x.dtype).min
    for axis, window in enumerate(windows, start=-rank):
        shape = list(x.shape)
        shape[axis] = window.out
        best = np.full(shape, lowest, dtype=x.dtype)
        for tap in window.taps():
            part = best[along(axis, tap.out)]
            np.maximum(part, x[along(axis, tap.inp)], out=part)
        x = best
    return x


def _first_inputs(window: Window) -> Array:
    """The first input that each window of an axis reads; the last one of all where it reads none."""
    starts = np.arange(window.out, dtype=np.int64) * window.stride - window.padding
    skipped = np.maximum(0, -(starts // window.dilation))
    return np.minimum(starts + skipped * window.dilation, window.size - 1)


def _grid(positions: Sequence[Sequence[int] | Array], pitches: Sequence[int]) -> Array:
    """Flat positions of a grid given by one list of positions an axis."""
    total: Array = np.zeros((), dtype=np.int64)
    for axis_positions, pitch in zip(positions, pitches):
        total = total[..., None] + np.asarray(axis_positions, dtype=np.int64) * pitch
    return total


class PickLargest(Function):
    """(values, positions) of maxima found by NumPy; differentiable in the values."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, best: Array, where: Array, rank: int, name: str
    ) -> tuple[Tensor, Tensor]:
        ctx.pick, ctx._name = PickFromPlane(tuple(x.shape), rank, where), name
        indices = from_data(where)
        ctx.mark_non_differentiable(indices)
        return from_data(best), indices

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        return apply_adjoint(grad_outputs[0], ctx.pick, f"{ctx._name}Backward"), None, None, None, None


def _max_pool(
    rank: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    function = f"max_pool{rank}d"
    windows = pool_windows(function, input.shape, rank, kernel_size, stride, padding, dilation, ceil_mode)
    if rank == 1 and not return_indices:
        # PyTorch's kernel for maxima alone has no integers, though that for maxima with positions has.
        require_floating("max_pool1d_impl", input)
    if input._data.dtype.kind in "bc":
        raise not_implemented("max_pool3d" if rank == 3 else "max_pool2d", input)
    if not return_indices and not (is_grad_enabled() and input.requires_grad):
        return from_data(_largest_values(input._data, windows))
    best, where = largest(input._data, windows)
    name = "SqueezeBackward1" if rank == 1 else f"MaxPool{rank}DWithIndicesBackward0"
    values, indices = PickLargest.apply(input, best, where, rank, name)
    return (values, indices) if return_indices else values


@array_api
def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum over windows of the last axis.

    input: (N, C, L) or (C, L) -> (N, C, L_out) or (C, L_out); with return_indices also the positions, int64
    1 3 2 5, kernel 2 -> 3 5

    Raises RuntimeError where an argument is out of range or the output would be empty.
    """
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@array_api
def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum over windows of the last two axes; see `max_pool1d`.

    input: (N, C, H, W) or (C, H, W)
    """
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@array_api
def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum over windows of the last three axes; see `max_pool1d`.

    input: (N, C, D, H, W) or (C, D, H, W)
    """
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@dataclass(frozen=True, slots=True)
class PutIntoPlane:
    """The plane of zeros with x written at the given positions: the last write wins, as in PyTorch."""

    pick: PickFromPlane

    def forward(self, x: Array) -> Array:
        """Write each element at its position."""
        out = np.zeros(math.prod(self.pick.shape), dtype=x.dtype)
        out[self.pick._flat_index().reshape(-1)] = x.reshape(-1)
        return out.reshape(self.pick.shape)

    def adjoint(self, grad: Array) -> Array:
        """Read each position."""
        return self.pick.forward(grad)


def _max_unpool(
    rank: int, input: Tensor, indices: Tensor, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Tensor:
    function = f"max_unpool{rank}d"
    kernels = int_tuple(function, "kernel_size", kernel_size, rank)
    strides = kernels if stride is None else int_tuple(function, "stride", stride, rank)
    paddings = int_tuple(function, "padding", padding, rank)
    if indices._data.dtype != np.int64:
        raise RuntimeError(f"elements in indices should be type int64 but got: {indices.dtype}")
    if tuple(input.shape) != tuple(indices.shape):
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({tuple(input.shape)}) "
            f"but got indices tensor with shape: {tuple(indices.shape)}"
        )
    usual = [
        (size - 1) * step + kernel - 2 * pad
        for size, kernel, step, pad in zip(input.shape[-rank:], kernels, strides, paddings)
    ]
    sizes = usual
    if output_size is not None:
        sizes = [int(size) for size in output_size]
        if len(sizes) == rank + 2:
            sizes = sizes[-rank:]
        if len(sizes) != rank:
            raise ValueError(
                f"output_size should be a sequence containing {rank} or {rank + 2} elements, but it "
                f"has a length of '{len(sizes)}'"
            )
        for axis, (size, default, step) in enumerate(zip(sizes, usual, strides)):
            if not default - step < size < default + step:
                raise ValueError(
                    f"invalid output_size {sizes!r} (dim {axis} must be between {default - step} and "
                    f"{default + step})"
                )
    require_floating("max_unpool3d" if rank == 3 else "max_unpool2d", input)
    area = math.prod(sizes)
    where = indices._data
    if where.size and (int(where.min()) < 0 or int(where.max()) >= area):
        raise RuntimeError(
            f"{function}(): Found an invalid max index: {int(where.max())} (output volumes are of size "
            f"{sizes})"
        )
    pick = PickFromPlane((*input.shape[:-rank], *sizes), rank, where)
    name = "SqueezeBackward1" if rank == 1 else f"MaxUnpool{rank}DBackward0"
    return apply_map(input, PutIntoPlane(pick), name)


@array_api
def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Put maxima back where `max_pool1d(…, return_indices=True)` found them; zeros elsewhere.

    output_size: the size to restore, where several inputs pool to the same size
    """
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


@array_api
def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Put maxima back where `max_pool2d(…, return_indices=True)` found them; see `max_unpool1d`."""
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


@array_api
def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Put maxima back where `max_pool3d(…, return_indices=True)` found them; see `max_unpool1d`."""
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)
