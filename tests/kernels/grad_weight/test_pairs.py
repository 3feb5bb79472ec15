"""Weight gradients on pairs of bf16 numbers, two images a word: by the processor's instruction, or not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convforge import plan, reference, runtime
from convforge.plan.grad_weight import pairs as grad_weight_pairs, planner as grad_weight_planner
from convforge.plan.pairs import gather as pairs
from convforge.plan.request import GradWeightRequest
from convforge.problem import ConvSpec, Precision, normalize_conv
from convforge.target import Target
from support.convolutions import LAYOUTS, Case, cases, numpy_dtype, with_layout
from support.families import costing
from support.guarded import Guarded, GuardedScratch
from support.pairs import SPELT_OUT
from support.targets import masked
from support.tolerance import assert_close

Array = Any
RNG = np.random.default_rng(12)
BF16 = np.dtype(ml_dtypes.bfloat16)
ROUNDING = 4e-3

CASES: dict[str, dict[str, Any]] = {
    "two images": {"shape": (2, 16, 4, 8), "weight": (16, 16, 1, 1)},
    "three images": {"shape": (3, 33, 14, 14), "weight": (40, 33, 3, 3), "padding": 1},
    "narrow maps": {"shape": (5, 40, 7, 7), "weight": (33, 40, 3, 3), "padding": 1},
    "uneven padding": {"shape": (2, 20, 9, 8), "weight": (17, 20, 3, 2), "padding": (2, 0)},
    "pointwise": {"shape": (6, 70, 7, 7), "weight": (24, 70, 1, 1)},
    "boxes of some rows": {"shape": (2, 5, 70, 80), "weight": (9, 5, 3, 3), "padding": 1},
    "stride 2": {"shape": (2, 18, 15, 21), "weight": (20, 18, 3, 3), "stride": 2, "padding": 1},
    "one tap, stride 2": {"shape": (4, 18, 14, 20), "weight": (20, 18, 1, 1), "stride": 2},
    "dilated": {"shape": (2, 16, 17, 19), "weight": (16, 16, 3, 3), "padding": 2, "dilation": 3},
    "reflect": {"shape": (2, 16, 9, 33), "weight": (18, 16, 5, 5), "padding": 2, "padding_mode": "reflect"},
    "circular": {"shape": (3, 16, 6, 35), "weight": (18, 16, 3, 3), "padding": 1, "padding_mode": "circular"},
    "groups": {"shape": (2, 60, 10, 10), "weight": (51, 20, 3, 3), "padding": 1, "groups": 3},
    "signal": {"shape": (3, 20, 1501), "weight": (17, 20, 7), "padding": 6, "dilation": 2},
    "volume": {"shape": (2, 16, 5, 9, 11), "weight": (20, 16, 3, 3, 3), "padding": 1},
    "taps on padding alone": {"shape": (2, 16, 2, 3), "weight": (16, 16, 7, 7), "padding": 3},
    "first layer": {"shape": (3, 3, 40, 37), "weight": (32, 3, 7, 7), "stride": 2, "padding": 3},
    "one channel": {"shape": (3, 1, 20, 70), "weight": (16, 1, 5, 9), "padding": (2, 4)},
    "many channels": {"shape": (4, 300, 8, 8), "weight": (290, 300, 3, 3), "padding": 1},
}


@contextmanager
def served(mask: str = "host") -> Iterator[None]:
    """Inside the block the family serves all that it can, on any processor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "why_no_instruction", lambda target: None)
        with masked(mask), costing(grad_weight_pairs, -1.0):
            yield


def make(name: str, dtype: Any = np.float32) -> tuple[ConvSpec, Array, Array]:
    arguments = dict(CASES[name])
    shape, weight = arguments.pop("shape"), arguments.pop("weight")
    spec, _ = normalize_conv(shape, weight, None, rank=len(shape) - 2, dtype=np.dtype(dtype), **arguments)
    return spec, *(RNG.standard_normal(s).astype(dtype) for s in (spec.input_shape, spec.output_shape))


def error(found: Array, spec: ConvSpec, x: Array, gradient: Array) -> float:
    exact = reference.grad_weight(
        replace(spec, dtype=np.dtype(np.float64)), x.astype(np.float64), gradient.astype(np.float64)
    )
    return float(np.linalg.norm(found.astype(np.float64) - exact) / np.linalg.norm(exact))


def request_of(spec: ConvSpec, x: Array, gradient: Array, precision: Precision) -> GradWeightRequest:
    return GradWeightRequest(spec, x.strides, gradient.strides, precision)


def of_bf16(array: Array) -> Array:
    """The nearest bfloat16 numbers, as float32."""
    return array.astype(BF16).astype(np.float32)


