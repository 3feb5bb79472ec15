"""The fully connected product."""

from __future__ import annotations

import math

from convforge.autograd.arrays import array_api
from convforge.autograd.tensor import Tensor

__all__ = ["bilinear", "linear"]


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
    if input.dtype != weight.dtype:
        raise RuntimeError(
            f"mat1 and mat2 must have the same dtype, but got {input.dtype} and {weight.dtype}: "
            "convert one with .to()"
        )
    if weight.ndim == 1:
        result = input.matmul(weight)
    elif input.ndim <= 2:
        result = input.matmul(weight.t())
    else:
        # One product of matrices: a batched one would sum weight gradients of each batch element.
        rows = input.reshape([math.prod(input.shape[:-1]), features])
        result = rows.matmul(weight.t()).reshape([*input.shape[:-1], weight.shape[0]])
    return result if bias is None else result + bias


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
    out, in1, in2 = weight.shape
    if input1.shape[-1] != in1 or input2.shape[-1] != in2:
        raise RuntimeError(
            f"bilinear(): input sizes {input1.shape[-1]} and {input2.shape[-1]} do not match weight "
            f"sizes {in1}, {in2}"
        )
    rows1, rows2 = input1.reshape([-1, in1]), input2.reshape([-1, in2])
    # (rows, in1) · (in1, out·in2) -> (rows, out, in2), then the dot product with input2.
    half = rows1.matmul(weight.permute(1, 0, 2).reshape([in1, out * in2])).reshape([-1, out, in2])
    result = (half * rows2.unsqueeze(1)).sum(-1).reshape([*input1.shape[:-1], out])
    return result if bias is None else result + bias
