"""Views: the same memory under another shape. Each records how to make itself again from its base."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .dims import sizes_of, wrap_dim
from .naming import named
from .node import attach
from .tensor import Tensor, from_data, recording, view_of


def _infer(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    """The shape with its -1 worked out. Raises RuntimeError where the size does not fit."""
    for each in shape:
        if each < -1:
            raise RuntimeError(
                f"invalid shape dimension {each} at index {shape.index(each)} of shape {list(shape)}"
            )
    unknown = shape.count(-1)
    if unknown > 1:
        raise RuntimeError("only one dimension can be inferred")
    if unknown:
        known = math.prod(each for each in shape if each != -1)
        if known == 0 and size == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because the "
                "unspecified dimension size -1 can be any value and is ambiguous"
            )
        if known and size % known == 0:
            return tuple([size // known if each == -1 else each for each in shape])
    elif math.prod(shape) == size:
        return shape
    raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {size}")


def view(input: Tensor, *shape: Any, dtype: Any = None) -> Tensor:
    """The same memory in another shape; -1 is worked out. view(dtype) reads the bits as another type.

    Raises RuntimeError where the memory order does not allow it: reshape copies then.
    """
    from .dtype import DType, resolve

    if dtype is not None or (len(shape) == 1 and isinstance(shape[0], DType)):
        return view_of(input, input._data.view(resolve(dtype or shape[0]).numpy), view, dtype or shape[0])
    data = input._data
    sizes = _infer(sizes_of(shape), data.size)
    try:
        seen = data.reshape(sizes, copy=False)
    except ValueError:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        ) from None
    return _reshaped(input, seen, "ViewBackward0", sizes)


def _reshaped(input: Tensor, seen: Any, name: str, sizes: tuple[int, ...]) -> Tensor:
    out = view_of(input, seen, view, sizes)
    if recording(input):
        attach(out, name, _reshape_backward, (input,)).shape = input._data.shape
    return out


def _reshape_backward(node: Any, grad: Tensor) -> Tensor:
    return reshape(grad, node.shape)


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The elements in another shape: a view where the memory order allows it, else a copy."""
    data = input._data
    sizes = _infer(sizes_of(shape), data.size)
    seen = data.reshape(sizes)
    # A reshape that had to copy owns its memory, or views only its own fresh copy.
    if data.size and not np.may_share_memory(seen, data):
        out = from_data(seen)
        if recording(input):
            attach(out, "UnsafeViewBackward0", _reshape_backward, (input,)).shape = data.shape
        return out
    return _reshaped(input, seen, "ViewBackward0", sizes)


def view_as(input: Tensor, other: Tensor) -> Tensor:
    """view(other.size())."""
    return view(input, other._data.shape)


def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """reshape(other.size())."""
    return reshape(input, other._data.shape)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions start_dim … end_dim as one. Raises RuntimeError where start comes after end."""
    shape = input._data.shape
    start, end = wrap_dim(start_dim, len(shape)), wrap_dim(end_dim, len(shape))
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not shape:
        return reshape(input, 1)
    if start == end:
        return input
    return reshape(input, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def unflatten(input: Tensor, dim: int, sizes: Any) -> Tensor:
    """One dimension as several, whose product it is."""
    shape = input._data.shape
    dim = wrap_dim(dim, len(shape))
    sizes = tuple(sizes)
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    known = math.prod(each for each in sizes if each != -1)
    if (-1 not in sizes and known != shape[dim]) or (-1 in sizes and (not known or shape[dim] % known)):
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} "
            f"({shape[dim]}) in the input tensor"
        )
    return reshape(
        input,
        (*shape[:dim], *[shape[dim] // known if each == -1 else each for each in sizes], *shape[dim + 1 :]),
    )


def ravel(input: Tensor) -> Tensor:
    """The elements in one dimension."""
    return reshape(input, -1)


def permute(input: Tensor, *dims: Any) -> Tensor:
    """Dimensions in the order `dims`. Raises RuntimeError unless each comes once."""
    data = input._data
    order = sizes_of(dims)
    if len(order) != data.ndim:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the "
            "length of the desired "
            f"ordering of dimensions i.e. input.dim() = {data.ndim} is not equal to len(dims) = {len(order)}"
        )
    order = tuple([wrap_dim(each, data.ndim) for each in order])
    if len(set(order)) != len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    out = view_of(input, data.transpose(order), permute, order)
    if recording(input):
        back = [0] * len(order)
        for position, dim in enumerate(order):
            back[dim] = position
        attach(out, "PermuteBackward0", _permute_backward, (input,)).back = tuple(back)
    return out


def _permute_backward(node: Any, grad: Tensor) -> Tensor:
    return permute(grad, node.back)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions swapped."""
    data = input._data
    first, second = wrap_dim(dim0, data.ndim), wrap_dim(dim1, data.ndim)
    out = view_of(input, data.swapaxes(first, second) if data.ndim else data[...], transpose, first, second)
    if recording(input):
        attach(out, "TransposeBackward0", _transpose_backward, (input,)).dims = first, second
    return out


