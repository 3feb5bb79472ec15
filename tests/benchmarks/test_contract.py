"""The plain fp32 convolution that the contract is tied to, against a loop in plain Python and float64."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.contract import allowed_error, plain_output_error, plain_weight_error

from benchmarks import contract
from convforge import reference
from convforge.problem import grad_input_spec, normalize_conv

RNG = np.random.default_rng(5)
CASES = {
    "plain": ((2, 4, 9, 8), (6, 4, 3, 2), {"padding": (1, 0)}),
    "strided": ((1, 4, 11, 9), (6, 2, 3, 3), {"stride": (2, 3), "dilation": (2, 1), "groups": 2}),
    "transposed": ((2, 4, 5, 6), (4, 3, 3, 3), {"stride": 2, "padding": 1, "groups": 2, "transposed": True}),
    "volume": ((1, 2, 4, 5, 4), (3, 2, 3, 3, 2), {"padding": 2}),
}


def spec_of(case):
    x_shape, w_shape, options = CASES[case]
    keywords = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | options
    spec, _ = normalize_conv(
        x_shape, w_shape, None, **keywords, rank=len(x_shape) - 2, dtype=np.dtype(np.float64)
    )
    return spec


@pytest.mark.parametrize("case", CASES)
def test_the_chain_computes_the_convolution(case):
    spec = spec_of(case)
    x, g, w = (
        RNG.standard_normal(shape, dtype=np.float32)
        for shape in (spec.input_shape, spec.output_shape, spec.weight_shape)
    )
    bias = RNG.standard_normal(spec.out_channels, dtype=np.float32)
    x64, g64, w64 = (array.astype(np.float64) for array in (x, g, w))
    for error in (
        plain_output_error(spec, x, w, bias, reference.output(spec, x64, w64, bias.astype(np.float64))),
        plain_output_error(grad_input_spec(spec), g, w, None, reference.grad_input(spec, g64, w64)),
        plain_weight_error(spec, x, g, reference.grad_weight(spec, x64, g64)),
    ):
        assert 1e-8 < error < 5e-7  # a wrong tap or channel would give an error near 1


def test_the_chain_rounds_once_a_product():
    values = RNG.standard_normal((50, 3)).astype(np.float32)
    expected = np.zeros(3, np.float32)
    for a, b in zip(values, values[::-1], strict=True):
        expected = np.float32(expected.astype(np.longdouble) + a.astype(np.longdouble) * b)
    np.testing.assert_array_equal(contract._chain(np.zeros(3, np.float32), values, values[::-1]), expected)


def test_what_is_allowed():
    assert allowed_error("highest", 3e-7) == 6e-7
    assert allowed_error("highest", None) is None
    assert allowed_error("high", 3e-7) == 1e-5
    assert allowed_error("medium", None) == 1e-2
