"""Cross entropy and negative log likelihood, of class indices or class probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convforge.autograd.arrays import array_api
from convforge.autograd.naming import named
from convforge.autograd.tensor import Tensor, from_data
from convforge.nn.functional.linear_map import apply_map
from convforge.nn.functional.precision import Array, is_floating, widen
from convforge.nn.functional.reduction import reduced, reduction_of
from convforge.nn.functional.refusal import require_floating
from convforge.nn.functional.softmax import log_softmax

__all__ = ["cross_entropy", "nll_loss"]


@dataclass(frozen=True, slots=True)
class _PickClass:
    """out[n, s] = -scale[n, s] · x[n, classes[n, s], s]; 0, whatever x, where `scale` is 0.

    x: (N, C, S)
    """

    classes: Array
    scale: Array
    count: int

    def forward(self, x: Array) -> Array:
        """Read the class of each position."""
        picked = np.take_along_axis(x, self.classes[:, None], axis=1)[:, 0]
        return np.where(self.scale == 0, 0, -picked * self.scale.astype(x.dtype)).astype(x.dtype, copy=False)

    def adjoint(self, grad: Array) -> Array:
        """Write to the class of each position."""
        out = np.zeros((grad.shape[0], self.count, grad.shape[1]), dtype=grad.dtype)
        # Where everything is ignored the mean divides by 0: its infinite gradient must not reach the logits.
        values = np.where(self.scale == 0, 0, grad * -self.scale.astype(grad.dtype)).astype(
            grad.dtype, copy=False
        )
        np.put_along_axis(out, self.classes[:, None], values[:, None], axis=1)
        return out


def _check_classes(input: Tensor, target: Tensor, weight: Tensor | None) -> int:
    """Return the number of classes. Raises PyTorch's errors where shapes or dtypes do not match."""
    if input.ndim == 0:
        raise ValueError("Expected 1 or more dimensions (got 0): input must be (C,), (N, C) or (N, C, d1, …)")
    class_axis = 0 if input.ndim == 1 else 1
    count = input.shape[class_axis]
    expected = tuple(input.shape[:class_axis]) + tuple(input.shape[class_axis + 1 :])
    got = tuple(target.shape)
    if input.ndim == 1 and got == (1,):
        got = ()
    if input.ndim <= 2 and target.ndim > 1:
        raise RuntimeError(
            f"0D or 1D target tensor expected, multi-target not supported: target has shape {list(got)}"
        )
    if expected and (not got or got[0] != expected[0]):
        raise ValueError(
            f"Expected input batch_size ({expected[0]}) to match target batch_size ({got[0] if got else 1})."
        )
    if got != expected:
        raise RuntimeError(f"Expected target size {list(expected)}, got {list(target.shape)}")
    _check_dtypes(input, target, weight)
    if weight is not None and (weight.ndim > 1 or weight.numel() != count):
        raise RuntimeError(
            f"weight tensor should be defined either for all {count} classes or no classes but got "
            f"weight tensor of shape: {list(weight.shape)}"
        )
    return count


def _check_dtypes(input: Tensor, target: Tensor, weight: Tensor | None) -> None:
    """Raise PyTorch's errors for element types of which it has no kernel."""
    kind = target._data.dtype
    if kind not in (np.dtype(np.int64), np.dtype(np.uint8)):
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {target.dtype.scalar_name}: convert "
            "the target "
            "with .long()"
        )
    require_floating("nll_loss_out_frame" if input.ndim < 3 else "nll_loss2d_forward_out_frame", input)
    if input.ndim > 2 and kind != np.int64:
        raise RuntimeError("expected scalar type Long but found Byte: convert the target with .long()")
    if weight is not None and weight._data.dtype != input._data.dtype:
        raise RuntimeError(
            f"expected scalar type {input.dtype.scalar_name} but found {weight.dtype.scalar_name}: "
            "convert the "
            "weight with .to(input.dtype)"
        )


def _class_scale(target: Array, weight: Tensor | None, ignore_index: int, count: int) -> tuple[Array, Array]:
    """Return classes to read (0 where ignored), and their weights (0 where ignored), float64."""
    classes = target.astype(np.int64, copy=False)
    kept = classes != ignore_index
    bad = kept & ((classes < 0) | (classes >= count))
    if bad.any():
        raise IndexError(
            f"Target {int(classes[bad].reshape(-1)[0])} is out of bounds: classes are 0 to {count - 1}"
        )
    classes = np.where(kept, classes, 0)
    if weight is None:
        return classes, kept.astype(np.float64)
    if count == 0:
        return classes, np.zeros(classes.shape)
    return classes, np.where(kept, widen(weight._data).reshape(-1).astype(np.float64)[classes], 0.0)


