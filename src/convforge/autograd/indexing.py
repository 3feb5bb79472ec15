"""Reading and writing by index: views for ints and slices, copies for tensors and masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from .dims import wrap_dim
from .node import attach
from .promotion import to_array
from .tensor import Tensor, from_data, recording, view_of

ALL = slice(None)


def _normal(key: Any) -> tuple[list[Any], bool]:
    """The index as a list of ints, slices, None, one Ellipsis and arrays, and whether it has arrays."""
    if not isinstance(key, tuple):
        key = (
            (key,)
            if not isinstance(key, list) or not any(isinstance(each, (slice, type(None))) for each in key)
            else tuple(key)
        )
    parts: list[Any] = []
    advanced = False
    for each in key:
        kind = each.__class__
        if kind is int or each is None or each is Ellipsis:
            parts.append(each)
        elif kind is slice:
            if each.step is not None and _index(each.step) <= 0:
                raise ValueError("step must be greater than zero")
            parts.append(
                slice(*[None if end is None else _index(end) for end in (each.start, each.stop, each.step)])
            )
        elif kind is bool or kind is np.bool_:
            parts.append(np.asarray(each))
            advanced = True
        elif isinstance(each, (Tensor, np.ndarray)):
            array = each._data if isinstance(each, Tensor) else each
            if array.dtype.kind in "iu" and array.ndim == 0 and array.dtype != np.uint8:
                parts.append(int(array))
                continue
            parts.append(index_array(array))
            advanced = True
        elif hasattr(each, "__index__"):
            parts.append(each.__index__())
        elif isinstance(each, (list, range, tuple)):
            parts.append(index_array(np.asarray(_nested(each), dtype=None if len(each) else np.int64)))
            advanced = True
        else:
            raise IndexError(
                "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables "
                f"are valid indices (got {kind.__name__})"
            )
    return parts, advanced


def _nested(values: Any) -> Any:
    if isinstance(values, Tensor):
        return values._data.tolist()
    return [_nested(each) for each in values] if isinstance(values, (list, tuple, range)) else values


def _index(value: Any) -> int:
    if isinstance(value, Tensor):
        return int(value._data)
    if not hasattr(value, "__index__"):
        raise TypeError("slice indices must be integers or None or have an __index__ method")
    return value.__index__()


def index_array(array: Any) -> Any:
    """An array as NumPy indexes with it: bytes are masks. Raises IndexError for floats."""
    if array.dtype == np.uint8:
        return array.astype(np.bool_)
    if array.dtype.kind not in "biu":
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    return array


def _width(part: Any) -> int:
    """How many dimensions an index takes up."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, np.ndarray) and part.dtype.kind == "b" else 1


def _filled(parts: list[Any], ndim: int) -> tuple[Any, ...]:
    """The index with an Ellipsis, at the end where none is. Raises IndexError where it is too long."""
    if sum(map(_width, parts)) > ndim:
        raise IndexError(f"too many indices for tensor of dimension {ndim}")
    where = [index for index, each in enumerate(parts) if each is Ellipsis]
    if len(where) > 1:  # the first takes all that is free, the others nothing
        parts = [each for index, each in enumerate(parts) if index not in where[1:]]
    # Even where nothing is left for it: with it NumPy gives a view of an element, without it a copy.
    return (*parts, Ellipsis) if not where else tuple(parts)


