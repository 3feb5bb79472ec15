"""Products of bf16 parts: errors that were promised, hard values, and the ends of the range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convforge import plan, runtime
from convforge.plan.split_bf16 import products as split_bf16
from convforge.plan.winograd import tiles as winograd
from convforge.problem import ConvSpec
from support.families import costing
from support.split_bf16 import (
    CASES,
    LIMITS,
    RNG,
    SUM_ERROR,
    check_with_scratch_of_others,
    error,
    make,
    poisoned,
    spec_of,
)
from support.tile_unit import TileUnit

Array = Any


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
@pytest.mark.parametrize("name", ["batch", "stride 2", "beside", "one tap by a table"])
def test_hard_values_come_out_as_of_a_plain_convolution(
    name: str, value: float, where: str, unit: TileUnit
) -> None:
    spec, x, weight, bias = make(name)
    ordinary = plan.output(spec, x, weight, bias)
    hard = {"input": x[-1], "weight": weight, "bias": bias}[where]
    # In the last window, where there are several; read with every stride of the cases.
    hard.flat[-77 % hard.size] = value
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
        check_with_scratch_of_others(make(name))
