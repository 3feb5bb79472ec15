"""Class numbers as vectors, and how alike two vectors are."""

from __future__ import annotations

import numpy as np

from convforge.autograd.arrays import array_api
from convforge.autograd.naming import named
from convforge.autograd.promotion import result_dtype
from convforge.autograd.tensor import Tensor, from_data

__all__ = ["cosine_similarity", "one_hot", "pairwise_distance"]


@array_api
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Return a vector for each class number, 1 there and 0 elsewhere.

    tensor: int64, any shape -> int64, (*, num_classes); -1 means one more than the largest
    2, num_classes 4 -> 0 0 1 0

    Raises RuntimeError where a number is negative, not below num_classes, or not int64.
    """
    classes = tensor._data
    if classes.dtype != np.int64:
        raise RuntimeError(
            f"one_hot is only applicable to index tensor of type LongTensor, not {tensor.dtype}."
        )
    if classes.size == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor: give num_classes.")
        return from_data(np.zeros((*classes.shape, num_classes), dtype=np.int64))
    if int(classes.min()) < 0:
        raise RuntimeError(f"Class values must be non-negative, but got {int(classes.min())}.")
    largest = int(classes.max())
    if num_classes == -1:
        num_classes = largest + 1
    if num_classes < 1:
        raise RuntimeError(f"num_classes should be positive, but got {num_classes}")
    if largest >= num_classes:
        raise RuntimeError(
            f"Class values must be smaller than num_classes (={num_classes}), but got {largest}."
        )
    out = np.zeros((*classes.shape, num_classes), dtype=np.int64)
    np.put_along_axis(out, classes[..., None], 1, axis=-1)
    return from_data(out)


@array_api
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1·x2 / (|x1| |x2|) along `dim`, each norm at least eps. The shapes broadcast.

    Raises RuntimeError unless one of them is floating.
    """
    common = result_dtype(x1, x2)
    if not common.is_floating_point:
        raise RuntimeError(
            f"expected common dtype to be floating point, yet common dtype is {common.scalar_name}: "
            "use .float()"
        )
    x1, x2 = x1.to(common), x2.to(common)
    norm1 = (x1 * x1).sum(dim, keepdim=True).sqrt().clamp(min=eps)
    norm2 = (x2 * x2).sum(dim, keepdim=True).sqrt().clamp(min=eps)
    return ((x1 / norm1) * (x2 / norm2)).sum(dim)


@array_api
def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis."""
    difference = (x1 - x2 + eps).abs()
    if p == 2:
        return named((difference * difference).sum(-1, keepdim=keepdim).sqrt(), "NormBackward1")
    if p == float("inf"):
        return named(difference.amax(-1, keepdim=keepdim), "NormBackward1")
    return named((difference**p).sum(-1, keepdim=keepdim) ** (1 / p), "NormBackward1")
