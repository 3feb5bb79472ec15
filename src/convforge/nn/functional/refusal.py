"""Errors for element types that PyTorch has no kernel for, in its words."""

from __future__ import annotations

from convforge.autograd.tensor import Tensor
from convforge.nn.functional.precision import is_floating


def not_implemented(kernel: str, input: Tensor) -> NotImplementedError:
    """PyTorch's error where its kernel does not take the dtype of `input`."""
    return NotImplementedError(
        f"\"{kernel}\" not implemented for '{input.dtype.scalar_name}': convert it with .float()"
    )


def require_floating(kernel: str, *inputs: Tensor) -> None:
    """Raise NotImplementedError unless all are real floating-point tensors."""
    for input in inputs:
        if not is_floating(input._data.dtype):
            raise not_implemented(kernel, input)


def require_float_mean(input: Tensor) -> None:
    """Raise RuntimeError for integers, whose mean has no dtype."""
    if input._data.dtype.kind in "biu":
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or complex "
            f"dtype. Got: {input.dtype.scalar_name}: convert it with .float()"
        )
