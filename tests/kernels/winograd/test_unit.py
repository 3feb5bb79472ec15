"""Winograd's algorithm on a tile unit, the host's own or an emulated one, against the oracle."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convforge import plan, reference, runtime
from convforge.plan import planner
from convforge.plan.describe import plan_of
from convforge.plan.request import OutputRequest
from convforge.plan.winograd import unit as winograd_tiles
from convforge.plan.winograd.unit_cut import TilesCutter
from convforge.problem import ConvSpec, normalize_conv
from convforge.problem.gather import gather_of
from support.convolutions import with_layout
from support.families import costing
from support.guarded import Guarded, GuardedScratch
from support.tile_unit import FEATURES, TileUnit, tile_unit

Array = Any
# ‖y − y64‖ / ‖y64‖, that of one chain of fp32 multiply-adds over 33 channels of nine taps.
LIMIT = 3e-7

CASES: dict[str, dict[str, Any]] = {
    "one tile": {"shape": (1, 32, 4, 4), "weight": (16, 32, 3, 3)},
    "whole tiles": {"shape": (1, 64, 16, 8), "weight": (32, 64, 3, 3), "padding": 1},
    "odd sizes, batch": {"shape": (2, 40, 13, 17), "weight": (48, 40, 3, 3), "padding": 1},
    "a channel more": {"shape": (1, 33, 9, 30), "weight": (70, 33, 3, 3)},
    "a channel fewer": {"shape": (1, 63, 9, 31), "weight": (31, 63, 3, 3), "padding": 1},
    "small maps": {"shape": (5, 48, 7, 7), "weight": (33, 48, 3, 3), "padding": 1},
    "one output": {"shape": (1, 32, 3, 3), "weight": (20, 32, 3, 3)},
    "many channels": {"shape": (1, 300, 6, 7), "weight": (290, 300, 3, 3), "padding": 1},
    "groups": {"shape": (2, 80, 9, 10), "weight": (40, 40, 3, 3), "padding": 1, "groups": 2},
    "2x3": {"shape": (1, 34, 9, 9), "weight": (18, 34, 2, 3), "padding": 1},
    "3x1": {"shape": (1, 34, 9, 9), "weight": (20, 34, 3, 1)},
    "signal": {"shape": (2, 50, 1000), "weight": (20, 50, 3), "padding": 1},
    "volume": {"shape": (1, 36, 5, 6, 7), "weight": (20, 36, 3, 3, 3), "padding": 1},
    "dilated": {"shape": (1, 35, 20, 22), "weight": (17, 35, 3, 3), "padding": 2, "dilation": 2},
    "dilated signal": {"shape": (1, 35, 500), "weight": (18, 35, 3), "padding": 16, "dilation": 16},
    "reflect": {"shape": (1, 33, 9, 33), "weight": (17, 33, 3, 3), "padding": 2, "padding_mode": "reflect"},
    "circular": {"shape": (1, 33, 9, 33), "weight": (16, 33, 3, 3), "padding": 3, "padding_mode": "circular"},
    "transposed": {"shape": (1, 40, 9, 11), "weight": (40, 21, 3, 3), "transposed": True, "padding": 1},
}


@pytest.fixture(autouse=True)
def unit() -> Iterator[TileUnit]:
    """A tile unit, and this family wherever it is legal."""
    threads = runtime.get_num_threads()
    with tile_unit(cycles=None) as found, costing(winograd_tiles, 0.0):
        if found.target.vector_bytes != 64:
            pytest.skip("vectors of 512 bits, as every processor with a tile unit of its own has them")
        yield found
    runtime.set_num_threads(threads)


def make(name: str) -> tuple[ConvSpec, Array, Array, Array]:
    """A case's spec, input, weight and bias."""
    case = dict(CASES[name])
    shape, kernel = case.pop("shape"), case.pop("weight")
    groups = case.get("groups", 1)
    outs = kernel[1] * groups if case.get("transposed") else kernel[0]
    spec, _ = normalize_conv(shape, kernel, (outs,), rank=len(shape) - 2, dtype=np.dtype(np.float32), **case)
    numbers = np.random.default_rng(list(name.encode()))
    return spec, *(numbers.standard_normal(s).astype(np.float32) for s in (shape, kernel, (outs,)))


def error(y: Array, spec: ConvSpec, *arrays: Array) -> float:
    exact = reference.output(
        replace(spec, dtype=np.dtype(np.float64)), *(a.astype(np.float64) for a in arrays)
    )
    return float(np.linalg.norm(y - exact) / np.linalg.norm(exact))


