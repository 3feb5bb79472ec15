"""Few output channels on a tile unit, tap by tap: against the oracle, at the edges of tiles and windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convforge import plan, reference, runtime
from convforge.draw.tile_plan import tiles_of
from convforge.plan.describe import plan_of
from convforge.plan.split_bf16 import taps as split_bf16_taps
from convforge.problem import ConvSpec, Precision
from convforge.schedule.tile_unit import tile_shapes
from support.convolutions import LAYOUTS, Case, cases, numpy_dtype
from support.families import costing
from support.guarded import Guarded
from support.split_bf16 import (
    LIMITS,
    RNG,
    check_against_the_oracle,
    check_with_scratch_of_others,
    error,
    make as make_of,
    output_of_any_threads,
    plan_request,
    poisoned,
    spec_of,
)
from support.tile_unit import TileUnit, tile_unit
from support.tolerance import assert_close

Array = Any

CASES: dict[str, dict[str, Any]] = {
    "photograph out": {"shape": (2, 20, 9, 21), "weight": (3, 20, 3, 3), "padding": 1},
    "no padding": {"shape": (1, 33, 12, 9), "weight": (4, 33, 3, 2)},
    "one output": {"shape": (1, 16, 11, 30), "weight": (1, 16, 5, 5), "padding": 2},
    "gradient of a first layer": {
        "shape": (2, 64, 14, 17),
        "weight": (64, 3, 7, 7),
        "transposed": True,
        "stride": 2,
        "padding": 3,
        "output_padding": 1,
    },
    "stride 4": {
        "shape": (1, 40, 6, 9),
        "weight": (40, 3, 11, 11),
        "transposed": True,
        "stride": 4,
        "padding": 2,
    },
    "phases without taps": {
        "shape": (1, 18, 5, 7),
        "weight": (18, 2, 2, 1),
        "transposed": True,
        "stride": 3,
        "output_padding": 1,
    },
    "dilated": {"shape": (1, 17, 15, 17), "weight": (5, 17, 3, 3), "padding": 4, "dilation": 4},
    "groups": {"shape": (2, 48, 9, 9), "weight": (9, 16, 3, 3), "padding": 1, "groups": 3},
    "groups, transposed": {
        "shape": (1, 40, 8, 5),
        "weight": (40, 2, 3, 3),
        "transposed": True,
        "groups": 2,
        "padding": 1,
    },
    "sound": {"shape": (2, 24, 300), "weight": (1, 24, 7), "padding": 3},
    "volume": {"shape": (1, 20, 4, 7, 6), "weight": (3, 20, 3, 3, 3), "padding": 1},
    "reflect": {"shape": (1, 18, 9, 21), "weight": (6, 18, 3, 3), "padding": 2, "padding_mode": "reflect"},
    "circular": {"shape": (2, 18, 70), "weight": (7, 18, 3), "padding": 2, "padding_mode": "circular"},
}


@pytest.fixture
def unit() -> Iterator[TileUnit]:
    with tile_unit(cycles=None) as found, costing(split_bf16_taps, 0.0):
        yield found


make = partial(make_of, cases=CASES)


def serves(spec: ConvSpec, precision: Precision = "highest") -> bool:
    return "tap by tap" in plan_of(spec, precision=precision).describe()


@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize("name", CASES)
def test_against_the_oracle(name: str, precision: Precision, unit: TileUnit) -> None:
    made = make(name)
    assert serves(made[0], precision)
    check_against_the_oracle(made, precision, unit)


@pytest.mark.parametrize("hidden", [("avx512f",), ("avx512f", "fma"), ("avx512f", "fma", "avx")])
@pytest.mark.parametrize("name", ["photograph out", "gradient of a first layer", "reflect"])
def test_vectors_of_every_width(name: str, hidden: tuple[str, ...]) -> None:
    with tile_unit(*hidden, cycles=None), costing(split_bf16_taps, 0.0):
        spec, x, weight, bias = make(name)
        assert serves(spec)
        y = plan.output(spec, x, weight, bias, out=poisoned(spec))
        assert error(y, spec, x, weight, bias) < LIMITS["highest"]


@pytest.mark.parametrize("outputs", range(1, 8))
@pytest.mark.parametrize("width", [1, 15, 16, 17, 61, 62, 63, 64, 65, 127, 128, 129])
def test_outputs_and_positions_at_the_edges_of_windows(outputs: int, width: int, unit: TileUnit) -> None:
    """Taps that reach a whole window, less and more: signals, and rows with a zero between them."""
    shapes = [((1, 17, width), (outputs, 17, 3), {"padding": d, "dilation": d}) for d in (1, 31, 32, 33)]
    shapes += [((2, 16, 2, width), (outputs, 16, 2, 3), {"padding": 1})]
    for shape, kernel, more in shapes:
        spec = spec_of(shape, kernel, **more)
        x, weight = (RNG.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.weight_shape))
        if split_bf16_taps.why_illegal(plan_request(spec), unit.target):
            assert width <= more["dilation"], "one tap alone is left, or none"
            continue
        assert serves(spec)
        y = plan.output(spec, x, weight, out=poisoned(spec))
        assert error(y, spec, x, weight) < LIMITS["highest"]


@pytest.mark.parametrize("channels", [16, 17, 31, 32, 33, 64, 65, 2048])
def test_input_channels_at_the_edges_of_tiles(channels: int, unit: TileUnit) -> None:
    spec = spec_of((1, channels, 5, 7), (3, channels, 3, 3), padding=1)
    x, weight = (RNG.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.weight_shape))
    assert serves(spec)
    y = plan.output(spec, x, weight, out=poisoned(spec))
    assert error(y, spec, x, weight) < LIMITS["highest"]


@st.composite
def narrow_cases(draw: st.DrawFn) -> Case:
    """Layers of all ranks, paddings and modes with few outputs; strides of transposed ones."""
    case = draw(cases(batches=(1, 2, 3)))
    groups, outputs = min(case.groups, 2), draw(st.integers(1, 7))
    inputs = draw(st.sampled_from((16, 17, 33, 50)))
    channels = (groups * inputs, outputs) if case.transposed else (groups * outputs, inputs)
    stride = case.stride if case.transposed else (1,) * len(case.stride)
    return replace(
        case,
        groups=groups,
        stride=stride,
        input_shape=(case.input_shape[0], groups * inputs, *case.input_shape[2:]),
        weight_shape=(*channels, *case.weight_shape[2:]),
    )


@settings(max_examples=60)
@given(
    case=narrow_cases(),
    dtype=st.sampled_from(["float32", "bfloat16", "float16"]),
    layout=st.sampled_from(LAYOUTS),
)
def test_layers_of_every_kind(case: Case, dtype: str, layout: str) -> None:
    spec = case.spec(numpy_dtype(dtype))
    x, weight, bias = case.arrays(dtype, 0, layout)
    with tile_unit(cycles=None), costing(split_bf16_taps, 0.0):
        y = plan.output(spec, x, weight, bias, out=poisoned(spec))
    wide = [None if a is None else a.astype(np.float64) for a in (x, weight, bias)]
    sizes = [None if a is None else np.abs(a) for a in wide]
    double = replace(spec, dtype=np.dtype(np.float64))
    length = spec.in_channels // spec.groups * int(np.prod(spec.kernel_size))
    assert_close(y, reference.output(double, *wide), reference.output(double, *sizes), length)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name", ["photograph out", "gradient of a first layer", "sound", "reflect"])
def test_half_types(name: str, dtype: Any, unit: TileUnit) -> None:
    spec, x, weight, bias = make(name, dtype)
    assert serves(spec)
    y = plan.output(spec, x, weight, bias, out=poisoned(spec))
    assert error(y, spec, x, weight, bias) < 2**-8


@pytest.mark.parametrize("activation", ["relu", "relu6", "leaky_relu", "hardswish"])
@pytest.mark.parametrize("has_bias", [True, False])
def test_activations(activation: Any, has_bias: bool, unit: TileUnit) -> None:
    for name in ("photograph out", "gradient of a first layer", "stride 4"):
        spec, x, weight, bias = make(name)
        given = bias if has_bias else None
        y = plan.output(spec, x, weight, given, out=poisoned(spec), activation=activation)
        with costing(split_bf16_taps, float("inf")):
            expected = plan.output(spec, x, weight, given, activation=activation)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_the_gradient_of_a_first_layer_is_one(unit: TileUnit) -> None:
    spec = spec_of((2, 3, 23, 38), (20, 3, 7, 7), stride=2, padding=3)
    gradient, weight = (
        RNG.standard_normal(s).astype(np.float32) for s in (spec.output_shape, spec.weight_shape)
    )
    before = unit.products
    found = plan.grad_input(spec, gradient, weight)
    assert before is None or unit.products > before
    wide = replace(spec, dtype=np.dtype(np.float64))
    expected = reference.grad_input(wide, gradient.astype(np.float64), weight.astype(np.float64))
    assert np.linalg.norm(found - expected) / np.linalg.norm(expected) < LIMITS["highest"]


@pytest.mark.parametrize("name", CASES)
def test_threads_and_place_in_the_batch_do_not_change_a_bit(name: str, unit: TileUnit) -> None:
    """Bands differ: what one task has read of its neighbour's outputs' taps is computed by both."""
    spec, x, weight, bias = make(name)
    expected = output_of_any_threads(spec, x, weight, bias)
    one = replace(spec, batch=1)
    for i in range(spec.batch):
        np.testing.assert_array_equal(plan.output(one, x[i : i + 1], weight, bias)[0], expected[i])


@pytest.mark.parametrize("shape", [shape for shape in tile_shapes() if 4 % shape[1] == 0])
@pytest.mark.parametrize("name", ["photograph out", "gradient of a first layer", "one output"])
def test_every_shape_of_tiles_has_the_same_bits(
    name: str, shape: tuple[int, int], unit: TileUnit, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, x, weight, bias = make(name)
    expected = plan.output(spec, x, weight, bias)
    monkeypatch.setattr(split_bf16_taps, "best_shape", lambda *_: (0.0, shape))
    plan.clear_plans()
    np.testing.assert_array_equal(plan.output(spec, x, weight, bias, out=poisoned(spec)), expected)


@pytest.mark.parametrize("name", CASES)
def test_strides_of_the_arrays_do_not_change_a_bit(name: str, unit: TileUnit) -> None:
    """Rows in place are loaded by a table of vectors; others are packed first."""
    spec, x, weight, bias = make(name)
    expected = plan.output(spec, x, weight, bias)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    gapped = np.full((*x.shape[:-1], x.shape[-1] * 2 + 3), np.nan, np.float32)[..., 1:-2:2]
    gapped[...] = x
    cut = np.full((*x.shape[:-1], x.shape[-1] + 5), np.nan, np.float32)[..., 2:-3]
    cut[...] = x
    backwards = np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    for each in (last, gapped, cut, backwards):
        np.testing.assert_array_equal(plan.output(spec, each, weight, bias), expected)
    held = np.full([2 * n + 1 for n in spec.output_shape], np.nan, np.float32)
    out = held[tuple(slice(1, None, 2) for _ in spec.output_shape)]
    np.testing.assert_array_equal(plan.output(spec, x, weight, bias, out=out), expected)
    assert np.isnan(held).sum() == held.size - out.size
    turned = np.ascontiguousarray(weight.T).T
    np.testing.assert_array_equal(plan.output(spec, x, turned, bias), expected)


def test_only_what_does_not_lie_in_rows_is_packed(unit: TileUnit) -> None:
    for name in CASES:
        request = plan_request(make(name)[0])
        plan_in_place = split_bf16_taps.plan(request, unit.target, 1)
        is_mode = CASES[name].get("padding_mode") is not None
        assert plan_in_place.schedule.way_in in (("planes",) if is_mode else ("masked", "expanded"))


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_nothing_outside_the_arrays_is_touched(name: str, at_end: bool, unit: TileUnit) -> None:
    spec, *arrays = make(name)
    guarded = Guarded()
    x, weight, bias = (guarded.array(array, at_end=at_end) for array in arrays)
    out = guarded.array(poisoned(spec), at_end=at_end)
    plan.output(spec, x, weight, bias, out=out)
    assert error(out, spec, x, weight, bias) < LIMITS["highest"]


@pytest.mark.parametrize("value", [np.inf, np.nan, 3e38, 1e-35])
@pytest.mark.parametrize("where", ["input", "weight"])
@pytest.mark.parametrize("name", ["photograph out", "gradient of a first layer", "circular"])
def test_hard_values_come_out_as_of_a_plain_convolution(
    name: str, value: float, where: str, unit: TileUnit
) -> None:
    spec, x, weight, bias = make(name)
    ordinary = plan.output(spec, x, weight, bias)
    hard = {"input": x[-1], "weight": weight}[where]
    hard.flat[-1] = value
    y = plan.output(spec, x, weight, bias, out=poisoned(spec))
    with tile_unit("amx-bf16", cycles=None):
        expected = plan.output(spec, x, weight, bias)
    if where == "input":
        np.testing.assert_array_equal(y[:-1], ordinary[:-1])
        np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
        np.testing.assert_allclose(y[-1], expected[-1], rtol=1e-5, atol=1e-4)
    else:
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-4)


def test_what_scratch_held_before_is_no_hard_value(unit: TileUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan.Prepared, "_compute_plainly", lambda *_: pytest.fail("taken for hard"))
    runtime.set_num_threads(1)
    for name in CASES:
        check_with_scratch_of_others(make(name))


def test_refusals_say_why(unit: TileUnit) -> None:
    def why(shape: tuple[int, ...], weight: tuple[int, ...], **more: Any) -> str:
        request = plan_request(spec_of(shape, weight, **more))
        return split_bf16_taps.why_illegal(request, unit.target) or ""

    assert "8 output channels" in why((1, 16, 9, 9), (8, 16, 3, 3))
    assert "15 input channels" in why((1, 15, 9, 9), (3, 15, 3, 3))
    assert "2049 input channels" in why((1, 2049, 9, 9), (3, 2049, 3, 3))
    assert "one tap" in why((1, 16, 9, 9), (3, 16, 1, 1))
    assert "stride" in why((1, 16, 9, 9), (3, 16, 3, 3), stride=2)
    assert "rows of" in why((1, 16, 9, 300, 300), (3, 16, 5, 5, 5))
    request = plan_request(spec_of((1, 16, 9, 9), (3, 16, 3, 3)))
    assert "not exact" in (split_bf16_taps.why_illegal(replace(request, plain=True), unit.target) or "")
    assert "amx" in (split_bf16_taps.why_illegal(request, unit.target.without("amx-bf16")) or "")


def test_its_tiles_are_drawn_as_windows(unit: TileUnit) -> None:
    spec = make("photograph out")[0]
    tiles = tiles_of(plan.explain(spec))
    # 9 rows of 21 and the zero that they share.
    assert tiles.outputs == 64
    assert tiles.channels == 3
    assert {place: tiles.tile_of[place] for place in ((0, 0), (2, 19), (2, 20), (8, 20))} == {
        (0, 0): 0,
        (2, 19): 0,
        (2, 20): 1,
        (8, 20): 3,
    }


def test_the_workspace_keeps_to_its_limit(unit: TileUnit) -> None:
    """Of volumes whose rings are as large as is allowed."""
    spec = spec_of((1, 64, 16, 112, 112), (3, 64, 3, 3, 3), padding=1)
    made = split_bf16_taps.plan(plan_request(spec), unit.target, 2)
    assert 12 << 20 < made.workspace_bytes <= 16 << 20
