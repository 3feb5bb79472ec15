"""Quantised tensors: rounding bit for bit as PyTorch's, limits, and what is refused."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import convforge as cf
from convforge import reference
from convforge.plan.dot import quantize as plan_quantize
from support.targets import MASKS, masked

DTYPES = ("quint8", "qint8")


def torch_or_skip() -> Any:
    torch = pytest.importorskip("torch")
    # PyTorch 2.13 says that its quantised tensors will go.
    warnings.filterwarnings("ignore", message=".*quantized tensor creation functions.*")
    return torch


def test_bytes_numbers_and_scales() -> None:
    q = cf.quantize_per_tensor(cf.tensor([-1.0, 0.0, 0.26, 100.0]), 0.5, 10, cf.quint8)
    assert q.int_repr().tolist() == [8, 10, 11, 210]
    assert q.dequantize().tolist() == [-1.0, 0.0, 0.5, 100.0]
    assert (q.q_scale(), q.q_zero_point(), q.dtype, q.qscheme()) == (0.5, 10, cf.quint8, cf.per_tensor_affine)
    assert (q.shape, q.dim(), q.ndim, q.numel(), q.size(0), q.is_quantized) == ((4,), 1, 1, 4, 4, True)
    assert q.reshape(2, 2).flatten().int_repr().tolist() == [8, 10, 11, 210]
    assert "dtype=torch.quint8" in repr(q)
    assert "scale=0.5, zero_point=10" in repr(q)


def test_a_scale_for_each_channel() -> None:
    q = cf.quantize_per_channel(cf.tensor([[1.0, 2.0], [1.0, 2.0]]), [0.5, 0.25], [0, 3], 0, cf.qint8)
    assert q.int_repr().tolist() == [[2, 4], [7, 11]]
    assert q.dequantize().tolist() == [[1.0, 2.0], [1.0, 2.0]]
    assert q.q_per_channel_scales().tolist() == [0.5, 0.25]
    assert q.q_per_channel_zero_points().tolist() == [0, 3]
    assert (q.q_per_channel_axis(), q.qscheme()) == (0, cf.per_channel_affine)
    with pytest.raises(RuntimeError, match=r"use q_per_channel_scales\(\)"):
        q.q_scale()
    with pytest.raises(RuntimeError, match=r"use q_scale\(\)"):
        cf.quantize_per_tensor(cf.zeros(1), 1.0, 0, cf.qint8).q_per_channel_scales()


@pytest.mark.parametrize("dtype", DTYPES)
def test_ties_go_to_even_and_the_rest_to_the_limits(dtype: str) -> None:
    low, high = (0, 255) if dtype == "quint8" else (-128, 127)
    x = cf.tensor([0.5, 1.5, 2.5, float("inf"), -float("inf"), 1e30, -1e30, float("nan")])
    q = cf.quantize_per_tensor(x, 1.0, 0, getattr(cf, dtype)).int_repr().tolist()
    assert q == [0, 2, 2, high, low, high, low, high]


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=60)
@given(scale=st.floats(1e-6, 1e3), seed=st.integers(0, 999), zero=st.integers(0, 127))
def test_bits_are_pytorchs(dtype: str, scale: float, seed: int, zero: int) -> None:
    torch = torch_or_skip()
    generator = np.random.default_rng(seed)
    x = (generator.standard_normal(133) * 80 * scale).astype(np.float32)
    # Near ties, where a division and a product with the reciprocal part.
    x[:50] = ((np.arange(50) + 0.5) * scale).astype(np.float32)
    theirs = torch.quantize_per_tensor(torch.from_numpy(x), scale, zero, getattr(torch, dtype))
    mine = cf.quantize_per_tensor(cf.from_numpy(x), scale, zero, getattr(cf, dtype))
    np.testing.assert_array_equal(mine.int_repr().numpy(), theirs.int_repr().numpy())
    np.testing.assert_array_equal(mine.dequantize().numpy(), theirs.dequantize().numpy())


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("size", [1, 7, 8, 9, 65535, 65537, 200_001])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_every_length_and_mask(dtype: type, size: int, mask: str) -> None:
    x = (np.random.default_rng(size).standard_normal(2 * size) * 90).astype(np.float32)
    x[: min(size, 90)] = np.arange(min(size, 90)) + 0.5
    x[-1] = np.nan
    with masked(mask):
        for view in (x[:size], x[size:], x[::2], x[::-2], x.reshape(2, -1).T):
            expected = reference.quantized(view, 0.7, 3, np.dtype(dtype))
            np.testing.assert_array_equal(plan_quantize.quantized(view, 0.7, 3, np.dtype(dtype)), expected)


@pytest.mark.parametrize("axis", [0, 1])
def test_bits_of_channels_are_pytorchs(axis: int) -> None:
    torch = torch_or_skip()
    generator = np.random.default_rng(axis)
    x = generator.standard_normal((5, 7, 3)).astype(np.float32)
    scales = generator.uniform(0.01, 0.1, x.shape[axis]).astype(np.float32).astype(np.float64)
    zeros = generator.integers(-20, 20, x.shape[axis])
    theirs = torch.quantize_per_channel(
        torch.from_numpy(x), torch.from_numpy(scales), torch.from_numpy(zeros), axis, torch.qint8
    )
    mine = cf.quantize_per_channel(cf.from_numpy(x), scales, zeros, axis, cf.qint8)
    np.testing.assert_array_equal(mine.int_repr().numpy(), theirs.int_repr().numpy())
    np.testing.assert_array_equal(mine.dequantize().numpy(), theirs.dequantize().numpy())


one, each, QU, QI, REFUSED = (
    cf.quantize_per_tensor,
    cf.quantize_per_channel,
    cf.quint8,
    cf.qint8,
    RuntimeError,
)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: one(x, 0.0, 0, QU), REFUSED, r"scale \(=0.0\) must be a positive"),
        (lambda x: one(x, -1, 0, QU), REFUSED, r"scale \(=-1\) must be a positive"),
        (lambda x: one(x, 1e-60, 0, QU), REFUSED, "positive, finite"),
        (lambda x: one(x, float("nan"), 0, QU), REFUSED, "positive, finite"),
        (lambda x: one(x, "a", 0, QU), REFUSED, "positive, finite"),
        (lambda x: one(x, 1.0, 256, QU), REFUSED, r"zero_point \(=256\).*0 to 255"),
        (lambda x: one(x, 1.0, 128, QI), REFUSED, "-128 to 127: use 127"),
        (lambda x: one(x, 1.0, 0.5, QI), TypeError, r"zero_point \(=0.5\) must be an int"),
        (lambda x: one(x, 1.0, 0, cf.uint8), TypeError, "must be a quantised dtype"),
        (lambda x: one(x.double(), 1.0, 0, QU), REFUSED, "only works on Float"),
        (lambda x: one([1.0], 1.0, 0, QU), TypeError, "input must be a Tensor"),
        (lambda x: each(x, [1.0], [0], 0, QI), REFUSED, "use one for each"),
        (lambda x: each(x, [1.0, 0.0], [0, 0], 0, QI), REFUSED, r"scales\[1\] \(=0.0"),
        (lambda x: each(x, [1.0, 1.0], [0], 0, QI), REFUSED, "zero_points has 1"),
        (lambda x: each(x, [1.0, 1.0], [0, 0], 2, QI), REFUSED, r"axis \(=2\)"),
    ],
)  # fmt: skip
def test_what_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(cf.ones(2, 3))
