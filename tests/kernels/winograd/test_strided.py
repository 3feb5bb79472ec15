"""Winograd's algorithm for strided and transposed layers: residues of the input, phases of the output."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from convforge import plan, reference, runtime
from convforge.plan.describe import plan_of
from convforge.plan.request import OutputRequest
from convforge.plan.winograd import tiles as winograd
from convforge.problem import ConvSpec, normalize_conv
from convforge.problem.gather import gather_of
from convforge.schedule.polyphase import polyphase
from convforge.schedule.winograd import Tiling, residues_of_points
from convforge.target import Target
from support.families import costing
from support.guarded import Guarded
from support.targets import MASKS, masked

Array = Any

CASES: dict[str, dict[str, Any]] = {
    "3x3": {"shape": (2, 5, 13, 18), "weight": (17, 5, 3, 3), "padding": 1, "stride": 2},
    "3x3, no padding": {"shape": (1, 20, 12, 9), "weight": (24, 20, 3, 3), "stride": 2},
    "4x4": {"shape": (3, 9, 14, 14), "weight": (20, 9, 4, 4), "padding": 1, "stride": 2},
    "6x6, stride 3": {"shape": (1, 4, 20, 23), "weight": (16, 4, 6, 6), "padding": 2, "stride": 3},
    "6x6, stride 2": {"shape": (1, 3, 15, 14), "weight": (16, 3, 6, 6), "padding": 3, "stride": 2},
    "one axis": {"shape": (2, 8, 13, 11), "weight": (18, 8, 3, 3), "padding": 1, "stride": (1, 2)},
    "many channels": {"shape": (1, 150, 9, 9), "weight": (40, 150, 3, 3), "padding": 1, "stride": 2},
    "groups": {"shape": (2, 10, 9, 12), "weight": (40, 5, 4, 4), "stride": 2, "groups": 2},
    "signal": {"shape": (2, 12, 501), "weight": (20, 12, 4), "padding": 2, "stride": 2},
    "volume": {"shape": (1, 4, 7, 8, 9), "weight": (20, 4, 3, 3, 3), "padding": 1, "stride": 2},
    "deep volume": {"shape": (1, 3, 20, 7, 9), "weight": (16, 3, 4, 3, 3), "padding": 1, "stride": (2, 1, 1)},
    "one row": {"shape": (1, 6, 3, 9), "weight": (16, 6, 3, 3), "stride": 2},
    "reflect": {
        "shape": (1, 5, 9, 33),
        "weight": (17, 5, 3, 3),
        "padding": 1,
        "stride": 2,
        "padding_mode": "reflect",
    },
    "circular": {
        "shape": (1, 5, 10, 30),
        "weight": (17, 5, 4, 4),
        "padding": 3,
        "stride": 2,
        "padding_mode": "circular",
    },
    "transposed 3x3": {
        "shape": (2, 9, 7, 11),
        "weight": (9, 17, 3, 3),
        "padding": 1,
        "stride": 2,
        "output_padding": 1,
        "transposed": True,
    },
    "transposed 4x4": {
        "shape": (3, 20, 8, 6),
        "weight": (20, 24, 4, 4),
        "padding": 1,
        "stride": 2,
        "transposed": True,
    },
    "transposed 6x6, stride 3": {
        "shape": (1, 7, 6, 9),
        "weight": (7, 18, 6, 6),
        "padding": 2,
        "stride": 3,
        "transposed": True,
    },
    "transposed, one axis": {
        "shape": (2, 7, 6, 9),
        "weight": (7, 18, 3, 4),
        "padding": 1,
        "stride": (1, 2),
        "transposed": True,
    },
    "transposed groups": {
        "shape": (2, 12, 6, 9),
        "weight": (12, 16, 4, 4),
        "stride": 2,
        "groups": 2,
        "transposed": True,
    },
    "transposed signal": {"shape": (2, 12, 77), "weight": (12, 16, 16), "stride": 8, "transposed": True},
    "transposed volume": {
        "shape": (1, 4, 5, 4, 6),
        "weight": (4, 16, 4, 3, 4),
        "padding": 1,
        "stride": 2,
        "transposed": True,
    },
    "unreached": {
        "shape": (1, 8, 5, 6),
        "weight": (8, 16, 4, 4),
        "stride": 2,
        "output_padding": 1,
        "transposed": True,
    },
}


# ‖y − y64‖ / ‖y64‖. Masks between the widest vectors and the narrowest are tested by the first alone.
LIMITS: list[tuple[Any, Any, float]] = [
    (np.float32, "highest", 6e-7),
    (np.float32, "high", 5e-6),
    (np.float64, "highest", 2e-15),
]


@pytest.fixture(autouse=True)
def wherever_it_is_legal() -> Iterator[None]:
    threads = runtime.get_num_threads()
    with costing(winograd, 0.0):
        yield
    runtime.set_num_threads(threads)


def spec_of(name: str, dtype: Any = np.float32) -> ConvSpec:
    case = dict(CASES[name])
    shape, weight = case.pop("shape"), case.pop("weight")
    return normalize_conv(shape, weight, None, rank=len(shape) - 2, dtype=np.dtype(dtype), **case)[0]


def make(name: str, dtype: Any = np.float32) -> tuple[ConvSpec, Array, Array, Array]:
    """A case's spec, input, weight and bias."""
    spec, numbers = spec_of(name, dtype), np.random.default_rng(list(name.encode()))
    shapes = (spec.input_shape, spec.weight_shape, (spec.out_channels,))
    x, weight, bias = (numbers.standard_normal(shape).astype(spec.dtype) for shape in shapes)
    return spec, x, weight, bias


