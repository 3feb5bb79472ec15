"""Convolutions by fast Fourier transforms: every shape, in any pieces, and what they leave to others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convforge import plan, reference, runtime
from convforge.errors import ConvforgeError
from convforge.kernels.fft.contract import SpectrumKernel
from convforge.plan.describe import _request, plan_of
from convforge.plan.fft import spectrum as fft
from convforge.plan.request import OutputRequest, contiguous_strides
from convforge.problem import ConvSpec, normalize_layer
from convforge.problem.gather import gather_of
from convforge.target import Target
from support.families import costing
from support.guarded import Guarded
from support.targets import MASKS, masked
from support.tolerance import assert_close

Array = Any


@pytest.fixture(autouse=True)
def few_taps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Kernels of any length, so that small cases are served; and plans of no other test."""
    monkeypatch.setattr(fft, "_FEWEST_TAPS", 2)
    plan.clear_plans()
    yield
    plan.clear_plans()


def spec_of(size: tuple[int, ...], *channels_and_kernel: Any, batch: int = 2, **arguments: Any) -> ConvSpec:
    dtype = np.dtype(arguments.pop("dtype", np.float32))
    return normalize_layer(*channels_and_kernel, rank=len(size), **arguments).spec(
        size, batch=batch, dtype=dtype
    )


def arrays(spec: ConvSpec, seed: int = 0) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    shapes = (spec.input_shape, spec.weight_shape, (spec.out_channels,))
    return tuple(rng.standard_normal(shape).astype(spec.dtype) for shape in shapes)


def transformed(spec: ConvSpec, *operands: Array, **keywords: Any) -> Array:
    """The output by this family, which is made to be chosen."""
    with costing(fft, 0.0):
        if "zeros" in spec.padding_mode or not spec.transposed:
            assert plan.describe(spec).startswith("fft"), plan.describe(spec)
        return plan.output(spec, *operands, **keywords)


def check(y: Array, spec: ConvSpec, x: Array, weight: Array, bias: Array) -> None:
    exact = replace(spec, dtype=np.dtype(np.float64))
    wide = [a.astype(np.float64) for a in (x, weight)]
    column = bias.astype(np.float64).reshape(-1, *(1,) * spec.rank)
    # A transform's error goes with all of a block, not with the products of one output.
    largest = np.max(reference.output(exact, *map(np.abs, wide)), initial=0.0) + np.abs(column)
    length = spec.in_channels // spec.groups * int(np.prod(spec.kernel_size))
    expected = reference.output(exact, *wide) + column
    assert_close(y, expected, np.broadcast_to(largest, y.shape), length)


@st.composite
def specs(draw: Any) -> ConvSpec | None:
    rank = draw(st.integers(1, 3))
    most = {1: 40, 2: 12, 3: 6}[rank]
    groups = draw(st.integers(1, 3))
    axes = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(rank))  # noqa: E731
    transposed = draw(st.booleans())
    try:
        return spec_of(
            axes(1, {1: 300, 2: 30, 3: 10}[rank]),
            groups * draw(st.integers(1, 5)),
            groups * draw(st.integers(1, 5)),
            axes(1, most),
            1,
            tuple((draw(st.integers(0, 5)), draw(st.integers(0, 5))) for _ in range(rank)),
            axes(1, 2),
            groups,
            True,
            draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"])),
            batch=draw(st.integers(1, 3)),
            dtype=draw(st.sampled_from([np.float32, np.float64])),
            transposed=transposed,
        )
    except ConvforgeError:
        return None


