"""Columns a step apart, and planes that hold nothing of the input: all of it padding."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from convforge import plan, runtime
from convforge.plan.direct import gather as direct
from convforge.plan.tables import input_tables, packed_columns
from convforge.problem.gather import gather_of
from convforge.schedule import layout_of
from support.families import costing
from support.guarded import Guarded, GuardedScratch
from support.split_bf16 import RNG, exact, poisoned, spec_of
from support.targets import masked

# Input size, kernel, stride, padding, dilation.
EMPTY = [(1, 2, 2, 3, 1), (2, 7, 4, 5, 1), (3, 2, 4, 4, 3), (3, 3, 4, 2, 1), (3, 5, 4, 5, 2), (3, 7, 4, 4, 1)]


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("mask", ["host", "avx2", "sse2"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize(("size", "kernel", "stride", "padding", "dilation"), EMPTY)
def test_planes_of_padding_alone(
    size: int,
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
    dtype: Any,
    mask: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their runs are empty: a count of whole vectors that wrapped around had once no end."""
    spec = spec_of(
        (1, 3, size), (20, 3, kernel), dtype, stride=stride, padding=padding, dilation=dilation
    )  # fmt: skip
    assert (input_tables(layout_of(gather_of(spec)), (0, 0, 1)).columns[:, 1] == 0).any()
    guarded = Guarded()
    monkeypatch.setattr(runtime, "scratch", GuardedScratch())
    x, weight = (
        guarded.array(RNG.standard_normal(shape).astype(dtype), at_end=True)
        for shape in (spec.input_shape, spec.weight_shape)
    )
    out = guarded.array(poisoned(spec), at_end=True)
    with masked(mask), costing(direct, -1.0):
        plan.output(spec, x, weight, out=out)
    rounding = 2**-11 if dtype is np.float16 else 1e-6
    np.testing.assert_allclose(out.astype(np.float64), exact(spec, x, weight, None), rtol=rounding, atol=1e-5)


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("step", [3, 5, 7, 8, 10])
@pytest.mark.parametrize("columns", [15, 16, 17, 32, 49])
@pytest.mark.parametrize(("short", "padding"), [(0, 0), (0, 1), (1, 0), (2, 2)])
def test_columns_a_step_apart(
    step: int, columns: int, short: int, padding: int, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Around a vector of them, the input ending with the last one's window or before it, at both ends of
    memory: taken out of whole vectors with AVX-512, where rows are not shorter than one, and exact.
    """
    size = step * columns - short
    spec = spec_of((1, 2, 3, size), (3, 2, 1, step), dtype, stride=(1, step), padding=(0, padding))
    guarded = Guarded()
    monkeypatch.setattr(runtime, "scratch", GuardedScratch())
    layout, strides = layout_of(gather_of(spec)), (6 * size, 3 * size, 0, size, 1)
    with masked("host") as target, costing(direct, -1.0):
        vectors = target.vector_bytes == 64 and (step <= 4 or layout.row_length >= 16)
        assert packed_columns(layout, strides, target) == (step if vectors else "strided")
        for at_end in (True, False):
            x, weight = (
                guarded.array(RNG.integers(-9, 10, shape).astype(dtype), at_end=at_end)
                for shape in (spec.input_shape, spec.weight_shape)
            )
            out = guarded.array(poisoned(spec), at_end=True)
            plan.output(spec, x, weight, out=out)
            np.testing.assert_array_equal(out.astype(np.float64), exact(spec, x, weight, None))
