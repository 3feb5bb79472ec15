"""Clipping of gradients in place: by the norm of all together, or by value."""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...autograd.grad_mode import no_grad
from ...autograd.tensor import Tensor, from_data

Tensors = Tensor | Iterable[Tensor]


def get_total_norm(
    tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The norm of all elements of all tensors together, a 0-d tensor. Computed in float64.

    norm_type: the p of the p-norm, or inf. foreach: accepted, and without effect.
    Raises RuntimeError for a norm that is not finite, with `error_if_nonfinite`.
    """
    del foreach
    arrays = [tensor._data for tensor in _listed(tensors)]
    if not arrays:
        return from_data(np.zeros((), np.float32))
    order = float(norm_type)
    norms = [np.linalg.norm(array.astype(np.promote_types(array.dtype, np.float64)).ravel(), order)
             for array in arrays if array.size or order >= 0]  # fmt: skip
    total = np.linalg.norm(np.asarray(norms), order)
    if error_if_nonfinite and not np.isfinite(total):
        raise RuntimeError(
            f"The total norm of order {order} for gradients from "
            "`parameters` is non-finite, so it cannot be clipped. To disable "
            "this error and scale the gradients by the non-finite norm anyway, "
            "set `error_if_nonfinite=False`"
        )
    real = [np.abs(array[:0]).dtype if array.ndim else np.abs(array).dtype for array in arrays]
    return from_data(np.asarray(total, np.result_type(*real)))


def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients in place by min(1, max_norm / (total_norm + 1e-6))."""
    del foreach
    scale = float(max_norm) / (float(total_norm._data) + 1e-6)
    # Not min(scale, 1): a norm that is NaN makes the gradients NaN, as in PyTorch.
    scale = 1.0 if scale > 1.0 else scale
    with no_grad():
        for grad in _grads(parameters):
            grad.mul_(scale)


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients of all parameters in place so that their norm together is at most `max_norm`.

    Returns the norm before. Arguments and errors as of `get_total_norm`.
    """
    if isinstance(parameters, types.GeneratorType):
        parameters = list(parameters)
        if not parameters:
            warnings.warn(
                "`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2
            )
    parameters = _listed(parameters)
    total_norm = get_total_norm(_grads(parameters), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(parameters, max_norm, total_norm)
    return total_norm


def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Clip every element of the gradients in place to [-clip_value, clip_value]."""
    del foreach
    bound = float(clip_value)
    with no_grad():
        for grad in _grads(parameters):
            grad.clamp_(min=-bound, max=bound)


def _listed(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _grads(parameters: Tensors) -> list[Any]:
    return [parameter.grad for parameter in _listed(parameters) if parameter.grad is not None]
