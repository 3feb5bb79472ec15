"""Changing a tensor in its own memory: the forms with a trailing underscore.

Each computes the result as its plain form does, writes it into the memory, counts up the version
and puts the tensor where the result is on the tape. A change through a view is, for the base, the
base with that part replaced (`CopySlices`); the view then makes itself again from the base.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from .casting import cast, convert
from .dtype import BY_NUMPY
from .grad_mode import mode
from .node import attach
from .promotion import as_operand, pair, result_dtype, to_array
from .quiet import quiet
from .reduction import sums_to
from .shape import expand
from .tensor import Tensor, from_data, recording


def forbid_leaf(tensor: Tensor) -> None:
    """Raise RuntimeError where a recorded change would hit a leaf that requires grad."""
    if not mode.enabled:
        return
    if tensor.requires_grad and tensor._grad_fn is None:
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
    view = tensor._view
    if view is not None and view[0]._req and view[0]._grad_fn is None:
        raise RuntimeError(
            "a view of a leaf Variable that requires grad is being used in an in-place operation."
        )


def overwrite(tensor: Tensor, result: Tensor) -> Tensor:
    """Make `tensor` the result: memory, version and place on the tape. Checks size and dtype."""
    data, found = tensor._data, result._data
    if found.shape != data.shape:
        raise RuntimeError(
            f"output with shape {list(data.shape)} doesn't match the broadcast shape {list(found.shape)}"
        )
    if found.dtype != data.dtype:
        check_castable(BY_NUMPY[found.dtype], BY_NUMPY[data.dtype])
        result = cast(result, data.dtype)
        found = result._data
    _writable(data)[...] = found
    tensor._vbox[0] += 1
    if not mode.enabled:
        return tensor
    if result._grad_fn is not None:
        _share_saved(result, tensor)
    if tensor._view is not None:
        _replace_part(tensor, result)
    elif result._req:
        tensor._grad_fn, tensor._nr, tensor._req = result._grad_fn, result._nr, True
    else:
        tensor._grad_fn, tensor._nr, tensor._req = None, 0, False
    return tensor


def _writable(data: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if not data.flags.writeable:
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory "
            "location, or the memory is read-only. Please clone() the tensor before performing the operation."
        )
    return data


def check_castable(found: Any, wanted: Any) -> None:
    """Raise RuntimeError where a result cannot go into memory of a lower category."""
    if found.category > wanted.category:
        raise RuntimeError(
            f"result type {found.scalar_name} can't be cast to the desired output type {wanted.scalar_name}"
        )


def _share_saved(result: Tensor, tensor: Tensor) -> None:
    """Let the node's saved output be this memory, so that a later change of it is noticed."""
    node = result._grad_fn
    assert node is not None
    if node._saved and any(entry[3] is not None and entry[1] is result._data for entry in node._saved):
        node._saved = tuple(
            (tensor._alias(), tensor._data, tensor._vbox[0], entry[3]) if entry[3] is not None else entry
            for entry in node._saved
        )


def _replace_part(tensor: Tensor, result: Tensor) -> None:
    assert tensor._view is not None
    base, chain, _ = tensor._view
    if not (base._req or result._req):
        return
    old = base._shadow()
    attach(base, "CopySlices", _part_backward, (old, result)).chain = chain
    # The version this view was last made for is older than the change: it makes itself again.
    tensor._view = (base, chain, -1)


def write_through(output: Tensor, node: Any, number: int) -> None:
    """Record that a Function changed the view `output`: its base has this part from `node`."""
    part = output._alias()
    part._grad_fn, part._nr, part._req = node, number, True
    _replace_part(output, part)


