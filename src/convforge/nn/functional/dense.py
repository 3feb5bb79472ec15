"""The fully connected product."""

from __future__ import annotations

import math

from convforge.autograd.arrays import array_api
from convforge.autograd.naming import named
from convforge.autograd.tensor import Tensor
from convforge.nn.functional.refusal import not_implemented

__all__ = ["bilinear", "linear"]


def _check_dtypes(input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Raise RuntimeError, in PyTorch's words, unless all are of one dtype."""
    given, wanted = input.dtype, weight.dtype
    if bias is None:
        if given != wanted:
            raise RuntimeError(
                f"expected m1 and m2 to have the same dtype, but got: {given} != {wanted}: convert "
                "one with .to()"
            )
    elif bias.dtype != wanted:
        raise RuntimeError(
            f"self and mat2 must have the same dtype, but got {bias.dtype.scalar_name} and "
            f"{wanted.scalar_name}: convert the bias with .to()"
        )
    elif given != wanted:
        raise RuntimeError(
            f"mat1 and mat2 must have the same dtype, but got {given.scalar_name} and {wanted.scalar_name}: "
            "convert one with .to()"
        )


@array_api
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x · weightᵀ + bias over the last axis.

    input: (*, in_features); weight: (out_features, in_features) or (in_features,)
    bias: (out_features,) or ()

    Raises RuntimeError where the features do not match.
    """
    features = input.shape[-1] if input.ndim else None
    if weight.ndim not in (1, 2) or features != weight.shape[-1]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied: input {tuple(input.shape)} and weight "
            f"{tuple(weight.shape)}: the input's last size must be in_features"
            + (f" (={weight.shape[-1]})" if weight.ndim else "")
        )
    _check_dtypes(input, weight, bias)
    if weight._data.dtype.kind == "b":
        raise not_implemented("dot" if weight.ndim == 1 else "addmm_impl_cpu_", weight)
    if weight.ndim == 1:
        result = input.matmul(weight)
    elif input.ndim <= 2:
        result = input.matmul(weight.t())
    else:
        # One product of matrices: a batched one would sum weight gradients of each batch element.
        rows = input.reshape([math.prod(input.shape[:-1]), features])
        result = rows.matmul(weight.t()).reshape([*input.shape[:-1], weight.shape[0]])
    if bias is None:
        return result
    return named(result + bias, "AddmmBackward0" if input.ndim == 2 else "ViewBackward0")


@array_api
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_o = x1ᵀ · weight_o · x2 + bias_o over the last axes.

    input1: (*, in1); input2: (*, in2); weight: (out, in1, in2); bias: (out,)
    """
    if input1.shape[:-1] != input2.shape[:-1]:
        raise RuntimeError(
            f"bilinear(): input batch dimensions do not match: got {tuple(input1.shape)} and "
            f"{tuple(input2.shape)}"
        )
    if not input1.dtype == input2.dtype == weight.dtype:
        raise RuntimeError(
            f"All tensors must have the same dtype, got input1: {input1.dtype}, input2: "
            f"{input2.dtype}, weight: "
            f"{weight.dtype}: convert them with .to()"
        )
    if weight._data.dtype.kind == "b":
        raise not_implemented("bmm", weight)
    out, in1, in2 = weight.shape
    if input1.shape[-1] != in1 or input2.shape[-1] != in2:
        raise RuntimeError(
            f"bilinear(): input sizes {input1.shape[-1]} and {input2.shape[-1]} do not match weight "
            f"sizes {in1}, {in2}"
        )
    rows1, rows2 = input1.reshape([-1, in1]), input2.reshape([-1, in2])
    # (rows, in1) · (in1, out·in2) -> (rows, out, in2), then the dot product with input2.
    half = rows1.matmul(weight.permute(1, 0, 2).reshape([in1, out * in2])).reshape([-1, out, in2])
    # The sum of small integers is int64, but a product of matrices keeps the dtype.
    result = (half * rows2.unsqueeze(1)).sum(-1).to(weight.dtype).reshape([*input1.shape[:-1], out])
    return result if bias is None else result + bias