def exact(spec: ConvSpec, *arrays: Array) -> Array:
    wide = replace(spec, dtype=np.dtype(np.float64))
    return reference.output(wide, *(array.astype(np.float64) for array in arrays))


def error(y: Array, expected: Array) -> float:
    return float(np.linalg.norm(y - expected) / np.linalg.norm(expected))


def plainly(spec: ConvSpec, *arrays: Array) -> Array:
    with costing(winograd, float("inf")):
        return plan.output(spec, *arrays)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", CASES)
def test_against_the_oracle(name: str, mask: str) -> None:
    with masked(mask):
        for dtype, precision, limit in LIMITS if mask in ("host", "sse2") else LIMITS[:1]:
            spec, x, weight, bias = make(name, dtype)
            assert "winograd" in plan_of(spec, precision=precision).describe()
            out = np.full(spec.output_shape, np.nan, dtype)
            plan.output(spec, x, weight, bias, out=out, precision=precision)
            assert error(out, exact(spec, x, weight, bias)) < limit


@pytest.mark.parametrize(("dtype", "limit"), [(np.float16, 5e-4), (ml_dtypes.bfloat16, 4e-3)])
@pytest.mark.parametrize("name", ["3x3", "transposed 3x3", "transposed 4x4"])
def test_half_types_are_computed_in_float32(name: str, dtype: Any, limit: float) -> None:
    spec, x, weight, bias = make(name, dtype)
    assert "winograd" in plan_of(spec).describe()
    y = plan.output(spec, x, weight, bias)
    assert error(y.astype(np.float64), exact(spec, x, weight, bias)) < limit


@pytest.mark.parametrize("name", ["3x3", "4x4", "volume", "transposed 3x3", "transposed 4x4", "signal"])
def test_the_input_gradient_is_one_too(name: str) -> None:
    spec, _, weight, _ = make(name)
    gradient = np.random.default_rng(1).standard_normal(spec.output_shape).astype(np.float32)
    found = plan.grad_input(spec, gradient, weight)
    wide = replace(spec, dtype=np.dtype(np.float64))
    expected = reference.grad_input(wide, gradient.astype(np.float64), weight.astype(np.float64))
    assert error(found, expected) < 6e-7


