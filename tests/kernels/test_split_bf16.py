"""Products of bf16 parts on a tile unit, the host's own or an emulated one: the machine code that LLVM made,
against the oracle at the edges of tiles, with hard values, between guard pages, and bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convforge import plan, reference, runtime
from convforge.plan import planner, split_bf16, winograd
from convforge.plan.describe import plan_of
from convforge.plan.planner import choices
from convforge.plan.split_bf16_cost import loads, split_schedule
from convforge.problem import ConvSpec, Precision, normalize_conv
from convforge.problem.gather import gather_of
from convforge.schedule import layout_of
from convforge.schedule.split_bf16 import channel_blocks, tile_shapes, why_shape_illegal
from convforge.target.target import X86_FEATURES
from support.convolutions import LAYOUTS, Case, cases, numpy_dtype
from support.families import costing
from support.guarded import Guarded
from support.tile_unit import TileUnit, tile_unit
from support.tolerance import assert_close

Array = Any
RNG = np.random.default_rng(5)
# ‖y − y64‖ / ‖y64‖: twice that of fp32 multiply-adds, and what the other precisions promise.
LIMITS: dict[Precision, float] = {"highest": 5e-7, "high": 1e-5, "medium": 1e-2}
# Of sums of up to 2700 products of normal numbers, some 50 in size.
SUM_ERROR = 1e-4
BF16 = np.dtype(ml_dtypes.bfloat16)

CASES: dict[str, dict[str, Any]] = {
    "one of each tile": {"shape": (1, 32, 4, 4), "weight": (16, 32, 1, 1)},
    "batch": {"shape": (3, 33, 9, 11), "weight": (17, 33, 3, 3), "padding": 1},
    "no padding": {"shape": (1, 18, 9, 8), "weight": (20, 18, 3, 3)},
    "uneven padding": {"shape": (1, 18, 9, 8), "weight": (20, 18, 3, 2), "padding": (2, 0)},
    "pointwise": {"shape": (2, 40, 14, 14), "weight": (24, 40, 1, 1)},
    "chains": {"shape": (1, 300, 6, 7), "weight": (40, 300, 3, 3), "padding": 1},
    "stride 2": {"shape": (1, 34, 15, 17), "weight": (18, 34, 3, 3), "stride": 2, "padding": 1},
    "stride 3, one tap": {"shape": (1, 34, 15, 17), "weight": (18, 34, 1, 1), "stride": 3},
    "dilated": {"shape": (1, 17, 15, 17), "weight": (18, 17, 3, 3), "padding": 4, "dilation": 4},
    "groups": {"shape": (2, 48, 9, 9), "weight": (60, 16, 3, 3), "padding": 1, "groups": 3},
    "signal": {"shape": (2, 24, 150), "weight": (20, 24, 5), "padding": 2},
    "causal signal": {"shape": (1, 24, 90), "weight": (20, 24, 3), "padding": ((8, 0),), "dilation": 4},
    "volume": {"shape": (1, 20, 4, 5, 6), "weight": (16, 20, 3, 3, 3), "padding": 1},
    "large kernel": {"shape": (1, 16, 12, 12), "weight": (16, 16, 7, 7), "padding": 3},
    "transposed": {"shape": (1, 20, 6, 9), "weight": (20, 18, 3, 3), "transposed": True, "padding": 1},
    "transposed, stride 2": {
        "shape": (2, 20, 6, 9),
        "weight": (20, 18, 4, 4),
        "transposed": True,
        "stride": 2,
        "padding": 1,
    },
    "transposed, stride 3": {
        "shape": (1, 20, 4, 5),
        "weight": (20, 18, 2, 2),
        "transposed": True,
        "stride": 3,
        "output_padding": 1,
    },
    "images as slices": {"shape": (5, 40, 7, 7), "weight": (33, 40, 1, 1)},
    "tiny images": {"shape": (9, 20, 2, 3), "weight": (17, 20, 3, 3), "padding": 1},
    "short signals": {"shape": (6, 20, 5), "weight": (17, 20, 3), "padding": 1, "stride": 2},
    "reflect": {"shape": (1, 18, 9, 21), "weight": (16, 18, 3, 3), "padding": 2, "padding_mode": "reflect"},
    "circular": {"shape": (1, 18, 7, 9), "weight": (16, 18, 3, 3), "padding": 3, "padding_mode": "circular"},
    "replicate": {
        "shape": (1, 18, 7, 9),
        "weight": (16, 18, 3, 3),
        "padding": 2,
        "padding_mode": "replicate",
    },
}


@pytest.fixture
def unit() -> Iterator[TileUnit]:
    """A tile unit, used wherever it can be."""
    threads = runtime.get_num_threads()
    with tile_unit() as found:
        yield found
    runtime.set_num_threads(threads)


def spec_of(
    shape: tuple[int, ...], weight: tuple[int, ...], dtype: Any = np.float32, **case: Any
) -> ConvSpec:
    return normalize_conv(shape, weight, None, rank=len(shape) - 2, dtype=np.dtype(dtype), **case)[0]


def make(name: str, dtype: Any = np.float32) -> tuple[ConvSpec, Array, Array, Array]:
    """A case's spec, input, weight and bias."""
    spec = spec_of(dtype=dtype, **CASES[name])
    x, weight, bias = (
        RNG.standard_normal(s).astype(spec.dtype)
        for s in (spec.input_shape, spec.weight_shape, (spec.out_channels,))
    )
    return spec, x, weight, bias


