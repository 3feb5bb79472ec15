"""Layers that pad, in every mode and 1 to 3 dimensions.

1 2 3, padding (2, 1) -> zeros   0 0 1 2 3 0      reflect  3 2 1 2 3 2
                         replicate 1 1 1 2 3 3    circular 2 3 1 2 3 1
"""

from __future__ import annotations

from typing import Any, ClassVar

from convforge.nn import functional as F
from convforge.nn.functional.windows import int_tuple
from convforge.nn.module import Module

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    """Base of the padding layers.

    padding: one int for all sides, or (before, after) of the last axis, then of the one before it, …
    """

    _rank: ClassVar[int]
    _mode: ClassVar[str]

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = int_tuple(type(self).__name__, "padding", padding, 2 * self._rank)

    def forward(self, input: Any) -> Any:
        """Pad: (N, C, *) or (C, *)."""
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """Base of the layers that pad with one value."""

    _mode = "constant"
    value: float

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Any) -> Any:
        """Pad: any number of dimensions that has the padded ones."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Pad the last axis with `value`."""

    _rank = 1


class ConstantPad2d(_ConstantPad):
    """Pad the last two axes with `value`."""

    _rank = 2


class ConstantPad3d(_ConstantPad):
    """Pad the last three axes with `value`."""

    _rank = 3


class ZeroPad1d(ConstantPad1d):
    """Pad the last axis with zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """Pad the last two axes with zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """Pad the last three axes with zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return f"{self.padding}"


class ReflectionPad1d(_Pad):
    """Pad by mirroring, the edge not repeated, the last axis."""

    _rank = 1
    _mode = "reflect"


class ReflectionPad2d(_Pad):
    """Pad by mirroring, the edge not repeated, the last two axes."""

    _rank = 2
    _mode = "reflect"


class ReflectionPad3d(_Pad):
    """Pad by mirroring, the edge not repeated, the last three axes."""

    _rank = 3
    _mode = "reflect"


class ReplicationPad1d(_Pad):
    """Pad by repeating the edge, the last axis."""

    _rank = 1
    _mode = "replicate"


class ReplicationPad2d(_Pad):
    """Pad by repeating the edge, the last two axes."""

    _rank = 2
    _mode = "replicate"


class ReplicationPad3d(_Pad):
    """Pad by repeating the edge, the last three axes."""

    _rank = 3
    _mode = "replicate"


class _CircularPad(_Pad):
    _mode = "circular"

    def forward(self, input: Any) -> Any:
        """Pad: (N, C, *) or (C, *). Raises ValueError for other numbers of dimensions."""
        if input.ndim not in (self._rank + 1, self._rank + 2):
            raise ValueError(
                f"expected {self._rank + 1}D or {self._rank + 2}D input (got {input.ndim}D input)"
            )
        return super().forward(input)


class CircularPad1d(_CircularPad):
    """Pad by wrapping around, the last axis."""

    _rank = 1


class CircularPad2d(_CircularPad):
    """Pad by wrapping around, the last two axes."""

    _rank = 2


class CircularPad3d(_CircularPad):
    """Pad by wrapping around, the last three axes."""

    _rank = 3
