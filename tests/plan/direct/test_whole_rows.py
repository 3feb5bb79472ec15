"""Kernels whose taps lie whole rows apart are read where the input lies, with the bits of packed planes."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from convforge import plan, runtime
from convforge.plan.describe import plan_of
from convforge.plan.direct import gather as direct
from convforge.plan.direct.whole_rows import WholeRows, whole_rows
from convforge.plan.request import contiguous_strides
from convforge.plan.sizes import element_steps
from convforge.problem import ConvSpec, normalize_conv
from convforge.problem.gather import gather_of
from support.convolutions import numpy_dtype
from support.families import costing
from support.guarded import Guarded, GuardedScratch
from support.split_bf16 import RNG, exact, poisoned, spec_of
from support.targets import masked

MASKS = ["host", "avx2", "sse2"]
# Input, weight, and the rest: rows of several vectors and a bit, and such slices.
LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "3x1x1": ((2, 5, 4, 6, 11), (20, 5, 3, 1, 1), {"padding": (1, 0, 0)}),
    "3x1x1, two slices": ((1, 3, 2, 7, 10), (9, 3, 3, 1, 1), {"padding": (1, 0, 0)}),
    "3x1x1, unpadded": ((1, 3, 5, 8, 8), (17, 3, 3, 1, 1), {}),
    "2x1x1, all beyond": ((1, 3, 2, 8, 9), (5, 3, 2, 1, 1), {"padding": (3, 0, 0)}),
    "5x1": ((1, 4, 9, 67), (20, 4, 5, 1), {"padding": (2, 0)}),
    "4x1, more behind": ((1, 4, 7, 64), (12, 4, 4, 1), {"padding": (3, 0)}),
    "3x1, apart": ((2, 4, 9, 50), (8, 4, 3, 1), {"padding": (4, 0), "dilation": (4, 1)}),
    "3x1, groups": ((2, 12, 5, 65), (24, 4, 3, 1), {"padding": (1, 0), "groups": 3}),
    "3x1x1 transposed": ((1, 6, 3, 5, 13), (6, 10, 3, 1, 1), {"padding": (1, 0, 0), "transposed": True}),
    "3x1, little padding": ((1, 2, 130, 64), (3, 2, 3, 1), {"padding": (1, 0)}),
    "70x1": ((1, 2, 9, 48), (3, 2, 70, 1), {"padding": (66, 0)}),
    "two chains": ((1, 300, 3, 33), (7, 300, 3, 1), {"padding": (1, 0)}),
}


def seen_as(spec: ConvSpec, x: Any, y: Any) -> WholeRows | None:
    """How arrays of such a layer are seen."""
    return whole_rows(gather_of(spec), *(element_steps(each.strides, spec) for each in (x, y)))


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("layer", LAYERS)
def test_whole_rows_have_the_bits_of_planes(
    layer: str, dtype: str, mask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At both ends of memory; and bits do not depend on where the input lies."""
    shape, kernel, more = LAYERS[layer]
    spec = spec_of(shape, kernel, numpy_dtype(dtype), **more)
    values = [RNG.standard_normal(each).astype(spec.dtype) for each in (spec.input_shape, spec.weight_shape)]
    bias = RNG.standard_normal(spec.out_channels).astype(spec.dtype)
    guarded, by_rows = Guarded(), []
    monkeypatch.setattr(runtime, "scratch", GuardedScratch())
    serves = direct._serves_rows
    with masked(mask), costing(direct, -1.0):
        for serving in (True, False):
            monkeypatch.setattr(direct, "_serves_rows", lambda *_, s=serving: s)
            monkeypatch.setattr(direct._Seen, "cycles", lambda seen, *_: 1.0 - seen.whole_rows)
            plan.clear_plans()
            chosen = plan_of(spec)
            assert chosen.reads_in_place == serving
            for at_end in (True, False):
                x, weight, extra = (guarded.array(each, at_end=at_end) for each in (*values, bias))
                out = guarded.array(poisoned(spec), at_end=at_end)
                plan.output(spec, x, weight, extra, out=out)
                by_rows.append(out)
            apart = np.zeros((*spec.input_shape[:-1], spec.input_shape[-1] + 3), spec.dtype)
            apart[..., :-3] = values[0]
            by_rows.append(plan.output(spec, apart[..., :-3], *values[1:], bias, out=poisoned(spec)))
    monkeypatch.setattr(direct, "_serves_rows", serves)
    plan.clear_plans()
    for out in by_rows[1:]:
        np.testing.assert_array_equal(out, by_rows[0])
    rounding = {"float32": 1e-5, "float64": 1e-12, "float16": 2**-11, "bfloat16": 2**-8}[dtype]
    expected = exact(spec, *values, bias)
    np.testing.assert_allclose(by_rows[0].astype(np.float64), expected, rtol=rounding, atol=10 * rounding)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_weights_that_are_not_finite_meet_padding_too(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tap on padding adds 0 times its weight, as PyTorch has it: then rows are packed."""
    monkeypatch.setattr(direct, "_serves_rows", lambda *_: True)
    spec = spec_of((1, 2, 3, 40), (4, 2, 3, 1), np.dtype(np.float32), padding=(1, 0))
    x, weight = (np.ones(shape, np.float32) for shape in (spec.input_shape, spec.weight_shape))
    weight[1, 0, 0, 0] = value
    plan.clear_plans()
    with costing(direct, -1.0):
        y = plan.output(spec, x, weight, out=poisoned(spec))
    plan.clear_plans()
    assert np.isnan(y[0, 1, 0]).all()
    assert np.isfinite(y[0, [0, 2, 3]]).all()


@given(
    sizes=st.tuples(*[st.integers(1, 5)] * 3),
    kernel=st.tuples(*[st.integers(1, 3)] * 3),
    padding=st.tuples(*[st.integers(0, 2)] * 3),
    stride=st.tuples(*[st.integers(1, 2)] * 3),
    dilation=st.tuples(*[st.integers(1, 2)] * 3),
)
def test_what_is_a_gather_of_whole_rows(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    padding: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> None:
    """Each of its taps reads for a row of outputs a row of inputs, none of it padding, or nothing."""
    if any(n + 2 * p < d * (k - 1) + 1 for n, p, d, k in zip(sizes, padding, dilation, kernel)):
        return
    spec, _ = normalize_conv(
        (1, 2, *sizes), (2, 2, *kernel), None, stride, padding, dilation, rank=3, dtype=np.dtype(np.float32)
    )
    x_steps, y_steps = (
        element_steps(contiguous_strides(shape, 4), spec) for shape in (spec.input_shape, spec.output_shape)
    )
    gather = gather_of(spec)
    rows = whole_rows(gather, x_steps, y_steps)
    several = [len(axis.phases[0].taps) > 1 for axis in gather.axes]
    without = any(not axis.phases[0].taps for axis in gather.axes)  # all of them on padding
    if rows is None:
        same = all(axis.in_size == axis.out_size and axis.lowest == 0 for axis in gather.axes[1:])
        assert several != [True, False, False] or without or not same or stride[0] > 1
        plane = sizes[0] == 1 == spec.output_shape[2] and gather.axes[0].lowest == 0
        same = gather.axes[2].in_size == gather.axes[2].out_size and gather.axes[2].lowest == 0
        assert several != [False, True, False] or without or not (plane and same) or stride[1] > 1
        return
    assert sum(several) == 1
    d, h, w = rows.gather.axes
    assert d.in_size * h.in_size * w.in_size == np.prod(sizes)
    row = w.in_size
    at = np.arange(np.prod(sizes)).reshape(d.in_size * h.in_size, row)
    outputs = np.arange(np.prod(spec.output_shape[2:])).reshape(-1, row)
    moving = d if len(d.phases[0].taps) > 1 else h
    whole = np.arange(np.prod(sizes)).reshape(sizes)
    for q, line in enumerate(outputs):
        for tap in moving.phases[0].taps:
            source = q + tap.offset
            first = np.unravel_index(line[0], spec.output_shape[2:])
            axis = several.index(True)
            place = list(first)
            place[axis] += tap.offset
            inside = 0 <= place[axis] < sizes[axis]
            assert inside == (0 <= source < len(at))
            if inside:
                assert at[source, 0] == whole[tuple(place)]
    assert rows.first == moving.lowest * row


def test_rows_with_gaps_are_no_whole_rows() -> None:
    """Of the input or of the output; channels side by side; a kernel that moves along two axes."""
    spec = spec_of((1, 2, 4, 5, 6), (3, 2, 3, 1, 1), np.dtype(np.float32), padding=(1, 0, 0))
    x, y = (np.zeros(shape, np.float32) for shape in (spec.input_shape, spec.output_shape))
    assert seen_as(spec, x, y) is not None
    for of in (x, y):
        gaps = np.zeros((*of.shape[:-1], 7), np.float32)[..., :-1]
        last = np.zeros((*of.shape[:1], *of.shape[2:], of.shape[1]), np.float32).transpose(0, 4, 1, 2, 3)
        for other in (gaps, last):
            assert seen_as(spec, *((other, y) if of is x else (x, other))) is None
    box = spec_of((1, 2, 4, 5, 6), (3, 2, 3, 3, 1), np.dtype(np.float32), padding=(1, 1, 0))
    assert seen_as(box, x, y) is None