def serves(spec: ConvSpec) -> bool:
    return "by 3 bf16 parts" in plan_of(spec).describe()


@pytest.mark.parametrize("name", CASES)
def test_against_the_oracle(name: str, unit: TileUnit) -> None:
    spec, x, weight, bias = make(name)
    assert serves(spec)
    before = unit.products
    out = np.full(spec.output_shape, np.nan, np.float32)
    plan.output(spec, x, weight, bias, out=out)
    assert error(out, spec, x, weight, bias) < LIMIT
    assert before is None or unit.products > before, "tiles were multiplied"
    assert not unit.configured, "every task releases its tiles"


@given(
    channels=st.tuples(st.integers(32, 70), st.integers(16, 70)),
    size=st.tuples(st.integers(3, 20), st.integers(3, 70)),
    batch=st.integers(1, 3),
    taps=st.sampled_from([(3, 3), (2, 2), (1, 3), (3, 2)]),
    padding=st.integers(0, 2),
)
@settings(max_examples=40, deadline=None)
def test_sizes_at_the_edges_of_tiles(
    channels: tuple[int, int], size: tuple[int, int], batch: int, taps: tuple[int, int], padding: int
) -> None:
    kernel = (channels[1], channels[0], *taps)
    spec, _ = normalize_conv(
        (batch, channels[0], *size), kernel, None, 1, padding, rank=2, dtype=np.dtype(np.float32)
    )
    numbers = np.random.default_rng(3)
    x, weight = (numbers.standard_normal(s).astype(np.float32) for s in (spec.input_shape, kernel))
    assert serves(spec)
    out = np.full(spec.output_shape, np.nan, np.float32)
    assert error(plan.output(spec, x, weight, out=out), spec, x, weight) < LIMIT


@pytest.mark.parametrize(
    "name", ["odd sizes, batch", "dilated", "volume", "reflect", "many channels", "groups"]
)
def test_strides_and_threads_do_not_change_a_bit(name: str) -> None:
    spec, x, weight, bias = make(name)
    expected = plan.output(spec, x, weight, bias)
    views = [with_layout(x, layout) for layout in ("plain", "channels_last", "sliced", "reversed")]
    for threads in (1, 2, 3, 7):
        runtime.set_num_threads(threads)
        out = with_layout(np.full(expected.shape, np.nan, np.float32), "channels_last")
        for each in views:
            np.testing.assert_array_equal(plan.output(spec, each, weight, bias), expected)
        np.testing.assert_array_equal(plan.output(spec, x, weight, bias, out=out), expected)


def test_images_have_the_bits_that_each_has_alone() -> None:
    spec, x, weight, bias = make("small maps")
    expected = plan.output(spec, x, weight, bias)
    for i in range(len(x)):
        alone, _ = normalize_conv(
            (1, *x.shape[1:]), weight.shape, bias.shape, 1, 1, rank=2, dtype=np.dtype(np.float32)
        )
        assert serves(alone)
        np.testing.assert_array_equal(plan.output(alone, x[i : i + 1], weight, bias), expected[i : i + 1])


@pytest.mark.parametrize("name", ["small maps", "many channels", "volume"])
def test_cuts_do_not_change_a_bit(name: str, unit: TileUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, x, weight, bias = make(name)
    expected = plan.output(spec, x, weight, bias)
    request = OutputRequest(spec, (), (), True, "none", "highest").without_gaps
    tiling = winograd_tiles.plan(request, unit.target, 2).kernel.tiling
    cuts = list(TilesCutter(gather_of(spec), tiling, 2, unit.target, 16, 4, 2).candidates())
    for cut in cuts[:: max(1, len(cuts) // 8)]:
        monkeypatch.setattr(winograd_tiles.WinogradTilesPlan, "_cut", lambda *_, cut=cut: (2, cut))
        plan.clear_plans()
        np.testing.assert_array_equal(plan.output(spec, x, weight, bias), expected)


def test_signals_of_many_lengths_share_few_kernels(unit: TileUnit) -> None:
    kernels = set[Any]()
    for length in range(40, 6000, 149):
        spec, _ = normalize_conv(
            (1, 80, length), (384, 80, 3), None, 1, 1, rank=1, dtype=np.dtype(np.float32)
        )
        request = OutputRequest(spec, (), (), False, "none", "highest").without_gaps
        kernels.add(winograd_tiles.plan(request, unit.target, 2).kernel)
    assert len(kernels) <= 8


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38, 1e20, 1e-35, 1e4])
@pytest.mark.parametrize("where", ["input", "weight", "bias"])
def test_hard_values_come_out_as_of_a_plain_convolution(value: float, where: str) -> None:
    """Infinities, NaN, values near the ends of the range, and one that drowns its neighbours."""
    spec, x, weight, bias = make("odd sizes, batch")
    ordinary = plan.output(spec, x, weight, bias)
    {"input": x[1], "weight": weight, "bias": bias}[where].flat[40 % bias.size] = value
    if value == 1e-35 and where == "input":
        x[1] *= np.float32(1e-35)
    y = plan.output(spec, x, weight, bias)
    with np.errstate(all="ignore"):
        expected = reference.output(spec, x, weight, bias)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(y), np.isinf(expected))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5 * float(np.abs(ordinary).max()))
    if where == "input":
        np.testing.assert_array_equal(y[0], ordinary[0])  # another image's trouble is not this one's