def exact(spec: ConvSpec, *arrays: Array | None) -> Array:
    wide = [None if a is None else a.astype(np.float64) for a in arrays]
    return reference.output(replace(spec, dtype=np.dtype(np.float64)), *wide)


def error(y: Array, spec: ConvSpec, *arrays: Array | None) -> float:
    """‖y − y64‖ / ‖y64‖"""
    expected = exact(spec, *arrays)
    return float(np.linalg.norm(y.astype(np.float64) - expected) / np.linalg.norm(expected))


def poisoned(spec: ConvSpec) -> Array:
    return np.full(spec.output_shape, np.nan, spec.dtype)


def serves(spec: ConvSpec, precision: Precision = "highest") -> bool:
    return "split bf16" in plan_of(spec, precision=precision).describe()


@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize("name", CASES)
def test_against_the_oracle(name: str, precision: Precision, unit: TileUnit) -> None:
    spec, x, weight, bias = make(name)
    assert serves(spec, precision)
    before = unit.products
    y = plan.output(spec, x, weight, bias, out=poisoned(spec), precision=precision)
    assert error(y, spec, x, weight, bias) < LIMITS[precision]
    assert before is None or unit.products > before, "tiles were multiplied"
    assert not unit.configured, "every task releases its tiles"


@pytest.mark.parametrize("hidden", [("avx512f",), ("avx512f", "fma"), ("avx512f", "fma", "avx")])
@pytest.mark.parametrize("name", ["batch", "transposed, stride 2", "chains"])
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


@st.composite
def wide_cases(draw: st.DrawFn) -> Case:
    """Layers of all ranks, strides, paddings and modes, with channels at the edges of tiles."""
    case = draw(cases(batches=(1, 2, 3)))
    groups = min(case.groups, 2)
    inputs, outputs = (draw(st.sampled_from(sizes)) for sizes in ((16, 17, 32, 33, 50), (1, 15, 16, 17, 33)))
    channels = (groups * inputs, outputs) if case.transposed else (groups * outputs, inputs)
    return replace(
        case,
        groups=groups,
        input_shape=(case.input_shape[0], groups * inputs, *case.input_shape[2:]),
        weight_shape=(*channels, *case.weight_shape[2:]),
    )


@settings(max_examples=60)
@given(case=wide_cases(), dtype=st.sampled_from(["float32", "bfloat16"]), layout=st.sampled_from(LAYOUTS))
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


@pytest.mark.parametrize("shape", tile_shapes())
@pytest.mark.parametrize("name", ["batch", "chains", "transposed, stride 2", "groups"])
def test_every_shape_of_tiles_has_the_same_bits(
    name: str, shape: tuple[int, int], unit: TileUnit, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, x, weight, bias = make(name)
    expected = plan.output(spec, x, weight, bias)
    monkeypatch.setattr(split_bf16, "split_schedule", lambda *given: split_schedule(*given, shape))
    plan.clear_plans()
    np.testing.assert_array_equal(plan.output(spec, x, weight, bias, out=poisoned(spec)), expected)


@pytest.mark.parametrize("name", ["batch", "stride 2", "groups", "transposed, stride 2", "volume"])
def test_bfloat16_arrays_are_parts_as_they_are(name: str, unit: TileUnit) -> None:
    spec, x, weight, bias = make(name, BF16)
    assert "1 product" in plan_of(spec).describe()
    y = plan.output(spec, x, weight, bias, out=poisoned(spec))
    expected = exact(spec, x, weight, bias)
    # Products are exact; what is left is one rounding to bfloat16.
    np.testing.assert_allclose(y.astype(np.float64), expected, rtol=2**-8, atol=1e-5)


@pytest.mark.parametrize("name", ["batch", "stride 2", "transposed, stride 2", "groups", "dilated"])
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
    for name in ("batch", "pointwise", "chains"):
        spec, x, weight, bias = make(name)
        given = bias if has_bias else None
        y = plan.output(spec, x, weight, given, out=poisoned(spec), activation=activation)
        with costing(split_bf16, float("inf")):
            expected = plan.output(spec, x, weight, given, activation=activation)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=SUM_ERROR)