@given(specs(), st.integers(0, 1 << 20), st.sampled_from([1, 1 << 14, 12 << 20]), st.integers(1, 3))
@settings(max_examples=120, deadline=None)
def test_any_layer_in_any_pieces(spec: ConvSpec | None, seed: int, held: int, threads: int) -> None:
    if spec is None or 0 in spec.output_shape or int(np.prod(spec.kernel_size)) < 2:
        return
    if gather_of(spec).kernel_taps == 0:  # all meet padding: nothing to transform
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fft, "_FEWEST_TAPS", 1)
            assert "0 taps" in (fft.why_illegal(_request(spec, True, None), Target.host()) or "")
        return
    before = runtime.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fft, "_FEWEST_TAPS", 1)
        patch.setattr(fft, "_HELD_BYTES", held)
        runtime.set_num_threads(threads)
        try:
            x, weight, bias = arrays(spec, seed)
            out = np.full(spec.output_shape, np.nan, spec.dtype)
            check(transformed(spec, x, weight, bias, out=out), spec, x, weight, bias)
        finally:
            runtime.set_num_threads(before)


@pytest.mark.parametrize("mask", MASKS)
def test_every_vector_length(mask: str) -> None:
    spec = spec_of((700,), 10, 21, 70, 1, 30, groups=1)
    x, weight, bias = arrays(spec)
    with masked(mask):
        check(transformed(spec, x, weight, bias), spec, x, weight, bias)


@pytest.mark.parametrize("at_end", [True, False])
def test_nothing_outside_the_arrays_is_touched(at_end: bool) -> None:
    guarded, spec = Guarded(), spec_of((333,), 6, 7, 40, 1, 11)
    x, weight, bias = (guarded.array(a, at_end=at_end) for a in arrays(spec))
    out = guarded.array(np.full(spec.output_shape, np.nan, np.float32), at_end=at_end)
    check(transformed(spec, x, weight, bias, out=out), spec, x, weight, bias)


def test_arrays_with_gaps_and_steps_backwards() -> None:
    spec = spec_of((200,), 6, 8, 33)
    x, weight, bias = arrays(spec)
    expected = transformed(spec, x, weight, bias)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    backwards = np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    out = np.empty((*spec.output_shape, 2), np.float32)[..., 1]
    for other in (last, backwards):
        np.testing.assert_array_equal(transformed(spec, other, weight, bias, out=out), expected)
    np.testing.assert_array_equal(
        transformed(spec, x, np.ascontiguousarray(weight[..., ::-1])[..., ::-1], bias), expected
    )


def test_bits_know_neither_threads_nor_batch_nor_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of((900,), 12, 10, 64, batch=3)
    x, weight, bias = arrays(spec)
    expected = transformed(spec, x, weight, bias)
    for i in range(3):
        one = replace(spec, batch=1)
        np.testing.assert_array_equal(transformed(one, x[i : i + 1], weight, bias)[0], expected[i])
    before = runtime.get_num_threads()
    try:
        for threads, held in ((1, 12 << 20), (2, 1), (5, 1 << 16)):
            runtime.set_num_threads(threads)
            monkeypatch.setattr(fft, "_HELD_BYTES", held)
            np.testing.assert_array_equal(transformed(spec, x, weight, bias), expected)
    finally:
        runtime.set_num_threads(before)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38, 1e20, 1e-20])
@pytest.mark.parametrize("where", ["image", "input", "weight"])
def test_hard_values_come_out_as_of_a_plain_convolution(value: float, where: str) -> None:
    """A transform would spread them over all outputs: each such image is left to another family."""
    spec = spec_of((200,), 3, 4, 40)
    x, weight, bias = arrays(spec)
    ordinary = transformed(spec, x, weight, bias)
    if where == "image":  # a whole one, tiny or huge
        with np.errstate(all="ignore"):
            x[1] *= np.float32(value)
    elif where == "input":
        x[1, 1, 77] = value
    else:
        weight[2, 1, 5] = value
    y = transformed(spec, x, weight, bias)
    with costing(fft, float("inf")):
        expected = plan.output(spec, x, weight, bias)
    if value == 1e-20 and where != "image":  # one small number among others is nothing special
        assert np.linalg.norm(y - expected) < 1e-6 * np.linalg.norm(expected)
    if where == "weight" and value != 1e-20:
        np.testing.assert_array_equal(y, expected)
    elif where != "weight":
        np.testing.assert_array_equal(y[0], ordinary[0])  # another image's trouble is not this one's
        if where == "image" or value != 1e-20:
            np.testing.assert_array_equal(y[1], expected[1])


