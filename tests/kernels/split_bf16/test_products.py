"""Products of bf16 parts on a tile unit, the host's own or an emulated one: the machine code that LLVM made,
against the oracle at the edges of tiles.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from convforge import plan, reference
from convforge.plan.describe import plan_of
from convforge.plan.split_bf16 import products as split_bf16
from convforge.problem import Precision
from convforge.problem.gather import gather_of
from convforge.schedule.fold import fold_axes
from support.convolutions import LAYOUTS, Case, cases, numpy_dtype
from support.families import costing
from support.split_bf16 import (
    CASES,
    FOLDED,
    LIMITS,
    RNG,
    SUM_ERROR,
    check_against_the_oracle,
    error,
    exact,
    make,
    poisoned,
    serves,
    spec_of,
)
from support.tile_unit import TileUnit, tile_unit
from support.tolerance import assert_close

Array = Any
BF16 = np.dtype(ml_dtypes.bfloat16)


@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize("name", CASES)
def test_against_the_oracle(name: str, precision: Precision, unit: TileUnit) -> None:
    made = make(name)
    assert serves(made[0], precision)
    check_against_the_oracle(made, precision, unit)


@pytest.mark.parametrize("precision", ["highest", "high"])
@pytest.mark.parametrize(
    ("name", "axes"),
    [(name, axes) for name in FOLDED for axes in fold_axes(gather_of(spec_of(**FOLDED[name])))],
)
def test_taps_folded_into_channels_along_any_axes(
    name: str, axes: int, precision: Precision, unit: TileUnit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, of six products, are read from planes step by step."""
    spec, x, weight, bias = make(name)
    monkeypatch.setattr(split_bf16, "_fold", lambda request, target: axes)
    plan.clear_plans()
    schedule = plan_of(spec, precision=precision).schedule
    assert schedule.fold == axes
    whole = axes == max(fold_axes(gather_of(spec)))
    assert (schedule.way_in == "planes") == (whole and precision == "highest")
    y = plan.output(spec, x, weight, bias, out=poisoned(spec), precision=precision)
    plan.clear_plans()
    assert error(y, spec, x, weight, bias) < LIMITS[precision]


@pytest.mark.parametrize("hidden", [("avx512f",), ("avx512f", "fma"), ("avx512f", "fma", "avx")])
@pytest.mark.parametrize(
    "name",
    ["batch", "transposed, stride 2", "chains", "first layer", "beside", "one tap by a table"],
)
def test_vectors_of_every_width(name: str, hidden: tuple[str, ...]) -> None:
    with tile_unit(*hidden):
        spec, x, weight, bias = make(name)
        assert serves(spec)
        y = plan.output(spec, x, weight, bias, out=poisoned(spec))
        assert error(y, spec, x, weight, bias) < LIMITS["highest"]


@pytest.mark.parametrize("channels", [16, 17, 31, 32, 33, 48, 64, 65])
def test_input_channels_at_the_edges_of_tiles(channels: int, unit: TileUnit) -> None:
    for outputs in (15, 33):
        spec = spec_of((1, channels, 5, 7), (outputs, channels, 3, 3), padding=1)
        x, weight = (RNG.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.weight_shape))
        assert serves(spec)
        y = plan.output(spec, x, weight, out=poisoned(spec))
        assert error(y, spec, x, weight) < LIMITS["highest"]


@pytest.mark.parametrize("outputs", [1, 15, 16, 17, 31, 32, 33, 48, 49])
@pytest.mark.parametrize("width", [1, 15, 16, 17, 31, 32, 33, 47, 48, 49])
def test_outputs_and_positions_at_the_edges_of_tiles(outputs: int, width: int, unit: TileUnit) -> None:
    """Signals, so that the flat run is as long as the output; and with gaps between rows."""
    for shape, kernel in (((1, 16, width), (outputs, 16, 1)), ((2, 16, 2, width), (outputs, 16, 1, 3))):
        spec = spec_of(shape, kernel, padding=(0, 1)[-len(kernel) + 2 :])
        x, weight = (RNG.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.weight_shape))
        assert serves(spec)
        y = plan.output(spec, x, weight, out=poisoned(spec))
        assert error(y, spec, x, weight) < LIMITS["highest"]


# All taps along one axis meet padding.
BESIDE = Case(
    2, False, (1, 3, 2, 1), (9, 3, 2, 2), (1, 1), ((0, 0), (1, 1)), (1, 2), 1, (0, 0), "zeros", False
)


@pytest.mark.parametrize("step", [3, 5, 8])
@pytest.mark.parametrize("rows", [1, 3])
def test_columns_a_step_apart(step: int, rows: int) -> None:
    """Patches, and rows that overlap; their planes are taken out of whole vectors."""
    spec = spec_of((2, 32, rows + 3, 18 * step - 1), (20, 32, rows, step), np.float32, stride=(1, step))
    x, weight = (RNG.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.weight_shape))
    with tile_unit():
        y = plan.output(spec, x, weight, out=poisoned(spec))
        assert split_bf16.NAME in plan.describe(spec)
    np.testing.assert_allclose(y, exact(spec, x, weight, None), rtol=1e-5, atol=1e-4)


