"""Products of bf16 parts: the same bits however they are cut, and nothing touched that is not theirs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from convforge import plan, runtime
from convforge.plan import weight_places
from convforge.plan.planner import choices
from convforge.plan.split_bf16 import products as split_bf16
from convforge.plan.tile_unit.schedule import tile_unit_schedule
from convforge.plan.weight_places import WeightPlaces
from convforge.schedule.tile_unit import tile_shapes
from support.guarded import Guarded
from support.split_bf16 import (
    CASES,
    LIMITS,
    error,
    make,
    output_of_any_threads,
    plan_request,
    poisoned,
)
from support.tile_unit import TileUnit

Array = Any


@pytest.mark.parametrize("shape", tile_shapes())
@pytest.mark.parametrize(
    "name",
    ["batch", "chains", "transposed, stride 2", "groups", "first layer", "beside", "one tap by a table"],
)
def test_every_shape_of_tiles_has_the_same_bits(
    name: str, shape: tuple[int, int], unit: TileUnit, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, x, weight, bias = make(name)
    expected = plan.output(spec, x, weight, bias)
    monkeypatch.setattr(
        split_bf16, "tile_unit_schedule", lambda *given, **more: tile_unit_schedule(*given, shape, **more)
    )
    plan.clear_plans()
    np.testing.assert_array_equal(plan.output(spec, x, weight, bias, out=poisoned(spec)), expected)


@pytest.mark.parametrize(
    "name",
    ["batch", "chains", "groups", "signal", "first layer", "sound", "windows", "beside", "phases of one tap"],
)
def test_threads_do_not_change_a_bit(name: str, unit: TileUnit) -> None:
    output_of_any_threads(*make(name))


@pytest.mark.parametrize(
    "name",
    [
        *("batch", "pointwise", "groups", "transposed, stride 2", "images as slices", "tiny images"),
        *("photograph", "beside", "one tap by a table"),
    ],
)
def test_place_in_the_batch_does_not_change_a_bit(name: str, unit: TileUnit) -> None:
    spec, x, weight, bias = make(name)
    whole = plan.output(spec, x, weight, bias)
    one = replace(spec, batch=1)
    for i in range(spec.batch):
        np.testing.assert_array_equal(plan.output(one, x[i : i + 1], weight, bias)[0], whole[i])


@pytest.mark.parametrize(
    "name",
    [
        *("batch", "stride 2", "volume", "pointwise", "reflect", "transposed, stride 2", "first layer"),
        *("beside", "one tap by a table", "one tap, reflect", "phases of one tap"),
    ],
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


def test_weights_that_reach_far_are_copied(unit: TileUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, x, weight, bias = make("batch")
    expected = plan.output(spec, x, weight, bias)
    contiguous: list[bool] = []

    def noted(places: WeightPlaces, array: Array) -> Array:
        contiguous.append(array.flags.c_contiguous)
        return found(places, array)

    found = WeightPlaces.parameters
    monkeypatch.setattr(WeightPlaces, "parameters", noted)
    turned = np.ascontiguousarray(weight.T).T
    np.testing.assert_array_equal(plan.output(spec, x, turned, bias), expected)
    # As if 32 bits were fewer.
    monkeypatch.setattr(weight_places, "FAR", 2)
    np.testing.assert_array_equal(plan.output(spec, x, turned, bias), expected)
    assert contiguous == [False, True]


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


@pytest.mark.parametrize("beside", [0, 1, 4])
@pytest.mark.parametrize("tiles", [1, 2, 3, 5, 9, 16, 17])
@pytest.mark.parametrize(
    ("name", "band_tiles"),
    [("windows", 17), ("beside", 59), ("one tap by a table", 16), ("phases of one tap", 14)],
)
def test_windows_do_not_change_a_bit(
    name: str, band_tiles: int, tiles: int, beside: int, unit: TileUnit
) -> None:
    spec, x, weight, bias = make(name)
    request = replace(plan_request(spec), has_bias=True)
    own = split_bf16.plan(request, unit.target, 1).schedule
    assert 1 < own.window_tiles < own.band_tiles == band_tiles
    changed = replace(own, window_tiles=tiles, tile_group=min(own.tile_group, tiles), beside=beside)
    made = split_bf16.plan(request, unit.target, 1, changed)
    packed, added, y = made.weights.pack(weight, 1), made.weights.pack_bias(bias), poisoned(spec)
    assert made(*(runtime.address_of(a) for a in (x, packed, added, y))) is True
    np.testing.assert_array_equal(y, plan.output(spec, x, weight, bias))


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_nothing_outside_the_arrays_is_touched(name: str, at_end: bool, unit: TileUnit) -> None:
    spec, *arrays = make(name)
    guarded = Guarded()
    x, weight, bias = (guarded.array(array, at_end=at_end) for array in arrays)
    out = guarded.array(poisoned(spec), at_end=at_end)
    plan.output(spec, x, weight, bias, out=out)
    assert error(out, spec, x, weight, bias) < LIMITS["highest"]


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name", ["beside", "pointwise", "phases of one tap", "batch", "one tap by a table"])
def test_half_types_touch_nothing_outside_and_have_the_same_bits_however_they_lie(
    name: str, dtype: Any, at_end: bool, unit: TileUnit
) -> None:
    """Read in place where they lie side by side, else packed."""
    spec, *arrays = make(name, dtype)
    guarded = Guarded()
    x, weight, bias = (guarded.array(array, at_end=at_end) for array in arrays)
    out = guarded.array(poisoned(spec), at_end=at_end)
    plan.output(spec, x, weight, bias, out=out)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(arrays[0], 1, -1)), -1, 1)
    np.testing.assert_array_equal(plan.output(spec, last, weight, bias), out)
    assert error(out, spec, x, weight, bias) < 2**-8


@pytest.mark.parametrize("name", ["batch", "transposed, stride 2", "pointwise"])
def test_gaps_of_the_output_are_not_written(name: str, unit: TileUnit) -> None:
    spec, x, weight, bias = make(name)
    held = np.full([2 * n + 1 for n in spec.output_shape], np.nan, np.float32)
    out = held[tuple(slice(1, None, 2) for _ in spec.output_shape)]
    plan.output(spec, x, weight, bias, out=out)
    assert error(out, spec, x, weight, bias) < LIMITS["highest"]
    assert np.isnan(held).sum() == held.size - out.size


def test_windows_of_one_tap_are_split_beside_products(unit: TileUnit) -> None:
    """Where they lie as they are read, or are found by a table; of several taps they are packed before."""
    made = {name: split_bf16.plan(plan_request(make(name)[0]), unit.target, 1).kernel for name in CASES}
    assert made["beside"].woven
    assert made["phases of one tap"].woven
    assert made["beside"].way_in == "in place"
    assert made["one tap by a table"].woven
    assert made["one tap by a table"].way_in == "gathered"
    assert made["one tap, reflect"].way_in == "gathered"
    assert not made["batch"].upright
