"""Pointwise layers whose input lies as a kernel wants it: half types are widened where they are read, or
copied and packed in one run.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from convforge import plan, runtime
from convforge.plan.describe import plan_of
from convforge.plan.direct import channels, gather as direct
from support.convolutions import numpy_dtype
from support.families import costing
from support.guarded import Guarded, GuardedScratch
from support.split_bf16 import RNG, exact, poisoned, spec_of
from support.targets import masked

Array = Any
MASKS = ["host", "avx2", "sse2"]
# Maps of less than a vector, of one, of a few and a bit; channels in one tile of outputs, and in many.
MAPS = [(1, 1), (3, 5), (4, 8), (7, 7), (9, 23), (31, 31)]


def make(dtype: str, size: tuple[int, int], outputs: int) -> tuple[Any, Array, Array, Array]:
    """A layer of two images and 37 channels."""
    spec = spec_of((2, 37, *size), (outputs, 37, 1, 1), numpy_dtype(dtype))
    shapes = (spec.input_shape, spec.weight_shape, (outputs,))
    x, weight, bias = (RNG.standard_normal(shape).astype(spec.dtype) for shape in shapes)
    return spec, x, weight, bias


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("family", [direct, channels])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("outputs", [3, 40])
@pytest.mark.parametrize("size", MAPS)
def test_half_types(
    size: tuple[int, int],
    outputs: int,
    dtype: str,
    family: Any,
    mask: str,
    at_end: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec, *arrays = make(dtype, size, outputs)
    guarded = Guarded()
    monkeypatch.setattr(runtime, "scratch", GuardedScratch())
    x, weight, bias = (guarded.array(array, at_end=at_end) for array in arrays)
    out = guarded.array(poisoned(spec), at_end=at_end)
    with masked(mask), costing(family, -1.0):
        plan.output(spec, x, weight, bias, out=out)
    # One rounding to the type, of sums in fp32.
    rounding = 2**-8 if dtype == "bfloat16" else 2**-11
    np.testing.assert_allclose(out.astype(np.float64), exact(spec, x, weight, bias), rtol=rounding, atol=1e-4)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("outputs", [3, 40])
def test_bits_do_not_depend_on_where_the_input_lies(outputs: int, dtype: str, mask: str) -> None:
    """In one run, in rows with gaps, with channels side by side: the first is read in place."""
    spec, x, weight, bias = make(dtype, (31, 31), outputs)
    wide = np.zeros((2, 37, 31, 40), spec.dtype)
    wide[..., :31] = x
    with masked(mask), costing(direct, -1.0):
        y = plan.output(spec, x, weight, bias, out=poisoned(spec))
        for other in (wide[..., :31], np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)):
            np.testing.assert_array_equal(plan.output(spec, other, weight, bias, out=poisoned(spec)), y)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_few_outputs_are_summed_where_the_input_lies(dtype: str) -> None:
    """With as many bytes to fetch as the input has, and no more."""
    spec = spec_of((1, 64, 32, 32), (3, 64, 1, 1), numpy_dtype(dtype))
    with costing(direct, -1.0):
        assert "input read in place" in plan_of(spec).describe()
