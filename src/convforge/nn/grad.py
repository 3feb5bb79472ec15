"""Gradients of convolutions as functions of their own, as torch.nn.grad: both can be differentiated again.

    conv2d_input((1, 3, 8, 8), weight, grad_output)     the gradient of the input, without an input
    conv2d_weight(input, (4, 3, 3, 3), grad_output)     the gradient of the weight, without a weight

Tensors or ndarrays; `padding` also takes pairs and names, `padding_mode` a mode and `precision` that of
float32, as in `functional`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convforge.autograd import convolution as products
from convforge.autograd.tensor import Tensor, from_data
from convforge.errors import ConvDtypeError, ConvShapeError, ConvTypeError
from convforge.problem import ConvSpec, Precision, normalize_conv, optional_precision
from convforge.problem.arguments import is_sequence, listed

from .functional.convolve import plain_array

__all__ = ["conv1d_input", "conv1d_weight", "conv2d_input", "conv2d_weight", "conv3d_input", "conv3d_weight"]


def conv1d_input(
    input_size: Sequence[int],
    weight: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    precision: Precision | None = None,
) -> Any:
    """The gradient of conv1d with respect to its input, of shape `input_size`."""
    arguments = (stride, padding, dilation, groups)
    return _input(1, input_size, weight, grad_output, arguments, padding_mode, precision)


def conv1d_weight(
    input: Any,
    weight_size: Sequence[int],
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    precision: Precision | None = None,
) -> Any:
    """The gradient of conv1d with respect to its weight, of shape `weight_size`."""
    arguments = (stride, padding, dilation, groups)
    return _weight(1, input, weight_size, grad_output, arguments, padding_mode, precision)


def conv2d_input(
    input_size: Sequence[int],
    weight: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    precision: Precision | None = None,
) -> Any:
    """The gradient of conv2d with respect to its input, of shape `input_size`."""
    arguments = (stride, padding, dilation, groups)
    return _input(2, input_size, weight, grad_output, arguments, padding_mode, precision)


def conv2d_weight(
    input: Any,
    weight_size: Sequence[int],
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    precision: Precision | None = None,
) -> Any:
    """The gradient of conv2d with respect to its weight, of shape `weight_size`."""
    arguments = (stride, padding, dilation, groups)
    return _weight(2, input, weight_size, grad_output, arguments, padding_mode, precision)


def conv3d_input(
    input_size: Sequence[int],
    weight: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    precision: Precision | None = None,
) -> Any:
    """The gradient of conv3d with respect to its input, of shape `input_size`."""
    arguments = (stride, padding, dilation, groups)
    return _input(3, input_size, weight, grad_output, arguments, padding_mode, precision)


def conv3d_weight(
    input: Any,
    weight_size: Sequence[int],
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    precision: Precision | None = None,
) -> Any:
    """The gradient of conv3d with respect to its weight, of shape `weight_size`."""
    arguments = (stride, padding, dilation, groups)
    return _weight(3, input, weight_size, grad_output, arguments, padding_mode, precision)


Arguments = tuple[Any, Any, Any, int]


def _input(
    rank: int,
    input_size: Sequence[int],
    weight: Any,
    grad_output: Any,
    arguments: Arguments,
    mode: str,
    precision: Any,
) -> Any:
    precision = optional_precision(precision)
    w, g = _tensor(weight, "weight"), _tensor(grad_output, "grad_output")
    spec, unbatched = _spec(rank, _size(input_size, "input_size"), tuple(w.shape), w, g, arguments, mode)
    w = products.conjugate(w)
    grad = products.grad_input(spec, g.unsqueeze(0) if unbatched else g, w, precision=precision)
    return _as_given(grad.squeeze(0) if unbatched else grad, weight, grad_output)


def _weight(
    rank: int,
    input: Any,
    weight_size: Sequence[int],
    grad_output: Any,
    arguments: Arguments,
    mode: str,
    precision: Any,
) -> Any:
    precision = optional_precision(precision)
    x, g = _tensor(input, "input"), _tensor(grad_output, "grad_output")
    spec, unbatched = _spec(rank, tuple(x.shape), _size(weight_size, "weight_size"), x, g, arguments, mode)
    if unbatched:
        x, g = x.unsqueeze(0), g.unsqueeze(0)
    grad = products.grad_weight(spec, products.conjugate(x), g, precision=precision)
    return _as_given(grad, input, grad_output)


def _spec(
    rank: int,
    input_size: tuple[int, ...],
    weight_size: tuple[int, ...],
    given: Tensor,
    grad_output: Tensor,
    arguments: Arguments,
    mode: str,
) -> tuple[ConvSpec, bool]:
    dtype = grad_output._data.dtype
    if given._data.dtype != dtype:
        raise ConvDtypeError(
            f"grad_output type ({dtype}) and the other type ({given._data.dtype}) should be the same: "
            "convert one of them to the other's dtype"
        )
    spec, unbatched = normalize_conv(
        input_size, weight_size, None, *arguments, rank=rank, padding_mode=mode, dtype=dtype
    )
    shape = spec.output_shape[1:] if unbatched else spec.output_shape
    if tuple(grad_output.shape) != shape:
        raise ConvShapeError(
            f"grad_output has shape {list(grad_output.shape)}, but the output of this convolution has "
            f"{list(shape)}: check input_size, weight_size, stride, padding and dilation"
        )
    return spec, unbatched


def _size(size: Any, name: str) -> tuple[int, ...]:
    if not is_sequence(size):
        raise ConvTypeError(f"{name} (={size!r}) must be a tuple of ints, such as tensor.shape")
    items = listed(size, name, len(size))
    if any(n < 0 for n in items):
        raise ConvShapeError(f"{name} (={list(items)}) must have no negative sizes: use tensor.shape")
    return items


def _tensor(value: Any, name: str) -> Tensor:
    return value if isinstance(value, Tensor) else from_data(plain_array(value, name))


def _as_given(result: Tensor, *given: Any) -> Any:
    return result if any(isinstance(each, Tensor) for each in given) else result._data
