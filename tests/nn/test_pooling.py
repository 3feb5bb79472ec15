"""Pooling against PyTorch over the whole space of its arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from support.beside_torch import compare, distinct, normal, our_functional, ours, same_error, same_text


@st.composite
def windows(draw: st.DrawFn, dilated: bool) -> tuple[int, tuple[int, ...], dict[str, Any]]:
    """(rank, input shape, arguments) of a pooling that PyTorch takes."""
    rank = draw(st.integers(1, 3))
    numbers = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(rank))  # noqa: E731
    kernel, stride = numbers(1, 4), numbers(1, 4)
    dilation = numbers(1, 2) if dilated else (1,) * rank
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    # PyTorch's rule for a dilated window is in terms of the kernel in some of its functions: take the
    # stricter.
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    # Each window reads something; and PyTorch's avg_pool3d, alone, wants whole windows without the padding.
    sizes = tuple(
        draw(st.integers(max(r - 2 * p, d, k if rank == 3 else 1), r + 7))
        for r, p, d, k in zip(reach, padding, dilation, kernel, strict=True)
    )
    lead = draw(st.sampled_from([(1,), (2,), (2, 3), (1, 2)]))
    arguments: dict[str, Any] = {
        "kernel_size": kernel,
        "stride": draw(st.sampled_from([stride, None])),
        "padding": padding,
        "ceil_mode": draw(st.booleans()),
    }
    if dilated:
        arguments["dilation"] = dilation
    return rank, (*lead, *sizes), arguments


@given(windows(dilated=True), st.integers(0, 99))
@settings(max_examples=60)
def test_max_pool(case: Any, seed: int) -> None:
    rank, shape, arguments = case
    compare(
        lambda F, x: getattr(F, f"max_pool{rank}d")(x, **arguments, return_indices=True),
        distinct(*shape, seed=seed),
    )


@given(windows(dilated=False), st.booleans(), st.sampled_from([None, 3, -2]), st.integers(0, 99))
@settings(max_examples=60)
def test_avg_pool(case: Any, count_include_pad: bool, divisor: int | None, seed: int) -> None:
    rank, shape, arguments = case
    if rank > 1:
        arguments["divisor_override"] = divisor
    compare(
        lambda F, x: getattr(F, f"avg_pool{rank}d")(x, **arguments, count_include_pad=count_include_pad),
        normal(*shape, seed=seed),
    )


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=3),
    st.sampled_from([(2,), (2, 3)]),
    st.sampled_from(["avg", "max"]),
)
@settings(max_examples=60)
def test_adaptive_pool(axes: list[tuple[int, int]], lead: tuple[int, ...], kind: str) -> None:
    sizes, outs = zip(*axes, strict=True)
    name = f"adaptive_{kind}_pool{len(axes)}d"
    extra = {"return_indices": True} if kind == "max" else {}
    compare(lambda F, x: getattr(F, name)(x, outs, **extra), distinct(*lead, *sizes))


def test_adaptive_keeps_axes_with_none() -> None:
    compare(lambda F, x: F.adaptive_avg_pool2d(x, (1, None)), normal(2, 3, 4, 5))
    compare(lambda F, x: F.adaptive_max_pool2d(x, (None, 2)), distinct(2, 3, 4, 5))
    compare(lambda F, x: F.adaptive_avg_pool2d(x, 1), normal(2, 3, 4, 5))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_max_unpool(rank: int) -> None:
    def there_and_back(F: Any, x: Any) -> Any:
        values, indices = getattr(F, f"max_pool{rank}d")(x, 2, return_indices=True)
        return getattr(F, f"max_unpool{rank}d")(values, indices, 2, output_size=x.shape[-rank:])

    compare(there_and_back, distinct(2, 3, *(5,) * rank))


def test_max_of_ties_nan_and_infinity() -> None:
    x = np.array([[[1, 1, np.nan, 2, -np.inf, -np.inf, np.nan, np.nan, 3.0]]])
    compare(lambda F, x: F.max_pool1d(x, 3, 1, return_indices=True), x, double=False)
    compare(lambda F, x: F.max_pool1d(x, 3, 2, padding=1, return_indices=True), x, double=False)
    compare(lambda F, x: F.adaptive_max_pool1d(x, 2, return_indices=True), x, double=False)


@given(windows(dilated=True))
@settings(max_examples=20)
def test_max_pool_without_gradients(case: Any) -> None:
    rank, shape, arguments = case
    x = distinct(*shape)
    x.reshape(-1)[0] = np.nan
    function = getattr(our_functional, f"max_pool{rank}d")
    np.testing.assert_array_equal(function(x, **arguments), function(x, **arguments, return_indices=True)[0])


def test_float32_strided_and_plain() -> None:
    x = distinct(4, 9, 9, 3, dtype="float32").transpose(0, 3, 1, 2)
    compare(lambda F, x: F.max_pool2d(x, 3, 2, 1), x)
    compare(lambda F, x: F.avg_pool2d(x, 3, 2, 1), x)
    assert type(our_functional.max_pool2d(x, 2)) is np.ndarray
    values, indices = our_functional.max_pool2d(x, 2, return_indices=True)
    assert type(values) is np.ndarray
    assert indices.dtype == np.int64


@pytest.mark.parametrize("text", ["max_pool2d(x, 2)", "avg_pool2d(x, 2)", "adaptive_avg_pool2d(x, 1)"])
def test_empty_batch(text: str) -> None:
    compare(lambda F, x: eval(f"F.{text}", {"F": F, "x": x}), np.zeros((0, 3, 4, 4)))


def test_lp_pool() -> None:
    compare(lambda F, x: F.lp_pool2d(x, 2.0, 3, 2), np.abs(distinct(2, 3, 7, 7)))
    compare(lambda F, x: F.lp_pool1d(x, 3.0, 2), np.abs(distinct(2, 3, 7)))


def test_a_kernel_of_a_billion_costs_nothing() -> None:
    x = distinct(1, 1, 8)
    compare(lambda F, x: F.max_pool1d(x, 2**28, 1, 2**27), x, double=False)


@pytest.mark.parametrize(
    "text",
    [
        "MaxPool1d(2)",
        "MaxPool2d(3, 2, 1)",
        "MaxPool2d((3, 2), stride=(2, 1))",
        "MaxPool3d(2, ceil_mode=True)",
        "MaxUnpool2d(2)",
        "AvgPool1d(2)",
        "AvgPool2d(2, 1)",
        "AvgPool3d((2, 2, 2))",
        "AdaptiveAvgPool1d(3)",
        "AdaptiveAvgPool2d((1, 1))",
        "AdaptiveAvgPool3d((1, None, 2))",
        "AdaptiveMaxPool2d(2)",
        "LPPool2d(2, 3)",
    ],
)
def test_layers_print(text: str) -> None:
    same_text(lambda nn: eval(f"nn.{text}", {"nn": nn}))


def test_layers_compute() -> None:
    x = ours.from_numpy(distinct(2, 3, 8, 8))
    assert ours.nn.MaxPool2d(2)(x).shape == (2, 3, 4, 4)
    values, indices = ours.nn.MaxPool2d(2, return_indices=True)(x)
    assert ours.nn.MaxUnpool2d(2)(values, indices).shape == x.shape
    assert ours.nn.AdaptiveAvgPool2d((1, 1))(x).shape == (2, 3, 1, 1)
    assert ours.nn.AvgPool2d(2)(x[0]).shape == (3, 4, 4)


@pytest.mark.parametrize(
    "call",
    [
        lambda root, F: F.max_pool2d(root.zeros(1, 1, 4, 4), 0),
        lambda root, F: F.max_pool2d(root.zeros(1, 1, 4, 4), 2, -1),
        lambda root, F: F.max_pool2d(root.zeros(1, 1, 4, 4), 2, stride=0),
        lambda root, F: F.max_pool2d(root.zeros(1, 1, 4, 4), 2, padding=2),
        lambda root, F: F.max_pool2d(root.zeros(1, 1, 4, 4), 2, padding=-1),
        lambda root, F: F.max_pool2d(root.zeros(1, 1, 4, 4), 2, dilation=0),
        lambda root, F: F.max_pool2d(root.zeros(1, 1, 4, 4), 5),
        lambda root, F: F.max_pool2d(root.zeros(1, 1, 4, 4), (1, 2, 3)),
        lambda root, F: F.max_pool2d(root.zeros(1, 1, 4, 4), 1.5),
        lambda root, F: F.max_pool2d(root.zeros(1, 1, 4, 4), 2, dilation=2**31),
        lambda root, F: F.max_pool2d(root.zeros(4, 4), 2),
        lambda root, F: F.max_pool2d(root.zeros(1, 0, 4, 4), 2),
        lambda root, F: F.avg_pool2d(root.zeros(1, 1, 4, 4), 2, padding=2),
        lambda root, F: F.avg_pool2d(root.zeros(1, 1, 4, 4), 2, stride=0),
        lambda root, F: F.avg_pool2d(root.zeros(1, 1, 4, 4), 2, divisor_override=0),
        lambda root, F: F.adaptive_avg_pool2d(root.zeros(1, 1, 4, 4), (1, 2, 3)),
        lambda root, F: F.adaptive_avg_pool2d(root.zeros(1, 1, 4, 4), -1),
        lambda root, F: F.max_unpool2d(root.zeros(1, 1, 2, 2), root.zeros(1, 1, 2, 2), 2),
        lambda root, F: F.max_unpool2d(root.zeros(1, 1, 1, 1), root.full((1, 1, 1, 1), 99), 2),
    ],
)
def test_errors(call: Any) -> None:
    same_error(call)
