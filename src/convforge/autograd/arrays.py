"""Functional forms for NumPy users: plain arrays in, plain arrays out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .nested import native
from .tensor import Tensor, from_data

F = TypeVar("F", bound=Callable[..., Any])
_ndarray = np.ndarray

stand_ins: set[type] = set()
"""Classes of tensors without memory (`stand_in`): a function that is given one does not run."""

looked_at: set[type] = {np.ndarray, list, tuple}
"""Classes of arguments for which a function's arguments are looked through: those, and `stand_ins`."""


def array_api(function: F) -> F:
    """Let `function` of Tensors also take ndarrays, alone or in lists.

    If arrays came in and no Tensor did, its Tensors come out as arrays.
    """

    @functools.wraps(function)
    def either(*args: Any, **kwargs: Any) -> Any:
        for each in args:
            kind = each.__class__
            if kind is not Tensor and kind in looked_at:
                break
        else:
            if not kwargs:
                return function(*args)
            for each in kwargs.values():
                kind = each.__class__
                if kind is _ndarray or kind in stand_ins:
                    break
            else:
                return function(*args, **kwargs)
        if stand_ins:
            stand_in = stand_in_of(args, kwargs)
            if stand_in is not None:
                return stand_in.take_over(function.__name__, function, args, kwargs)
        seen = _Seen()
        args = tuple([seen.tensor(each) for each in args])
        kwargs = {name: seen.tensor(each) for name, each in kwargs.items()}
        result = function(*args, **kwargs)
        return plain(result) if seen.arrays and not seen.tensors else result

    return either  # type: ignore[return-value]


def stand_in_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The first tensor without memory among the arguments, in lists too; None if there is none."""
    for each in (*args, *kwargs.values()):
        kind = each.__class__
        if kind in stand_ins:
            return each
        if kind is list or kind is tuple:
            for inner in each:
                if inner.__class__ in stand_ins:
                    return inner
    return None


class _Seen:
    """Counts what came in while it is converted."""

    def __init__(self) -> None:
        self.arrays = self.tensors = 0

    def tensor(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            self.tensors += 1
        elif isinstance(value, _ndarray):
            self.arrays += 1
            return from_data(native(value))
        elif value.__class__ in (list, tuple) and any(isinstance(each, (_ndarray, Tensor)) for each in value):
            return type(value)([self.tensor(each) for each in value])
        return value


def plain(result: Any) -> Any:
    """Tensors as arrays, in tuples and lists too; a 0-dimensional one stays an array."""
    if isinstance(result, Tensor):
        return result.detach().numpy()
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return type(result)(*[plain(each) for each in result])  # type: ignore[call-arg]
    if isinstance(result, (tuple, list)):
        return type(result)([plain(each) for each in result])
    return result


def wrap_like(result: Any, *inputs: Any) -> Any:
    """`result` as arrays where the inputs hold arrays and no Tensor; else as it is."""
    seen = _Seen()
    for each in inputs:
        seen.tensor(each)
    return plain(result) if seen.arrays and not seen.tensors else result
