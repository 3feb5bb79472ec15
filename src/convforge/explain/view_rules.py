"""Rules of functions that only move elements: the real function is run on their positions.

Where the elements of an axis have gone is read from the result of the real function, given an array that
holds each element's position along that axis. It is a broadcast array, so it takes no memory, nor does a
result that is a view of it.

    x (N, C, H, W), positions along H, .permute(0, 2, 3, 1)     stride 1 in dimension 1: there H is now
    x[:, :, ::2]                                                stride 2: every second
    reshape to (N, C, H/2, 2, W)                                strides 2 and 1: windows of 2, stride 2
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from convforge.autograd import shape as shapes
from convforge.autograd.dtype import DType
from convforge.autograd.tensor import Tensor, from_data
from convforge.explain.abstract import AbstractTensor
from convforge.explain.function_names import COPIES, RESHAPES, VIEWS
from convforge.explain.places import Axis, Place
from convforge.explain.receptive_field import Window
from convforge.explain.rules import Call, ValuesReadError, flat, moved, rule, unknown, wrapped
from convforge.explain.tracing_words import LOST, READS_VALUES, said

Array = npt.NDArray[Any]
# Elements from which on no array of positions is made: 64 MB.
LARGE = 1 << 24


@rule(*VIEWS)
def _view(call: Call) -> Any:
    first = call.first
    if any(isinstance(each, AbstractTensor) for each in flat([*call.args[1:], *call.kwargs.values()])):
        raise ValuesReadError(said(READS_VALUES, name=call.name.strip("_")))  # a mask, or indices
    blank = np.broadcast_to(np.zeros((), first.dtype.numpy), first.shape)
    raw = call.run(lambda _: from_data(blank))
    outputs = _tensors(raw)
    marks: dict[Axis, Array] = {}
    marked: dict[Axis, list[Tensor]] = {}
    large = first.numel() > LARGE and call.name in (*RESHAPES, *COPIES)
    for axis, place in first.places.items():
        if place.dim is not None and not large:
            mark = marks[axis] = _positions(first, place.dim)
            marked[axis] = _tensors(call.run(lambda _, mark=mark: from_data(mark)))
    made: list[AbstractTensor] = []
    for at, out in enumerate(outputs):
        places: dict[Axis, Place] = {}
        for axis, place in first.places.items():
            if place.dim is None:
                places[axis] = place
            elif large:
                places[axis] = _regrouped(place, call, first.shape, out.shape)
            else:
                places[axis] = _followed(place, call, marks[axis], marked[axis][at]._data, first)
        dims = [place.dim for place in places.values()]
        for axis, place in places.items():
            # Two axes in one dimension: neither is followed along it.
            if place.dim is not None and dims.count(place.dim) > 1:
                before = first.places[axis]
                assert before.dim is not None
                places[axis] = before.scatter(place.dim, first.shape[before.dim])
        same = out._data.size and np.may_share_memory(out._data, blank)
        memory = first.memory if same or not out._data.size else None
        made.append(call.ledger.tensor(out.shape, out._data.dtype, places, memory=memory))
    taken = iter(made)
    return wrapped(raw, lambda _: next(taken))


@rule("view")
def _reinterpreted(call: Call) -> Any:
    if "dtype" in call.kwargs or any(isinstance(each, DType) for each in call.args):
        return unknown(call)
    # Broadcast positions are no view of another shape where the real memory would be.
    call.function = shapes.reshape
    return _view(call)


@rule("view_as", "reshape_as", "expand_as")
def _like(call: Call) -> Any:
    other = call.args[1]
    call.function = shapes.expand if call.name == "expand_as" else shapes.reshape
    call.args = (call.first, tuple(other.shape))
    return _view(call)


@rule("__iter__")
def _iterated(call: Call) -> Any:
    return iter([call.first[at] for at in range(call.first.shape[0])])


def _tensors(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs]
    return [tensor for each in outputs for tensor in _tensors(each)]


def _regrouped(place: Place, call: Call, old: Sequence[int], new: Sequence[int]) -> Place:
    """Where an axis is after a reshape, by sizes alone: dimensions before which as many elements lie."""
    assert place.dim is not None
    before, length = prod(old[: place.dim]), old[place.dim]
    for dim in range(len(new)):
        if call.name in RESHAPES and prod(new[:dim]) == before and new[dim] == length:
            return moved(place, dim)
    merged = (dim for dim in range(len(new)) if prod(new[:dim]) <= before < prod(new[: dim + 1]))
    dim = next(merged, None)
    if call.name in RESHAPES and dim is not None and new[dim] >= length:
        return place.scatter(dim, length)
    return place.unknown(said(LOST, name=call.name))


def _positions(tensor: AbstractTensor, dim: int) -> Array:
    """Of the tensor's shape: the position along one dimension."""
    size = tensor.shape[dim]
    line = np.arange(size, dtype=np.float32 if size < 1 << 24 else np.float64)
    return np.broadcast_to(line.reshape([-1 if at == dim else 1 for at in range(tensor.ndim)]), tensor.shape)


def _followed(place: Place, call: Call, mark: Array, out: Array, first: AbstractTensor) -> Place:
    """Where an axis is in a result that holds positions along it."""
    assert place.dim is not None
    length = first.shape[place.dim]
    if out.ndim == first.ndim and out.shape == mark.shape and out.strides == mark.strides:
        return place
    if not out.size or place.field is None:
        return moved(place, None)
    # Along dimensions of stride 0 nothing varies: one element of them is enough.
    out = out[tuple(slice(None) if step else slice(0, 1) for step in out.strides)]
    varying = [dim for dim in range(out.ndim) if out.shape[dim] > 1 and _varies(out, dim)]
    if not varying:
        if length == 1:
            return moved(place, place.dim if out.ndim == first.ndim else None)
        return place.scatter(None, length) if place.scattered else _picked(place, int(out.flat[0]))
    lines = {dim: _line(out, dim) for dim in varying}
    if place.scattered:
        return place.scatter(varying[0], length)
    dim = max(varying, key=lambda dim: abs(lines[dim][1] - lines[dim][0]))
    steps = np.diff(lines[dim])
    rest = out - lines[dim].reshape([-1 if at == dim else 1 for at in range(out.ndim)])
    low, high = int(rest.min()), int(rest.max())
    first_at = int(lines[dim][0])
    if (steps == steps[0]).all() and steps[0] > 0 and (len(varying) == 1 or _even(rest, dim)):
        window = Window(high - low + 1, int(steps[0]), -(first_at + low))
        return moved(place.through(window), dim)
    factor, odd = divmod(out.shape[dim], length)
    if len(varying) == 1 and not odd and (lines[dim] == np.arange(out.shape[dim]) // factor).all():
        return moved(place.through(Window(factor, factor, transposed=True)), dim)
    if len(varying) == 1:
        return place.scatter(dim, length)
    return place.unknown(said(LOST, name=call.name.strip("_")))


def _picked(place: Place, position: int) -> Place:
    """One element alone."""
    assert place.field is not None
    return Place(place.size, None, place.field.spread(position))


def _varies(out: Array, dim: int) -> bool:
    first = out[(slice(None),) * dim + (slice(0, 1),)]
    return bool((out != first).any())


def _line(out: Array, dim: int) -> Array:
    return np.asarray(out[tuple(slice(None) if at == dim else 0 for at in range(out.ndim))])


def _even(rest: Array, dim: int) -> bool:
    """Whether what is left of the positions is the same all along the dimension."""
    first = rest[(slice(None),) * dim + (slice(0, 1),)]
    return bool((rest == first).all())
