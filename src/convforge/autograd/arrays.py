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


def array_api(function: F) -> F:
    """Let `function` of Tensors also take ndarrays, alone or in lists.

    If arrays came in and no Tensor did, its Tensors come out as arrays.
    """

    @functools.wraps(function)
    def either(*args: Any, **kwargs: Any) -> Any:
        for each in args:
            kind = each.__class__
            if kind is _ndarray or kind is list or kind is tuple:
                break
        else:
            if not kwargs:
                return function(*args)
            for each in kwargs.values():
                if each.__class__ is _ndarray:
                    break
            else:
                return function(*args, **kwargs)
        seen = _Seen()
        args = tuple([seen.tensor(each) for each in args])
        kwargs = {name: seen.tensor(each) for name, each in kwargs.items()}
        result = function(*args, **kwargs)
        return plain(result) if seen.arrays and not seen.tensors else result

    return either  # type: ignore[return-value]


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