def _picked_loss(logs: Tensor, classes: Array, scale: Array, count: int) -> Tensor:
    """-scale · logs[class], of the target's shape."""
    batch = logs.shape[0] if logs.ndim > 1 else 1
    shape = batch, classes.size // batch if batch else 0
    pick = _PickClass(classes.reshape(shape), scale.reshape(shape), count)
    picked = apply_map(logs.reshape([batch, count, shape[1]]), pick, "NllLossBackward0")
    return picked.reshape(classes.shape)


def _node_name(input: Tensor) -> str:
    return "NllLossBackward0" if input.ndim < 3 else "NllLoss2DBackward0"


@array_api
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Minus the log probability of the target class.

    input: log probabilities, (C,), (N, C) or (N, C, d1, …); target: classes, the same without C
    weight: (C,); the mean is a weighted one. ignore_index: a class that counts for nothing

    Raises IndexError where a target is no class; ValueError or RuntimeError where shapes or dtypes do not
    match.
    """
    how = reduction_of(reduction, size_average, reduce)
    count = _check_classes(input, target, weight)
    classes, scale = _class_scale(target._data, weight, ignore_index, count)
    loss = _picked_loss(input, classes, scale, count)
    if input.ndim == 1:
        loss = loss.reshape([]) if how != "none" else loss.reshape(target.shape)
    return named(reduced(loss, how, _total(scale)), _node_name(input))


def _total(scale: Array) -> float:
    # As a Python float it takes the loss's dtype; 0 gives NaN, as in PyTorch.
    return float(scale.sum())


@array_api
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy between logits and classes, or class probabilities.

    input: (C,), (N, C) or (N, C, d1, …); target: the same without C, int64, or of input's shape, floating
    label_smoothing: the share of each target spread evenly over the classes, 0 to 1

    Raises as `nll_loss`, and RuntimeError where label_smoothing is out of range, or where ignore_index
    names a class although the target gives probabilities.
    """
    how = reduction_of(reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    class_axis = 0 if input.ndim <= 1 else 1
    if tuple(input.shape) == tuple(target.shape):
        _check_probabilities(input, target, ignore_index)
        return _of_probabilities(input, target, weight, how, label_smoothing, class_axis)
    logs = log_softmax(input, class_axis)
    count = _check_classes(input, target, weight)
    classes, scale = _class_scale(target._data, weight, ignore_index, count)
    loss = _picked_loss(logs, classes, scale, count)
    if label_smoothing > 0:
        weighted = logs if weight is None else logs * _class_column(weight, logs.ndim)
        kept = (target._data != ignore_index).astype(logs._data.dtype)
        smooth = -weighted.sum(class_axis)
        # Where ignored, 0 whatever the logits.
        smooth = smooth.reshape(target.shape).masked_fill(from_data(kept == 0), 0.0)
        loss = loss.reshape(target.shape) * (1 - label_smoothing) + smooth * (label_smoothing / count)
    if input.ndim == 1:
        loss = loss.reshape([]) if how != "none" else loss.reshape(target.shape)
    name = "AddBackward0" if label_smoothing > 0 else _node_name(input)
    return named(reduced(loss, how, _total(scale)), name)


def _class_column(weight: Tensor, ndim: int) -> Tensor:
    return weight if ndim == 1 else weight.reshape([1, -1] + [1] * (ndim - 2))


def _check_probabilities(input: Tensor, target: Tensor, ignore_index: int) -> None:
    """Raise PyTorch's errors where a target of the input's shape does not hold probabilities."""
    if not is_floating(target._data.dtype):
        raise RuntimeError(
            "Expected floating point type for target with class probabilities, got "
            f"{target.dtype.scalar_name}: class indices have the input's shape without the axis of classes"
        )
    if ignore_index >= 0:
        raise RuntimeError(
            f"ignore_index is not supported for floating point target: ignore_index (={ignore_index}) "
            "names a "
            "class, and this target gives probabilities; set those of an ignored position to 0"
        )
    if input.ndim == 0:
        raise IndexError(
            "Dimension specified as 1 but tensor has no dimensions: input must be (C,), (N, C) or "
            "(N, C, d1, …)"
        )


def _of_probabilities(
    input: Tensor, target: Tensor, weight: Tensor | None, how: str, label_smoothing: float, class_axis: int
) -> Tensor:
    """Cross entropy where the target gives each class a probability."""
    count = input.shape[class_axis]
    if weight is not None and (weight.ndim != 1 or weight.numel() != count):
        raise RuntimeError(
            f"cross_entropy: weight tensor should be defined either for all {count} classes or no "
            f"classes but got weight tensor of shape: {list(weight.shape)}"
        )
    logs = log_softmax(input, class_axis)
    if label_smoothing > 0:
        target = target * (1 - label_smoothing) + label_smoothing / count
    if weight is not None:
        logs = logs * _class_column(weight, logs.ndim)
    loss = -(logs * target).sum(class_axis)
    total = float(input.numel() // count) if count else 0.0
    return named(reduced(loss, how, total), "DivBackward1" if how == "mean" else "NegBackward0")