def test_errors_are_at_most_those_of_one_chain_of_multiply_adds(unit: TileUnit) -> None:
    """highest: half of what is promised, for positive inputs too, whose sums grow."""
    for channels, size, taps in ((64, 9, 3), (512, 5, 1)):
        spec = spec_of((1, channels, size, size), (32, channels, taps, taps), padding=taps // 2)
        x, weight = (RNG.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.weight_shape))
        for image in (x, np.maximum(x, 0)):
            edge = taps // 2
            padded = np.pad(image, ((0, 0), (0, 0), (edge, edge), (edge, edge))).astype(np.float64)
            chain = np.zeros((32, size, size), np.float32)
            for c in range(channels):
                for i in range(taps):
                    for j in range(taps):
                        window = padded[0, c, i : i + size, j : j + size]
                        product = weight[:, c, i, j].astype(np.float64)[:, None, None] * window
                        chain = (chain + product).astype(np.float32)
            found = plan.output(spec, image, weight)
            assert error(found, spec, image, weight) <= error(chain[None], spec, image, weight)


def plainly(spec: ConvSpec, *arrays: Array | None) -> Array:
    """What the families compute that serve every value."""
    with costing(split_bf16, float("inf")), costing(winograd, float("inf")):
        return plan.output(spec, *arrays)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38, 1e20, 1e-20, 1e-35, 1e-42])
@pytest.mark.parametrize("where", ["input", "weight", "bias"])
@pytest.mark.parametrize("name", ["batch", "stride 2"])
def test_hard_values_come_out_as_of_a_plain_convolution(
    name: str, value: float, where: str, unit: TileUnit
) -> None:
    spec, x, weight, bias = make(name)
    ordinary = plan.output(spec, x, weight, bias)
    hard = {"input": x[-1], "weight": weight, "bias": bias}[where]
    hard.flat[37 % hard.size] = value
    y = plan.output(spec, x, weight, bias, out=poisoned(spec))
    expected = plainly(spec, x, weight, bias)
    if where == "input":
        np.testing.assert_array_equal(y[:-1], ordinary[:-1])  # another image's trouble is not this one's
        np.testing.assert_array_equal(y[-1], expected[-1])
    elif where == "weight":
        np.testing.assert_array_equal(y, expected)
    else:
        np.testing.assert_array_equal(np.isfinite(y), np.isfinite(expected))
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=SUM_ERROR)


