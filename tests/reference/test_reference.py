"""The NumPy oracle, against PyTorch in float64, against the definition, and against its own adjoints."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convforge import reference
from convforge.problem import padding_map
from support.convolutions import FLOATS, INTEGERS, Case, cases, filled, numpy_dtype
from support.tolerance import assert_close
from support.torch_oracle import magnitudes, products as oracle_products, torch, wide

seeds = st.integers(0, 2**32 - 1)


@pytest.mark.skipif(torch is None, reason="PyTorch is not installed")
@settings(max_examples=150)
@given(case=cases(), dtype=st.sampled_from(FLOATS), seed=seeds)
def test_all_products_equal_pytorch(case: Case, dtype: str, seed: int) -> None:
    x, weight, bias = case.arrays(dtype, seed)
    spec = case.spec(numpy_dtype(dtype))
    grad = filled(np.random.default_rng(seed), spec.output_shape, dtype)
    exact = oracle_products(case, x, weight, bias, grad)
    size = magnitudes(case, x, weight, bias, grad)
    assert_close(reference.output(spec, x, weight, bias), exact.output, size.output, 1)
    assert_close(reference.grad_input(spec, grad, weight.conj()), exact.grad_input, size.grad_input, 1)
    assert_close(reference.grad_weight(spec, x.conj(), grad), exact.grad_weight, size.grad_weight, 1)


@settings(max_examples=60)
@given(case=cases(transposed=False, batches=(1, 2)), dtype=st.sampled_from(INTEGERS), seed=seeds)
def test_output_is_the_definition(case: Case, dtype: str, seed: int) -> None:
    """Every output element summed up one product at a time, in Python's integers."""
    x, weight, bias = case.arrays(dtype, seed)
    spec = case.spec(numpy_dtype(dtype))
    sources = [
        padding_map(spec.padding_mode, size, *pads)
        for size, pads in zip(spec.input_size, spec.padding, strict=True)
    ]
    expected = np.zeros(spec.output_shape, object)
    ins, outs = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    for n, o, *place in product(*map(range, spec.output_shape)):
        total = int(bias[o]) if bias is not None else 0
        for i, *tap in product(range(ins), *map(range, spec.kernel_size)):
            at = [
                int(source[p * s + t * d])
                for source, p, s, t, d in zip(sources, place, spec.stride, tap, spec.dilation, strict=True)
            ]
            if min(at) >= 0:
                total += int(x[(n, o // outs * ins + i, *at)]) * int(weight[(o, i, *tap)])
        expected[(n, o, *place)] = total
    wrapped = (expected % 2**64).astype(np.uint64).astype(numpy_dtype(dtype))
    np.testing.assert_array_equal(reference.output(spec, x, weight, bias), wrapped)


@settings(max_examples=100)
@given(case=cases(), dtype=st.sampled_from(("int64", "float64", "complex128")), seed=seeds)
def test_gradients_are_adjoint(case: Case, dtype: str, seed: int) -> None:
    """⟨conv(x, w), y⟩ = ⟨x, grad_input(y, w)⟩ = ⟨w, grad_weight(x, y)⟩, exactly for integers."""
    x, weight, _ = case.arrays(dtype, seed)
    spec = case.spec(dtype)
    y = filled(np.random.default_rng(seed), spec.output_shape, dtype)
    inner = (reference.output(spec, x, weight) * y).sum()
    scale = (reference.output(spec, np.abs(x), np.abs(weight)) * np.abs(y)).sum() if x.size else 0
    for other in (
        (x * reference.grad_input(spec, y, weight)).sum(),
        (weight * reference.grad_weight(spec, x, y)).sum(),
    ):
        assert abs(inner - other) <= (0 if dtype == "int64" else 1e-13 * abs(scale))


@given(case=cases(), dtype=st.sampled_from(INTEGERS), seed=seeds)
@settings(max_examples=40)
def test_integers_wrap_around(case: Case, dtype: str, seed: int) -> None:
    x, weight, bias = case.arrays(dtype, seed)
    narrow = reference.output(case.spec(numpy_dtype(dtype)), x, weight, bias)
    exact = reference.output(case.spec("int64"), wide(x), wide(weight), None if bias is None else wide(bias))
    assert narrow.dtype == numpy_dtype(dtype)
    np.testing.assert_array_equal(narrow, exact.astype(narrow.dtype))


@given(case=cases(), seed=seeds)
@settings(max_examples=40)
def test_out_is_written(case: Case, seed: int) -> None:
    x, weight, bias = case.arrays("float32", seed)
    spec = case.spec("float32")
    out = np.full(spec.output_shape, np.nan, np.float32)
    assert reference.output(spec, x, weight, bias, out=out) is out
    np.testing.assert_array_equal(out, reference.output(spec, x, weight, bias))