@pytest.mark.parametrize("mask", ["host", "avx2"])
@pytest.mark.parametrize("name", CASES)
def test_against_the_oracle(name: str, mask: str) -> None:
    """With numbers that are bf16 already there is but fp32's own rounding."""
    spec, x, gradient = make(name)
    with served(mask):
        request = request_of(spec, x, gradient, "medium")
        assert grad_weight_pairs.why_illegal(request, Target.host()) is None
        found = plan.grad_weight(spec, x, gradient, precision="medium")
        assert 1e-4 < error(found, spec, x, gradient) < ROUNDING
        x, gradient = of_bf16(x), of_bf16(gradient)
        found = plan.grad_weight(spec, x, gradient, precision="medium")
    assert error(found, spec, x, gradient) < 1e-6


@pytest.mark.parametrize("name", ["two images", "three images", "stride 2", "groups", "pointwise", "volume"])
def test_bfloat16_arrays(name: str) -> None:
    """Products are exact; what is left is one rounding to bfloat16."""
    spec, x, gradient = make(name, BF16)
    with served():
        assert grad_weight_pairs.why_illegal(request_of(spec, x, gradient, "high"), Target.host()) is None
        found = plan.grad_weight(spec, x, gradient)
    assert error(found, spec, x, gradient) < 2**-8


@settings(max_examples=60)
@given(
    case=cases(batches=(2, 3, 4), transposed=False),
    dtype=st.sampled_from(["float32", "bfloat16"]),
    layout=st.sampled_from(LAYOUTS),
    mask=st.sampled_from(["host", *SPELT_OUT]),
)
def test_layers_of_every_kind(case: Case, dtype: str, layout: str, mask: str) -> None:
    spec = case.spec(numpy_dtype(dtype))
    x, _, _ = case.arrays("bfloat16", 0, layout)
    x = x.astype(spec.dtype)
    gradient = with_layout(RNG.standard_normal(spec.output_shape).astype(BF16).astype(spec.dtype), layout)
    with served(mask):
        found = plan.grad_weight(spec, x, gradient, precision="medium")
    double = replace(spec, dtype=np.dtype(np.float64))
    wide = [array.astype(np.float64) for array in (x, gradient)]
    exact, sizes = (reference.grad_weight(double, *arrays) for arrays in (wide, map(np.abs, wide)))
    assert_close(found, exact, sizes, spec.batch * int(np.prod(spec.output_size)))


@pytest.mark.parametrize("value", [np.inf, np.nan, 3e38, 1e20, 1e-30, 1e-42])
@pytest.mark.parametrize("where", [0, 1])
@pytest.mark.parametrize("name", ["three images", "stride 2", "pointwise"])
def test_hard_values_come_out_as_of_another_family(name: str, where: int, value: float) -> None:
    spec, *arrays = make(name)
    arrays[where].flat[-3] = value
    with np.errstate(all="ignore"):
        with served():
            found = plan.grad_weight(spec, *arrays, precision="medium")
        with costing(grad_weight_pairs, float("inf")):
            plain = grad_weight_planner.plan_grad_weight(
                replace(request_of(spec, *arrays, "medium"), plain=True), Target.host(), 2
            )
            expected = np.zeros(spec.weight_shape, np.float32)
            assert plain(*arrays, expected)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["three images", "stride 2", "many channels", "first layer"])
def test_the_same_bits_whatever_threads_and_layout(name: str) -> None:
    spec, x, gradient = make(name)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    with served():
        found = plan.grad_weight(spec, x, gradient, precision="medium")
        np.testing.assert_array_equal(plan.grad_weight(spec, last, gradient, precision="medium"), found)
        before = runtime.get_num_threads()
        try:
            runtime.set_num_threads(1 if before > 1 else 2)
            np.testing.assert_array_equal(plan.grad_weight(spec, x, gradient, precision="medium"), found)
        finally:
            runtime.set_num_threads(before)


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, BF16])
@pytest.mark.parametrize("name", CASES)
def test_nothing_outside_the_arrays_is_touched(
    name: str, dtype: Any, at_end: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scratch is full of NaN at first: what was never written must not be taken for values."""
    spec, *arrays = make(name, dtype)
    guarded = Guarded()
    monkeypatch.setattr(runtime, "scratch", GuardedScratch())
    x, gradient = (guarded.array(array, at_end=at_end) for array in arrays)
    with served():
        made = grad_weight_pairs.plan(request_of(spec, x, gradient, "medium"), Target.host(), 2)
        found = np.zeros(spec.weight_shape, dtype)
        assert made(x, gradient, found), "ordinary values are served"
    assert error(found, spec, x, gradient) < 5e-3


def test_what_cannot_be_served_says_why() -> None:
    spec, x, gradient = make("three images")
    request = request_of(spec, x, gradient, "medium")
    with masked("avx2"):
        assert "avx512bf16" in str(grad_weight_pairs.why_illegal(request, Target.host()))
    reasons = {
        "not exact": replace(request, plain=True),
        "is not one bf16 part": replace(request, precision="high"),
        "one image": replace(request, spec=replace(spec, batch=1)),
    }
    with served():
        for reason, asked in reasons.items():
            assert reason in str(grad_weight_pairs.why_illegal(asked, Target.host()))