def test_zeros_stay_zeros() -> None:
    spec = spec_of((200,), 3, 4, 40)
    x, weight, bias = arrays(spec)
    np.testing.assert_array_equal(transformed(spec, 0 * x, weight, 0 * bias), 0)


def test_its_error_is_below_that_of_a_chain_of_multiply_adds() -> None:
    spec = spec_of((500,), 48, 8, 128, batch=1)
    x, weight, _ = arrays(spec)
    exact = reference.output(
        replace(spec, dtype=np.dtype(np.float64)), x.astype(np.float64), weight.astype(np.float64)
    )
    windows = np.lib.stride_tricks.sliding_window_view(x[0].astype(np.float64), 128, axis=1)
    chain = np.zeros(exact.shape[1:], np.float32)
    for c in range(48):
        for tap in range(128):
            product = weight[:, c, tap, None].astype(np.float64) * windows[c, None, :, tap]
            chain = (chain + product).astype(np.float32)
    error = np.linalg.norm(transformed(spec, x, weight) - exact)
    assert error < np.linalg.norm(chain[None] - exact)


def test_what_it_cannot_serve_it_says() -> None:
    def why(spec: ConvSpec, **changes: Any) -> str:
        strides = [contiguous_strides(s, spec.dtype.itemsize) for s in (spec.input_shape, spec.output_shape)]
        request = replace(OutputRequest(spec, *strides, False, "none"), **changes)
        return fft.why_illegal(request, Target.host()) or ""

    spec = spec_of((200,), 3, 4, 40)
    assert why(spec) == ""
    assert "spread" in why(spec, plain=True)
    assert "activation" in why(spec, activation="relu")
    assert "stride 2" in why(spec_of((200,), 3, 4, 40, 2))
    assert "int32" in why(spec_of((200,), 3, 4, 40, dtype=np.int32))
    assert "1 taps" in why(spec_of((200,), 3, 4, 1))
    assert "memory" in why(spec_of((60_000,), 1, 4000, 40_000, batch=1))


def test_long_kernels_choose_it_and_short_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fft, "_FEWEST_TAPS", 32)
    for spec in (
        spec_of((4000,), 64, 64, 127),
        spec_of((20_000,), 768, 768, 128, groups=16),
        spec_of((96, 96), 32, 32, 21, padding=10),
    ):
        assert plan.describe(spec).startswith("fft"), plan.describe(spec)
    with masked("avx2"):
        for spec in (
            spec_of((4000,), 64, 64, 127),
            spec_of((500,), 768, 768, 128, groups=16),
            spec_of((64, 64), 32, 32, 15, padding=7),
        ):
            assert plan.describe(spec).startswith("fft"), plan.describe(spec)
    for spec in (
        spec_of((16_000,), 1, 64, 80),
        spec_of((224, 224), 3, 64, 7, 2, 3),
        spec_of((56, 56), 64, 64, 5, padding=2),
    ):
        assert not plan.describe(spec).startswith("fft"), plan.describe(spec)


def test_lengths_that_vary_share_their_machine_code() -> None:
    with costing(fft, 0.0):
        kernels = {
            plan_of(spec_of((length,), 32, 32, 100, batch=1)).kernel  # type: ignore[attr-defined]
            for length in range(1000, 9000, 37)
        }
    assert all(isinstance(kernel, SpectrumKernel) for kernel in kernels)
    assert len(kernels) <= 4


def test_a_layer_learns_through_it() -> None:
    """Gradients of the input are convolutions of this family too; they agree with the oracle."""
    spec = spec_of((300,), 4, 6, 50, 1, 10)
    _, weight, _ = arrays(spec)
    gradient = np.random.default_rng(1).standard_normal(spec.output_shape).astype(np.float32)
    with costing(fft, 0.0):
        back = plan.grad_input(spec, gradient, weight)
    exact = replace(spec, dtype=np.dtype(np.float64))
    expected = reference.grad_input(exact, gradient.astype(np.float64), weight.astype(np.float64))
    assert np.linalg.norm(back - expected) < 1e-6 * np.linalg.norm(expected)
