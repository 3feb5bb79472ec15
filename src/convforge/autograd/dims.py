"""Reading `dim=` arguments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def wrap_dim(dim: Any, ndim: int) -> int:
    """A dimension counted from the front. Raises IndexError out of range, TypeError if no integer."""
    if not hasattr(dim, "__index__"):
        raise TypeError(f"argument 'dim' must be int, not {type(dim).__name__} (={dim!r})")
    dim = dim.__index__()
    reach = max(ndim, 1)
    if not -reach <= dim < reach:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-reach}, {reach - 1}], but got {dim})"
        )
    return dim + reach if dim < 0 else dim


def wrap_dims(dims: Any, ndim: int) -> tuple[int, ...]:
    """Dimensions to reduce over; None and () mean all. Raises RuntimeError where one comes twice."""
    if dims is None:
        return tuple(range(ndim))
    if not isinstance(dims, Iterable):
        found = (wrap_dim(dims, ndim),)
    else:
        listed = tuple(dims)
        if not listed:
            return tuple(range(ndim))
        found = tuple([wrap_dim(each, ndim) for each in listed])
    if len(set(found)) != len(found):
        twice = next(each for each in found if found.count(each) > 1)
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return found if ndim else ()


def sizes_of(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes given one by one or as one sequence: view(2, 3) and view((2, 3))."""
    if len(sizes) == 1 and isinstance(sizes[0], Iterable):
        sizes = tuple(sizes[0])
    for each in sizes:
        if not hasattr(each, "__index__"):
            raise TypeError(f"size must be a tuple of ints, but found element of type {type(each).__name__}")
    return tuple([each.__index__() for each in sizes])
