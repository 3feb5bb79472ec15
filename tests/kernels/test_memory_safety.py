"""Kernels read and write exactly what is theirs: guard pages, poisoned outputs, unread memory full of NaN."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from convforge import plan, reference, runtime
from convforge.plan.grad_weight import winograd as grad_weight_winograd
from convforge.plan.winograd import tiles as winograd
from convforge.problem import ConvSpec, normalize_conv
from support.convolutions import numpy_dtype
from support.families import costing
from support.guarded import Guarded, GuardedScratch
from support.quantized import run_dot, some_bytes, some_rescaling, ways
from support.targets import MASKS, masked
from support.tolerance import assert_close

CASES = {
    "packed": {"shape": (2, 5, 13, 19), "weight": (7, 5, 3, 3), "padding": 1},
    "in place": {"shape": (1, 6, 9, 23), "weight": (5, 6, 1, 1)},
    "stride 2": {"shape": (1, 3, 15, 21), "weight": (4, 3, 3, 3), "stride": 2, "padding": 1},
    "stride 3": {"shape": (1, 3, 15, 22), "weight": (4, 3, 3, 3), "stride": 3},
    "stride 4": {"shape": (1, 3, 27, 150), "weight": (5, 3, 11, 11), "stride": 4, "padding": 2},
    "stride 7, padded": {"shape": (1, 3, 15, 129), "weight": (4, 3, 7, 7), "stride": 7, "padding": 3},
    "stride 4, patches": {"shape": (1, 3, 9, 133), "weight": (4, 3, 4, 4), "stride": 4},
    "stride 4, reflect": {
        "shape": (1, 3, 9, 67),
        "weight": (4, 3, 7, 7),
        "stride": 4,
        "padding": 3,
        "padding_mode": "reflect",
    },
    "stride 4, signal": {"shape": (2, 3, 1027), "weight": (4, 3, 9), "stride": 4, "padding": 4},
    "depthwise": {"shape": (1, 6, 7, 7), "weight": (6, 1, 3, 3), "padding": 1, "groups": 6},
    "depthwise, stride 2": {"shape": (1, 5, 21, 37), "weight": (10, 1, 5, 5), "stride": 2, "groups": 5},
    "depthwise map, stride 2": {
        "shape": (1, 5, 14, 14),
        "weight": (10, 1, 5, 5),
        "stride": 2,
        "padding": 2,
        "groups": 5,
    },
    "depthwise rows": {"shape": (1, 4, 40, 70), "weight": (4, 1, 3, 5), "padding": 2, "groups": 4},
    "depthwise rows, stride 2": {
        "shape": (1, 3, 150, 64),
        "weight": (3, 1, 3, 3),
        "stride": 2,
        "padding": 1,
        "groups": 3,
    },
    "depthwise signal": {"shape": (1, 3, 1111), "weight": (3, 1, 31), "padding": 15, "groups": 3},
    "depthwise large": {"shape": (1, 3, 21, 37), "weight": (3, 1, 13, 11), "padding": 5, "groups": 3},
    "depthwise volume": {"shape": (1, 3, 4, 9, 20), "weight": (3, 1, 2, 3, 3), "padding": 1, "groups": 3},
    "small map": {"shape": (1, 9, 5, 7), "weight": (37, 9, 3, 3), "padding": 1},
    "small map, in place": {"shape": (2, 40, 3, 3), "weight": (128, 20, 1, 1), "groups": 2},
    "small map, transposed": {
        "shape": (1, 20, 4, 4),
        "weight": (20, 33, 4, 4),
        "stride": 2,
        "padding": 1,
        "transposed": True,
    },
    "reflect": {"shape": (1, 3, 9, 33), "weight": (4, 3, 5, 5), "padding": 2, "padding_mode": "reflect"},
    "transposed": {
        "shape": (1, 4, 6, 9),
        "weight": (4, 3, 4, 4),
        "stride": 2,
        "padding": 1,
        "transposed": True,
    },
    "dilated": {"shape": (1, 3, 17, 19), "weight": (4, 3, 3, 3), "padding": 2, "dilation": 3},
    "circular": {"shape": (1, 3, 6, 35), "weight": (4, 3, 3, 3), "padding": 1, "padding_mode": "circular"},
    "volume": {"shape": (1, 3, 4, 5, 6), "weight": (4, 3, 3, 3, 3), "padding": 1},
}

# Memory that ends where a guard begins, on every processor; that begins where one ends, with the widest
# vectors and the narrowest.
PLACES = [*((mask, True) for mask in MASKS), ("host", False), ("sse2", False)]


def check(actual: np.ndarray[Any, Any], product: Any, spec: ConvSpec, *arrays: np.ndarray[Any, Any]) -> None:
    """A product against the oracle's in float64, within what fp32 allows for sums of its length."""
    exact = replace(spec, dtype=np.dtype(np.float64))
    channels = max(spec.in_channels, spec.out_channels) // spec.groups
    outputs = spec.batch * max(np.prod(spec.input_size), np.prod(spec.output_size))
    length = int(max(channels * np.prod(spec.kernel_size), outputs))
    assert_close(actual, product(exact, *arrays), product(exact, *map(np.abs, arrays)), length)


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize(("mask", "at_end"), PLACES)
@pytest.mark.parametrize("way", ["along tiles", "along channels", "plain"])
@pytest.mark.parametrize("name", CASES)
def test_nothing_outside_the_arrays_is_touched(
    name: str, way: str, mask: str, at_end: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd, "channels_are_cheaper", lambda *_: way == "along channels")
    spec = _spec(**CASES[name])
    generator, guarded = np.random.default_rng(0), Guarded()
    monkeypatch.setattr(runtime, "scratch", GuardedScratch())
    x, weight, gradient = (
        guarded.array(generator.standard_normal(s).astype(np.float32), at_end=at_end)
        for s in (spec.input_shape, spec.weight_shape, spec.output_shape)
    )
    bias = guarded.array(generator.standard_normal(spec.out_channels).astype(np.float32), at_end=at_end)
    out = guarded.array(np.full(spec.output_shape, np.nan, np.float32), at_end=at_end)
    cycles = float("inf") if way == "plain" else 0.0
    with masked(mask), costing(winograd, cycles), costing(grad_weight_winograd, cycles):
        plan.output(spec, x, weight, bias, out=out)
        check(out, reference.output, spec, x, weight, bias)
        back = guarded.array(np.full(spec.input_shape, np.nan, np.float32), at_end=at_end)
        plan.grad_input(spec, gradient, weight, out=back)
        check(back, reference.grad_input, spec, gradient, weight)
        found = plan.grad_weight(spec, x, gradient)
        check(found, reference.grad_weight, spec, x, gradient)


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8", "int16", "float64"])
@pytest.mark.parametrize("width", [1, 5, 9, 17, 33])
def test_one_lane_of_a_vector_is_one_element(width: int, dtype: str, mask: str) -> None:
    """A masked store of a single narrowed element was once as wide as before it was narrowed."""
    kind, guarded = numpy_dtype(dtype), Guarded()
    spec, _ = normalize_conv((1, 3, 6, width), (3, 1, 3, 3), None, 1, 1, 1, 3, rank=2, dtype=kind)
    generator = np.random.default_rng(0)
    x, weight = (
        guarded.array(generator.integers(-3, 4, s).astype(kind), at_end=True)
        for s in (spec.input_shape, spec.weight_shape)
    )
    out = guarded.array(np.zeros(spec.output_shape, kind), at_end=True)
    with masked(mask):
        plan.output(spec, x, weight, out=out)
    exact = replace(spec, dtype=np.dtype(np.float64))
    expected = reference.output(exact, x.astype(np.float64), weight.astype(np.float64))
    np.testing.assert_array_equal(out.astype(np.float64), expected)


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize(("mask", "at_end"), PLACES)
@pytest.mark.parametrize("name", CASES)
def test_bytes_outside_the_arrays_are_not_touched(name: str, mask: str, at_end: bool) -> None:
    spec = replace(_spec(**CASES[name]), dtype=np.dtype(np.uint8))
    generator, guarded = np.random.default_rng(0), Guarded()
    x = guarded.array(some_bytes(generator, spec.input_shape, np.uint8), at_end=at_end)
    weight = some_bytes(generator, spec.weight_shape, np.int8)
    with masked(mask) as target:
        for output in ("uint8", "float32"):
            rescaling = some_rescaling(generator, spec, output)
            expected = reference.quantized_output(spec, x, weight, rescaling)
            for products, instruction in ways(spec, target):
                out = guarded.array(np.zeros(spec.output_shape, output), at_end=at_end)
                run_dot(
                    spec, x, weight, rescaling, out, products=products, instruction=instruction, threads=2
                )
                np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("way", ["along tiles", "along channels", "plain"])
