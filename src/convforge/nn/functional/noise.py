"""Dropout in all of its forms, with PyTorch's random numbers."""

from __future__ import annotations

import math
import warnings

import numpy as np

from convforge.autograd.arrays import array_api
from convforge.autograd.random import bernoulli_
from convforge.autograd.tensor import Tensor, from_data
from convforge.nn.functional.refusal import not_implemented

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]

# The value that SELU tends to at minus infinity, negated: what alpha dropout sets a dropped element to.
_SELU_FLOOR = 1.7580993408473766


def _check(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _check_dtype(input: Tensor, alpha: bool) -> None:
    """Raise PyTorch's error where a factor of 1 / (1 - p) cannot be kept in the input's dtype."""
    kind = input._data.dtype.kind
    if kind == "c":
        raise not_implemented("bernoulli_scalar_cpu_", input)
    if kind in "biu":
        wanted = "Long" if alpha and kind == "b" else input.dtype.scalar_name
        raise RuntimeError(
            f"result type Float can't be cast to the desired output type {wanted}: convert it with .float()"
        )


def _drop(
    input: Tensor, p: float, training: bool, inplace: bool, whole_channels: bool, alpha: bool = False
) -> Tensor:
    """Multiply by Bernoulli noise, one draw an element or a channel of a sample."""
    if whole_channels and input.ndim < 2:
        raise RuntimeError(
            f"Feature dropout requires at least 2 dimensions in the input, but got {input.ndim}"
        )
    if p == 0 or not training or input.numel() == 0:
        return input
    if p == 1:
        # A bool times a number is an integer; PyTorch multiplies by a zero tensor of the input's dtype.
        zero = from_data(np.zeros((), input._data.dtype))
        return input.mul_(zero) if inplace else input * zero
    _check_dtype(input, alpha)
    shape = list(input.shape)
    if whole_channels:
        shape[2:] = [1] * (len(shape) - 2)
    # Whole tensors of noise lie in memory as the input does, which says in what order the draws go.
    noise = np.empty(shape, input._data.dtype) if whole_channels else np.empty_like(input._data)
    bernoulli_(noise, 1 - p)
    kind = noise.dtype.type
    if not alpha:
        noise /= kind(1 - p)
        factor = from_data(noise)
        return input.mul_(factor) if inplace else input * factor
    a = 1.0 / math.sqrt((_SELU_FLOOR * _SELU_FLOOR * p + 1) * (1 - p))
    shift = (noise - kind(1)) * kind(_SELU_FLOOR * a) + kind(_SELU_FLOOR * a * p)
    factor, offset = from_data(noise * kind(a)), from_data(shift)
    return input.mul_(factor).add_(offset) if inplace else input * factor + offset


@array_api
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each element with probability `p` and divide the others by 1 - p; in evaluation, do nothing.

    Raises ValueError where p is outside 0 … 1, RuntimeError for integers.
    """
    _check(p)
    return _drop(input, p, training, inplace, whole_channels=False)


@array_api
def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout for nets of SELU: keeps mean and variance."""
    _check(p)
    return _drop(input, p, training, inplace, whole_channels=False, alpha=True)


@array_api
def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels."""
    _check(p)
    return _drop(input, p, training, inplace, whole_channels=True, alpha=True)


@array_api
def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels. input: (N, C, L) or (C, L).

    Raises ValueError where p is outside 0 … 1, RuntimeError for another number of dimensions.
    """
    _check(p)
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input. Note that "
            "dropout1d exists to "
            "provide channel-wise dropout on inputs with 1 spatial dimension, a channel dimension, and "
            "an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    return _batched(input, 3, p, training, inplace)


@array_api
def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels. input: (N, C, H, W); three dimensions are (N, C, L), with PyTorch's warning."""
    _check(p)
    if input.ndim not in (3, 4):
        warnings.warn(
            f"dropout2d: Received a {input.ndim}-D input to dropout2d, which is deprecated and will "
            "result in an error "
            "in a future release. To retain the behavior and silence this warning, please use dropout "
            "instead. Note that dropout2d exists to provide channel-wise dropout on inputs with 2 spatial "
            "dimensions, a channel dimension, and an optional batch dimension (i.e. 3D or 4D inputs).",
            stacklevel=3,
        )
    if input.ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
            "behavior is desired "
            "- input is interpreted as shape (N, C, L), where C is the channel dim. This behavior will "
            "change in a "
            "future release to interpret the input as one without a batch dimension, i.e. shape (C, H, "
            "W). To maintain "
            "the 1D channel-wise dropout behavior, please switch to using dropout1d instead.",
            stacklevel=3,
        )
    return _drop(input, p, training, inplace, whole_channels=True)


@array_api
def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels. input: (N, C, D, H, W) or (C, D, H, W)."""
    _check(p)
    if input.ndim not in (4, 5):
        warnings.warn(
            f"dropout3d: Received a {input.ndim}-D input to dropout3d, which is deprecated and will "
            "result in an error "
            "in a future release. To retain the behavior and silence this warning, please use dropout "
            "instead. Note that dropout3d exists to provide channel-wise dropout on inputs with 3 spatial "
            "dimensions, a channel dimension, and an optional batch dimension (i.e. 4D or 5D inputs).",
            stacklevel=3,
        )
    return _batched(input, 5, p, training, inplace)


def _batched(input: Tensor, ndim: int, p: float, training: bool, inplace: bool) -> Tensor:
    """Drop channels, through a batch of one where there is no batch axis, or not as many axes as "
    "there should be."""
    if input.ndim == ndim:
        return _drop(input, p, training, inplace, whole_channels=True)
    dropped = _drop(input.unsqueeze(0), p, training, inplace, whole_channels=True)
    return input if inplace else dropped.squeeze(0)
