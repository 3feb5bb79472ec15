"""Weight gradients on a tile unit, the host's own or an emulated one, against the oracle at tile edges."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convforge import plan, reference, runtime
from convforge.plan.grad_weight import planner as grad_weight_planner, unit as grad_weight_tiles
from convforge.plan.grad_weight.boxes import flattened
from convforge.plan.grad_weight.unit_blocks import blockings
from convforge.plan.request import GradWeightRequest
from convforge.problem import ConvSpec, Precision, normalize_conv
from support.convolutions import LAYOUTS, Case, cases, numpy_dtype, with_layout
from support.families import costing
from support.guarded import Guarded, GuardedScratch
from support.tile_unit import FEATURES, TileUnit, tile_unit

Array = Any
RNG = np.random.default_rng(11)
# ‖gw − gw64‖ / ‖gw64‖: twice that of fp32 multiply-adds, and what the other precisions promise.
LIMITS: dict[Precision, float] = {"highest": 1e-6, "high": 1e-5, "medium": 1e-2}

CASES: dict[str, dict[str, Any]] = {
    "one tile": {"shape": (1, 16, 4, 8), "weight": (16, 16, 1, 1)},
    "maps": {"shape": (3, 33, 14, 14), "weight": (40, 33, 3, 3), "padding": 1},
    "narrow maps": {"shape": (5, 40, 7, 7), "weight": (33, 40, 3, 3), "padding": 1},
    "no padding": {"shape": (2, 20, 12, 30), "weight": (17, 20, 3, 3)},
    "uneven padding": {"shape": (2, 20, 9, 8), "weight": (17, 20, 3, 2), "padding": (2, 0)},
    "pointwise": {"shape": (3, 70, 9, 20), "weight": (24, 70, 1, 1)},
    "pointwise, odd maps": {"shape": (6, 70, 7, 7), "weight": (24, 70, 1, 1)},
    "stride 2": {"shape": (2, 18, 15, 21), "weight": (20, 18, 3, 3), "stride": 2, "padding": 1},
    "one tap, stride 2": {"shape": (2, 18, 14, 20), "weight": (20, 18, 1, 1), "stride": 2},
    "dilated": {"shape": (2, 16, 17, 19), "weight": (16, 16, 3, 3), "padding": 2, "dilation": 3},
    "reflect": {
        "shape": (2, 16, 9, 33), "weight": (18, 16, 5, 5), "padding": 2, "padding_mode": "reflect",
    },
    "circular": {
        "shape": (2, 16, 6, 35), "weight": (18, 16, 3, 3), "padding": 1, "padding_mode": "circular",
    },
    "groups": {"shape": (2, 60, 10, 10), "weight": (51, 20, 3, 3), "padding": 1, "groups": 3},
    "signal": {"shape": (3, 20, 1501), "weight": (17, 20, 7), "padding": 6, "dilation": 2},
    "short signals": {"shape": (9, 20, 21), "weight": (17, 20, 3), "padding": 1},
    "volume": {"shape": (2, 16, 5, 9, 11), "weight": (20, 16, 3, 3, 3), "padding": 1},
    "taps on padding alone": {"shape": (2, 16, 2, 3), "weight": (16, 16, 7, 7), "padding": 3},
    "first layer": {"shape": (2, 3, 40, 37), "weight": (32, 3, 7, 7), "stride": 2, "padding": 3},
    "first layer, stride 4": {"shape": (2, 3, 50, 47), "weight": (17, 3, 11, 11), "stride": 4, "padding": 2},
    "first layer, 3x3": {"shape": (2, 3, 30, 30), "weight": (40, 3, 3, 3), "padding": 1},
    "patches": {"shape": (2, 3, 36, 28), "weight": (24, 3, 4, 4), "stride": 4},
    "wider steps than windows": {"shape": (2, 5, 20, 41), "weight": (16, 5, 2, 2), "stride": 3},
    "one channel": {"shape": (3, 1, 20, 70), "weight": (16, 1, 5, 9), "padding": (2, 4)},
    "few channels, dilated": {"shape": (2, 4, 20, 40), "weight": (16, 4, 3, 5), "padding": 4, "dilation": 2},
    "few channels, groups": {"shape": (2, 12, 18, 20), "weight": (27, 4, 5, 5), "padding": 2, "groups": 3},
    "few channels, reflect": {
        "shape": (2, 3, 16, 33), "weight": (18, 3, 5, 5), "padding": 2, "padding_mode": "reflect",
    },
    "few channels, signal": {"shape": (3, 2, 1501), "weight": (17, 2, 10), "stride": 5},
    "few channels, volume": {"shape": (2, 3, 5, 14, 11), "weight": (20, 3, 3, 3, 3), "padding": 1},
    "few channels, volume, stride 2": {
        "shape": (2, 4, 6, 14, 11), "weight": (20, 4, 3, 3, 3), "padding": 1, "stride": 2,
    },
    "windows of some tiles": {"shape": (2, 13, 18, 20), "weight": (16, 13, 5, 5), "padding": 2},
    "many channels": {"shape": (2, 300, 8, 8), "weight": (290, 300, 3, 3), "padding": 1},
}  # fmt: skip


def make(name: str) -> tuple[ConvSpec, Array, Array]:
    arguments = dict(CASES[name])
    shape, weight = arguments.pop("shape"), arguments.pop("weight")
    spec, _ = normalize_conv(shape, weight, None, rank=len(shape) - 2, dtype=np.float32, **arguments)
    return spec, *(RNG.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.output_shape))


def request_of(
    spec: ConvSpec, x: Array, gradient: Array, precision: Precision = "highest"
) -> GradWeightRequest:
    return GradWeightRequest(spec, x.strides, gradient.strides, precision)


def gradient_of(
    spec: ConvSpec,
    x: Array,
    gradient: Array,
    unit: TileUnit,
    precision: Precision = "highest",
    threads: int = 2,
) -> tuple[Array, bool]:
    """What the family computes, and whether it served; memory full of noise before."""
    request = request_of(spec, x, gradient, precision)
    assert grad_weight_tiles.why_illegal(request, unit.target) is None
    found = np.full(spec.weight_shape, 77, np.float32)
    served = grad_weight_tiles.plan(request, unit.target, threads)(x, gradient, found)
    return found, served


def error(found: Array, spec: ConvSpec, x: Array, gradient: Array) -> float:
    exact = replace(spec, dtype=np.dtype(np.float64))
    expected = reference.grad_weight(exact, x.astype(np.float64), gradient.astype(np.float64))
    return float(np.linalg.norm(found - expected) / max(np.linalg.norm(expected), 1e-30))


@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize("name", CASES)
def test_against_the_oracle(name: str, precision: Precision, unit: TileUnit) -> None:
    spec, x, gradient = make(name)
    before = unit.products
    found, served = gradient_of(spec, x, gradient, unit, precision)
    assert served
    assert error(found, spec, x, gradient) < LIMITS[precision]
    assert before is None or unit.products > before, "tiles were multiplied"
    assert not unit.configured, "every task releases its tiles"


@pytest.mark.parametrize("hidden", [(), ("avx512vbmi2",), ("avx512f",)])
@pytest.mark.parametrize(("dtype", "limit"), [("bfloat16", 3e-3), ("float16", 4e-4)])
@pytest.mark.parametrize("name", ["maps", "pointwise", "narrow maps", "stride 2", "signal", "first layer"])
def test_half_types(name: str, dtype: str, limit: float, hidden: tuple[str, ...]) -> None:
    """bfloat16 as it is, float16 as two parts; rounded once."""
    with tile_unit(*hidden) as unit:
        spec, x, gradient = make(name)
        kind = numpy_dtype(dtype)
        spec, x, gradient = replace(spec, dtype=kind), x.astype(kind), gradient.astype(kind)
        found = np.full(spec.weight_shape, 77, kind)
        assert grad_weight_tiles.plan(request_of(spec, x, gradient), unit.target, 2)(x, gradient, found)
        assert error(found.astype(np.float32), spec, x, gradient) < limit


@pytest.mark.parametrize("hidden", [("avx512f",), ("avx512f", "fma"), ("avx512f", "fma", "avx")])
@pytest.mark.parametrize("name", ["maps", "pointwise, odd maps", "stride 2", "circular", "first layer"])
def test_vectors_of_every_width(name: str, hidden: tuple[str, ...]) -> None:
    with tile_unit(*hidden) as unit:
        spec, x, gradient = make(name)
        found, served = gradient_of(spec, x, gradient, unit)
        assert served
        assert error(found, spec, x, gradient) < LIMITS["highest"]


@pytest.mark.parametrize("channels", [8, 15, 16, 17, 31, 32, 33])
@pytest.mark.parametrize("outputs", [8, 16, 17, 33, 48, 49])
def test_channels_at_the_edges_of_tiles(channels: int, outputs: int, unit: TileUnit) -> None:
    spec, _ = normalize_conv((2, channels, 5, 9), (outputs, channels, 3, 1), None, rank=2, dtype=np.float32)
    x, gradient = (RNG.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.output_shape))
    found, served = gradient_of(spec, x, gradient, unit)
    assert served
    assert error(found, spec, x, gradient) < LIMITS["highest"]


@pytest.mark.parametrize("width", [1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129])
def test_positions_at_the_edges_of_words(width: int, unit: TileUnit) -> None:
    for shape, kernel, padding in (((3, 16, width), (16, 16, 3), 1), ((3, 16, 3, width), (16, 16, 1, 1), 0)):
        spec, _ = normalize_conv(shape, kernel, None, padding=padding, rank=len(shape) - 2, dtype=np.float32)
        x, gradient = (
            RNG.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.output_shape)
        )
        found, served = gradient_of(spec, x, gradient, unit)
        assert served
        assert error(found, spec, x, gradient) < LIMITS["highest"]


@pytest.mark.parametrize(
    "name", ["maps", "narrow maps", "stride 2", "many channels", "signal", "volume", "first layer", "patches"]
)
def test_however_it_is_blocked(name: str, unit: TileUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, x, gradient = make(name)
    every = list(blockings(flattened(spec), 3, unit.target))
    for i in RNG.permutation(len(every))[:8]:
        monkeypatch.setattr(grad_weight_tiles, "_best", lambda *_, i=i: every[i])
        found, served = gradient_of(spec, x, gradient, unit)
        assert served
        assert error(found, spec, x, gradient) < LIMITS["highest"], every[i]


@st.composite
def wide_cases(draw: st.DrawFn) -> Case:
    """Layers of all ranks, strides, paddings and modes, with channels at the edges of tiles."""
    case = draw(cases(transposed=False, batches=(1, 2, 3, 7)))
    groups = min(case.groups, 2)
    inputs = draw(st.sampled_from((1, 3, 4, 5, 8, 9, 15, 16, 17, 33, 50)))
    outputs = draw(st.sampled_from((8, 9, 16, 17, 33, 50)))
    return replace(
        case,
        groups=groups,
        input_shape=(case.input_shape[0], groups * inputs, *case.input_shape[2:]),
        weight_shape=(groups * outputs, inputs, *case.weight_shape[2:]),
    )


@settings(max_examples=100)
@given(case=wide_cases(), layout=st.sampled_from(LAYOUTS))
def test_layers_of_every_kind(case: Case, layout: str) -> None:
    with tile_unit() as unit:
        spec = case.spec("float32")
        x, gradient = (
            with_layout(RNG.standard_normal(s).astype(np.float32), layout)
            for s in (spec.input_shape, spec.output_shape)
        )
        if grad_weight_tiles.why_illegal(request_of(spec, x, gradient), unit.target) is None:
            found, served = gradient_of(spec, x, gradient, unit)
            assert served
            scale = reference.grad_weight(
                replace(spec, dtype=np.dtype(np.float64)), np.abs(x), np.abs(gradient)
            )
            expected = reference.grad_weight(replace(spec, dtype=np.dtype(np.float64)), x, gradient)
            assert (np.abs(found - expected) <= 2e-6 * scale).all()


@pytest.mark.parametrize(
    "name",
    [
        "maps",
        "narrow maps",
        "pointwise",
        "stride 2",
        "signal",
        "groups",
        "first layer",
        "few channels, groups",
    ],
)
def test_neither_threads_nor_layouts_change_a_bit(name: str, unit: TileUnit) -> None:
    spec, x, gradient = make(name)
    expected, _ = gradient_of(spec, x, gradient, unit, threads=1)
    for threads in (2, 3, 7):
        np.testing.assert_array_equal(gradient_of(spec, x, gradient, unit, threads=threads)[0], expected)
    for layout in LAYOUTS:
        if layout == "broadcast":
            continue
        there = with_layout(x, layout), with_layout(gradient, layout)
        np.testing.assert_array_equal(gradient_of(spec, *there, unit)[0], expected)


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_nothing_outside_the_arrays_is_touched(
    name: str, at_end: bool, unit: TileUnit, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, x, gradient = make(name)
    guarded = Guarded()
    x, gradient = (guarded.array(each, at_end=at_end) for each in (x, gradient))
    monkeypatch.setattr(runtime, "scratch", GuardedScratch())
    found = guarded.array(np.full(spec.weight_shape, 77, np.float32), at_end=at_end)
    plan_ = grad_weight_tiles.plan(request_of(spec, x, gradient), unit.target, 2)
    assert plan_(x, gradient, found)
    assert error(found, spec, x, gradient) < LIMITS["highest"]


@pytest.mark.parametrize("name", ["maps", "first layer"])
@pytest.mark.parametrize("where", ["x", "gradient"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e-40, 3e38, 1e-25])
def test_values_whose_parts_are_not_exact_are_served_by_another_family(
    name: str, where: str, value: float, unit: TileUnit
) -> None:
    spec, x, gradient = make(name)
    scale = 1e-3 * (abs(value) if 1 < abs(value) < np.inf else 1)
    changed = x if where == "x" else gradient
    changed[1, 2, 3, 4] = value
    assert not gradient_of(spec, x, gradient, unit)[1]
    with costing(grad_weight_tiles, 0.0):
        found = plan.grad_weight(spec, x, gradient)
    with np.errstate(all="ignore"):
        expected = reference.grad_weight(spec, x, gradient)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(found), finite)
    np.testing.assert_allclose(found[finite], expected[finite], rtol=1e-3, atol=scale)


def test_arrays_that_reach_far_are_copied(unit: TileUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, x, gradient = make("maps")
    expected, _ = gradient_of(spec, x, gradient, unit)
    # As if 32 bits were fewer: the arrays are, and views of others that are twice as wide are not.
    monkeypatch.setattr(grad_weight_tiles, "_REACH", max(x.size, gradient.size) + 1)
    wide = [np.full((*a.shape[:-1], 2 * a.shape[-1]), np.nan, np.float32)[..., ::2] for a in (x, gradient)]
    for view, array in zip(wide, (x, gradient), strict=True):
        view[...] = array
    plan_ = grad_weight_tiles.plan(request_of(spec, *wide), unit.target, 2)
    assert plan_._arrays.copies_x
    assert plan_._arrays.copies_g
    found = np.full(spec.weight_shape, 77, np.float32)
    assert plan_(*wide, found)
    np.testing.assert_array_equal(found, expected)


def test_values_beside_the_outputs_are_not_read(unit: TileUnit) -> None:
    """At stride 2 a kernel of one tap leaves out three of four inputs: what they hold is of no account."""
    spec, x, gradient = make("one tap, stride 2")
    expected, _ = gradient_of(spec, x, gradient, unit)
    x[:, :, 1::2] = np.nan
    x[:, :, :, 1::2] = np.inf
    found, served = gradient_of(spec, x, gradient, unit)
    assert served
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("shape", "weight", "stride"),
    [((16, 64, 56, 56), (64, 64, 3, 3), 1), ((16, 3, 224, 224), (64, 3, 7, 7), 2)],
)
def test_a_layer_chooses_it_where_it_costs_least(
    shape: tuple[int, ...], weight: tuple[int, ...], stride: int, unit: TileUnit
) -> None:
    padding = weight[-1] // 2
    spec, _ = normalize_conv(shape, weight, None, stride, padding, rank=2, dtype=np.float32)
    request = GradWeightRequest(spec, (4,) * 4, (4,) * 4)
    costs = grad_weight_planner.grad_weight_costs(request, unit.target)
    assert min(costs, key=lambda name: costs[name]) == "tiles"


def test_why_it_cannot_serve(unit: TileUnit) -> None:
    def reason(weight: tuple[int, ...], dtype: str = "float32", **arguments: Any) -> str:
        shape = (1, weight[1] * arguments.get("groups", 1), 9, 9)
        spec, _ = normalize_conv(shape, weight, None, rank=2, dtype=np.dtype(dtype), **arguments)
        request = GradWeightRequest(spec, (0,) * 4, (0,) * 4)
        return grad_weight_tiles.why_illegal(request, unit.target) or ""

    assert reason((16, 16, 3, 3)) == ""
    assert "float64 is neither float32 nor a half type" in reason((16, 16, 3, 3), "float64")
    assert reason((16, 3, 3, 3)) == ""
    assert "6 values that taps along the last axis read" in reason((16, 2, 3, 3))
    assert "3 input channels a group" in reason((16, 3, 1, 1))
    assert "4 grad-output channels a group" in reason((8, 16, 3, 3), groups=2)
    large, _ = normalize_conv((16, 16, 3000, 3000), (16, 16, 3, 3), None, rank=2, dtype=np.float32)
    request = GradWeightRequest(large, (0,) * 4, (0,) * 4)
    assert "2304000000 elements" in (grad_weight_tiles.why_illegal(request, unit.target) or "")
    wide, _ = normalize_conv((1, 16, 1100, 1100), (16, 16, 3, 3), None, rank=2, dtype=np.float32)
    request = GradWeightRequest(wide, (0,) * 4, (0,) * 4)
    assert "a table of 1210000 positions" in (grad_weight_tiles.why_illegal(request, unit.target) or "")
    far, _ = normalize_conv((1, 16, 700, 700), (16, 16, 3, 3), None, dilation=300, rank=2, dtype=np.float32)
    request = GradWeightRequest(far, (0,) * 4, (0,) * 4)
    assert "bytes of scratch are above" in (grad_weight_tiles.why_illegal(request, unit.target) or "")
    spec, _ = normalize_conv((1, 16, 9, 9), (16, 16, 3, 3), None, rank=2, dtype=np.float32)
    plain = GradWeightRequest(spec, (0,) * 4, (0,) * 4, plain=True)
    assert "parts are not exact" in (grad_weight_tiles.why_illegal(plain, unit.target) or "")
    assert "amx" in (
        grad_weight_tiles.why_illegal(replace(plain, plain=False), unit.target.without(*FEATURES)) or ""
    )
