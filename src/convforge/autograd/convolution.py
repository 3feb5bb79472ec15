"""Convolution on the tape: three products, each of which differentiates into the other two.

    output(x, w)         d/dx = grad_input(u, w*)    d/dw = grad_weight(x*, u)
    grad_input(g, w)     d/dg = output(u, w*)        d/dw = grad_weight(u, g*)
    grad_weight(x, g)    d/dx = grad_input(g*, u)    d/dg = output(x*, u)

u is the gradient that arrives and has the shape of the product; * is the complex conjugate, for PyTorch's
gradients are conjugated. So double backward, and any further one, needs no kernel of its own.

precision, of each: what float32 asks for; it holds for the backward too. None: what is in force when the
product is computed, so forward and backward may differ, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from convforge import plan
from convforge.problem import ConvSpec, Precision

from .node import Node, attach
from .tensor import Tensor, from_data, recording


class ConvolutionNode(Node):
    """A node that knows which convolution it came from."""

    spec: ConvSpec
    precision: Precision | None


def output(
    spec: ConvSpec,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    precision: Precision | None = None,
) -> Tensor:
    """The convolution of x.

    x: spec.input_shape, weight: spec.weight_shape, bias: (out_channels,) or None -> spec.output_shape
    """
    given = None if bias is None else bias._data
    data = plan.output(spec, x._data, weight._data, given, precision=precision)
    return record_output(spec, data, x, weight, bias, precision)


def record_output(
    spec: ConvSpec,
    data: npt.NDArray[Any],
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    precision: Precision | None,
) -> Tensor:
    """A tensor of `data`, the convolution of x, recorded where one of the arguments requires grad."""
    return _recorded(spec, precision, data, "ConvolutionBackward0", _output_backward, (x, weight, bias))


def grad_input(
    spec: ConvSpec, grad_output: Tensor, weight: Tensor, *, precision: Precision | None = None
) -> Tensor:
    """The transpose of `output` as a map of x.

    grad_output: spec.output_shape, weight: spec.weight_shape -> spec.input_shape
    """
    data = plan.grad_input(spec, grad_output._data, weight._data, precision=precision)
    inputs = (grad_output, weight)
    return _recorded(spec, precision, data, "ConvolutionBackwardBackward0", _grad_input_backward, inputs)


def grad_weight(
    spec: ConvSpec, x: Tensor, grad_output: Tensor, *, precision: Precision | None = None
) -> Tensor:
    """The transpose of `output` as a map of the weight.

    x: spec.input_shape, grad_output: spec.output_shape -> spec.weight_shape
    """
    return _begin_grad_weight(spec, x, grad_output, precision)()


def _begin_grad_weight(
    spec: ConvSpec, x: Tensor, grad_output: Tensor, precision: Precision | None
) -> Callable[[], Tensor]:
    """`grad_weight`, whose kernel is compiled while the caller does something else first."""
    compute = plan.begin_grad_weight(spec, x._data, grad_output._data, precision=precision)

    def finish() -> Tensor:
        name, inputs = "ConvolutionBackwardBackward0", (x, grad_output)
        return _recorded(spec, precision, compute(None), name, _grad_weight_backward, inputs)

    return finish


def _recorded(
    spec: ConvSpec,
    precision: Precision | None,
    data: npt.NDArray[Any],
    name: str,
    backward: Callable[..., Any],
    inputs: tuple[Tensor | None, ...],
) -> Tensor:
    out = from_data(data)
    if recording(*inputs):
        node = attach(out, name, backward, inputs, saved=inputs[:2])
        node.__dict__.update(spec=spec, precision=precision)
    return out


def _output_backward(node: ConvolutionNode, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = node.saved
    spec, precision = node.spec, node.precision
    of_weight = _begin_grad_weight(spec, conjugate(x), grad, precision) if node.needs(1) else None
    return (
        grad_input(spec, grad, conjugate(weight), precision=precision) if node.needs(0) else None,
        of_weight() if of_weight is not None else None,
        _grad_bias(grad) if node.needs(2) else None,
    )


def _grad_input_backward(node: ConvolutionNode, grad: Tensor) -> tuple[Tensor | None, ...]:
    grad_output, weight = node.saved
    spec, precision = node.spec, node.precision
    return (
        output(spec, grad, conjugate(weight), precision=precision) if node.needs(0) else None,
        grad_weight(spec, grad, conjugate(grad_output), precision=precision) if node.needs(1) else None,
    )


def _grad_weight_backward(node: ConvolutionNode, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, grad_output = node.saved
    spec, precision = node.spec, node.precision
    return (
        grad_input(spec, conjugate(grad_output), grad, precision=precision) if node.needs(0) else None,
        output(spec, conjugate(x), grad, precision=precision) if node.needs(1) else None,
    )


def _grad_bias(grad: Tensor) -> Tensor:
    """(batch, channels, …) -> (channels,): every output element of a channel has the bias in it once."""
    return grad.sum((0, *range(2, grad.ndim)))


def conjugate(tensor: Tensor) -> Tensor:
    """The complex conjugate; a real tensor is its own."""
    return tensor.conj() if np.iscomplexobj(tensor._data) else tensor
