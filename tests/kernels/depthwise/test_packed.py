"""The packed depthwise kernels themselves: copied rows, tiles of several vectors, the ends of rows."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from convforge import reference
from convforge.plan.depthwise import (
    large as depthwise_large,
    phases as depthwise_phases,
    planes as depthwise,
    rows as depthwise_rows,
)
from convforge.plan.direct import gather as direct
from convforge.plan.request import OutputRequest
from convforge.problem import ConvSpec, normalize_conv
from convforge.runtime import address_of
from convforge.target import Target
from support.convolutions import filled, numpy_dtype
from support.guarded import Guarded
from support.targets import MASKS, masked
from support.tolerance import assert_close

Array = np.ndarray[Any, Any]
PACKED = (depthwise, depthwise_large)


def layer(
    height: int,
    width: int,
    *,
    kernel: tuple[int, int] = (3, 3),
    stride: tuple[int, int] = (1, 1),
    pads: tuple[int, int] = (1, 1),
    dilation: int = 1,
    dtype: str = "float32",
    batch: int = 1,
) -> ConvSpec:
    """Three channels, two outputs of each."""
    return normalize_conv(
        (batch, 3, height, width), (6, 1, *kernel), None, stride, pads, dilation, 3, rank=2,
        dtype=numpy_dtype(dtype),
    )[0]  # fmt: skip


def run(family: ModuleType, spec: ConvSpec, x: Array, weight: Array, out: Array, threads: int = 1) -> Any:
    """Compute by one family; its plan, or None where it cannot serve."""
    request = OutputRequest(spec, x.strides, out.strides, has_bias=False, activation="none")
    target = Target.host()
    if family.why_illegal(request, target) is not None:
        return None
    plan = family.plan(request, target, threads)
    packed = plan.weights.pack(weight, threads)
    plan(address_of(x), address_of(packed), 0, address_of(out))
    return plan


def check(actual: Array, spec: ConvSpec, x: Array, weight: Array) -> None:
    exact = replace(spec, dtype=np.dtype(np.float64))
    magnitude = reference.output(exact, np.abs(x), np.abs(weight))
    assert_close(actual, reference.output(exact, x, weight), magnitude, int(np.prod(spec.kernel_size)))


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("mask", MASKS)
@settings(max_examples=16)
@given(
    height=st.integers(1, 20),
    width=st.one_of(st.integers(1, 40), st.sampled_from((47, 48, 49, 63, 64, 65, 95, 96, 97, 130))),
    kernel=st.tuples(st.sampled_from((1, 2, 3, 5, 7)), st.sampled_from((1, 2, 3, 4, 5, 7, 9))),
    stride=st.tuples(st.sampled_from((1, 2, 3)), st.sampled_from((1, 2))),
    pads=st.tuples(st.integers(0, 6), st.integers(0, 8)),
    dilation=st.sampled_from((1, 1, 2, 3)),
    dtype=st.sampled_from(("float32", "float32", "float64", "float16", "bfloat16", "int8")),
    threads=st.sampled_from((1, 2)),
    at_end=st.booleans(),
)
def test_all_families_give_the_same_bits_and_touch_nothing_else(
    mask: str,
    height: int,
    width: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pads: tuple[int, int],
    dilation: int,
    dtype: str,
    threads: int,
    at_end: bool,
) -> None:
    sizes = zip((height, width), kernel, pads, strict=True)
    assume(all(size + 2 * pad > dilation * (taps - 1) for size, taps, pad in sizes))
    spec = layer(
        height, width, kernel=kernel, stride=stride, pads=pads, dilation=dilation, dtype=dtype, batch=2
    )
    generator, guarded = np.random.default_rng(width), Guarded()
    x, weight = (
        guarded.array(generator.integers(-9, 9, s).astype(spec.dtype), at_end=at_end)
        if spec.dtype.kind == "i"
        else guarded.array(generator.standard_normal(s).astype(spec.dtype), at_end=at_end)
        for s in (spec.input_shape, spec.weight_shape)
    )
    found: list[Array] = []
    with masked(mask):
        # Without such an instruction the planner computes on copies of float32.
        assume(dtype != "float16" or Target.host().has_half)
        for family in (*PACKED, depthwise_rows):
            poison = np.full(spec.output_shape, 77, spec.dtype)
            out = guarded.array(poison, at_end=at_end)
            if run(family, spec, x, weight, out, threads) is not None:
                found.append(out)
    for out in found:
        np.testing.assert_array_equal(out.view(np.uint8), found[0].view(np.uint8))
    if found and dtype in ("float32", "float64"):
        check(found[0], spec, x, weight)


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("mask", MASKS)
@settings(max_examples=16)
@given(
    size=st.tuples(st.integers(1, 3), st.integers(1, 17), st.one_of(st.integers(2, 20), st.integers(30, 50))),
    rank=st.sampled_from((2, 2, 3)),
    kernel=st.tuples(*[st.sampled_from((1, 2, 3, 4, 5))] * 2, st.sampled_from((1, 2, 3, 4, 5, 7))),
    stride=st.tuples(st.sampled_from((1, 2)), st.sampled_from((1, 2, 3))),
    dilation=st.sampled_from((1, 1, 2)),
    multiplier=st.sampled_from((1, 1, 2)),
    dtype=st.sampled_from(("float32", "float32", "float64", "float16", "bfloat16", "int8")),
    threads=st.sampled_from((1, 2)),
    at_end=st.booleans(),
)
def test_transposed_layers_have_the_bits_of_the_direct_kernel(
    mask: str,
    size: tuple[int, int, int],
    rank: int,
    kernel: tuple[int, int, int],
    stride: tuple[int, int],
    dilation: int,
    multiplier: int,
    dtype: str,
    threads: int,
    at_end: bool,
) -> None:
    sides, taps, steps = size[-rank:], kernel[-rank:], (*stride, 2)[-rank:]
    # Padding and output padding by which every side becomes whole phases: stride times its size.
    reaches = [dilation * (k - 1) + 1 for k in taps]
    totals = [max(0, reach - step) for reach, step in zip(reaches, steps, strict=True)]
    pads = tuple((total // 2, total - total // 2) for total in totals)
    ends = [max(0, step - reach) for step, reach in zip(steps, reaches, strict=True)]
    spec = normalize_conv(
        (2, 3, *sides), (3, multiplier, *taps), None, steps, pads, dilation, 3, rank=rank,
        output_padding=tuple(ends), dtype=numpy_dtype(dtype), transposed=True,
    )[0]  # fmt: skip
    assert spec.output_size == tuple(n * step for n, step in zip(sides, steps, strict=True))
    generator, guarded = np.random.default_rng(size[2]), Guarded()
    x, weight = (
        guarded.array(filled(generator, s, dtype), at_end=at_end)
        for s in (spec.input_shape, spec.weight_shape)
    )
    found: list[Array] = []
    with masked(mask):
        assume(dtype != "float16" or Target.host().has_half)
        for family in (depthwise_phases, direct):
            out = guarded.array(np.full(spec.output_shape, 77, spec.dtype), at_end=at_end)
            if run(family, spec, x, weight, out, threads) is not None:
                found.append(out)
    assume(len(found) == 2)
    np.testing.assert_array_equal(found[0].view(np.uint8), found[1].view(np.uint8))
    if dtype in ("float32", "float64"):
        check(found[0], spec, x, weight)


def test_sides_that_are_not_whole_phases_are_left_to_others() -> None:
    spec = normalize_conv(
        (1, 3, 8, 8), (3, 1, 3, 3), None, 2, 1, 1, 3, rank=2, dtype=np.dtype(np.float32), transposed=True
    )[0]
    out = np.empty(spec.output_shape, np.float32)
    request = OutputRequest(spec, np.empty(spec.input_shape, np.float32).strides, out.strides, False, "none")
    assert "15 rows are not whole phases of 2" in (depthwise_phases.why_illegal(request, Target.host()) or "")


@pytest.mark.parametrize("family", PACKED)
@pytest.mark.parametrize("shape", [(1, 1, 40, 41), (1, 1, 5, 12, 13)])
def test_the_outputs_of_one_channel_are_shared_out_among_threads(
    family: ModuleType, shape: tuple[int, ...]
) -> None:
    """A volume of one channel is packed whole, by every thread; each computes some of its 21 outputs."""
    rank = len(shape) - 2
    spec = normalize_conv(
        shape, (21, 1, *(3,) * rank), None, padding=1, rank=rank, dtype=np.dtype(np.float32)
    )[0]
    generator = np.random.default_rng(0)
    x, weight = (
        generator.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.weight_shape)
    )
    found: list[Array] = []
    for threads in (1, 2, 3):
        out = np.full(spec.output_shape, np.nan, np.float32)
        made = run(family, spec, x, weight, out, threads)
        assert made is not None
        assert made.tasks >= threads
        found.append(out)
    check(found[0], spec, x, weight)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("family", PACKED)
@pytest.mark.parametrize("width", [5, 6, 7, 9, 15])
def test_gaps_between_rows_of_the_output_stay_as_they_are(family: ModuleType, width: int, mask: str) -> None:
    """Short rows are stored over the next one's beginning only where it follows at once."""
    spec = layer(6, width)
    generator = np.random.default_rng(width)
    x, weight = (
        generator.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.weight_shape)
    )
    wide = np.full((*spec.output_shape[:3], width + 3), np.nan, np.float32)
    with masked(mask):
        plan = run(family, spec, x, weight, wide[..., :width])
        assert plan is not None
        short = width < plan.kernel.lanes
        assert plan.kernel.ends == ("masked" if short else "early")
        dense = np.full(spec.output_shape, np.nan, np.float32)
        assert run(family, spec, x, weight, dense).kernel.ends == ("over" if short else "early")
    assert np.isnan(wide[..., width:]).all()
    np.testing.assert_array_equal(wide[..., :width], dense)
    check(dense, spec, x, weight)


