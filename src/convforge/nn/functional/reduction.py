"""What a loss does with its elements: keeps them, sums them or averages them."""

from __future__ import annotations

import warnings
from typing import Any

from convforge.autograd.tensor import Tensor


def legacy_reduction(reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    """Return `reduction`, or what PyTorch's two old arguments say, with its warning, where one is given."""
    if size_average is None and reduce is None:
        return reduction
    average = size_average is None or size_average
    word = "none" if reduce is False else "mean" if average else "sum"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{word}' instead.",
        stacklevel=4,
    )
    return word


def reduction_of(reduction: str, size_average: bool | None = None, reduce: bool | None = None) -> str:
    """Return 'none', 'mean' or 'sum'. Raises ValueError for any other word."""
    reduction = legacy_reduction(reduction, size_average, reduce)
    if reduction == "elementwise_mean":
        warnings.warn(
            "reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.", stacklevel=4
        )
        return "mean"
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction: use 'none', 'mean' or 'sum'")
    return reduction


def reduced(loss: Tensor, reduction: str, total: Any = None) -> Tensor:
    """Apply a reduction; `total` is what the mean divides by, the number of elements if None."""
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    return loss.mean() if total is None else loss.sum() / total
