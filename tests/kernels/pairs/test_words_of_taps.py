"""Words of one channel at two neighbouring taps: what few or an odd number of channels are computed with."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from convforge import plan, reference, runtime
from convforge.plan.describe import plan_of
from convforge.plan.direct import gather as direct
from convforge.plan.pairs import gather as pairs
from convforge.plan.pairs.words import words_of
from convforge.problem.gather import gather_of
from support.families import costing
from support.guarded import Guarded, GuardedScratch
from support.pairs import computes_again, served_by
from support.split_bf16 import error, make as make_case, poisoned

Array = Any
BF16 = np.dtype(ml_dtypes.bfloat16)
CASES: dict[str, dict[str, Any]] = {
    "grey": {"shape": (2, 1, 20, 33), "weight": (17, 1, 5, 5), "padding": 2},
    "grey, even": {"shape": (1, 1, 12, 40), "weight": (16, 1, 4, 4)},
    "two taps": {"shape": (1, 1, 9, 17), "weight": (20, 1, 1, 2)},
    "first layer": {"shape": (2, 3, 30, 41), "weight": (24, 3, 7, 7), "stride": 2, "padding": 3},
    "stride 3": {"shape": (1, 3, 25, 50), "weight": (16, 3, 7, 7), "stride": 3, "padding": 2},
    "stride 4": {"shape": (1, 3, 39, 51), "weight": (19, 3, 11, 11), "stride": 4, "padding": 2},
    "patches": {"shape": (2, 3, 28, 35), "weight": (40, 3, 7, 7), "stride": 7},
    "even patches": {"shape": (1, 3, 16, 24), "weight": (33, 3, 4, 4), "stride": 4},
    "stride beyond": {"shape": (1, 1, 17, 40), "weight": (16, 1, 3, 3), "stride": 5},
    "dilated": {"shape": (1, 1, 24, 29), "weight": (18, 1, 3, 3), "padding": 4, "dilation": 4},
    "dilated by the stride": {
        "shape": (1, 3, 20, 40),
        "weight": (16, 3, 5, 5),
        "stride": 2,
        "padding": 3,
        "dilation": 2,
    },
    "reflected": {"shape": (1, 3, 18, 21), "weight": (16, 3, 7, 7), "padding": 3, "padding_mode": "reflect"},
    "circular": {
        "shape": (1, 1, 9, 35),
        "weight": (16, 1, 5, 5),
        "stride": 2,
        "padding": 2,
        "padding_mode": "circular",
    },
    "groups": {"shape": (2, 15, 11, 19), "weight": (40, 3, 7, 7), "padding": 3, "groups": 5},
    "sound": {"shape": (2, 1, 3000), "weight": (33, 1, 10), "stride": 5},
    "causal": {"shape": (1, 1, 500), "weight": (16, 1, 2), "padding": ((16, 0),), "dilation": 16},
    "volume": {"shape": (1, 1, 6, 9, 20), "weight": (16, 1, 3, 3, 3), "padding": 1},
    "narrow": {"shape": (2, 1, 30, 2), "weight": (16, 1, 3, 3), "padding": 1},
    "transposed": {"shape": (1, 3, 14, 15), "weight": (3, 16, 7, 7), "transposed": True, "padding": 2},
    "phases of rows": {
        "shape": (2, 3, 9, 15),
        "weight": (3, 16, 4, 5),
        "transposed": True,
        "stride": (2, 1),
        "padding": 1,
    },
    "phases of slices": {
        "shape": (1, 1, 4, 5, 17),
        "weight": (1, 18, 3, 3, 3),
        "transposed": True,
        "stride": (3, 2, 1),
        "padding": 1,
    },
}


def make(name: str, dtype: Any = np.float32) -> tuple[Any, Array, Array, Array]:
    """A case whose words are of taps, of numbers that bf16 has."""
    spec, *arrays = make_case(name, dtype, CASES)
    assert words_of(gather_of(spec)).ways == 1
    x, weight, bias = (array.astype(BF16).astype(dtype) for array in arrays)
    return spec, x, weight, bias


@pytest.mark.parametrize("mask", ["host", "avx2"])
@pytest.mark.parametrize("name", CASES)
def test_against_the_oracle(name: str, mask: str) -> None:
    spec, x, weight, bias = make(name)
    with served_by(pairs, mask):
        assert plan_of(spec, precision="medium").describe().startswith("bf16 pairs")
        y = plan.output(spec, x, weight, bias, out=poisoned(spec), precision="medium")
    assert error(y, spec, x, weight, bias) < 5e-7


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, BF16])
@pytest.mark.parametrize("name", CASES)
def test_nothing_outside_the_arrays_is_touched(
    name: str, dtype: Any, at_end: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scratch is full of NaN at first: what was never written must not be taken for values."""
    spec, *arrays = make(name, dtype)
    guarded = Guarded()
    monkeypatch.setattr(runtime, "scratch", GuardedScratch())
    x, weight, bias = (guarded.array(array, at_end=at_end) for array in arrays)
    out = guarded.array(np.full(spec.output_shape, np.nan, dtype), at_end=at_end)
    again = computes_again(monkeypatch)
    with served_by(pairs):
        plan.output(spec, x, weight, bias, out=out, precision="medium")
    assert not again
    assert error(out, spec, x, weight, bias) < 5e-3


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e20, 1e-20, 1e-40])
@pytest.mark.parametrize("corner", [0, -1])
@pytest.mark.parametrize("name", ["grey", "first layer", "sound", "narrow"])
def test_hard_values_are_seen(name: str, corner: int, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the image's first number, and in the last that an output reads."""
    spec, x, weight, bias = make(name)
    last = [(o - 1) * s + k - 1 for o, s, k in zip(spec.output_size, spec.stride, spec.kernel_size)]
    ends = [min(at - p[0], size - 1) for at, p, size in zip(last, spec.padding, spec.input_size)]
    x[(1, -1, *ends) if corner else (1, 0, *[0] * len(ends))] = value
    with np.errstate(all="ignore"), served_by(pairs), costing(direct, 0.0):
        again = computes_again(monkeypatch)
        y = plan.output(spec, x, weight, bias, out=poisoned(spec), precision="medium")
        assert again
    with costing(direct, -1.0):
        plain = plan.output(spec, x, weight, bias)
    np.testing.assert_array_equal(y[1], plain[1])
    assert np.isfinite(y[0]).all()


@pytest.mark.parametrize("name", ["grey", "first layer", "sound", "groups"])
def test_the_same_bits_whatever_threads_batch_and_layout(name: str) -> None:
    spec, x, weight, bias = make(name)
    one = replace(spec, batch=1)
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    with served_by(pairs):
        y = plan.output(spec, x, weight, bias, precision="medium")
        for threads in (1, 3):
            before = runtime.get_num_threads()
            runtime.set_num_threads(threads)
            try:
                np.testing.assert_array_equal(plan.output(spec, x, weight, bias, precision="medium"), y)
            finally:
                runtime.set_num_threads(before)
        turned = plan.output(spec, np.moveaxis(last, -1, 1), weight, bias, precision="medium")
        np.testing.assert_array_equal(turned, y)
        alone = plan.output(one, x[1:], weight, bias, precision="medium")
        np.testing.assert_array_equal(alone, y[1:])


def test_the_input_gradient() -> None:
    """Of a layer with three outputs: a transposed layer of three inputs."""
    spec, x, weight, _ = make("transposed")
    back = make_case("of a layer", np.float32, {"of a layer": {
        "shape": (1, 16, *spec.output_size), "weight": (3, 16, 7, 7), "padding": 2,
    }})[0]  # fmt: skip
    with served_by(pairs):
        found = plan.grad_input(back, x, weight, precision="medium")
    wide = replace(back, dtype=np.dtype(np.float64))
    expected = reference.grad_input(wide, x.astype(np.float64), weight.astype(np.float64))
    assert np.linalg.norm(found - expected) < 5e-7 * np.linalg.norm(expected)


def test_words_are_of_what_needs_fewer() -> None:
    ways = {
        (1, 5): 1,  # 3 words of taps, 5 of half a channel
        (2, 5): 2,  # 6 and 5
        (3, 3): 2,  # 6 and 6
        (3, 7): 1,  # 12 and 14
        (16, 3): 2,
        (1, 1): 2,
    }
    for (channels, size), expected in ways.items():
        spec = make_case("", np.float32, {"": {
            "shape": (1, channels, 20, 20), "weight": (16, channels, size, size),
        }})[0]  # fmt: skip
        assert words_of(gather_of(spec)).ways == expected
