"""The same bits whatever the threads, the place in the batch, and the layout of the input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from convforge import plan, reference, runtime
from convforge.plan import planner
from convforge.plan.direct import gather as direct
from convforge.plan.request import OutputRequest
from convforge.plan.winograd import tiles as winograd
from convforge.problem import ConvSpec, normalize_conv
from convforge.target import Target

LAYERS = {
    "dense": ((3, 70, 14, 14), (64, 70, 3, 3), 1, 1),
    "pointwise": ((3, 300, 28, 28), (40, 300, 1, 1), 0, 1),
    "depthwise": ((3, 48, 28, 28), (48, 1, 3, 3), 1, 48),
    "depthwise, wide": ((3, 5, 40, 70), (5, 1, 3, 5), 2, 5),
    "depthwise, large": ((3, 5, 20, 37), (5, 1, 13, 11), 5, 5),
    "depthwise signal": ((3, 7, 1111), (7, 1, 31), 15, 7),
    "depthwise volume": ((3, 5, 6, 20, 20), (5, 1, 3, 3, 3), 1, 5),
    "volume": ((3, 9, 6, 14, 14), (20, 9, 3, 3, 3), 1, 1),
}


@pytest.fixture(autouse=True)
def threads_restored() -> Iterator[None]:
    before = runtime.get_num_threads()
    yield
    runtime.set_num_threads(before)


@pytest.mark.parametrize("name", LAYERS)
def test_threads_do_not_change_a_bit(name: str) -> None:
    spec, x, weight, gradient = _arrays(name)
    results = []
    for threads in (1, 2, 3, 7):
        runtime.set_num_threads(threads)
        results.append(
            (
                plan.output(spec, x, weight),
                plan.grad_input(spec, gradient, weight),
                plan.grad_weight(spec, x, gradient),
            )
        )
    for others in results[1:]:
        for first, other in zip(results[0], others, strict=True):
            np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("name", LAYERS)
def test_place_in_the_batch_does_not_change_a_bit(name: str) -> None:
    spec, x, weight, gradient = _arrays(name)
    shape, kernel, padding, groups = LAYERS[name]
    one, _ = normalize_conv(
        (1, *shape[1:]), kernel, None, 1, padding, 1, groups, rank=spec.rank, dtype=spec.dtype
    )
    whole, back = plan.output(spec, x, weight), plan.grad_input(spec, gradient, weight)
    for i in range(len(x)):
        np.testing.assert_array_equal(plan.output(one, x[i : i + 1], weight)[0], whole[i])
        np.testing.assert_array_equal(plan.grad_input(one, gradient[i : i + 1], weight)[0], back[i])


@pytest.mark.parametrize("name", LAYERS)
def test_layout_does_not_change_a_bit(name: str) -> None:
    spec, x, weight, gradient = _arrays(name)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    backwards = np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    for other in (last, backwards):
        np.testing.assert_array_equal(plan.output(spec, other, weight), plan.output(spec, x, weight))
        np.testing.assert_array_equal(
            plan.grad_weight(spec, other, gradient), plan.grad_weight(spec, x, gradient)
        )


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize(
    ("size", "kernel"), [((21, 40), (3, 5)), ((64, 90), (3, 5)), ((7, 7), (3, 3)), ((30, 31), (11, 13))]
)
def test_an_output_with_gaps_does_not_change_a_bit(
    stride: int, dilation: int, size: tuple[int, int], kernel: tuple[int, int]
) -> None:
    """A strided output is written by another family: it adds up in the same order."""
    spec, _ = normalize_conv(
        (1, 6, *size),
        (6, 1, *kernel),
        None,
        stride,
        2 * dilation,
        dilation,
        6,
        rank=2,
        dtype=np.dtype(np.float32),
    )
    generator = np.random.default_rng(0)
    x, weight = (
        generator.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.weight_shape)
    )
    gapped = np.empty((*spec.output_shape, 2), np.float32)[..., 0]
    np.testing.assert_array_equal(plan.output(spec, x, weight, out=gapped), plan.output(spec, x, weight))


@pytest.mark.parametrize("gapped", ["input", "output"])
def test_strides_do_not_choose_a_family_that_adds_up_in_another_order(
    gapped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where two families are nearly as fast, and one of them needs arrays without gaps for it."""
    spec, x, *_ = _arrays("dense")
    request = OutputRequest(spec, x.strides, np.empty(spec.output_shape, x.dtype).strides, False, "none")
    monkeypatch.setattr(winograd, "cost_cycles", lambda request, target: 1.0)
    monkeypatch.setattr(direct, "cost_cycles", lambda other, target: 0.0 if other == request else 2.0)
    field = "x_strides" if gapped == "input" else "y_strides"
    other = replace(request, **{field: tuple(2 * stride for stride in getattr(request, field))})
    kernels = [planner.plan_output(each, Target.host(), 1).describe() for each in (request, other)]
    assert all("direct" in kernel for kernel in kernels)


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("name", LAYERS)
def test_weights_that_are_not_finite_meet_padding_alike_in_every_batch(name: str, value: float) -> None:
    """0 times infinity is NaN, at every zero that the tap meets: whichever taps tiles would leave out."""
    spec, x, weight, _ = _arrays(name)
    weight.flat[7 % weight.size] = value
    with np.errstate(invalid="ignore"):
        expected = reference.output(spec, x, weight)
    assert not np.isfinite(expected).all()
    for threads in (1, 2):
        runtime.set_num_threads(threads)
        y = plan.output(spec, x, weight)
        np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
        np.testing.assert_array_equal(np.isinf(y), np.isinf(expected))
        alone = plan.output(replace(spec, batch=1), x[:1].copy(), weight)
        np.testing.assert_array_equal(alone, y[:1])


def _arrays(name: str) -> tuple[ConvSpec, Any, Any, Any]:
    shape, kernel, padding, groups = LAYERS[name]
    spec, _ = normalize_conv(
        shape, kernel, None, 1, padding, 1, groups, rank=len(shape) - 2, dtype=np.dtype(np.float32)
    )
    generator = np.random.default_rng(0)
    x, weight, gradient = (
        generator.standard_normal(s).astype(np.float32) for s in (shape, kernel, spec.output_shape)
    )
    return spec, x, weight, gradient
