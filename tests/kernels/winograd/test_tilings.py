"""Winograd's kernels: exact matrices, every tiling against the oracle, promised errors, hard values, bits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from convforge import plan, reference, runtime
from convforge.plan import weight_places
from convforge.plan.describe import plan_of
from convforge.plan.request import OutputRequest
from convforge.plan.winograd import (
    channels as winograd_channels,
    channels_cut as winograd_channels_cut,
    cut as winograd_cut,
    tiles as winograd,
    weights as winograd_weights,
)
from convforge.problem import ConvSpec, Precision, normalize_conv
from convforge.schedule.winograd import Tiling, transforms
from convforge.target import Target
from support.families import costing
from support.targets import MASKS, masked

Array = Any
RNG = np.random.default_rng(11)

CASES: dict[str, dict[str, Any]] = {
    "whole tiles": {"shape": (1, 4, 12, 12), "weight": (24, 4, 3, 3), "padding": 1},
    "odd sizes, batch": {"shape": (2, 5, 13, 17), "weight": (17, 5, 3, 3), "padding": 1},
    "no padding": {"shape": (1, 5, 13, 18), "weight": (33, 5, 3, 3)},
    "uneven padding": {"shape": (1, 5, 9, 8), "weight": (17, 5, 3, 3), "padding": (2, 0)},
    "one output": {"shape": (1, 3, 3, 3), "weight": (20, 3, 3, 3)},
    "many channels": {"shape": (1, 150, 6, 7), "weight": (40, 150, 3, 3), "padding": 1},
    "wide": {"shape": (1, 3, 5, 300), "weight": (19, 3, 3, 3), "padding": 1},
    "groups": {"shape": (3, 6, 9, 10), "weight": (40, 3, 3, 3), "padding": 1, "groups": 2},
    "2x3": {"shape": (1, 4, 9, 9), "weight": (18, 4, 2, 3), "padding": 1},
    "3x1": {"shape": (1, 4, 9, 9), "weight": (20, 4, 3, 1)},
    "1x3": {"shape": (1, 4, 9, 40), "weight": (16, 4, 1, 3)},
    "signal": {"shape": (2, 4, 1000), "weight": (20, 4, 3), "padding": 1},
    "volume": {"shape": (1, 4, 5, 6, 7), "weight": (20, 4, 3, 3, 3), "padding": 1},
    "flat volume": {"shape": (1, 4, 5, 6, 7), "weight": (17, 4, 1, 3, 3), "padding": (0, 1, 1)},
    "transposed": {"shape": (1, 4, 9, 11), "weight": (4, 21, 3, 3), "transposed": True},
    "transposed, padded": {"shape": (2, 4, 9, 11), "weight": (4, 17, 3, 3), "transposed": True, "padding": 1},
    "reflect": {"shape": (1, 3, 9, 33), "weight": (17, 3, 3, 3), "padding": 2, "padding_mode": "reflect"},
    "circular": {"shape": (1, 3, 9, 33), "weight": (16, 3, 3, 3), "padding": 3, "padding_mode": "circular"},
    "replicate": {"shape": (1, 3, 9, 33), "weight": (20, 3, 3, 3), "padding": 9, "padding_mode": "replicate"},
    "one column": {"shape": (2, 5, 28, 1), "weight": (17, 5, 3, 3), "padding": 1},
    "dilated": {"shape": (1, 5, 20, 22), "weight": (17, 5, 3, 3), "padding": 2, "dilation": 2},
    "far dilated": {"shape": (2, 5, 20, 23), "weight": (16, 5, 3, 3), "padding": (6, 3), "dilation": (6, 3)},
    "aspp": {"shape": (1, 20, 33, 33), "weight": (24, 20, 3, 3), "padding": 6, "dilation": 6},
    "dilated batch": {"shape": (3, 9, 17, 15), "weight": (17, 9, 3, 3), "padding": 3, "dilation": 3},
    "images": {"shape": (5, 270, 9, 7), "weight": (30, 270, 3, 3), "padding": 1},
    "small maps": {"shape": (5, 40, 5, 7), "weight": (30, 40, 3, 3), "padding": 1},
    "dilated signal": {"shape": (1, 5, 500), "weight": (18, 5, 3), "padding": 16, "dilation": 16},
    "dilated volume": {"shape": (1, 3, 8, 9, 10), "weight": (16, 3, 3, 3, 3), "dilation": (3, 2, 1)},
}


# ‖y − y64‖ / ‖y64‖. Masks between the widest vectors and the narrowest are tested by the first alone.
LIMITS: list[tuple[Any, Any, float]] = [
    (np.float32, "highest", 6e-7),
    (np.float32, "high", 5e-6),
    (np.float64, "highest", 2e-15),
]


@pytest.fixture(autouse=True, params=["tiles", "channels"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Winograd wherever it is legal, with vectors along tiles; or along channels, where that is legal."""
    threads = runtime.get_num_threads()
    take(request.param, monkeypatch)
    with costing(winograd, 0.0):
        yield request.param
    runtime.set_num_threads(threads)