@pytest.mark.parametrize(
    ("width", "stride", "kernel", "pad", "copied"),
    [
        (56, 1, 3, 1, True),
        (56, 2, 5, 2, True),
        (57, 2, 3, 1, True),
        (7, 1, 3, 1, True),
        (7, 2, 3, 1, True),
        (3, 2, 3, 1, False),  # a row of three has no two pairs
        (56, 3, 3, 1, False),  # every third column
        (56, 2, 1, 0, False),  # one plane of two
    ],
)
def test_which_rows_are_copied(width: int, stride: int, kernel: int, pad: int, copied: bool) -> None:
    spec = layer(9, width, kernel=(3, kernel), stride=(stride, stride), pads=(1, pad))
    generator = np.random.default_rng(width)
    x, weight = (
        generator.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.weight_shape)
    )
    out = np.full(spec.output_shape, np.nan, np.float32)
    plan = run(depthwise, spec, x, weight, out)
    assert (plan.kernel.copy is not None) == copied
    check(out, spec, x, weight)
    # Columns that do not lie side by side are packed element by element.
    apart = np.zeros((*spec.input_shape[:3], 2 * width), np.float32)[..., ::2]
    apart[...] = x
    again = np.full(spec.output_shape, np.nan, np.float32)
    assert run(depthwise, spec, apart, weight, again).kernel.copy is None
    np.testing.assert_array_equal(again, out)


def test_zeros_between_rows_outlive_every_channel() -> None:
    """Rows of one channel are written over those of the one before, and never over the zeros beside them."""
    spec = layer(11, 37, kernel=(5, 7), stride=(2, 2), pads=(4, 6))
    generator = np.random.default_rng(0)
    x = generator.standard_normal(spec.input_shape).astype(np.float32)
    x[:, :-1] = np.inf
    weight = generator.standard_normal(spec.weight_shape).astype(np.float32)
    out = np.full(spec.output_shape, np.nan, np.float32)
    assert run(depthwise, spec, x, weight, out).kernel.copy is not None
    alone = layer(11, 37, kernel=(5, 7), stride=(2, 2), pads=(4, 6))
    quiet = x.copy()
    quiet[:, :-1] = 0
    expected = np.full(spec.output_shape, np.nan, np.float32)
    run(depthwise, alone, quiet, weight, expected)
    np.testing.assert_array_equal(out[:, 4:], expected[:, 4:])
