"""Layers that drop elements or whole channels while training, with PyTorch's random numbers."""

from __future__ import annotations

from typing import Any, ClassVar

from convforge.nn import functional as F
from convforge.nn.module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _Dropout(Module):
    """Base of the dropouts. Raises ValueError where p is outside 0 … 1."""

    _function: ClassVar[Any]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Drop while training; the input itself in evaluation."""
        return self._function(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Zero each element with probability p and divide the others by 1 - p."""

    _function = staticmethod(F.dropout)


class Dropout1d(_Dropout):
    """Zero whole channels of (N, C, L) or (C, L)."""

    _function = staticmethod(F.dropout1d)


class Dropout2d(_Dropout):
    """Zero whole channels of (N, C, H, W)."""

    _function = staticmethod(F.dropout2d)


class Dropout3d(_Dropout):
    """Zero whole channels of (N, C, D, H, W) or (C, D, H, W)."""

    _function = staticmethod(F.dropout3d)


class AlphaDropout(_Dropout):
    """Dropout for nets of SELU: keeps mean and variance."""

    _function = staticmethod(F.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels."""

    _function = staticmethod(F.feature_alpha_dropout)