@st.composite
def wide_cases(draw: st.DrawFn) -> Case:
    """Layers of all ranks, strides, paddings and modes, with channels at the edges of tiles."""
    case = draw(cases(batches=(1, 2, 3)))
    groups = min(case.groups, 2)
    sizes = (3, 8, 16, 17, 32, 33, 50), (1, 9, 15, 16, 17, 33)
    inputs, outputs = (draw(st.sampled_from(some)) for some in sizes)
    channels = (groups * inputs, outputs) if case.transposed else (groups * outputs, inputs)
    return replace(
        case,
        groups=groups,
        input_shape=(case.input_shape[0], groups * inputs, *case.input_shape[2:]),
        weight_shape=(*channels, *case.weight_shape[2:]),
    )


@settings(max_examples=60)
@example(case=BESIDE, dtype="float32", layout="plain")
@given(
    case=wide_cases(),
    dtype=st.sampled_from(["float32", "bfloat16", "float16"]),
    layout=st.sampled_from(LAYOUTS),
)
def test_layers_of_every_kind(case: Case, dtype: str, layout: str) -> None:
    spec = case.spec(numpy_dtype(dtype))
    x, weight, bias = case.arrays(dtype, 0, layout)
    with tile_unit():
        y = plan.output(spec, x, weight, bias, out=poisoned(spec))
    wide = [None if a is None else a.astype(np.float64) for a in (x, weight, bias)]
    sizes = [None if a is None else np.abs(a) for a in wide]
    double = replace(spec, dtype=np.dtype(np.float64))
    length = spec.in_channels // spec.groups * int(np.prod(spec.kernel_size))
    assert_close(y, reference.output(double, *wide), reference.output(double, *sizes), length)


@pytest.mark.parametrize("name", ["batch", "stride 2", "groups", "transposed, stride 2", "volume"])
def test_bfloat16_arrays_are_parts_as_they_are(name: str, unit: TileUnit) -> None:
    spec, x, weight, bias = make(name, BF16)
    assert "1 product" in plan_of(spec).describe()
    y = plan.output(spec, x, weight, bias, out=poisoned(spec))
    expected = exact(spec, x, weight, bias)
    # Products are exact; what is left is one rounding to bfloat16.
    np.testing.assert_allclose(y.astype(np.float64), expected, rtol=2**-8, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["batch", "stride 2", "groups", "transposed, stride 2", "volume", "first layer"]
)
def test_float16_arrays_are_two_parts(name: str, unit: TileUnit) -> None:
    spec, x, weight, bias = make(name, np.float16)
    assert "3 products" in plan_of(spec).describe()
    y = plan.output(spec, x, weight, bias, out=poisoned(spec))
    expected = exact(spec, x, weight, bias)
    # One rounding to float16, and what three products leave of sums of up to 300 products.
    np.testing.assert_allclose(y.astype(np.float64), expected, rtol=2**-11 + 1e-5, atol=1e-3)


@pytest.mark.parametrize("name", ["batch", "stride 2", "transposed, stride 2", "groups", "dilated", "beside"])
def test_the_input_gradient(name: str, unit: TileUnit) -> None:
    spec, _, weight, _ = make(name)
    gradient = RNG.standard_normal(spec.output_shape).astype(np.float32)
    before = unit.products
    found = plan.grad_input(spec, gradient, weight)
    assert before is None or unit.products > before
    wide = replace(spec, dtype=np.dtype(np.float64))
    expected = reference.grad_input(wide, gradient.astype(np.float64), weight.astype(np.float64))
    assert np.linalg.norm(found - expected) / np.linalg.norm(expected) < LIMITS["highest"]


@pytest.mark.parametrize("activation", ["relu", "relu6", "leaky_relu", "hardswish"])
@pytest.mark.parametrize("has_bias", [True, False])
def test_activations(activation: Any, has_bias: bool, unit: TileUnit) -> None:
    for name in ("batch", "pointwise", "chains", "phases of one tap"):
        spec, x, weight, bias = make(name)
        given = bias if has_bias else None
        y = plan.output(spec, x, weight, given, out=poisoned(spec), activation=activation)
        with costing(split_bf16, float("inf")):
            expected = plan.output(spec, x, weight, given, activation=activation)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=SUM_ERROR)


@pytest.mark.parametrize("padding", [(1, 0), (0, 1), (1, 1)])
def test_folded_layers_whose_other_axis_keeps_one_tap(padding: tuple[int, int], unit: TileUnit) -> None:
    """Of a kernel's rows all but one meet only padding: the one that is left need not be the first."""
    del unit
    case = Case(
        rank=2, transposed=False, input_shape=(2, 3, 1, 5), weight_shape=(9, 3, 1 + sum(padding), 2),
        stride=(1, 1), padding=(padding, (0, 0)), dilation=(1, 1), groups=1, output_padding=(0, 0),
        padding_mode="zeros", has_bias=False,
    )  # fmt: skip
    spec, generator = case.spec("float32"), np.random.default_rng(0)
    x, weight = (
        generator.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.weight_shape)
    )
    assert split_bf16.NAME in plan.describe(spec)
    expected = reference.output(spec, x, weight)
    np.testing.assert_allclose(plan.output(spec, x, weight), expected, rtol=1e-5, atol=1e-5)
