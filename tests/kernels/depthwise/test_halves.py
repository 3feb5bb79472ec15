"""Depthwise layers of half types: rows widened once and shifted, words woven, maps copied first. All give the
bits of the direct kernel on float32, rounded.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from convforge import plan, runtime
from convforge.plan.depthwise import map as depthwise_map, rows as depthwise_rows
from convforge.plan.describe import plan_of
from convforge.plan.direct import gather as direct
from convforge.target import Target
from support.convolutions import numpy_dtype
from support.families import costing
from support.guarded import Guarded, GuardedScratch
from support.split_bf16 import RNG, plan_request, poisoned, spec_of
from support.targets import masked

Array = Any
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
# Widths around whole vectors of 8 and 16, and pairs of them.
WIDTHS = [3, 7, 8, 9, 14, 16, 17, 19, 24, 28, 31, 32, 33, 40, 48, 49, 63, 65, 112]
# Kernel and dilation: the last reach beyond a map.
KERNELS = [(3, 1), (5, 1), (3, 4), (3, 12), (2, 1)]


def check(spec: Any, family: Any, mask: str, at_end: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Computed by a family between guard pages, scratch full of NaN."""
    shapes = (spec.input_shape, spec.weight_shape, (spec.out_channels,))
    arrays = [RNG.standard_normal(shape).astype(spec.dtype) for shape in shapes]
    guarded = Guarded()
    monkeypatch.setattr(runtime, "scratch", GuardedScratch())
    x, weight, bias = (guarded.array(array, at_end=at_end) for array in arrays)
    out = guarded.array(poisoned(spec), at_end=at_end)
    with masked(mask), costing(family, -1.0):
        reason = family.why_illegal(plan_request(spec), Target.host())
        if reason is not None:
            reasons = ("without masked loads of 16 bits", "multiply-adds of a map", "a single tap has")
            assert any(each in reason for each in reasons)
            return
        assert plan_of(spec).describe().startswith(family.NAME)
        plan.output(spec, x, weight, bias, out=out)
    wide = replace(spec, dtype=np.dtype(np.float32))
    with costing(direct, -1.0):
        expected = plan.output(wide, *(array.astype(np.float32) for array in arrays))
    np.testing.assert_array_equal(out.astype(np.float32), expected.astype(spec.dtype).astype(np.float32))


@ON_LINUX
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("family", [depthwise_map, depthwise_rows])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("width", WIDTHS)
def test_maps(
    width: int,
    kernel: tuple[int, int],
    dtype: str,
    family: Any,
    at_end: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size, dilation = kernel
    padding = dilation * (size - 1) // 2
    spec = spec_of(
        (2, 3, 9, width), (3, 1, size, size), numpy_dtype(dtype),
        padding=padding, dilation=dilation, groups=3,
    )  # fmt: skip
    check(spec, family, "host", at_end, monkeypatch)


@ON_LINUX
@pytest.mark.parametrize("mask", ["host", "avx2"])
@pytest.mark.parametrize("family", [depthwise_map, depthwise_rows])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("size", "dilation"), [(3, 1), (3, 4), (7, 3), (5, 6)])
@pytest.mark.parametrize("outputs", [1, 2, 4, 7, 8, 15, 17, 33])
def test_maps_that_shrink(
    outputs: int,
    size: int,
    dilation: int,
    stride: int,
    dtype: str,
    family: Any,
    mask: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Inputs of more vectors than outputs have: of a vector's lanes for the outputs, or of more."""
    width = (outputs - 1) * stride + dilation * (size - 1) + 1
    spec = spec_of(
        (1, 3, 2 * dilation + 2, width), (3, 1, 3, size), numpy_dtype(dtype),
        stride=stride, dilation=dilation, groups=3,
    )  # fmt: skip
    check(spec, family, mask, True, monkeypatch)


@ON_LINUX
@pytest.mark.parametrize("mask", ["host", "avx2"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("taps", [2, 3, 31])
@pytest.mark.parametrize("length", [33, 47, 48, 64, 65, 79, 100, 129, 500])
def test_signals(length: int, taps: int, dtype: str, mask: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of((2, 3, length), (6, 1, taps), numpy_dtype(dtype), padding=taps // 2, groups=3)
    check(spec, depthwise_rows, mask, True, monkeypatch)