@pytest.mark.parametrize(
    "name", ["3x3", "one axis", "volume", "circular", "transposed 3x3", "transposed volume"]
)
def test_strides_of_the_arrays_do_not_change_a_bit(name: str) -> None:
    spec, x, weight, bias = make(name)
    expected = plan.output(spec, x, weight, bias)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    padded = np.full((*x.shape[:-1], x.shape[-1] * 2 + 3), np.nan, np.float32)[..., 1:-2:2]
    padded[...] = x
    backwards = np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    for each in (last, padded, backwards):
        np.testing.assert_array_equal(plan.output(spec, each, weight, bias), expected)
    turned = np.ascontiguousarray(weight[..., ::-1])[..., ::-1]
    np.testing.assert_array_equal(plan.output(spec, x, turned, bias), expected)
    held = np.full([2 * n + 1 for n in spec.output_shape], np.nan, np.float32)
    gapped = held[tuple(slice(1, None, 2) for _ in spec.output_shape)]
    for out in (np.moveaxis(np.empty(np.moveaxis(expected, 1, -1).shape, np.float32), -1, 1), gapped):
        out[...] = np.nan
        np.testing.assert_array_equal(plan.output(spec, x, weight, bias, out=out), expected)
    assert np.isnan(held).sum() == held.size - gapped.size, "a gap of the output was written"


@pytest.mark.parametrize(
    "name", ["3x3", "many channels", "deep volume", "transposed 4x4", "transposed volume"]
)
@pytest.mark.parametrize("precision", ["highest", "high"])
def test_threads_and_place_in_the_batch_do_not_change_a_bit(name: str, precision: Any) -> None:
    spec, x, weight, bias = make(name)
    runtime.set_num_threads(1)
    expected = plan.output(spec, x, weight, bias, precision=precision)
    for threads in (2, 3, 7):
        runtime.set_num_threads(threads)
        found = plan.output(spec, x, weight, bias, precision=precision)
        np.testing.assert_array_equal(found, expected)
    one = replace(spec, batch=1)
    for i in range(spec.batch):
        alone = plan.output(one, x[i : i + 1], weight, bias, precision=precision)
        np.testing.assert_array_equal(alone[0], expected[i])


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", CASES)
def test_nothing_outside_the_arrays_is_touched(name: str, mask: str, at_end: bool) -> None:
    spec, *arrays = make(name)
    guarded = Guarded()
    x, weight, bias = (guarded.array(array, at_end=at_end) for array in arrays)
    out = guarded.array(np.full(spec.output_shape, np.nan, np.float32), at_end=at_end)
    with masked(mask):
        plan.output(spec, x, weight, bias, out=out)
    assert error(out, exact(spec, *arrays)) < 6e-7


@pytest.mark.parametrize("value", [np.inf, np.nan, 3e38, 1e20, 1e-35, 1e4])
@pytest.mark.parametrize("where", ["input", "weight"])
@pytest.mark.parametrize("name", ["3x3", "4x4", "transposed 3x3", "transposed 4x4"])
def test_hard_values_come_out_as_of_a_plain_convolution(name: str, where: str, value: float) -> None:
    spec, x, weight, bias = make(name)
    ordinary = plan.output(spec, x, weight, bias)
    {"input": x[1], "weight": weight}[where].flat[40] = value
    if value == 1e-35 and where == "input":
        x[1] *= np.float32(1e-35)
    y, expected = plan.output(spec, x, weight, bias), plainly(spec, x, weight, bias)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(y), np.isinf(expected))
    # Outputs that read 1e4 have roundings of its size, and may be small.
    atol = max(1e-5 * float(np.abs(ordinary).max()), 4e-7 * value if value == 1e4 else 0.0)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=atol)
    if where == "input":
        np.testing.assert_array_equal(y[0], ordinary[0])  # another image's trouble is not this one's
        if value != 1e4:
            np.testing.assert_array_equal(y[1], expected[1])


@pytest.mark.parametrize("loud", [(4, 4), (4, 5), (5, 4), (5, 5)])
@pytest.mark.parametrize("name", ["3x3", "4x4", "transposed 3x3", "transposed 4x4"])
def test_a_neighbour_that_is_far_larger_drowns_no_output(name: str, loud: tuple[int, int]) -> None:
    """Whichever residue it lies in: outputs that do not read it have the error of their own inputs."""
    spec, x, weight, bias = make(name)
    touched = np.zeros_like(x)
    touched[:, :, loud[0], loud[1]] = 1
    ones = np.ones_like(weight)
    reads = plainly(spec, touched, ones, np.zeros_like(bias)) != 0
    assert reads.any()
    assert not reads.all()
    x[:, :, loud[0], loud[1]] = 1e9
    y = plan.output(spec, x, weight, bias)
    assert np.abs(y - exact(spec, x, weight, bias))[~reads].max() < 3e-5


