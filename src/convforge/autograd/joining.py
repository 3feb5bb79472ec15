"""Putting tensors together and taking them apart: cat, stack, split, chunk, repeat, flip, roll."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .dims import sizes_of, wrap_dim
from .indexing import narrow, select
from .naming import named
from .node import attach
from .promotion import promote_types
from .tensor import Tensor, from_data, recording


def _tensors(tensors: Any, name: str) -> list[Tensor]:
    if isinstance(tensors, Tensor):
        raise TypeError(f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
    listed = list(tensors)
    for index, each in enumerate(listed):
        if not isinstance(each, Tensor):
            raise TypeError(
                f"expected Tensor as element {index} in argument 0, but got {type(each).__name__}"
            )
    if not listed:
        raise RuntimeError(
            "torch.cat(): expected a non-empty list of Tensors"
            if name == "cat"
            else "stack expects a non-empty TensorList"
        )
    return listed


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors one behind the other along `dim`. Raises RuntimeError where other sizes differ."""
    listed = _tensors(tensors, "cat")
    dtype = functools.reduce(promote_types, [each.dtype for each in listed]).numpy
    # PyTorch lets an empty vector stand beside anything.
    kept = [each for each in listed if each._data.shape != (0,)] or listed[:1]
    ndim = kept[0]._data.ndim
    for index, each in enumerate(listed):
        if each._data.ndim == 0:
            raise RuntimeError(f"zero-dimensional tensor (at position {index}) cannot be concatenated")
    dim = wrap_dim(dim, ndim)
    first = kept[0]._data.shape
    for index, each in enumerate(listed):
        shape = each._data.shape
        if shape == (0,):
            continue
        if len(shape) != ndim:
            raise RuntimeError(f"Tensors must have same number of dimensions: got {ndim} and {len(shape)}")
        for axis in range(ndim):
            if axis != dim and shape[axis] != first[axis]:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size "
                    f"{first[axis]} but got size {shape[axis]} for tensor number {index} in the list."
                )
    out = from_data(np.concatenate([each._data for each in kept], axis=dim, dtype=dtype, casting="unsafe"))
    if recording(*kept):
        node = attach(out, "CatBackward0", _cat_backward, tuple(kept))
        node.dim, node.sizes = dim, [each._data.shape[dim] for each in kept]
    return out


