"""Rules of sums, means and extremes: every element of the result sees all that was summed over."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from convforge.autograd.tensor import from_data
from convforge.explain.abstract import AbstractTensor
from convforge.explain.function_names import REDUCTIONS
from convforge.explain.places import Axis, Place
from convforge.explain.rules import Call, elementwise, moved, rule, summed


@rule(*REDUCTIONS)
def _reduction(call: Call) -> Any:
    given = inspect.signature(call.function).bind(*call.args, **call.kwargs)
    given.apply_defaults()
    dims = given.arguments.get("dim")
    dtype = {"argmax": np.int64, "argmin": np.int64, "count_nonzero": np.int64, "all": np.bool_}.get(
        call.name
    )
    return reduced(call, dims, bool(given.arguments.get("keepdim", False)), dtype)


def reduced(call: Call, dims: Any, keepdim: bool, dtype: Any = None) -> AbstractTensor:
    """The first argument with dimensions summed up, or whatever else needs all of their elements."""
    first = call.first
    listed = (
        list(range(first.ndim)) if dims is None or dims == () else [dims] if isinstance(dims, int) else dims
    )
    gone = {int(dim) % first.ndim for dim in listed}
    left = [dim for dim in range(first.ndim) if dim not in gone or keepdim]
    shape = [1 if dim in gone else first.shape[dim] for dim in left]
    places: dict[Axis, Place] = {}
    for axis, place in first.places.items():
        seen = summed(place, gone, first.shape)
        places[axis] = moved(seen, left.index(seen.dim) if seen.dim is not None else None)
    return call.result(shape, places, dtype)


@rule("max", "min", "median")
def _extreme(call: Call) -> Any:
    if len(call.tensors) > 1:
        call.name = "maximum"
        return elementwise(call)
    rest = [*call.args[1:], *call.kwargs.values()]
    if not rest:
        return reduced(call, None, keepdim=False)
    dim = call.kwargs.get("dim", call.args[1] if len(call.args) > 1 else None)
    keepdim = bool(call.kwargs.get("keepdim", call.args[2] if len(call.args) > 2 else False))
    sample = call.run(lambda each: from_data(np.zeros((1,) * each.ndim, each.dtype.numpy)))
    values, positions = reduced(call, dim, keepdim), reduced(call, dim, keepdim, np.int64)
    return type(sample)(values, positions)
