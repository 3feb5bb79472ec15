"""Activations made of straight lines: ReLU and its relatives."""

from __future__ import annotations

import warnings
from typing import Any

from convforge.nn import functional as F, init as nn_init
from convforge.nn.factory import empty
from convforge.nn.module import Module
from convforge.nn.parameter import Parameter

__all__ = [
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "PReLU",
    "ReLU",
    "ReLU6",
    "Softshrink",
    "Threshold",
]


class ReLU(Module):
    """max(0, x)."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.relu(input, self.inplace)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return "inplace=True" if self.inplace else ""


class Hardtanh(Module):
    """x between min_val and max_val, those beyond.

    Raises AssertionError, as PyTorch, unless max_val is above min_val.
    """

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__()
        for old, new, given in (("min_value", "min_val", min_value), ("max_value", "max_val", max_value)):
            if given is not None:
                warnings.warn(
                    f"keyword argument `{old}` is deprecated and rename to `{new}`",
                    FutureWarning,
                    stacklevel=2,
                )
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        self.inplace = inplace
        if self.max_val <= self.min_val:
            raise AssertionError(f"max_val (={self.max_val}) must be larger than min_val (={self.min_val})")

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class ReLU6(Hardtanh):
    """min(max(0, x), 6)."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.relu6(input, self.inplace)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """x above 0, negative_slope · x below."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class Hardsigmoid(Module):
    """relu6(x + 3) / 6."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.hardsigmoid(input, self.inplace)


class Hardswish(Module):
    """x · relu6(x + 3) / 6."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.hardswish(input, self.inplace)


class Threshold(Module):
    """x above the threshold, value elsewhere."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" if self.inplace else "")


class Hardshrink(Module):
    """0 where |x| <= lambd, x elsewhere."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return f"{self.lambd}"


class Softshrink(Module):
    """x moved towards 0 by lambd."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return f"{self.lambd}"


class PReLU(Module):
    """x above 0, weight · x below; the weight is learned.

    num_parameters: 1, or the number of channels (axis 1 of the input); init: what the weights start as
    """

    weight: Parameter

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weights to `init`."""
        nn_init.constant_(self.weight, self.init)

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return f"num_parameters={self.num_parameters}"