def _part_backward(node: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    part = grad
    for function, arguments in node.chain:
        part = function(part, *arguments)
    first = None
    if node.edges[0]:
        first = replaced(grad, node.chain, from_data(np.zeros_like(part._data)))
    return first, part if node.edges[1] else None


def replaced(base: Tensor, chain: Any, part: Tensor) -> Tensor:
    """A copy of `base` with the view that `chain` makes replaced by `part`."""
    out = from_data(base._data.copy())
    before, mode.enabled = mode.enabled, False
    try:
        seen = out
        for function, arguments in chain:
            seen = function(seen, *arguments)
    finally:
        mode.enabled = before
    seen._data[...] = part._data
    if recording(base, part):
        attach(out, "CopySlices", _part_backward, (base, part)).chain = chain
    return out


def in_place(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The underscore form of an operation: input.add_(…) from add(input, …)."""

    @functools.wraps(function)
    def changed(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        forbid_leaf(input)
        result = function(input._shadow(), *args, **kwargs)
        if result._data.dtype.kind == "f" and input._data.dtype.kind == "c":
            raise RuntimeError(f"In-place {function.__name__} is not supported for complex tensors.")
        return overwrite(input, result)

    changed.__name__ = changed.__qualname__ = f"{function.__name__}_"
    changed.__doc__ = f"`{function.__name__}` in place; returns the tensor itself."
    return changed


def _direct(name: str, ufunc: Any, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`in_place`, but straight into the memory where nothing is recorded and dtypes agree."""
    slow = in_place(function)

    def exact(data: np.ndarray[Any, Any]) -> bool:
        # An integer divided is a float: the plain form says that it cannot go back.
        return ufunc is np.true_divide and data.dtype.kind in "biu"

    def changed(input: Tensor, other: Any, **kwargs: Any) -> Tensor:
        if kwargs or recording(input, other):
            return slow(input, other, **kwargs)
        other = as_operand(other)
        data = input._data
        if other.__class__ is bool or result_dtype(input, other).numpy != data.dtype or exact(data):
            return slow(input, other)
        _, second = pair(input, other)
        fits = second.__class__ is not np.ndarray or second.shape == data.shape
        if not fits and not sums_to(data.shape, second.shape):
            return slow(input, other)
        quiet.run(ufunc, _writable(data), second, data)
        input._vbox[0] += 1
        return input

    changed.__name__ = changed.__qualname__ = name
    changed.__doc__ = f"`{name[:-1]}` in place; returns the tensor itself."
    return changed


def copy_(input: Tensor, src: Any, non_blocking: bool = False) -> Tensor:  # noqa: ARG001 - PyTorch's signature
    """The values of `src`, broadcast and cast to this tensor."""
    forbid_leaf(input)
    if not isinstance(src, Tensor):
        src = from_data(np.asarray(src))
    if recording(input, src):
        return overwrite(input, cast(expand(src, input._data.shape).clone(), input._data.dtype))
    data = _writable(input._data)
    try:
        data[...] = src._data if src._data.dtype == data.dtype else convert(src._data, data.dtype)
    except ValueError:
        expand(src, data.shape)  # raises with PyTorch's words
        raise
    input._vbox[0] += 1
    return input


def fill_(input: Tensor, value: Any) -> Tensor:
    """Every element set to a number or 0-dimensional tensor."""
    forbid_leaf(input)
    if isinstance(value, Tensor):
        if value._data.ndim:
            raise RuntimeError(
                "fill_ only supports 0-dimension value tensor but got tensor with "
                f"{value._data.ndim} dimensions."
            )
        return copy_(input, value)
    filled = to_array(value, input._data.dtype)
    if recording(input):
        return overwrite(input, from_data(np.broadcast_to(filled, input._data.shape)))
    _writable(input._data)[...] = filled
    input._vbox[0] += 1
    return input


def zero_(input: Tensor) -> Tensor:
    """Every element set to 0."""
    return fill_(input, 0)


def set_shape(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The underscore form of a view: the tensor itself takes the new shape."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def changed(input: Tensor, *args: Any, **named: Any) -> Tensor:
        if named:  # a view remembers its arguments by place
            args = signature.bind(input, *args, **named).args[1:]
        forbid_leaf(input)
        old = input._shadow()
        made = function(old, *args)
        input._data = made._data
        if made._req:
            input._grad_fn, input._nr, input._req = made._grad_fn, made._nr, True
        if input._view is not None:
            base, chain, version = input._view
            input._view = (base, (*chain, (function, args)), version)
        input._vbox[0] += 1
        return input

    changed.__name__ = changed.__qualname__ = f"{function.__name__}_"
    changed.__doc__ = f"`{function.__name__}` in place; returns the tensor itself."
    return changed


direct = _direct
