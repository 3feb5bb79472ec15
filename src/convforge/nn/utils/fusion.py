"""Folding a batch norm into the layer before it: one layer with the output of both.

    bn(conv(x)) = (w * x + b - mean) * scale + shift        scale = bn_weight / sqrt(var + eps)
                = (w * scale) * x + (b - mean) * scale + shift

Computed in float64 and rounded once to the layer's dtype.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ...autograd.tensor import Tensor
from ..parameter import Parameter


def fuse_conv_bn(conv: Any, bn: Any) -> Any:
    """One convolution that gives `bn(conv(x))`, for any layer of the family, in whatever mode the two are.

    conv: a Conv or ConvTranspose module, with or without bias, grouped or not; it is left as it was.
    The fused layer has a bias, which takes gradients if the weight does.
    bn: a BatchNorm of `conv.out_channels` features with running statistics, which are what it folds in.

    Raises ValueError where `bn` has no running statistics or another number of features.
    """
    fused = _fused(conv, bn)
    fused.bias.requires_grad_(fused.weight.requires_grad)
    return fused


def _fused(conv: Any, bn: Any) -> Any:
    _check_pair(conv, bn)
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        bn.running_mean,
        bn.running_var,
        bn.eps,
        bn.weight,
        bn.bias,
        transpose=conv.transposed,
    )
    return fused


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """`fuse_conv_bn` of two modules in evaluation mode.

    transpose: kept for PyTorch's spelling; whether the layer is transposed is read from the layer.

    Raises AssertionError if one is in training mode or `bn` has no running statistics, ValueError where
    `transpose` is set for a layer that is not transposed or the features do not match.
    """
    if conv.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    if transpose and not conv.transposed:
        raise ValueError(
            f"transpose (=True) does not fit {conv._get_name()}, which is not transposed: leave it out"
        )
    return _fused(conv, bn)


def fuse_conv_bn_weights(
    conv_w: Any,
    conv_b: Any,
    bn_rm: Any,
    bn_rv: Any,
    bn_eps: float,
    bn_w: Any,
    bn_b: Any,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of the fused convolution; both always there.

    conv_w: (out, in / groups, …), or (in, out / groups, …) with `transpose`. conv_b, bn_w, bn_b: None
    means zeros, ones, zeros. bn_rm, bn_rv: running mean and variance, (out,).
    With `transpose` the number of groups follows from the sizes: block g of the inputs makes block g of
    the outputs, so its weights take the scales of that block.
    """
    weight = _array(conv_w)
    scale, shift = _scale_and_shift(bn_rm, bn_rv, bn_eps, bn_w, bn_b)
    if transpose:
        groups = scale.size // max(weight.shape[1], 1)
        if groups * weight.shape[1] != scale.size or weight.shape[0] % max(groups, 1):
            raise ValueError(
                f"conv_w of shape {weight.shape} does not fit bn_rm of {scale.size} features: with transpose "
                "its size 1 must divide them, and the quotient, the groups, its size 0"
            )
        blocks = weight.reshape(groups, -1, *weight.shape[1:])
        scales = scale.reshape(groups, 1, -1, *(1,) * (weight.ndim - 2))
        fused = (blocks * scales).reshape(weight.shape)
    else:
        if weight.shape[0] != scale.size:
            raise ValueError(
                f"conv_w of shape {weight.shape} does not fit bn_rm of {scale.size} features: its size 0 "
                "must be their number"
            )
        fused = weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))
    return _parameter(fused, conv_w, conv_w), _fused_bias(conv_w, conv_b, bn_rm, scale, shift)


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """One Linear that gives `bn(linear(x))`, for two modules in evaluation mode.

    bn: of `linear.out_features` features, or of one.
    Raises AssertionError where a module is in training mode, or the two do not fit.
    """
    if linear.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.num_features not in (linear.out_features, 1):
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, "
            f"got linear.out_features={linear.out_features} and bn.num_features={bn.num_features}"
        )
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        linear.weight, linear.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused


def fuse_linear_bn_weights(
    linear_w: Any, linear_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any
) -> tuple[Parameter, Parameter]:
    """Weight (out, in) and bias (out,) of the fused Linear; None for a bias or scale as in convolutions."""
    weight = _array(linear_w)
    scale, shift = _scale_and_shift(bn_rm, bn_rv, bn_eps, bn_w, bn_b)
    scale, shift = (np.broadcast_to(each, weight.shape[:1]) for each in (scale, shift))
    bias = _fused_bias(linear_w, linear_b, bn_rm, scale, shift)
    return _parameter(weight * scale[:, None], linear_w, linear_w), bias


def _check_pair(conv: Any, bn: Any) -> None:
    if bn.running_mean is None or bn.running_var is None:
        raise ValueError(
            "bn has no running statistics (track_running_stats=False): only a batch norm that keeps them "
            "is a fixed scale and shift, and can be fused"
        )
    if bn.num_features != conv.out_channels:
        raise ValueError(
            f"bn.num_features (={bn.num_features}) must equal conv.out_channels (={conv.out_channels}): "
            "fuse the batch norm that follows this convolution"
        )


def _array(tensor: Any) -> np.ndarray[Any, Any]:
    """The values in float64, or complex128."""
    values = tensor._data if isinstance(tensor, Tensor) else np.asarray(tensor)
    return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)


def _scale_and_shift(mean: Any, var: Any, eps: float, weight: Any, bias: Any) -> tuple[Any, Any]:
    """What the batch norm multiplies with and what it adds after taking off the mean."""
    scale = 1.0 / np.sqrt(_array(var) + eps)
    if weight is not None:
        scale = scale * _array(weight)
    return scale, np.zeros_like(_array(mean)) if bias is None else _array(bias)


def _fused_bias(weight: Any, bias: Any, mean: Any, scale: Any, shift: Any) -> Parameter:
    before = 0.0 if bias is None else _array(bias)
    return _parameter((before - _array(mean)) * scale + shift, weight if bias is None else bias, bias)


def _parameter(values: Any, like: Any, grad_of: Any) -> Parameter:
    """A parameter of the dtype of `like`, which takes gradients if `grad_of` does; a new bias does not."""
    dtype = like._data.dtype if isinstance(like, Tensor) else np.asarray(like).dtype
    requires_grad = isinstance(grad_of, Tensor) and grad_of.requires_grad
    return Parameter(values.astype(dtype), requires_grad)