def take(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have plans take a way from now on."""
    monkeypatch.setattr(winograd, "channels_are_cheaper", lambda *_: way == "channels")
    plan.clear_plans()


def make(name: str, dtype: Any = np.float32) -> tuple[ConvSpec, Array, Array, Array]:
    """A case's spec, input, weight and bias."""
    case = dict(CASES[name])
    shape, kernel = case.pop("shape"), case.pop("weight")
    groups = case.get("groups", 1)
    out_channels = kernel[1] * groups if case.get("transposed") else kernel[0]
    spec, _ = normalize_conv(
        shape, kernel, (out_channels,), rank=len(shape) - 2, dtype=np.dtype(dtype), **case
    )
    # Its own numbers, whichever tests ran before.
    numbers = np.random.default_rng(list(name.encode()))
    x, weight, bias = (
        numbers.standard_normal(s).astype(spec.dtype) for s in (shape, kernel, (out_channels,))
    )
    return spec, x, weight, bias


def error(y: Array, spec: ConvSpec, x: Array, weight: Array, bias: Array | None) -> float:
    """‖y − y64‖ / ‖y64‖"""
    wide = [None if a is None else a.astype(np.float64) for a in (x, weight, bias)]
    exact = reference.output(replace(spec, dtype=np.dtype(np.float64)), *wide)
    return float(np.linalg.norm(y.astype(np.float64) - exact) / np.linalg.norm(exact))


def tiled(spec: ConvSpec, bias: Array, target: Target, precision: Precision) -> tuple[Any, Target, Tiling]:
    """The request for contiguous arrays, the target, and the tiles that a plan takes."""
    request = OutputRequest(spec, (), (), bias is not None, "none", precision).without_gaps
    plan_made = winograd.plan(request, target, 1)
    return request, target, plan_made.kernel.tiling


def serves(spec: ConvSpec, precision: str = "highest") -> bool:
    return "winograd" in plan_of(spec, precision=precision).describe()  # type: ignore[arg-type]


@pytest.mark.parametrize("way", ["tiles"], indirect=True)
@pytest.mark.parametrize(("outputs", "taps"), [(m, r) for r in range(1, 6) for m in range(1, 10 - r)])
def test_the_matrices_are_exact(outputs: int, taps: int) -> None:
    matrices = transforms(outputs, taps)
    data = [Fraction(int(n), 7) for n in RNG.integers(-50, 50, outputs + taps - 1)]
    weight = [Fraction(int(n), 3) for n in RNG.integers(-50, 50, taps)]

    def product(matrix: Any, vector: Any) -> list[Fraction]:
        return [sum((a * b for a, b in zip(row, vector)), Fraction(0)) for row in matrix]

    scaled = [a * b for a, b in zip(product(matrices.weight, weight), product(matrices.data, data))]
    expected = [sum(data[i + j] * weight[j] for j in range(taps)) for i in range(outputs)]
    assert product(matrices.output, scaled) == expected


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", CASES)
def test_against_the_oracle(name: str, mask: str) -> None:
    with masked(mask):
        for dtype, precision, limit in LIMITS if mask in ("host", "sse2") else LIMITS[:1]:
            spec, x, weight, bias = make(name, dtype)
            assert serves(spec, precision)
            out = np.full(spec.output_shape, np.nan, dtype)
            plan.output(spec, x, weight, bias, out=out, precision=precision)
            assert error(out, spec, x, weight, bias) < limit


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_are_computed_in_float32(dtype: str) -> None:
    import ml_dtypes

    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    spec, x, weight, bias = make("odd sizes, batch", kind)
    assert serves(spec)
    y = plan.output(spec, x, weight, bias)
    assert error(y, spec, x, weight, bias) < (5e-4 if dtype == "float16" else 4e-3)


def test_weights_that_reach_far_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose distances 32 bits could not hold, here as if these were fewer."""
    spec, x, weight, bias = make("whole tiles")
    turned = np.ascontiguousarray(weight.T).T
    steps: list[int] = []
    original = winograd_weights.WinogradWeights._offsets

    def noted(self: Any, kernel_steps: list[int]) -> Any:
        steps.append(kernel_steps[-1])
        return original(self, kernel_steps)

    monkeypatch.setattr(winograd_weights.WinogradWeights, "_offsets", noted)
    with costing(winograd, 0.0):
        expected = plan.output(spec, x, weight, bias)
        np.testing.assert_array_equal(plan.output(spec, x, turned, bias), expected)
        assert steps[0] == 1 < steps[1]
        monkeypatch.setattr(weight_places, "FAR", 2)
        np.testing.assert_array_equal(plan.output(spec, x, turned, bias), expected)
    assert steps[2] == 1, "taps lie side by side again"


@pytest.mark.parametrize("name", ["odd sizes, batch", "dilated", "volume", "reflect", "one column"])
def test_strides_of_the_arrays_do_not_change_a_bit(name: str) -> None:
    spec, x, weight, bias = make(name)
    expected = plan.output(spec, x, weight, bias)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    padded = np.full((*x.shape[:-1], x.shape[-1] * 2 + 3), np.nan, np.float32)[..., 1:-2:2]
    padded[...] = x
    backwards = np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    out = np.moveaxis(np.full(np.moveaxis(expected, 1, -1).shape, np.nan, np.float32), -1, 1)
    for each in (last, padded, backwards):
        np.testing.assert_array_equal(plan.output(spec, each, weight, bias), expected)
    np.testing.assert_array_equal(plan.output(spec, x, weight, bias, out=out), expected)


@pytest.mark.parametrize("name", ["many channels", "wide", "far dilated", "volume"])
@pytest.mark.parametrize("precision", ["highest", "high"])
def test_threads_do_not_change_a_bit(name: str, precision: Any) -> None:
    spec, x, weight, bias = make(name)
    results: list[Array] = []
    for threads in (1, 2, 3, 7):
        runtime.set_num_threads(threads)
        results.append(plan.output(spec, x, weight, bias, precision=precision))
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


@pytest.mark.parametrize(("in_channels", "out_channels", "size"), [(16, 16, 24), (256, 32, 12), (512, 16, 8)])
def test_errors_are_those_that_precisions_promise(in_channels: int, out_channels: int, size: int) -> None:
    """highest: no more than a chain of fp32 multiply-adds, half of what is promised. high: 1e-5."""
    shape, kernel = (1, in_channels, size, size), (out_channels, in_channels, 3, 3)
    for positive in (False, True):
        x, weight = (RNG.standard_normal(s).astype(np.float32) for s in (shape, kernel))
        x = np.maximum(x, 0) if positive else x
        spec, _ = normalize_conv(shape, kernel, None, 1, 1, rank=2, dtype=np.dtype(np.float32))
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        chain = np.zeros((out_channels, size, size), np.float32)
        for c in range(in_channels):
            for i in range(3):
                for j in range(3):
                    window = padded[0, c, i : i + size, j : j + size].astype(np.float64)
                    product = weight[:, c, i, j].astype(np.float64)[:, None, None] * window
                    chain = (chain + product).astype(np.float32)
        plain = error(chain[None], spec, x, weight, None)
        assert serves(spec)
        assert error(plan.output(spec, x, weight), spec, x, weight, None) <= plain
        assert serves(spec, "high")
        assert error(plan.output(spec, x, weight, precision="high"), spec, x, weight, None) <= 1e-5


def plainly(spec: ConvSpec, x: Array, weight: Array, bias: Array | None) -> Array:
    """What the families that do not transform compute."""
    with costing(winograd, float("inf")):
        return plan.output(spec, x, weight, bias)


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
    expected = plainly(spec, x, weight, bias)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(y), np.isinf(expected))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5 * float(np.abs(ordinary).max()))
    if where == "input":
        np.testing.assert_array_equal(y[0], ordinary[0])  # another image's trouble is not this one's
        if value != 1e4:
            np.testing.assert_array_equal(y[1], expected[1])


def test_a_neighbour_that_is_far_larger_drowns_no_output() -> None:
    """The oracle is met output by output: error relative to an output's own window, not to its tile."""
    spec, x, weight, bias = make("whole tiles")
    x[0, :, 5, 5] = 1e9
    y = plan.output(spec, x, weight, bias)
    wide = replace(spec, dtype=np.dtype(np.float64))
    exact = reference.output(wide, *(a.astype(np.float64) for a in (x, weight, bias)))
    far = np.ones_like(exact, bool)
    far[:, :, 4:7, 4:7] = False
    assert np.abs(y - exact)[far].max() < 1e-5


def test_pictures_of_eight_bits_are_not_taken_for_hard(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, x, weight, bias = make("whole tiles")
    x[:] = RNG.integers(1, 256, x.shape)
    x[0, :, :6] = 1.0
    monkeypatch.setattr(plan.Prepared, "_compute_plainly", lambda *_: pytest.fail("taken for hard"))
    assert error(plan.output(spec, x, weight, bias), spec, x, weight, bias) < 6e-7


@pytest.mark.parametrize(
    ("shape", "kernel", "dilation"),
    [
        ((5, 40, 5, 7), (30, 40, 3, 3), 1),
        ((3, 20, 17, 15), (9, 20, 3, 3), 3),
        ((3, 300, 7, 7), (40, 300, 3, 3), 1),
    ],
    ids=["small maps", "dilated", "many channels"],
)
def test_images_that_share_a_task_have_the_bits_that_each_has_alone(
    shape: tuple[int, ...], kernel: tuple[int, ...], dilation: int
) -> None:
    x, weight = (RNG.standard_normal(s).astype(np.float32) for s in (shape, kernel))

    def output(images: Array, threads: int) -> Array:
        runtime.set_num_threads(threads)
        spec, _ = normalize_conv(
            images.shape, kernel, None, 1, dilation, dilation, rank=2, dtype=np.dtype(np.float32)
        )
        assert serves(spec)
        return plan.output(spec, images, weight)

    alone = np.concatenate([output(x[i : i + 1], 1) for i in range(len(x))])
    for threads in (1, 2, 3):
        np.testing.assert_array_equal(output(x, threads), alone)


@pytest.mark.parametrize("way", ["channels"], indirect=True)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("mask", MASKS)
def test_both_ways_have_the_same_bits(
    name: str, mask: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of values that a tile drowns too; and the way that is asked for is taken, where it is legal."""
    with masked(mask) as target:
        precisions: tuple[Precision, ...] = ("highest", "high")
        for precision in precisions:
            spec, x, weight, bias = make(name)
            drowned = x.copy()
            drowned.flat[x.size // 2] = 1e9
            results: list[list[Array]] = []
            for other in (way, "tiles"):
                take(other, monkeypatch)
                legal = winograd_channels.why_illegal(*tiled(spec, bias, target, precision)) is None
                taken = "along channels" in plan_of(spec, precision=precision).describe()
                assert taken == (legal and other == "channels")
                results.append(
                    [plan.output(spec, each, weight, bias, precision=precision) for each in (x, drowned)]
                )
            for found, expected in zip(*results, strict=True):
                np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("way", ["channels"], indirect=True)
@pytest.mark.parametrize("height", range(5))
def test_slices_of_a_volume_know_nothing_of_each_other(
    height: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies between two slices in the run is no tile: both ways take the same values for hard."""
    spec, _ = normalize_conv(
        (1, 2, 5, 5, 57), (16, 2, 1, 3, 1), None, 1, (2, 0, 2), 1, 1, rank=3, dtype=np.dtype(np.float32),
        padding_mode="replicate",
    )  # fmt: skip
    x, weight = (RNG.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.weight_shape))
    x[0, 1, 2, height, 20] = 1e6
    found = plan.output(spec, x, weight)
    take("tiles", monkeypatch)
    np.testing.assert_array_equal(found, plan.output(spec, x, weight))
    # Of 1 and 4 every window of their tiles has them.
    np.testing.assert_array_equal(np.array_equal(found, plainly(spec, x, weight, None)), height not in (1, 4))


@pytest.mark.parametrize("way", ["tiles"], indirect=True)
@pytest.mark.parametrize("blocked", [False, True], ids=["values of all channels", "of some"])
@pytest.mark.parametrize("images", [1, 2, 3])
def test_cuts_do_not_change_a_bit(blocked: bool, images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands, images of a task, blocks of channels held together: every way to cut has the same bits."""
    take("tiles", monkeypatch)
    spec, x, weight, bias = make("images")
    expected = plan.output(spec, x, weight, bias)

    def cut(*arguments: Any) -> winograd_cut.Cut:
        cutter = winograd_cut.Cutter(*arguments)
        make_cut = cutter.blocked if blocked else cutter.whole
        length = cutter.kernel.length
        return make_cut(images, -(-cutter.layout.flat // length) * length if images > 1 else length, 2)

    monkeypatch.setattr(winograd, "cut_tasks", cut)
    plan.clear_plans()
    np.testing.assert_array_equal(plan.output(spec, x, weight, bias), expected)


@pytest.mark.parametrize("way", ["channels"], indirect=True)
@pytest.mark.parametrize("name", ["images", "small maps", "volume", "odd sizes, batch", "wide", "groups"])
def test_cuts_along_channels_do_not_change_a_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes of some images, an image, slices, rows, parts of rows; blocks and groups of output channels."""
    spec, x, weight, bias = make(name)
    take("tiles", monkeypatch)
    expected = plan.output(spec, x, weight, bias)
    cuts: dict[Any, winograd_channels_cut.ChannelsCut] = {}

    def cut(*arguments: Any) -> winograd_channels_cut.ChannelsCut:
        cutter = winograd_channels_cut.Cutter(*arguments)
        cuts.update(
            {(each.box, each.out_blocks > 1, each.out_group > 1): each for each in cutter.candidates()}
        )
        return next(iter(cuts.values()))

    monkeypatch.setattr(winograd_channels, "cut_channels", cut)
    take("channels", monkeypatch)
    plan_of(spec)
    assert len(cuts) > 1
    for chosen in list(cuts.values()):
        monkeypatch.setattr(winograd_channels, "cut_channels", lambda *_, chosen=chosen: chosen)
        plan.clear_plans()
        np.testing.assert_array_equal(plan.output(spec, x, weight, bias), expected)
