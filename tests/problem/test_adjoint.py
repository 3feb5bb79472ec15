"""The convolution that computes a convolution's gradient."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings, strategies as st

from convforge import reference
from convforge.problem import grad_input_spec
from support.convolutions import Case, cases, filled


@settings(max_examples=100)
@given(case=cases(modes=("zeros",)), seed=st.integers(0, 2**32 - 1))
def test_its_output_is_the_gradient(case: Case, seed: int) -> None:
    spec = case.spec("int64")
    adjoint = grad_input_spec(spec)
    assert adjoint.transposed is not spec.transposed
    assert adjoint.input_shape == spec.output_shape
    assert adjoint.output_shape == spec.input_shape
    assert adjoint.weight_shape == spec.weight_shape
    assert min(adjoint.output_padding) >= 0
    _, weight, _ = case.arrays("int64", seed)
    y = filled(np.random.default_rng(seed), spec.output_shape, "int64")
    np.testing.assert_array_equal(reference.output(adjoint, y, weight), reference.grad_input(spec, y, weight))


@settings(max_examples=100)
@given(case=cases(modes=("zeros",)), seed=st.integers(0, 2**32 - 1))
def test_its_adjoint_is_the_convolution(case: Case, seed: int) -> None:
    spec = case.spec("int64")
    twice = grad_input_spec(grad_input_spec(spec))
    assert (twice.input_shape, twice.output_shape) == (spec.input_shape, spec.output_shape)
    x, weight, _ = case.arrays("int64", seed)
    np.testing.assert_array_equal(reference.output(twice, x, weight), reference.output(spec, x, weight))