def _transpose_backward(node: Any, grad: Tensor) -> Tensor:
    return transpose(grad, *node.dims)


def t(input: Tensor) -> Tensor:
    """The transposed matrix; a vector as it is. Raises RuntimeError above two dimensions."""
    if input._data.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input._data.ndim}D")
    return named(transpose(input, 0, 1), "TBackward0") if input._data.ndim == 2 else input


def reversed_dims(input: Tensor) -> Tensor:
    """`.T`: all dimensions in reverse order."""
    return permute(input, tuple(range(input._data.ndim))[::-1])


def matrix_transpose(input: Tensor) -> Tensor:
    """`.mT`: the last two dimensions swapped."""
    if input._data.ndim < 2:
        raise RuntimeError(
            "tensor.mT is only supported on matrices or batches of matrices. Got "
            f"{input._data.ndim}-D tensor."
        )
    return transpose(input, -2, -1)


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Dimensions `source` moved to `destination`, the others in their order."""
    ndim = input._data.ndim
    sources = [wrap_dim(each, ndim) for each in ([source] if isinstance(source, int) else source)]
    targets = [
        wrap_dim(each, ndim) for each in ([destination] if isinstance(destination, int) else destination)
    ]
    if len(sources) != len(targets):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({sources} dims) should contain "
            f"the same number of dims as destination ({targets} dims)"
        )
    if len(set(sources)) != len(sources) or len(set(targets)) != len(targets):
        raise RuntimeError("movedim: repeated dim in `source` or `destination`")
    order = [each for each in range(ndim) if each not in sources]
    for target, moved in sorted(zip(targets, sources, strict=True)):
        order.insert(target, moved)
    return permute(input, order)


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A dimension of size 1 at `dim`."""
    data = input._data
    dim = wrap_dim(dim, data.ndim + 1)
    out = view_of(input, np.expand_dims(data, dim), unsqueeze, dim)
    if recording(input):
        attach(out, "UnsqueezeBackward0", _reshape_backward, (input,)).shape = data.shape
    return out


def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Without dimensions of size 1: all of them, or those of `dim` that are."""
    data = input._data
    given = range(data.ndim) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    dims = tuple([wrap_dim(each, data.ndim) for each in given])
    kept = tuple([size for index, size in enumerate(data.shape) if not (size == 1 and index in dims)])
    seen = data.squeeze(tuple(each for each in dims if data.ndim and data.shape[each] == 1))
    out = view_of(input, seen, view, kept)
    if recording(input):
        name = "SqueezeBackward0" if dim is None else "SqueezeBackward1"
        attach(out, name, _reshape_backward, (input,)).shape = data.shape
    return out


def expand(input: Tensor, *sizes: Any) -> Tensor:
    """Dimensions of size 1 stretched, without copying; -1 keeps a size. Raises RuntimeError otherwise."""
    data = input._data
    target = list(sizes_of(sizes))
    lead = len(target) - data.ndim
    if lead < 0:
        raise RuntimeError(
            f"expand(torch.{input.dtype.scalar_name}Tensor{{{list(data.shape)}}}, size={target}): "
            "the number of sizes "
            f"provided ({len(target)}) must be greater or equal to the number of dimensions in the "
            f"tensor ({data.ndim})"
        )
    for index, size in enumerate(target):
        if size == -1:
            if index < lead:
                raise RuntimeError(
                    "The expanded size of the tensor (-1) isn't allowed in a leading, "
                    f"non-existing dimension {index}"
                )
            target[index] = data.shape[index - lead]
        elif index >= lead and data.shape[index - lead] not in (1, size):
            raise RuntimeError(
                f"The expanded size of the tensor ({size}) must match the existing size "
                f"({data.shape[index - lead]}) at "
                f"non-singleton dimension {index}.  Target sizes: {target}.  Tensor sizes: {list(data.shape)}"
            )
    wide = np.broadcast_to(data, target)
    out = view_of(input, wide, expand, tuple(target))
    if recording(input):
        attach(out, "ExpandBackward0", _expand_backward, (input,)).shape = data.shape
    return out


def _expand_backward(node: Any, grad: Tensor) -> Tensor:
    from .reduction import sum_to

    return sum_to(grad, node.shape)


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """expand(other.size())."""
    return expand(input, other._data.shape)


def broadcast_to(input: Tensor, size: Any) -> Tensor:
    """expand(size)."""
    return expand(input, size)


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All tensors in the size they broadcast to."""
    shape = np.broadcast_shapes(*[each._data.shape for each in tensors])
    return tuple([expand(each, shape) for each in tensors])
