"""Losses that compare element by element."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from convforge.autograd.arrays import array_api
from convforge.autograd.dtype import FLOAT, DType, get_default_dtype
from convforge.autograd.function import Function
from convforge.autograd.naming import named
from convforge.autograd.promotion import result_dtype
from convforge.autograd.tensor import Tensor, from_data
from convforge.nn.functional.curve import Curve, apply_curve
from convforge.nn.functional.precision import Array, is_floating, narrow, widen
from convforge.nn.functional.reduction import reduced, reduction_of
from convforge.nn.functional.refusal import require_floating
from convforge.nn.functional.smooth import logsigmoid

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
]

_SQUARE = Curve("mse_loss", np.square, lambda x: x + x, lambda x: np.full_like(x, 2))


def _smooth_l1_curve(beta: float) -> Curve:
    def value(x: Array) -> Array:
        size = np.abs(x)
        return np.where(size < beta, 0.5 * x * x / beta, size - 0.5 * beta)

    return Curve(
        "smooth_l1_loss",
        value,
        lambda x: np.clip(x / x.dtype.type(beta), -1, 1),
        lambda x: (np.abs(x) < beta) * x.dtype.type(1 / beta),
    )


def _huber_curve(delta: float) -> Curve:
    def value(x: Array) -> Array:
        size = np.abs(x)
        return np.where(size <= delta, 0.5 * x * x, delta * (size - 0.5 * delta))

    return Curve(
        "huber_loss",
        value,
        lambda x: np.clip(x, -delta, delta),
        lambda x: (np.abs(x) <= delta) * x.dtype.type(1),
    )


def _difference(input: Tensor, target: Tensor, kernel: str | None = None) -> Tensor:
    """Return input - target, with PyTorch's warning where one is broadcast.

    kernel: PyTorch's, where it subtracts inside one: a bool then counts as 0 or 1, integers alone are refused
    """
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). "
            "This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=4,
        )
    if kernel is None:
        return input - target
    common = result_dtype(input, target)
    input, target = input.to(common), target.to(common)
    require_floating(kernel, input)
    return input - target


def _check_castable(found: DType, wanted: DType) -> None:
    """Raise RuntimeError where PyTorch's kernel cannot write `found` into memory of `wanted`."""
    if found.category > wanted.category:
        raise RuntimeError(
            f"result type {found.scalar_name} can't be cast to the desired output type {wanted.scalar_name}: "
            "convert the tensors to one floating dtype"
        )


def _weighted(loss: Tensor, input: Tensor, weight: Tensor | None, how: str, by_weight: bool = True) -> Tensor:
    if weight is None:
        return reduced(loss, how)
    if weight.shape != input.shape:
        raise ValueError(
            f"Weights and input must have the same size: weight is {tuple(weight.shape)}, input "
            f"{tuple(input.shape)}."
        )
    return reduced(loss * weight, how, weight.sum() if by_weight else None)


@array_api
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)². weight: of input's shape; the mean is then over the weights."""
    how = reduction_of(reduction, size_average, reduce)
    if weight is not None:
        # PyTorch's own formula, which takes integers too.
        return _weighted(_difference(input, target) ** 2, input, weight, how)
    loss = reduced(apply_curve(_difference(input, target, "mse_cpu"), _SQUARE), how)
    return named(loss, "MseLossBackward0")


@array_api
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|input - target|. weight: of input's shape; the mean is then over the weights."""
    how = reduction_of(reduction, size_average, reduce)
    return _weighted(_difference(input, target).abs(), input, weight, how)


@array_api
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """d²/(2 beta) where d = |input - target| < beta, d - beta/2 elsewhere; beta 0 is `l1_loss`.

    Raises RuntimeError where beta is negative.
    """
    how = reduction_of(reduction, size_average, reduce)
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta (={beta}).")
    if beta == 0:
        return reduced(_difference(input, target).abs(), how)
    curve = _smooth_l1_curve(beta)
    loss = reduced(apply_curve(_difference(input, target, "smooth_l1_cpu"), curve), how)
    return named(loss, "SmoothL1LossBackward0")


@array_api
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """d²/2 where d = |input - target| <= delta, delta·(d - delta/2) elsewhere; in the dtype of `input`.

    Raises RuntimeError where delta is not positive, or the loss cannot be kept in the dtype of `input`.
    """
    how = reduction_of(reduction)
    if delta <= 0:
        raise RuntimeError(f"huber_loss does not support non-positive values for delta (={delta}).")
    _check_castable(result_dtype(input, target), input.dtype)
    loss = apply_curve(_difference(input, target, "huber_cpu"), _huber_curve(delta)).to(input.dtype)
    loss = _weighted(loss, input, weight, how, by_weight=False)
    return named(loss, "HuberLossBackward0") if weight is None else loss


