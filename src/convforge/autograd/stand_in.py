"""Tensors without memory: whoever meets one lets it say what comes out.

A function of Tensors that is given a stand-in does not run: the stand-in's `take_over` is called with its
name and arguments, and answers. So a model's forward can be followed by shape alone, computing nothing. What
a real function would do with a stand-in's elements raises `NoElementsError`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, NoReturn

import numpy as np

from . import methods as _methods
from .arrays import looked_at, stand_ins
from .size import Size
from .tensor import Tensor

del _methods  # imported so that Tensor has all of its methods, which are replaced here

# Methods that ask for shape and dtype alone, or are Python's own.
_KEPT = (
    "size", "dim", "ndimension", "numel", "nelement", "element_size", "is_floating_point", "is_complex",
    "register_hook", "register_post_accumulate_grad_hook", "retain_grad", "_is_view", "_refresh",
    "_make_subclass", "__new__", "__init_subclass__", "__len__", "__hash__", "__reduce_ex__",
)  # fmt: skip
_ATTRIBUTES = ("T", "mT", "H", "real", "imag", "data")


class NoElementsError(TypeError):
    """Something asked for the values of a tensor that has none."""


@dataclass(frozen=True, slots=True, eq=False)
class Absent:
    """In the place of an array: its shape and dtype. Reading elements raises NoElementsError."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    # Of no real array: so a look-up by shape, strides and dtype never finds what one left.
    strides: None = None

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes that an array would take."""
        return self.size * self.itemsize

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise NoElementsError("its values are read, which are not computed")

    def __getitem__(self, _: Any) -> NoReturn:
        self.__array__()

    def __setitem__(self, _: Any, __: Any) -> NoReturn:
        self.__array__()

    def __getattr__(self, name: str) -> Any:
        # NumPy asks for its protocols by attribute: it is to find none but __array__.
        if name.startswith("__"):
            raise AttributeError(name)
        raise NoElementsError(f"its array is asked for .{name}, but values are not computed")


class StandIn(Tensor):
    """Base of tensors without memory. A subclass defines `take_over`."""

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        stand_ins.add(cls)
        looked_at.add(cls)

    def __new__(cls, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """A stand-in of a shape and dtype, off the tape."""
        made = object.__new__(cls)
        made._data = Absent(tuple(shape), dtype)  # pyright: ignore[reportAttributeAccessIssue]
        made._req = False
        made.grad = made._grad_fn = made._view = made._hooks = None
        made._nr, made._vbox = 0, [0, 0]
        return made

    @property
    def shape(self) -> Size:
        """The size of each dimension."""
        return tuple.__new__(Size, self._data.shape)

    def take_over(
        self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """What `function(*args, **kwargs)` gives; name is PyTorch's, of the function or the method."""
        raise NotImplementedError


def _method(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def handed_over(self: StandIn, *args: Any, **kwargs: Any) -> Any:
        return self.take_over(name, function, (self, *args), kwargs)

    handed_over.__name__ = name
    return handed_over


def _attribute(name: str, getter: Callable[[Tensor], Any]) -> Any:
    return property(lambda self: self.take_over(name, getter, (self,), {}))


for _name, _function in list(vars(Tensor).items()):
    if callable(_function) and not isinstance(_function, type) and _name not in _KEPT:
        setattr(StandIn, _name, _method(_name, _function))
for _name in _ATTRIBUTES:
    setattr(StandIn, _name, _attribute(_name, vars(Tensor)[_name].fget))