@pytest.mark.parametrize("scattered", [False, True])
@pytest.mark.parametrize(
    "name", ["3x3", "4x4", "6x6, stride 3", "transposed 3x3", "transposed 4x4", "unreached"]
)
def test_outputs_whose_inputs_are_zeros_are_the_bias(name: str, scattered: bool) -> None:
    """Exactly, next to others that are not; but for scattered zeros where a residue lacks taps of a window:
    there they are the bias to within the roundings of a tile.
    """
    spec, x, weight, bias = make(name)
    numbers = np.random.default_rng(0)
    if scattered:
        x *= numbers.random(x.shape[2:]) < 0.05
    else:
        x[:, :, 3:] = 0
        x[:, :, :, 4:] = 0
    mark = (x != 0).astype(np.float32)
    reads = plainly(spec, mark, np.ones_like(weight), np.zeros_like(bias)) != 0
    assert reads.any()
    assert not reads.all()
    y = plan.output(spec, x, weight, bias)
    away = np.abs(y - bias[None, :, None, None])[~reads]
    lacking = "3x3" in name and scattered
    assert away.max() <= (1e-5 if lacking else 0)


def test_taps_that_lie_far_apart_are_not_transformed() -> None:
    spec, x, weight, bias = make("3x3")
    weight[:, :, 1, 1] *= 1e6
    np.testing.assert_array_equal(plan.output(spec, x, weight, bias), plainly(spec, x, weight, bias))


def test_products_that_are_left_out() -> None:
    """3 taps at stride 2: 3 points of the even inputs, of two taps, and 2 of the odd ones: 5, not 6."""
    for name, residues in (("3x3", True), ("transposed 3x3", False)):
        points = residues_of_points(polyphase(gather_of(spec_of(name))), Tiling((1, 2, 2), (1, 2, 2)))
        assert sum(len(active) for phase in points for active in phase) == 25
        assert (len(points) == 1) is residues
    full = residues_of_points(polyphase(gather_of(spec_of("4x4"))), Tiling((1, 2, 2), (1, 2, 2)))
    assert full == (((0, 1, 2, 3),) * 9,)


@pytest.mark.parametrize(
    ("shape", "weight", "arguments", "reason"),
    [
        ((1, 8, 20, 20), (16, 8, 5, 5), {"stride": 2}, "no tile of 25 taps keeps precision 'highest'"),
        ((1, 8, 20, 20), (16, 8, 2, 2), {"stride": 2}, "no tile of 4 taps keeps precision 'highest'"),
        ((1, 8, 20, 20), (16, 8, 2, 3), {"stride": (3, 2)}, "2 of 3 inputs read along the height"),
        ((1, 8, 20, 20), (16, 8, 3, 3), {"stride": 2, "dilation": 2}, "1 of 2 inputs read along the height"),
        ((1, 8, 20, 20), (16, 8, 3, 3), {"stride": 2, "dilation": 3}, "taps that are not neighbours"),
        ((1, 8, 20, 20), (3, 8, 4, 4), {"stride": 2}, "3 output channels do not fill a vector"),
        (
            (1, 8, 9, 9),
            (8, 16, 2, 2),
            {"stride": 3, "transposed": True},
            "outputs without a tap along the height, at a stride",
        ),
    ],
)
def test_what_it_does_not_serve_it_says_why(shape: Any, weight: Any, arguments: Any, reason: str) -> None:
    spec, _ = normalize_conv(shape, weight, None, rank=2, dtype=np.dtype(np.float32), **arguments)
    request = OutputRequest(spec, (), (), True, "none").without_gaps
    found = winograd.why_illegal(request, Target.host())
    assert found is not None
    assert found.startswith(reason)