class BinaryCrossEntropy(Function):
    """-(t·log(x) + (1 - t)·log(1 - x)), the logarithms no less than -100."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, target: Tensor) -> Tensor:
        ctx.save_for_backward(x, target)
        data, t = widen(x._data), widen(target._data)
        with np.errstate(all="ignore"):
            low = data.dtype.type(-100)
            loss = (t - 1) * np.maximum(np.log1p(-data), low) - t * np.maximum(np.log(data), low)
        return from_data(narrow(loss, x._data.dtype))

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        x, target = ctx.saved_tensors
        grad: Tensor = grad_outputs[0]
        grad_x = grad * (x - target) / ((1 - x) * x).clamp(min=1e-12)
        grad_target = grad * ((1 - x).log() - x.log()) if ctx.needs_input_grad[1] else None
        return grad_x, grad_target


@array_api
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross entropy of probabilities. weight: broadcasts to the target.

    Raises ValueError where the shapes differ, RuntimeError where the dtypes do or a probability is outside
    0 … 1, NotImplementedError for integers.
    """
    how = reduction_of(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) "
            "is deprecated. Please ensure they have the same size."
        )
    if target._data.dtype != input._data.dtype:
        raise RuntimeError(
            f"Found dtype {target.dtype.scalar_name} but expected {input.dtype.scalar_name}: convert "
            "the target "
            "with .to(input.dtype)"
        )
    require_floating("binary_cross_entropy", input)
    data = widen(input._data)
    if not bool(((data >= 0) & (data <= 1)).all()):
        raise RuntimeError(
            "all elements of input should be between 0 and 1: apply sigmoid, or use the _with_logits form"
        )
    loss = BinaryCrossEntropy.apply(input, target)
    if weight is not None:
        loss = (loss * weight).to(input.dtype)
    return named(reduced(loss, how), "BinaryCrossEntropyBackward0")


@array_api
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`binary_cross_entropy` of sigmoid(input), without overflow.

    pos_weight: what positive examples count; broadcasts to the target
    The loss has the dtype of the target, as in PyTorch.

    Raises ValueError where the shapes differ, RuntimeError for a target of integers, NotImplementedError
    for an input of integers.
    """
    how = reduction_of(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    log = logsigmoid(input)
    if pos_weight is not None:
        log = log * ((pos_weight - 1) * target + 1)
    against = 1 - target
    _check_castable(result_dtype(against, input), against.dtype)
    loss = against * input - log
    loss = loss if weight is None else loss * weight
    _check_castable(loss.dtype, target.dtype)
    loss = reduced(loss.to(target.dtype), how)
    return named(loss, "BinaryCrossEntropyWithLogitsBackward0")


_X_LOG_X = Curve(
    "xlogy",
    lambda x: np.where(x == 0, x.dtype.type(0), x * np.log(x)),
    lambda x: np.log(x) + 1,
    lambda x: 1 / x,
)


@array_api
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """target · (log target - input).

    input: log probabilities; target: probabilities, or their logs if log_target
    reduction: none, sum, mean (over all elements), or batchmean (over the first axis, the textbook's)

    Raises RuntimeError unless both are floating.
    """
    if reduction == "mean" and size_average is None and reduce is None:
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=3,
        )
    how = reduction_of("sum" if reduction == "batchmean" else reduction, size_average, reduce)
    for each in (input, target):
        if not is_floating(each._data.dtype):
            word = "Complex" if each._data.dtype.kind == "c" else "Integral"
            raise RuntimeError(f"kl_div: {word} inputs not supported. Got {each.dtype}: use .float()")
    loss = target.exp() * (target - input) if log_target else apply_curve(target, _X_LOG_X) - target * input
    result = reduced(loss, how)
    return result / input.shape[0] if reduction == "batchmean" and input.ndim else result


@array_api
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + exp(-target · input)), target 1 or -1; in the dtype of `input`, which must be floating."""
    how = reduction_of(reduction, size_average, reduce)
    opposite = -input
    common = result_dtype(opposite, target)
    _check_castable(common if common.category >= FLOAT else get_default_dtype(), input.dtype)
    return reduced(-logsigmoid(-(opposite * target)).to(input.dtype), how)


@array_api
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """exp(input) - target·input, or input - target·log(input + eps); `full` adds Stirling's log(target!)."""
    how = reduction_of(reduction, size_average, reduce)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return reduced(loss, how)
