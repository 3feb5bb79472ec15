"""Layers for the tests of products of bf16 parts, and how exact these are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from convforge import plan, reference, runtime
from convforge.plan.describe import plan_of
from convforge.problem import ConvSpec, Precision, normalize_conv

Array = Any
RNG = np.random.default_rng(5)
# ‖y − y64‖ / ‖y64‖: twice that of fp32 multiply-adds, and what the other precisions promise.
LIMITS: dict[Precision, float] = {"highest": 5e-7, "high": 1e-5, "medium": 1e-2}

CASES: dict[str, dict[str, Any]] = {
    "one of each tile": {"shape": (1, 32, 4, 4), "weight": (16, 32, 1, 1)},
    "batch": {"shape": (3, 33, 9, 11), "weight": (17, 33, 3, 3), "padding": 1},
    "no padding": {"shape": (1, 18, 9, 8), "weight": (20, 18, 3, 3)},
    "uneven padding": {"shape": (1, 18, 9, 8), "weight": (20, 18, 3, 2), "padding": (2, 0)},
    "pointwise": {"shape": (2, 40, 14, 14), "weight": (24, 40, 1, 1)},
    "windows": {"shape": (2, 520, 13, 20), "weight": (33, 520, 1, 1)},
    "beside": {"shape": (2, 37, 30, 31), "weight": (40, 37, 1, 1)},
    "one tap by a table": {"shape": (2, 50, 43, 41), "weight": (20, 50, 1, 1), "stride": 2, "padding": 1},
    "one tap, reflect": {
        "shape": (1, 33, 9, 21),
        "weight": (17, 33, 1, 1),
        "padding": 2,
        "padding_mode": "reflect",
    },
    "phases of one tap": {
        "shape": (1, 40, 20, 21),
        "weight": (40, 18, 2, 2),
        "transposed": True,
        "stride": 2,
    },
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
    "images as slices": {"shape": (5, 20, 7, 7), "weight": (520, 20, 1, 1)},
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
# Fewer channels than half a tile: their taps are channels (schedule/fold.py).
FOLDED: dict[str, dict[str, Any]] = {
    "photograph": {"shape": (2, 3, 13, 19), "weight": (17, 3, 3, 3), "padding": 1},
    "first layer": {"shape": (1, 3, 23, 38), "weight": (20, 3, 7, 7), "stride": 2, "padding": 3},
    "patches": {"shape": (1, 3, 16, 24), "weight": (16, 3, 4, 4), "stride": 4},
    "uneven stride": {
        "shape": (2, 4, 11, 37),
        "weight": (9, 4, 5, 3),
        "stride": (1, 2),
        "padding": (2, 0),
        "dilation": (2, 1),
    },
    "few channels in groups": {"shape": (1, 14, 6, 18), "weight": (32, 7, 3, 3), "padding": 1, "groups": 2},
    "sound": {"shape": (2, 1, 700), "weight": (16, 1, 10), "stride": 5},
    "dilated sound": {"shape": (1, 5, 90), "weight": (33, 5, 3), "padding": ((8, 0),), "dilation": 4},
    "few in a volume": {"shape": (1, 3, 4, 6, 17), "weight": (16, 3, 3, 3, 3), "padding": 1},
    "strided volume": {"shape": (2, 2, 7, 9, 10), "weight": (10, 2, 3, 3, 3), "stride": 2, "padding": 1},
    "few, reflected": {
        "shape": (1, 3, 8, 21),
        "weight": (16, 3, 3, 3),
        "padding": 2,
        "padding_mode": "reflect",
    },
}
CASES |= FOLDED
# Of sums of up to 2700 products of normal numbers, some 50 in size.
SUM_ERROR = 1e-4


def spec_of(
    shape: tuple[int, ...], weight: tuple[int, ...], dtype: Any = np.float32, **case: Any
) -> ConvSpec:
    return normalize_conv(shape, weight, None, rank=len(shape) - 2, dtype=np.dtype(dtype), **case)[0]


def make(
    name: str, dtype: Any = np.float32, cases: dict[str, dict[str, Any]] = CASES
) -> tuple[ConvSpec, Array, Array, Array]:
    """A case's spec, input, weight and bias."""
    spec = spec_of(dtype=dtype, **cases[name])
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


def check_against_the_oracle(
    made: tuple[ConvSpec, Array, Array, Array], precision: Precision, unit: Any
) -> None:
    """That a tile unit has computed a case (support.tile_unit), within what a precision promises."""
    spec, x, weight, bias = made
    before = unit.products
    y = plan.output(spec, x, weight, bias, out=poisoned(spec), precision=precision)
    assert error(y, spec, x, weight, bias) < LIMITS[precision]
    assert before is None or unit.products > before, "tiles were multiplied"
    assert not unit.configured, "every task releases its tiles"


def output_of_any_threads(spec: ConvSpec, x: Array, weight: Array, bias: Array) -> Array:
    """What all numbers of threads compute, bit for bit."""
    results: list[Array] = []
    for threads in (1, 2, 3, 7):
        runtime.set_num_threads(threads)
        results.append(plan.output(spec, x, weight, bias, out=poisoned(spec)))
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])
    return results[0]


def check_with_scratch_of_others(made: tuple[ConvSpec, Array, Array, Array]) -> None:
    """That a case comes out right whatever scratch held before it: NaN everywhere."""
    spec, x, weight, bias = made
    runtime.scratch.address(1 << 22)
    runtime.scratch._memory.view(np.float32)[:] = np.nan
    y = plan.output(spec, x, weight, bias, out=poisoned(spec))
    assert error(y, spec, x, weight, bias) < LIMITS["highest"]


def poisoned(spec: ConvSpec) -> Array:
    return np.full(spec.output_shape, np.nan, spec.dtype)


def serves(spec: ConvSpec, precision: Precision = "highest") -> bool:
    return "split bf16" in plan_of(spec, precision=precision).describe()


def plan_request(spec: ConvSpec, precision: Precision = "highest") -> Any:
    x, y = (np.empty(s, spec.dtype) for s in (spec.input_shape, spec.output_shape))
    return plan.prepared.OutputRequest(spec, x.strides, y.strides, False, "none", precision)
