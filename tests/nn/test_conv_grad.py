"""nn.grad, double backward and beyond, and what the tape keeps of a convolution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import convforge
from convforge import nn
from convforge.autograd import gradcheck, gradgradcheck
from support.convolutions import Case, cases, filled
from support.torch_oracle import convolve, products, torch

seeds = st.integers(0, 2**32 - 1)
needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed")


def function_of(case: Case) -> Any:
    return getattr(nn.functional, f"conv_transpose{case.rank}d" if case.transposed else f"conv{case.rank}d")


@settings(max_examples=40)
@given(
    case=cases(transposed=False, unbatched=True),
    dtype=st.sampled_from(("float64", "complex128")),
    seed=seeds,
    as_arrays=st.booleans(),
)
def test_nn_grad_gives_the_gradients(case: Case, dtype: str, seed: int, as_arrays: bool) -> None:
    x, weight, _ = case.arrays(dtype, seed)
    spec = case.spec(dtype)
    shape = spec.output_shape if len(case.input_shape) == case.rank + 2 else spec.output_shape[1:]
    grad = filled(np.random.default_rng(seed), shape, dtype)
    exact = products(case, x, weight, None, grad)
    given_as = (lambda a: a) if as_arrays else convforge.from_numpy
    by_input = getattr(nn.grad, f"conv{case.rank}d_input")
    by_weight = getattr(nn.grad, f"conv{case.rank}d_weight")
    grad_x = by_input(x.shape, given_as(weight), given_as(grad), **case.arguments)
    grad_w = by_weight(given_as(x), weight.shape, given_as(grad), **case.arguments)
    assert isinstance(grad_x, np.ndarray) is as_arrays
    np.testing.assert_allclose(np.asarray(grad_x), exact.grad_input, atol=1e-11)
    np.testing.assert_allclose(np.asarray(grad_w), exact.grad_weight, atol=1e-11)


@needs_torch
def test_nn_grad_is_pytorchs() -> None:
    generator = np.random.default_rng(0)
    x, weight = generator.standard_normal((2, 4, 7, 8)), generator.standard_normal((6, 2, 3, 2))
    grad = generator.standard_normal((2, 6, 4, 5))
    arguments = (2, (1, 2), (1, 3), 2)
    for name, ours, theirs in (
        (
            "conv2d_input",
            (x.shape, weight, grad),
            (x.shape, torch.from_numpy(weight), torch.from_numpy(grad)),
        ),
        (
            "conv2d_weight",
            (x, weight.shape, grad),
            (torch.from_numpy(x), weight.shape, torch.from_numpy(grad)),
        ),
    ):
        mine = getattr(nn.grad, name)(*ours, *arguments)
        np.testing.assert_allclose(
            mine, getattr(torch.nn.grad, name)(*theirs, *arguments).numpy(), atol=1e-12
        )


def test_nn_grad_refuses_wrong_shapes() -> None:
    weight, grad = np.ones((6, 4, 3, 3)), np.ones((1, 6, 5, 4))
    with pytest.raises(RuntimeError, match="grad_output has shape"):
        nn.grad.conv2d_input((1, 4, 7, 7), weight, grad)
    with pytest.raises(RuntimeError, match="grad_output has shape"):
        nn.grad.conv2d_weight(np.ones((1, 4, 7, 7)), (6, 4, 3, 3), grad)
    with pytest.raises(RuntimeError, match="type"):
        nn.grad.conv2d_input((1, 4, 7, 6), weight, grad.astype(np.float32))
    with pytest.raises(TypeError, match="input_size"):
        nn.grad.conv2d_input(7, weight, grad)


@settings(max_examples=8)
@given(
    case=cases(ranks=(1, 2), batches=(1, 2), unbatched=True),
    dtype=st.sampled_from(("float64", "complex128")),
    seed=seeds,
)
def test_gradcheck_once_and_twice(case: Case, dtype: str, seed: int) -> None:
    x, weight, bias = case.arrays(dtype, seed)
    inputs = [convforge.from_numpy(each).requires_grad_() for each in (x, weight, bias) if each is not None]

    def run(*tensors: Any) -> Any:
        return function_of(case)(*tensors, **case.arguments)

    assert gradcheck(run, inputs)
    assert gradgradcheck(run, inputs)


@needs_torch
@settings(max_examples=30)
@given(case=cases(batches=(1, 2)), seed=seeds)
def test_second_derivatives_are_pytorchs(case: Case, seed: int) -> None:
    """The gradient of a penalty on the gradients, as in gradient-penalty training."""
    x, weight, bias = case.arrays("float64", seed)
    if bias is None:
        bias = np.zeros(case.out_channels)

    def penalty(lib: Any, run: Any, tensors: list[Any]) -> list[np.ndarray[Any, Any]]:
        y = run(*tensors)
        first = lib.autograd.grad((y * y * y).sum(), tensors, create_graph=True)
        total = sum((each * each).sum() for each in first)
        return [each.numpy() for each in lib.autograd.grad(total, tensors)]

    mine = penalty(
        convforge,
        lambda *t: function_of(case)(*t, **case.arguments),
        [convforge.from_numpy(each).requires_grad_() for each in (x, weight, bias)],
    )
    theirs = penalty(
        torch,
        lambda *t: convolve(case, *t),
        [torch.from_numpy(each).requires_grad_() for each in (x, weight, bias)],
    )
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(b).max(initial=0)))


def test_third_derivative() -> None:
    """y = conv(x, w) with one tap is w x: every mixed derivative is known."""
    x = convforge.tensor([[[2.0]]], dtype=convforge.float64, requires_grad=True)
    w = convforge.tensor([[[3.0]]], dtype=convforge.float64, requires_grad=True)
    y = nn.functional.conv1d(x, w) ** 3  # w^3 x^3
    (dx,) = convforge.autograd.grad(y.sum(), x, create_graph=True)  # 3 w^3 x^2
    (dxw,) = convforge.autograd.grad(dx.sum(), w, create_graph=True)  # 9 w^2 x^2
    (dxwx,) = convforge.autograd.grad(dxw.sum(), x)  # 18 w^2 x
    assert (dx.item(), dxw.item(), dxwx.item()) == (324.0, 324.0, 324.0)


def test_only_what_needs_a_gradient_gets_one() -> None:
    layer = nn.Conv2d(3, 4, 3)
    layer.weight.requires_grad_(False)
    x = convforge.ones(1, 3, 5, 5)
    layer(x).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias.grad.tolist() == [9.0] * 4
    assert x.grad is None
    with convforge.no_grad():
        assert layer(x).grad_fn is None


def test_the_node_has_pytorchs_name() -> None:
    y = nn.Conv2d(3, 4, 3)(convforge.ones(1, 3, 5, 5))
    assert y.grad_fn.name() == "ConvolutionBackward0"
    assert repr(y).endswith("grad_fn=<ConvolutionBackward0>)")


def test_a_changed_input_is_noticed() -> None:
    layer = nn.Conv2d(3, 4, 3)
    x = convforge.ones(1, 3, 5, 5)
    y = layer(x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_backward_twice_needs_the_graph() -> None:
    y = nn.Conv2d(3, 4, 3)(convforge.ones(1, 3, 5, 5)).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_broadcast_gradients() -> None:
    """sum().backward() sends a gradient of stride 0."""
    x = convforge.ones(2, 3, 5, 5, requires_grad=True)
    w = convforge.ones(4, 3, 3, 3, requires_grad=True)
    nn.functional.conv2d(x, w).sum().backward()
    assert (w.grad.numpy() == 18).all()
    assert x.grad[0, 0, 2, 2].item() == 36
