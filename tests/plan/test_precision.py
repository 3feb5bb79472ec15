"""The precision that products ask the planner for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import convforge
from convforge import plan
from convforge.plan import planner
from convforge.problem import ConvSpec, Precision, normalize_conv
from support.precisions import Asked, DoublingFamily, record_requests
from support.targets import masked

# How spec's padding and direction send a product through other code.
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "circular": {"padding_mode": "circular"},
    "transposed": {"transposed": True, "stride": 2},
    "transposed circular": {"transposed": True, "padding_mode": "circular"},
}
PRECISIONS: tuple[Precision, ...] = ("highest", "high", "medium")


@pytest.fixture(autouse=True)
def plans_forgotten() -> Iterator[None]:
    plan.clear_plans()
    yield
    plan.clear_plans()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return record_requests(monkeypatch)


def spec_of(dtype: Any = np.float32, **arguments: Any) -> ConvSpec:
    arguments = {"padding": 1} | arguments
    spec, _ = normalize_conv((2, 4, 7, 9), (4, 4, 3, 3), None, rank=2, dtype=np.dtype(dtype), **arguments)
    return spec


def arrays(spec: ConvSpec) -> tuple[Any, Any, Any]:
    return tuple(
        np.ones(shape, spec.dtype) for shape in (spec.input_shape, spec.weight_shape, spec.output_shape)
    )


def products(spec: ConvSpec, **keywords: Any) -> None:
    x, weight, gradient = arrays(spec)
    plan.output(spec, x, weight, **keywords)
    plan.grad_input(spec, gradient, weight, **keywords)
    plan.grad_weight(spec, x, gradient, **keywords)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_all_products_ask_for_what_is_given(asked: Asked, case: str, precision: Precision) -> None:
    with convforge.precision("highest" if precision == "medium" else "medium"):
        products(spec_of(**CASES[case]), precision=precision)
    assert {product for product, _, _ in asked} == {"output", "grad_weight"}
    assert len(asked) >= 3
    assert {each for _, _, each in asked} == {precision}


@pytest.mark.parametrize("case", CASES)
def test_else_for_what_is_in_force(asked: Asked, case: str) -> None:
    with convforge.precision("high"):
        products(spec_of(**CASES[case]))
    assert len(asked) >= 3
    assert {each for _, _, each in asked} == {"high"}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("dtype", "own"),
    [
        *((dtype, "highest") for dtype in ("float64", "complex64", "complex128", "int32")),
        *((dtype, "high") for dtype in ("float16", ml_dtypes.bfloat16)),
    ],
    ids=str,
)
def test_other_dtypes_ask_for_one_of_their_own(asked: Asked, dtype: Any, own: Precision, case: str) -> None:
    """Also where they are computed as float32: complex parts, sums that are folded afterwards."""
    with convforge.precision("medium"):
        products(spec_of(dtype, **CASES[case]))
        made = len(asked)
        products(spec_of(dtype, **CASES[case]), precision="highest" if own == "high" else "high")
    assert {each for _, _, each in asked} == {own}
    assert len(asked) == made, "plans of other dtypes are made once for all precisions"


@pytest.mark.parametrize("case", CASES)
def test_fp16_computed_as_float32_asks_for_what_fp16_does(asked: Asked, case: str) -> None:
    with masked("sse2") as target:
        assert not target.has_half
        products(spec_of(np.float16, **CASES[case]), precision="medium")
    assert {each for _, _, each in asked} == {"high"}


def test_descriptions_are_of_the_precision_asked_for(asked: Asked) -> None:
    spec = spec_of()
    for use in (plan.describe, plan.explain, plan.workspace_bytes):
        asked.clear()
        plan.clear_plans()
        use(spec, precision="high")
        assert {each for _, _, each in asked} == {"high"}
        asked.clear()
        with convforge.precision("medium"):
            use(spec)
        assert {each for _, _, each in asked} == {"medium"}
        asked.clear()
        use(spec_of(np.float64), precision="high")
        assert {each for _, _, each in asked} == {"highest"}


def test_a_family_may_serve_one_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "FAMILIES", (DoublingFamily("high"), *planner.FAMILIES))
    spec = spec_of()
    x, weight, _ = arrays(spec)
    plain = plan.output(spec, x, weight)
    np.testing.assert_array_equal(plan.output(spec, x, weight, precision="high"), 2 * plain)
    np.testing.assert_array_equal(plan.output(spec, x, weight, precision="medium"), plain)
    lines = str(plan.explain(spec, precision="high")).splitlines()
    (first,) = (line.split() for line in lines if line.startswith("families"))
    assert first[1:3] == ["doubling", "chosen"]
    (refused,) = (line for line in str(plan.explain(spec)).splitlines() if "doubling" in line)
    assert "illegal" in refused
    assert "another precision" in refused


def test_packed_weights_of_one_precision_do_not_serve_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where two ways of packing say the same of themselves."""
    monkeypatch.setattr(planner, "FAMILIES", (DoublingFamily("high"), *planner.FAMILIES))
    spec, store = spec_of(), plan.WeightStore()
    x, weight, _ = arrays(spec)
    prepared = {each: plan.Prepared(spec, store=store, precision=each) for each in PRECISIONS}
    plain = prepared["highest"](x, weight, None, 1)
    for precision in (*PRECISIONS, *reversed(PRECISIONS)):
        factor = 2 if precision == "high" else 1
        np.testing.assert_array_equal(prepared[precision](x, weight, None, 1), factor * plain)