@pytest.mark.parametrize("name", CASES)
def test_gaps_of_strided_arrays_are_neither_read_nor_written(
    name: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd, "channels_are_cheaper", lambda *_: way == "along channels")
    spec = _spec(**CASES[name])
    generator = np.random.default_rng(0)

    def gapped(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        return np.full([2 * n + 1 for n in shape], np.nan, np.float32)[
            tuple(slice(1, None, 2) for _ in shape)
        ]

    x, out = gapped(spec.input_shape), gapped(spec.output_shape)
    x[...] = generator.standard_normal(spec.input_shape)
    weight = generator.standard_normal(spec.weight_shape).astype(np.float32)
    with costing(winograd, float("inf") if way == "plain" else 0.0):
        plan.output(spec, x, weight, out=out)
    check(out, reference.output, spec, x, weight)
    assert out.base is not None
    assert np.isnan(out.base).sum() == out.base.size - out.size, "a gap of the output was written"


def _spec(
    shape: tuple[int, ...], weight: tuple[int, ...], transposed: bool = False, **arguments: Any
) -> ConvSpec:
    return normalize_conv(
        shape,
        weight,
        None,
        rank=len(shape) - 2,
        transposed=transposed,
        dtype=np.dtype(np.float32),
        **arguments,
    )[0]
