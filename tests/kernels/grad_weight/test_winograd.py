"""Weight gradients by Winograd's algorithm: promised errors, and values that are not for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from convforge import plan, reference
from convforge.plan.grad_weight import winograd as grad_weight_winograd
from convforge.plan.request import GradWeightRequest
from convforge.problem import ConvSpec, Precision, normalize_conv
from convforge.problem.gather import gather_of
from convforge.schedule import layout_of
from convforge.schedule.winograd import Tiling, gradient_gathers
from convforge.target import Target
from support.families import costing
from support.targets import MASKS, masked

Array = Any
RNG = np.random.default_rng(5)
SHAPES = {
    "maps": ((4, 9, 14, 15), (11, 9, 3, 3)),
    "volumes": ((2, 5, 5, 6, 9), (6, 5, 3, 3, 3)),
    "signals": ((3, 9, 100), (20, 9, 3)),
    "dilated": ((3, 9, 25, 30), (20, 9, 3, 3)),
}


@pytest.fixture(autouse=True)
def chosen() -> Iterator[None]:
    """Winograd wherever it is legal."""
    with costing(grad_weight_winograd, 0.0):
        yield


def make(name: str, dtype: Any = np.float32) -> tuple[ConvSpec, Array, Array]:
    """The spec, input and grad-output of a layer that pads by 1."""
    shape, weight = SHAPES[name]
    dilation = 3 if name == "dilated" else 1
    spec, _ = normalize_conv(
        shape, weight, None, padding=1, dilation=dilation, rank=len(shape) - 2, dtype=np.dtype(dtype)
    )
    x, gradient = (RNG.standard_normal(s).astype(dtype) for s in (spec.input_shape, spec.output_shape))
    return spec, x, gradient


def plain(spec: ConvSpec, x: Array, gradient: Array) -> Array:
    """The gradient by the family that takes all values as they are."""
    with costing(grad_weight_winograd, float("inf")):
        return plan.grad_weight(spec, x, gradient)


def is_served(spec: ConvSpec, x: Array, gradient: Array) -> bool:
    """Whether the family takes these values."""
    request = GradWeightRequest(spec, x.strides, gradient.strides)
    found = np.zeros(spec.weight_shape, spec.dtype)
    return grad_weight_winograd.plan(request, Target.host(), 2)(x, gradient, found)


def chain(spec: ConvSpec, x: Array, gradient: Array) -> Array:
    """Each element as one chain of fp32 multiply-adds over images and pixels."""
    padded = np.pad(x, [(0, 0), (0, 0), *[(1, 1)] * spec.rank])
    total = np.zeros(spec.weight_shape, np.float32)
    for tap in np.ndindex(*spec.kernel_size):
        begins = [k * d for k, d in zip(tap, spec.dilation, strict=True)]
        part = padded[(..., *(slice(k, k + n) for k, n in zip(begins, spec.output_size, strict=True)))]
        a = np.moveaxis(gradient, 1, -1).reshape(-1, spec.out_channels)
        b = np.moveaxis(part, 1, -1).reshape(-1, spec.in_channels)
        held = np.zeros((spec.out_channels, spec.in_channels), np.float32)
        for g, v in zip(a.astype(np.float64), b.astype(np.float64), strict=True):
            held = (held + np.outer(g, v)).astype(np.float32)
        total[(..., *tap)] = held
    return total


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("mask", MASKS)
def test_errors_are_as_promised(name: str, mask: str) -> None:
    spec, x, gradient = make(name)
    exact = reference.grad_weight(replace(spec, dtype=np.dtype(np.float64)), x, gradient)
    allowed: dict[Precision, float] = {"highest": 2 * _error(chain(spec, x, gradient), exact), "high": 1e-5}
    for precision, most in allowed.items():
        with masked(mask):
            found = plan.grad_weight(spec, x, gradient, precision=precision)
        assert _error(found, exact) <= most, precision


def _error(y: Array, exact: Array) -> float:
    return float(np.linalg.norm(y - exact) / np.linalg.norm(exact))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e38, 1e25, 3e-38])
@pytest.mark.parametrize("which", ["x", "grad_output", "both"])
def test_values_out_of_range_come_out_as_by_a_plain_sum(value: float, which: str) -> None:
    spec, x, gradient = make("maps")
    for array in (x, gradient):
        if which == "both" or array is (x if which == "x" else gradient):
            if abs(value) < 1:
                array[...] *= value
            else:
                array[1, 3, 4, 5] = value
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(plan.grad_weight(spec, x, gradient), plain(spec, x, gradient))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_a_sentinel_where_the_gradient_is_zero_drowns_nothing(name: str, scale: float) -> None:
    """1e9 where a mask lets no gradient through, next to places where it does."""
    spec, x, gradient = make(name)
    gradient *= np.float32(scale)
    middle = tuple(n // 2 for n in spec.output_size)
    x[(0, 2, *middle)] = 1e9
    readers = [[m + 1 - k * d for k in range(3)] for m, d in zip(middle, spec.dilation, strict=True)]
    gradient[np.ix_([0], range(spec.out_channels), *readers)] = 0
    assert not is_served(spec, x, gradient)
    exact = reference.grad_weight(replace(spec, dtype=np.dtype(np.float64)), x, gradient)
    assert _error(plan.grad_weight(spec, x, gradient), exact) < 1e-6


@pytest.mark.parametrize("name", SHAPES)
def test_ordinary_values_are_served(name: str) -> None:
    """Channels of other scales, gradients of a mean over many pixels, zeros after ReLU, means, nothing."""
    spec, x, gradient = make(name)
    scales = np.float32(10.0) ** RNG.integers(-6, 6, (1, spec.in_channels, *[1] * spec.rank)).astype(
        np.float32
    )
    assert is_served(spec, x, gradient)
    assert is_served(spec, x * scales, gradient)
    assert is_served(spec, x, gradient * np.float32(1e-12))
    assert is_served(spec, np.maximum(x, 0), gradient * (RNG.random(gradient.shape) < 0.1))
    assert is_served(spec, x + 1, gradient)
    assert is_served(spec, x, np.zeros_like(gradient))
    half = gradient.copy()
    half[: spec.batch // 2] = 0
    assert is_served(spec, x, half)


def test_what_lies_below_the_squares_of_floats_does_not_vanish() -> None:
    spec, x, gradient = make("maps")
    small = gradient * np.float32(1e-30)
    found = plan.grad_weight(spec, x, small)
    assert np.abs(found).min() > 0
    np.testing.assert_array_equal(found, plain(spec, x, small))


def test_doubles_have_the_error_of_doubles() -> None:
    spec, x, gradient = make("maps", np.float64)
    with costing(grad_weight_winograd, float("inf")):
        exact = plan.grad_weight(spec, x, gradient)
    assert 0 < _error(plan.grad_weight(spec, x, gradient), exact) < 1e-15


def test_tiles_are_whole_ones() -> None:
    """Of 7 outputs there are 4 tiles of 2; what grad-output lacks is zero, and the input has its padding."""
    spec, _ = normalize_conv((1, 3, 7, 8), (5, 3, 3, 3), None, padding=1, rank=2, dtype="float32")
    x, gradient = gradient_gathers(gather_of(spec), Tiling((1, 3, 3), (1, 2, 2)))
    assert [axis.columns for axis in x.axes] == [axis.columns for axis in gradient.axes] == [1, 8, 8]
    assert gradient.in_channels == 5
    assert x.axes[1].sources(0, 10).tolist() == [-1, 0, 1, 2, 3, 4, 5, 6, -1, -1]
    assert gradient.axes[1].sources(0, 8).tolist() == [0, 1, 2, 3, 4, 5, 6, -1]
    assert layout_of(gradient).total_rows == 8


def test_why_it_cannot_serve() -> None:
    def reason(weight: tuple[int, ...], dtype: str = "float32", **arguments: Any) -> str:
        spec, _ = normalize_conv((1, 4, 9, 9), weight, None, rank=2, dtype=np.dtype(dtype), **arguments)
        request = GradWeightRequest(spec, (0,) * 4, (0,) * 4)
        return grad_weight_winograd.why_illegal(request, Target.host()) or ""

    assert reason((4, 4, 3, 3)) == ""
    assert "int32 is not a floating-point type" in reason((4, 4, 3, 3), "int32")
    assert "stride 2" in reason((4, 4, 3, 3), stride=2)
    assert "dilation 2" in reason((4, 4, 3, 3), dilation=2, padding=1, padding_mode="circular")
    assert reason((4, 4, 3, 3), dilation=2) == ""
    assert "keeps precision 'highest'" in reason((4, 4, 5, 5))
    assert "keeps precision" in reason((4, 4, 1, 1))