def _cat_backward(node: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    parts: list[Tensor | None] = []
    start = 0
    for size, edge in zip(node.sizes, node.edges, strict=True):
        parts.append(narrow(grad, node.dim, start, size) if edge else None)
        start += size
    return tuple(parts)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors side by side along a new dimension. Raises RuntimeError where sizes differ."""
    listed = _tensors(tensors, "stack")
    first = listed[0]._data.shape
    for index, each in enumerate(listed):
        if each._data.shape != first:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and "
                f"{list(each._data.shape)} at entry {index}"
            )
    dim = wrap_dim(dim, len(first) + 1)
    dtype = functools.reduce(promote_types, [each.dtype for each in listed]).numpy
    out = from_data(np.stack([each._data for each in listed], axis=dim, dtype=dtype, casting="unsafe"))
    if recording(*listed):
        attach(out, "StackBackward0", _stack_backward, tuple(listed)).dim = dim
    return out


def _stack_backward(node: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return tuple([select(grad, node.dim, index) if edge else None for index, edge in enumerate(node.edges)])


def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of `tensor` along `dim`: of one size each (the last smaller), or of the sizes listed."""
    dim = wrap_dim(dim, tensor._data.ndim)
    length = tensor._data.shape[dim]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0:
            raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
        if size == 0 and length:
            raise RuntimeError(
                f"split_size can only be 0 if dimension size is 0, but got dimension size of {length}"
            )
        sizes = [min(size, length - start) for start in range(0, length, size)] if length else [0]
    else:
        sizes = list(split_size_or_sections)
        if sum(sizes) != length or any(each < 0 for each in sizes):
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {length} (input tensor's "
                f"size at dimension {dim}), but got split_sizes={sizes}"
            )
    starts = np.cumsum([0, *sizes]).tolist()
    name = "SplitBackward0" if isinstance(split_size_or_sections, int) else "SplitWithSizesBackward0"
    return tuple(
        [named(narrow(tensor, dim, start, size), name) for start, size in zip(starts, sizes, strict=False)]
    )


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views along `dim`, of equal size but for the last."""
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    length = input._data.shape[wrap_dim(dim, input._data.ndim)]
    return split(input, max(-(-length // chunks), 1), dim) if length else (input,) * chunks


def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views along `dim`: that many, of sizes that differ by one at most, or cut at the indices."""
    dim = wrap_dim(dim, input._data.ndim)
    length = input._data.shape[dim]
    if isinstance(indices_or_sections, int):
        quotient, rest = divmod(length, indices_or_sections)
        return split(input, [quotient + (index < rest) for index in range(indices_or_sections)], dim)
    cuts = [0, *[min(each if each >= 0 else each + length, length) for each in indices_or_sections], length]
    return tuple([narrow(input, dim, low, max(high - low, 0)) for low, high in itertools.pairwise(cuts)])


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The views select(dim, 0), select(dim, 1), …"""
    if input._data.ndim == 0:
        raise RuntimeError("Dimension specified as 0 but tensor has no dimensions")
    dim = wrap_dim(dim, input._data.ndim)
    return tuple(
        [named(select(input, dim, index), "UnbindBackward0") for index in range(input._data.shape[dim])]
    )


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """The tensor set side by side that many times along each dimension."""
    times = sizes_of(repeats)
    data = input._data
    if len(times) < data.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor"
        )
    if any(each < 0 for each in times):
        raise RuntimeError(
            f"Trying to create tensor with negative dimension: repeats {list(times)} must not be negative"
        )
    out = from_data(np.tile(data, times))
    if recording(input):
        node = attach(out, "RepeatBackward0", _repeat_backward, (input,))
        node.times, node.shape = times, data.shape
    return out


def _repeat_backward(node: Any, grad: Tensor) -> Tensor:
    shape = (1,) * (len(node.times) - len(node.shape)) + node.shape
    cells = [each for pair in zip(node.times, shape, strict=True) for each in pair]
    summed = grad.reshape(cells).sum(tuple(range(0, len(cells), 2))) if cells else grad
    return summed.reshape(node.shape)


def tile(input: Tensor, *dims: Any) -> Tensor:
    """`repeat`, with missing dimensions in front repeated once."""
    times = sizes_of(dims)
    return repeat(input, (1,) * (input._data.ndim - len(times)) + times)


def repeat_interleave(input: Tensor, repeats: Any, dim: int | None = None) -> Tensor:
    """Each element repeated in its place."""
    from .gathering import index_select

    if dim is None:
        input, dim = input.reshape(-1), 0
    dim = wrap_dim(dim, input._data.ndim)
    counts = repeats._data if isinstance(repeats, Tensor) else repeats
    return index_select(input, dim, from_data(np.repeat(np.arange(input._data.shape[dim]), counts)))


def flip(input: Tensor, *dims: Any) -> Tensor:
    """A copy in reverse order along each of `dims`."""
    axes = tuple([wrap_dim(each, input._data.ndim) for each in sizes_of(dims)])
    if len(set(axes)) != len(axes):
        raise RuntimeError(
            f"dim {next(a for a in axes if axes.count(a) > 1)} appears multiple times in the list of dims"
        )
    out = from_data(np.ascontiguousarray(np.flip(input._data, axes)).reshape(input._data.shape))
    if recording(input):
        attach(out, "FlipBackward0", _flip_backward, (input,)).dims = axes
    return out


def _flip_backward(node: Any, grad: Tensor) -> Tensor:
    return flip(grad, node.dims)


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """A copy shifted along `dims`, what leaves at one end entering at the other; None: as if flat."""
    shift = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    axes = () if dims is None else (dims,) if isinstance(dims, int) else tuple(dims)
    if axes and len(axes) != len(shift):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shift)}, dims:{len(axes)}")
    if not axes and len(shift) != 1:
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shift)}, dims:0")
    axes = tuple([wrap_dim(each, input._data.ndim) for each in axes])
    out = from_data(np.roll(input._data, shift, axes) if axes else np.roll(input._data, shift[0]))
    if recording(input):
        node = attach(out, "RollBackward0", _roll_backward, (input,))
        node.shifts, node.dims = tuple(-each for each in shift), axes or None
    return out


def _roll_backward(node: Any, grad: Tensor) -> Tensor:
    return roll(grad, node.shifts, node.dims)


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of each matrix, the rest 0."""
    return _triangle(input, np.tri(input._data.shape[-2], input._data.shape[-1], diagonal, dtype=np.bool_))


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of each matrix, the rest 0."""
    return _triangle(
        input, ~np.tri(input._data.shape[-2], input._data.shape[-1], diagonal - 1, dtype=np.bool_)
    )


def _triangle(input: Tensor, mask: Any) -> Tensor:
    return input * from_data(mask)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of the matrices in dimensions dim1 and dim2, as the last dimension."""
    data = input._data
    first, second = wrap_dim(dim1, data.ndim), wrap_dim(dim2, data.ndim)
    moved = input.movedim((first, second), (-2, -1))
    rows, columns = moved._data.shape[-2:]
    count = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    index = np.arange(count)
    return moved[..., from_data(index - min(offset, 0)), from_data(index + max(offset, 0))]


_diagonal = diagonal


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix; of a vector, the matrix that has it as its diagonal."""
    if input._data.ndim == 2:
        return _diagonal(input, diagonal)
    size = input._data.shape[0] + abs(diagonal)
    index = np.arange(input._data.shape[0])
    out = from_data(np.zeros((size, size), input._data.dtype))
    out[from_data(index - min(diagonal, 0)), from_data(index + max(diagonal, 0))] = input
    return out


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """The coordinates of a grid, one tensor an axis."""
    listed = list(tensors[0]) if len(tensors) == 1 and not isinstance(tensors[0], Tensor) else list(tensors)
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    swap = indexing == "xy" and len(listed) > 1
    if swap:
        listed[:2] = listed[1::-1]
    shape = tuple([each._data.size for each in listed])
    grids = [
        each.reshape([-1 if axis == index else 1 for axis in range(len(listed))]).expand(shape)
        for index, each in enumerate(listed)
    ]
    if swap:
        grids = [each.transpose(0, 1) for each in grids]
        grids[:2] = grids[1::-1]
    return tuple(grids)