@pytest.mark.parametrize("input_scale", [2.0**-56, 2.0**-30, 1.0, 2.0**30, 2.0**57])
@pytest.mark.parametrize("weight_scale", [2.0**-20, 1.0, 2.0**45])
def test_what_is_split_keeps_its_accuracy_at_the_ends_of_the_range(
    input_scale: float, weight_scale: float, unit: TileUnit, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of((1, 33, 5, 6), (17, 33, 3, 3), padding=1)
    x = RNG.uniform(0.5, 2, spec.input_shape) * RNG.choice([-1, 1], spec.input_shape) * input_scale
    weight = RNG.uniform(0.5, 2, spec.weight_shape) * RNG.choice([-1, 1], spec.weight_shape) * weight_scale
    x, weight = x.astype(np.float32), weight.astype(np.float32)
    monkeypatch.setattr(plan.Prepared, "_compute_plainly", lambda *_: pytest.fail("taken for hard"))
    assert error(plan.output(spec, x, weight), spec, x, weight) < LIMITS["highest"]


def test_zeros_and_signed_zeros_are_ordinary(unit: TileUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, x, weight, bias = make("batch")
    x[:, ::2], weight[::2] = 0.0, -0.0
    monkeypatch.setattr(plan.Prepared, "_compute_plainly", lambda *_: pytest.fail("taken for hard"))
    assert error(plan.output(spec, x, weight, bias), spec, x, weight, bias) < LIMITS["highest"]


def test_what_scratch_held_before_is_no_hard_value(unit: TileUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the last row of a plane lies what an earlier kernel left there."""
    monkeypatch.setattr(plan.Prepared, "_compute_plainly", lambda *_: pytest.fail("taken for hard"))
    runtime.set_num_threads(1)
    for name in CASES:
        spec, x, weight, bias = make(name)
        runtime.scratch.address(1 << 22)
        runtime.scratch._memory.view(np.float32)[:] = np.nan
        y = plan.output(spec, x, weight, bias, out=poisoned(spec))
        assert error(y, spec, x, weight, bias) < LIMITS["highest"]


@pytest.mark.parametrize("name", ["batch", "chains", "groups", "signal"])
def test_threads_do_not_change_a_bit(name: str, unit: TileUnit) -> None:
    spec, x, weight, bias = make(name)
    results: list[Array] = []
    for threads in (1, 2, 3, 7):
        runtime.set_num_threads(threads)
        results.append(plan.output(spec, x, weight, bias, out=poisoned(spec)))
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


@pytest.mark.parametrize(
    "name", ["batch", "pointwise", "groups", "transposed, stride 2", "images as slices", "tiny images"]
)
def test_place_in_the_batch_does_not_change_a_bit(name: str, unit: TileUnit) -> None:
    spec, x, weight, bias = make(name)
    whole = plan.output(spec, x, weight, bias)
    one = replace(spec, batch=1)
    for i in range(spec.batch):
        np.testing.assert_array_equal(plan.output(one, x[i : i + 1], weight, bias)[0], whole[i])


@pytest.mark.parametrize(
    "name", ["batch", "stride 2", "volume", "pointwise", "reflect", "transposed, stride 2"]
)
def test_strides_of_the_arrays_do_not_change_a_bit(name: str, unit: TileUnit) -> None:
    spec, x, weight, bias = make(name)
    expected = plan.output(spec, x, weight, bias)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    gapped = np.full((*x.shape[:-1], x.shape[-1] * 2 + 3), np.nan, np.float32)[..., 1:-2:2]
    gapped[...] = x
    backwards = np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    for each in (last, gapped, backwards):
        np.testing.assert_array_equal(plan.output(spec, each, weight, bias), expected)
    out = np.moveaxis(np.full(np.moveaxis(expected, 1, -1).shape, np.nan, np.float32), -1, 1)
    np.testing.assert_array_equal(plan.output(spec, x, weight, bias, out=out), expected)
    turned = np.ascontiguousarray(weight.T).T
    np.testing.assert_array_equal(plan.output(spec, x, turned, bias), expected)


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_nothing_outside_the_arrays_is_touched(name: str, at_end: bool, unit: TileUnit) -> None:
    spec, *arrays = make(name)
    guarded = Guarded()
    x, weight, bias = (guarded.array(array, at_end=at_end) for array in arrays)
    out = guarded.array(poisoned(spec), at_end=at_end)
    plan.output(spec, x, weight, bias, out=out)
    assert error(out, spec, x, weight, bias) < LIMITS["highest"]


@pytest.mark.parametrize("name", ["batch", "transposed, stride 2", "pointwise"])
def test_gaps_of_the_output_are_not_written(name: str, unit: TileUnit) -> None:
    spec, x, weight, bias = make(name)
    held = np.full([2 * n + 1 for n in spec.output_shape], np.nan, np.float32)
    out = held[tuple(slice(1, None, 2) for _ in spec.output_shape)]
    plan.output(spec, x, weight, bias, out=out)
    assert error(out, spec, x, weight, bias) < LIMITS["highest"]
    assert np.isnan(held).sum() == held.size - out.size


def test_choices_of_a_tuner_have_the_same_bits(unit: TileUnit) -> None:
    spec, x, weight, _ = make("chains")
    request = plan_request(spec)
    found = [c for c in choices(request, unit.target, 2) if c.family is split_bf16]
    assert len(found) > 1
    assert len({choice.order for choice in found}) == 1
    results: list[Array] = []
    for choice in found:
        made = choice.plan(request, unit.target, 2)
        packed, y = made.weights.pack(weight, 1), poisoned(spec)
        assert made(runtime.address_of(x), runtime.address_of(packed), 0, runtime.address_of(y)) is True
        results.append(y)
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def plan_request(spec: ConvSpec) -> Any:
    x, y = (np.empty(s, spec.dtype) for s in (spec.input_shape, spec.output_shape))
    return plan.prepared.OutputRequest(spec, x.strides, y.strides, False, "none")


@pytest.mark.parametrize(
    ("case", "dtype", "reason"),
    [
        (
            {"shape": (1, 15, 9, 9), "weight": (32, 15, 3, 3)},
            "float32",
            "15 input channels a group fill",
        ),
        ({"shape": (1, 30, 9, 9), "weight": (4, 15, 3, 3), "groups": 2}, "float32", "15 input channels"),
        ({"shape": (1, 32, 9, 9), "weight": (32, 32, 3, 3)}, "float64", "float64 is neither float32 nor"),
        ({"shape": (1, 32, 9, 9), "weight": (32, 32, 3, 3)}, "float16", "float16 is neither"),
        ({"shape": (1, 8192, 5, 5), "weight": (1, 8192, 5, 5), "padding": 2}, "float32", "sums of 204800"),
    ],
)
def test_what_it_does_not_serve_it_says_why(case: Any, dtype: str, reason: str, unit: TileUnit) -> None:
    request = plan_request(spec_of(dtype=dtype, **case))
    found = split_bf16.why_illegal(request, unit.target)
    assert found is not None
    assert found.startswith(reason)


def test_plain_requests_are_for_others(unit: TileUnit) -> None:
    request = plan_request(spec_of(**CASES["batch"]))
    assert split_bf16.why_illegal(request, unit.target) is None
    assert "not exact" in str(split_bf16.why_illegal(replace(request, plain=True), unit.target))


def test_it_serves_where_it_is_cheaper_only() -> None:
    """Winograd has fewer products for 3x3; of 9 taps in a row, the unit's are the cheapest."""
    with tile_unit(cycles=None) as unit:
        target = replace(unit.target, features=frozenset({*X86_FEATURES}), l2_bytes=2 << 20)
        dense = spec_of((1, 128, 28, 28), (128, 128, 3, 3), padding=1)
        signal = spec_of((1, 128, 1000), (128, 128, 9), padding=4)
        few = spec_of((1, 16, 56, 56), (4, 16, 1, 1))
        names = [planner._ranked(plan_request(spec), target)[0].NAME for spec in (dense, signal, few)]
    assert names[0] == "winograd"
    assert names[1] == "split bf16"
    assert names[2] != "split bf16"


def test_channels_are_cut_into_even_blocks() -> None:
    assert [channel_blocks(c) for c in (16, 32, 33, 48, 64, 65)] == [
        (1, 8), (1, 16), (2, 9), (2, 12), (2, 16), (3, 11),
    ]  # fmt: skip
    assert all(2 * b * p >= c and p <= 16 for c in range(1, 500) for b, p in [channel_blocks(c)])


def test_shapes_of_tiles_fit_the_unit() -> None:
    assert tile_shapes() == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (3, 1)]
    assert why_shape_illegal(2, 3) == "11 tiles (6 sums, 2 weights, 3 inputs) exceed 8"
    assert loads(3, 2, 2) == 14


def test_long_signals_of_any_length_share_their_code(unit: TileUnit) -> None:
    kernels = set()
    for length in range(1025, 2000, 111):
        request = plan_request(spec_of((1, 32, length), (32, 32, 3), padding=1))
        kernels.add(repr(split_bf16.plan(request, unit.target, 1).kernel))
    assert len(kernels) == 1


def test_workspaces_are_bounded(unit: TileUnit) -> None:
    for shape, weight in (((1, 512, 64, 64), (512, 512, 3, 3)), ((1, 64, 512, 512), (64, 64, 3, 3))):
        request = plan_request(spec_of(shape, weight, padding=1))
        made = split_bf16.plan(request, unit.target, 2)
        assert made.workspace_bytes <= 16 << 20


def test_images_share_tiles_where_that_saves_some(unit: TileUnit) -> None:
    def tasks(images: int, size: int, taps: int) -> int:
        spec = spec_of((images, 64, size, size), (64, 64, taps, taps), padding=taps // 2)
        return split_bf16.plan(plan_request(spec), unit.target, 1).tasks

    assert tasks(4, 7, 1) < 4
    assert tasks(9, 2, 3) < 9
    assert tasks(4, 56, 3) >= 4


def test_layouts_are_those_of_all_kernels(unit: TileUnit) -> None:
    """The flat run packs rows with shared zeros: 7x7 maps fill 55 of 64 positions."""
    layout = layout_of(gather_of(spec_of((1, 64, 7, 7), (64, 64, 3, 3), padding=1)))
    assert layout.flat == 55
    assert split_schedule(layout, unit.target, 1, 3).columns * 16 <= 64
