"""What must hold of convolutions whatever computes them: exact in integers, within tolerance in floats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings, strategies as st

from convforge import plan
from convforge.nn.functional import conv as functional
from support.convolutions import Case, cases, filled, numpy_dtype
from support.tolerance import tolerance

seeds = st.integers(0, 2**32 - 1)


def apply(case: Case, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    name = f"conv_transpose{case.rank}d" if case.transposed else f"conv{case.rank}d"
    return getattr(functional, name)(x, weight, **case.arguments)


@settings(max_examples=60)
@given(case=cases(), dtype=st.sampled_from(("int32", "float32", "float64")), seed=seeds)
def test_the_three_products_are_adjoint(case: Case, dtype: str, seed: int) -> None:
    """⟨conv(x, w), y⟩ = ⟨x, convᵀ(y, w)⟩ = ⟨w, grad_weight(x, y)⟩."""
    x, weight, _ = case.arrays(dtype, seed)
    spec = case.spec(dtype)
    y = filled(np.random.default_rng(seed), spec.output_shape, dtype)
    wide = np.int64 if dtype == "int32" else np.float64

    def inner(a: np.ndarray, b: np.ndarray) -> float:
        return (a.astype(wide) * b.astype(wide)).sum()

    left = inner(plan.output(spec, x, weight), y)
    scale = inner(plan.output(spec, np.abs(x), np.abs(weight)), np.abs(y))
    bound = tolerance(dtype, 10_000) * float(abs(scale))
    assert abs(left - inner(x, plan.grad_input(spec, y, weight))) <= bound
    assert abs(left - inner(weight, plan.grad_weight(spec, x, y))) <= bound


@settings(max_examples=40)
@given(case=cases(transposed=False), seed=seeds)
def test_the_transposed_layer_is_the_adjoint_of_the_plain_one(case: Case, seed: int) -> None:
    """conv_transpose(y, w) = grad-input of conv(x, w), in every padding mode."""
    _, weight, _ = case.arrays("int32", seed)
    spec = case.spec("int32")
    y = filled(np.random.default_rng(seed), spec.output_shape, "int32")
    extra = tuple(
        size + before + after - ((out - 1) * stride + dilation * (kernel - 1) + 1)
        for size, (before, after), out, stride, dilation, kernel in zip(
            spec.input_size,
            case.padding,
            spec.output_size,
            case.stride,
            case.dilation,
            spec.kernel_size,
            strict=True,
        )
    )
    function = getattr(functional, f"conv_transpose{case.rank}d")
    x = function(y, weight, **case.arguments, output_padding=extra)
    np.testing.assert_array_equal(x, plan.grad_input(spec, y, weight))


@settings(max_examples=40)
@given(case=cases(), seed=seeds)
def test_linear_in_both(case: Case, seed: int) -> None:
    x, weight, _ = case.arrays("int32", seed)
    other_x, other_weight, _ = case.arrays("int32", seed + 1)
    np.testing.assert_array_equal(
        apply(case, 3 * x - other_x, weight), 3 * apply(case, x, weight) - apply(case, other_x, weight)
    )
    np.testing.assert_array_equal(
        apply(case, x, 3 * weight - other_weight), 3 * apply(case, x, weight) - apply(case, x, other_weight)
    )


@settings(max_examples=40)
@given(case=cases(), dtype=st.sampled_from(("int32", "float32")), seed=seeds)
def test_groups_are_convolutions_side_by_side(case: Case, dtype: str, seed: int) -> None:
    x, weight, _ = case.arrays(dtype, seed)
    single = replace(case, groups=1)
    parts = [
        apply(single, np.ascontiguousarray(a), np.ascontiguousarray(b))
        for a, b in zip(np.split(x, case.groups, 1), np.split(weight, case.groups, 0), strict=True)
    ]
    together = apply(case, x, weight)
    error = np.abs(np.concatenate(parts, axis=1) - together)
    magnitude = apply(case, np.abs(x), np.abs(weight))
    assert (error <= tolerance(dtype, 250) * np.abs(magnitude)).all()


@given(
    batch=st.integers(1, 3),
    inputs=st.integers(1, 20),
    outputs=st.integers(1, 20),
    side=st.integers(1, 9),
    seed=seeds,
)
@settings(max_examples=40)
def test_1x1_is_a_matrix_product(batch: int, inputs: int, outputs: int, side: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    x = filled(generator, (batch, inputs, side, side), "int32")
    weight = filled(generator, (outputs, inputs, 1, 1), "int32")
    expected = np.einsum("oi,nihw->nohw", weight[:, :, 0, 0], x)
    np.testing.assert_array_equal(functional.conv2d(x, weight), expected)


@settings(max_examples=40)
@given(
    case=cases(transposed=False, modes=("zeros",)), seed=seeds, dtype=st.sampled_from(("int32", "float32"))
)
def test_shift_equivariance(case: Case, seed: int, dtype: str) -> None:
    """Shifting the input by a stride shifts the output by one element: to the bit where sums are exact, for
    another size may be summed in another order.
    """
    case = replace(case, padding=((0, 0),) * case.rank)
    spans = [d * (k - 1) + 1 for d, k in zip(case.dilation, case.weight_shape[2:], strict=True)]
    size = [max(n, span) + s for n, span, s in zip(case.input_shape[2:], spans, case.stride, strict=True)]
    case = replace(case, input_shape=(*case.input_shape[:2], *size))
    whole = [array.astype(dtype) for array in case.arrays("int32", seed)[:2]]
    moved, behind, _ = _shifted(case, *whole)
    np.testing.assert_array_equal(moved, behind)
    moved, behind, magnitude = _shifted(case, *case.arrays(dtype, seed)[:2])
    assert (np.abs(moved - behind) <= tolerance(dtype, 250) * np.abs(magnitude)).all()


def _shifted(case: Case, x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The outputs of an input shifted by a stride, those of the whole one, and of magnitudes."""
    shifted = x[(..., *(slice(s, None) for s in case.stride))]
    moved = apply(replace(case, input_shape=shifted.shape), shifted, weight)
    behind = tuple(slice(1, n + 1) for n in moved.shape[2:])
    whole, magnitude = apply(case, x, weight), apply(case, np.abs(x), np.abs(weight))
    return moved, whole[(..., *behind)], magnitude[(..., *behind)]


@given(seed=seeds, dtype=st.sampled_from(("float32", "float16", "bfloat16")))
@settings(max_examples=20)
def test_a_lone_tap_of_one_copies_the_bits(seed: int, dtype: str) -> None:
    x = np.random.default_rng(seed).standard_normal((1, 1, 6, 7)).astype(numpy_dtype(dtype))
    weight = np.zeros((1, 1, 3, 3), numpy_dtype(dtype))
    weight[0, 0, 1, 1] = 1
    np.testing.assert_array_equal(functional.conv2d(x, weight, padding=1), x)