def test_outputs_of_zeros_are_zeros() -> None:
    """By F(2, 3) an output whose inputs are all zeros is exactly zero, whatever its neighbours have."""
    spec, x, weight, _ = make("whole tiles")
    x[:, :, 8:] = 0
    y = plan.output(spec, x, weight)
    assert np.all(y[:, :, 9:] == 0)
    assert np.any(y[:, :, 8] != 0)


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_nothing_outside_the_arrays_is_touched(
    name: str, at_end: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, x, weight, bias = make(name)
    guarded = Guarded()
    x, weight, bias = (guarded.array(each, at_end=at_end) for each in (x, weight, bias))
    monkeypatch.setattr(runtime, "scratch", GuardedScratch())
    out = guarded.array(np.full(spec.output_shape, np.nan, np.float32), at_end=at_end)
    plan.output(spec, x, weight, bias, out=out)
    assert error(out, spec, x, weight, bias) < LIMIT


@pytest.mark.parametrize(
    ("shape", "weight", "family"),
    [
        ((1, 64, 56, 56), (64, 64, 3, 3), "winograd bf16"),
        ((1, 512, 7, 7), (512, 512, 3, 3), "split bf16"),
    ],
)
def test_a_layer_chooses_it_where_it_costs_least(
    shape: tuple[int, ...], weight: tuple[int, ...], family: str
) -> None:
    """On a processor that has such a unit, behind a mesh with 2 MB of second level a core."""
    with tile_unit(cycles=None) as unit:
        target = replace(unit.target, l2_bytes=2 << 20)
        spec, _ = normalize_conv(shape, weight, None, 1, 1, rank=2, dtype=np.dtype(np.float32))
        request = OutputRequest(spec, (), (), False, "none", "highest").without_gaps
        costs = {v.family: v.cycles for v in planner.verdicts(request, target) if v.cycles is not None}
        costs["winograd bf16"] = winograd_tiles._cycles(
            gather_of(spec), winograd_tiles._tiling(request), target
        )
        assert min(costs, key=lambda name: costs[name]) == family


def test_why_it_cannot_serve(unit: TileUnit) -> None:
    def reason(
        weight: tuple[int, ...], dtype: str = "float32", precision: Any = "highest", **arguments: Any
    ) -> str:
        shape = (1, weight[1] * arguments.get("groups", 1), 9, 9)
        spec, _ = normalize_conv(shape, weight, None, rank=2, dtype=np.dtype(dtype), **arguments)
        request = OutputRequest(spec, (), (), False, "none", precision).without_gaps
        return winograd_tiles.why_illegal(request, unit.target) or ""

    assert reason((16, 32, 3, 3)) == ""
    assert "float64 is not float32" in reason((16, 32, 3, 3), "float64")
    assert "'high'" in reason((16, 32, 3, 3), precision="high")
    assert "31 input channels a group" in reason((16, 31, 3, 3))
    assert "8 output channels a group" in reason((16, 32, 3, 3), groups=2)
    assert "stride" in reason((16, 32, 3, 3), stride=2)
    assert "no tile" in reason((16, 32, 5, 5))
    spec, _ = normalize_conv((1, 32, 9, 9), (16, 32, 3, 3), None, rank=2, dtype=np.dtype(np.float32))
    request = OutputRequest(spec, (), (), False, "none", "highest").without_gaps
    assert "transforms overflow" in (
        winograd_tiles.why_illegal(replace(request, plain=True), unit.target) or ""
    )
    assert "amx" in (winograd_tiles.why_illegal(request, unit.target.without(*FEATURES)) or "")
