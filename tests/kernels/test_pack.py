"""Planes that hold nothing of the input: every second or fourth column of few, all of it padding."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from convforge import plan, runtime
from convforge.plan.direct import gather as direct
from convforge.plan.tables import input_tables
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