def index_error(error: IndexError, ndim: int) -> IndexError:
    """NumPy's error in PyTorch's words."""
    if ndim == 0:
        return IndexError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` "
            "in C++ to convert a 0-dim tensor to a number"
        )
    return IndexError(str(error).replace("axis", "dimension").replace("array", "tensor"))


def getitem(input: Tensor, key: Any) -> Tensor:
    """input[key]: a view for ints, slices, None and …; a copy where a tensor, list or mask takes part."""
    data = input._data
    parts, advanced = _normal(key)
    if advanced:
        return _gather(input, parts)
    if not data.ndim and any(each.__class__ is int for each in parts):
        raise index_error(IndexError(), 0)
    index = _filled(parts, data.ndim)
    try:
        seen = data[index]
    except IndexError as error:
        raise index_error(error, data.ndim) from None
    out = view_of(input, seen, getitem, index)
    if recording(input):
        node = attach(
            out,
            "SelectBackward0" if parts[:1] and parts[0].__class__ is int else "SliceBackward0",
            _view_backward,
            (input,),
        )
        node.index, node.shape = index, data.shape
    return out


def _view_backward(node: Any, grad: Tensor) -> Tensor:
    return embed(grad, node.index, node.shape)


def embed(part: Tensor, index: Any, shape: tuple[int, ...]) -> Tensor:
    """Zeros of `shape` with `part` added at `index`: the adjoint of reading it."""
    whole = np.zeros(shape, part._data.dtype)
    if _is_basic(index):
        whole[index] = part._data
    else:
        np.add.at(whole, index, part._data)
    out = from_data(whole)
    if recording(part):
        attach(out, "SliceBackwardBackward0", _embed_backward, (part,)).index = index
    return out


def _is_basic(index: tuple[Any, ...]) -> bool:
    return not any(isinstance(each, np.ndarray) for each in index)


def _embed_backward(node: Any, grad: Tensor) -> Tensor:
    return take_at(grad, node.index) if not _is_basic(node.index) else getitem(grad, node.index)


def _split(input: Tensor, parts: list[Any]) -> tuple[Tensor, tuple[Any, ...]]:
    """Ints, slices and None applied first, as PyTorch does; then the arrays that are left, in place."""
    ndim = input._data.ndim
    index = list(_filled(parts, ndim))
    hole = next(i for i, each in enumerate(index) if each is Ellipsis)  # arrays have no truth value
    index[hole : hole + 1] = [ALL] * (ndim - sum(map(_width, index)))
    basic: list[Any] = []
    rest: list[Any] = []
    axis = 0
    for each in index:
        if isinstance(each, np.ndarray):
            width = _width(each)
            if each.dtype.kind == "b" and each.shape != input._data.shape[axis : axis + width]:
                wrong = next(i for i in range(width) if each.shape[i] != input._data.shape[axis + i])
                raise IndexError(
                    f"The shape of the mask {list(each.shape)} at index {wrong} does not match the "
                    f"shape of the indexed tensor {list(input._data.shape)} at index {axis + wrong}"
                )
            basic += [ALL] * width
            rest.append(each)
            axis += width
        else:
            basic.append(each)
            if each is None or isinstance(each, slice):
                rest.append(ALL)
            axis += each is not None
    if all(each is ALL or each == ALL for each in basic if each is not None) and None not in basic:
        return input, tuple(rest)
    return getitem(input, tuple(basic)), tuple(rest)


def _gather(input: Tensor, parts: list[Any]) -> Tensor:
    seen, index = _split(input, parts)
    return take_at(seen, index)


def take_at(input: Tensor, index: tuple[Any, ...]) -> Tensor:
    """A copy of the elements at an index of arrays and slices. Raises IndexError where it does not fit."""
    data = input._data
    try:
        out = from_data(data[index])
    except IndexError as error:
        if "broadcast" in str(error):
            shapes = ", ".join(str(list(each.shape)) for each in index if isinstance(each, np.ndarray))
            raise IndexError(
                f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}"
            ) from None
        raise index_error(error, data.ndim) from None
    if recording(input):
        node = attach(out, "IndexBackward0", _view_backward, (input,))
        node.index, node.shape = index, data.shape
    return out


def setitem(input: Tensor, key: Any, value: Any) -> None:
    """input[key] = value, recorded where one of them requires grad."""
    from .inplace import copy_, forbid_leaf, overwrite

    parts, advanced = _normal(key)
    if not isinstance(value, Tensor):
        value = from_data(value if isinstance(value, np.ndarray) else to_array(value, input._data.dtype))
    if not advanced:
        copy_(getitem(input, key), _shrunk(value))
        return
    forbid_leaf(input)
    seen, index = _split(input, parts)
    if recording(seen, value):
        overwrite(seen, index_put(seen._shadow(), index, value))
        return
    try:
        seen._data[index] = to_array(value, seen._data.dtype)
    except ValueError:
        raise misfit(value, seen._data[index].shape) from None
    except IndexError as error:
        raise index_error(error, seen._data.ndim) from None
    input._vbox[0] += 1


def _shrunk(value: Tensor) -> Tensor:
    """Without leading dimensions of size 1, which an assignment may have too many of."""
    lead = 0
    shape = value._data.shape
    while lead < len(shape) and shape[lead] == 1:
        lead += 1
    return value.reshape(shape[lead:]) if lead else value


def misfit(value: Tensor, shape: tuple[int, ...]) -> RuntimeError:
    """The error for a value that does not broadcast to the place it is written to."""
    return RuntimeError(
        f"shape mismatch: value tensor of shape {list(value._data.shape)} cannot be broadcast to "
        f"indexing result of shape {list(shape)}"
    )


def index_put(input: Tensor, index: tuple[Any, ...], value: Tensor) -> Tensor:
    """A copy of `input` with `value` at an index of arrays and slices."""
    data = input._data.copy()
    place = data[index].shape
    try:
        data[index] = to_array(value, data.dtype)
    except ValueError:
        raise misfit(value, place) from None
    out = from_data(data)
    if recording(input, value):
        node = attach(out, "IndexPutBackward0", _put_backward, (input, value))
        node.index, node.shape = index, value._data.shape
    return out


def _put_backward(node: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    from .reduction import sum_to

    first = second = None
    if node.edges[0]:
        taken = take_at(grad, node.index)
        first = index_put(grad, node.index, from_data(np.zeros_like(taken._data)))
    if node.edges[1]:
        taken = take_at(grad, node.index)
        shape = node.shape
        while len(shape) > taken._data.ndim:
            shape = shape[1:]
        second = sum_to(taken, shape).reshape(node.shape)
    return first, second


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The view at one index of a dimension, without it."""
    if not input._data.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim = wrap_dim(dim, input._data.ndim)
    size = input._data.shape[dim]
    index = _index(index)
    if not -size <= index < size:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(input._data.shape)} at "
            f"dimension {dim}"
        )
    return getitem(input, (*[ALL] * dim, index))


def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """The view start … start + length of a dimension."""
    dim = wrap_dim(dim, input._data.ndim)
    size = input._data.shape[dim]
    start = _index(start)
    begin = start + size if start < 0 else start
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if begin < 0 or begin + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return getitem(input, (*[ALL] * dim, slice(begin, begin + length)))
