"""Every kernel against the oracle: all specs, all feature masks, sizes around the edges of tiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from convforge import plan, reference, runtime
from convforge.problem import ConvSpec, grad_input_spec, normalize_conv
from support.convolutions import FLOATS, INTEGERS, LAYOUTS, Case, cases, filled
from support.targets import MASKS, masked
from support.tolerance import assert_close

Array = Any


def check(spec: ConvSpec, x: Array, weight: Array, bias: Array | None, gradient: Array) -> None:
    """All three products of a spec against the oracle, within what the dtype allows."""
    wide = {"f": np.float64, "c": np.complex128, "i": np.int64, "u": np.int64}.get(
        spec.dtype.kind, np.float64
    )
    exact = ConvSpec(**{**_fields(spec), "dtype": np.dtype(wide)})
    positive = ConvSpec(**{**_fields(spec), "dtype": np.dtype(np.float64)})

    def size(array: Array) -> Array:
        return np.abs(array).astype(np.float64)

    taps = int(np.prod(spec.kernel_size))
    reach = spec.in_channels // spec.groups * taps + 1
    b, size_b = (None, None) if bias is None else (bias, size(bias))
    assert_close(
        plan.output(spec, x, weight, b),
        reference.output(exact, x, weight, b),
        reference.output(positive, size(x), size(weight), size_b),
        reach,
    )
    assert_close(
        plan.grad_input(spec, gradient, weight),
        reference.grad_input(exact, gradient, weight),
        reference.grad_input(positive, size(gradient), size(weight)),
        spec.out_channels // spec.groups * taps * 4,  # folded padding adds several up
    )
    assert_close(
        plan.grad_weight(spec, x, gradient),
        reference.grad_weight(exact, x, gradient),
        reference.grad_weight(positive, size(x), size(gradient)),
        spec.batch * max(int(np.prod(spec.output_size)), int(np.prod(spec.input_size)), 1),
    )


def _fields(spec: ConvSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in ConvSpec.__dataclass_fields__}


@settings(max_examples=60)
@given(
    case=cases(),
    dtype=st.sampled_from(FLOATS + INTEGERS),
    layout=st.sampled_from(LAYOUTS),
    seed=st.integers(0, 99),
)
def test_every_spec(case: Case, dtype: str, layout: str, seed: int) -> None:
    spec = case.spec(_numpy(dtype))
    x, weight, bias = case.arrays(dtype, seed, layout)
    gradient = filled(np.random.default_rng(seed + 1), spec.output_shape, dtype)
    check(spec, x, weight, bias, gradient)


@pytest.mark.parametrize("mask", MASKS)
@settings(max_examples=25)
@given(
    case=cases(),
    dtype=st.sampled_from(("float32", "float64", "bfloat16", "float16", "int8")),
    seed=st.integers(0, 99),
)
def test_every_mask(mask: str, case: Case, dtype: str, seed: int) -> None:
    with masked(mask):
        spec = case.spec(_numpy(dtype))
        x, weight, bias = case.arrays(dtype, seed)
        check(spec, x, weight, bias, filled(np.random.default_rng(seed + 1), spec.output_shape, dtype))


@settings(max_examples=60)
@given(
    channels=st.sampled_from((1, 2, 7, 8, 9, 33)),
    outputs=st.sampled_from((1, 3, 4, 5, 8, 13, 25)),
    height=st.integers(1, 9),
    width=st.sampled_from((1, 7, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 80, 97)),
    kernel=st.sampled_from((1, 2, 3, 5)),
    stride=st.sampled_from((1, 2, 3)),
    padding=st.integers(0, 2),
    transposed=st.booleans(),
)
def test_tile_edges(
    channels: int,
    outputs: int,
    height: int,
    width: int,
    kernel: int,
    stride: int,
    padding: int,
    transposed: bool,
) -> None:
    """Runs one shorter than, equal to and one longer than a tile, a vector, a block of channels."""
    shape = (channels, outputs) if transposed else (outputs, channels)
    least = 2 * padding + (1 if transposed else 0)
    height, width = max(height, least), max(width, least)
    if not transposed and min(height, width) + 2 * padding < kernel:
        return
    spec, _ = normalize_conv(
        (2, channels, height, width), (*shape, kernel, kernel), (outputs,), stride, padding,
        rank=2, transposed=transposed, dtype=np.dtype(np.float32),
    )  # fmt: skip
    generator = np.random.default_rng(width)
    arrays = [
        filled(generator, s, "float32")
        for s in (spec.input_shape, spec.weight_shape, (outputs,), spec.output_shape)
    ]
    check(spec, *arrays)


@pytest.mark.parametrize("mask", MASKS)
@settings(max_examples=25)
@given(
    channels=st.integers(1, 5),
    multiplier=st.sampled_from((1, 1, 2, 3)),
    size=st.tuples(
        st.integers(1, 3), st.integers(1, 30), st.sampled_from((1, 7, 8, 9, 15, 16, 17, 31, 33, 65))
    ),
    rank=st.sampled_from((2, 2, 3)),
    kernel=st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 5)),
    stride=st.sampled_from((1, 2, 3)),
    dilation=st.sampled_from((1, 1, 2)),
    mode=st.sampled_from(("zeros", "zeros", "reflect", "replicate", "circular")),
    dtype=st.sampled_from(("float32", "float64", "bfloat16", "int8")),
)
def test_depthwise(
    mask: str,
    channels: int,
    multiplier: int,
    size: tuple[int, int, int],
    rank: int,
    kernel: tuple[int, int, int],
    stride: int,
    dilation: int,
    mode: str,
    dtype: str,
) -> None:
    sides, taps = size[-rank:], kernel[-rank:]
    pads = tuple(min(dilation * (k - 1) // 2 + 1, n - 1) for k, n in zip(taps, sides, strict=True))
    assume(all(n + 2 * p > dilation * (k - 1) for n, p, k in zip(sides, pads, taps, strict=True)))
    outputs = channels * multiplier
    with masked(mask):
        spec, _ = normalize_conv(
            (2, channels, *sides), (outputs, 1, *taps), (outputs,), stride, pads, dilation, channels,
            rank=rank, padding_mode=mode, dtype=_numpy(dtype),
        )  # fmt: skip
        generator = np.random.default_rng(channels)
        shapes = (spec.input_shape, spec.weight_shape, (outputs,), spec.output_shape)
        check(spec, *(filled(generator, s, dtype) for s in shapes))


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("width", [8, 9, 10, 17])
@pytest.mark.parametrize(("pad", "dilation", "stride"), [(25, 9, 1), (25, 1, 1), (13, 5, 2), (11, 1, 2)])
def test_depthwise_tiles_beyond_the_ends_of_rows(
    mask: str, width: int, pad: int, dilation: int, stride: int
) -> None:
    """Copies of rows with zeros around them once began before their own memory."""
    with masked(mask):
        spec, _ = normalize_conv(
            (1, 2, 5, width), (2, 1, 3, 3), (2,), stride, (1, pad), (1, dilation), 2,
            rank=2, dtype=np.dtype(np.float32),
        )  # fmt: skip
        generator = np.random.default_rng(width)
        shapes = (spec.input_shape, spec.weight_shape, (2,), spec.output_shape)
        check(spec, *(filled(generator, s, "float32") for s in shapes))


@pytest.mark.parametrize("mask", MASKS)
@settings(max_examples=15)
@given(
    size=st.tuples(st.integers(1, 2), st.integers(1, 40), st.sampled_from((1, 5, 16, 31, 33, 70))),
    rank=st.sampled_from((2, 2, 3)),
    kernel=st.tuples(st.integers(1, 2), st.integers(1, 17), st.integers(7, 19)),
    pads=st.tuples(st.integers(0, 1), st.integers(0, 17), st.integers(0, 19)),
    mode=st.sampled_from(("zeros", "zeros", "zeros", "circular")),
    dtype=st.sampled_from(("float32", "float64", "float16", "int16")),
)
def test_large_depthwise_kernels(
    mask: str,
    size: tuple[int, int, int],
    rank: int,
    kernel: tuple[int, int, int],
    pads: tuple[int, int, int],
    mode: str,
    dtype: str,
) -> None:
    """Kernels up to 17x19, taller than maps and tiles or not, on padding or not."""
    sides, taps = size[-rank:], kernel[-rank:]
    around = tuple(min(p, n) if mode == "circular" else p for p, n in zip(pads[-rank:], sides, strict=True))
    assume(all(n + 2 * p >= k for n, p, k in zip(sides, around, taps, strict=True)))
    with masked(mask):
        spec, _ = normalize_conv(
            (1, 2, *sides), (4, 1, *taps), (4,), 1, around, 1, 2,
            rank=rank, padding_mode=mode, dtype=_numpy(dtype),
        )  # fmt: skip
        generator = np.random.default_rng(rank)
        shapes = (spec.input_shape, spec.weight_shape, (4,), spec.output_shape)
        check(spec, *(filled(generator, s, dtype) for s in shapes))


@pytest.mark.parametrize("mask", MASKS)
@settings(max_examples=20)
@given(
    channels=st.sampled_from((1, 5, 40, 130)),
    outputs=st.sampled_from((15, 16, 17, 31, 33, 64, 70)),
    groups=st.sampled_from((1, 1, 2)),
    size=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    rank=st.sampled_from((1, 2, 2, 3)),
    kernel=st.sampled_from((1, 2, 3, 4)),
    stride=st.sampled_from((1, 2, 3)),
    mode=st.sampled_from(("zeros", "zeros", "replicate")),
    transposed=st.booleans(),
    dtype=st.sampled_from(("float32", "float64", "float16", "int16")),
)
def test_small_maps(
    mask: str,
    channels: int,
    outputs: int,
    groups: int,
    size: tuple[int, int, int],
    rank: int,
    kernel: int,
    stride: int,
    mode: str,
    transposed: bool,
    dtype: str,
) -> None:
    """Few outputs of many channels: vectors along channels, lists of outputs that no tile divides."""
    sides = size[-rank:]
    inputs, results = channels * groups, outputs * groups
    shape = (inputs, outputs) if transposed else (results, channels)
    pads = 1 if kernel > 2 else 0
    assume(all(n + 2 * pads >= kernel for n in sides))
    with masked(mask):
        spec, _ = normalize_conv(
            (2, inputs, *sides), (*shape, *(kernel,) * rank), (results,), stride, pads, 1, groups,
            rank=rank, transposed=transposed, padding_mode=mode, dtype=_numpy(dtype),
        )  # fmt: skip
        generator = np.random.default_rng(channels)
        shapes = (spec.input_shape, spec.weight_shape, (results,), spec.output_shape)
        check(spec, *(filled(generator, s, dtype) for s in shapes))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("transposed", [False, True])
def test_long_signals_in_bands(stride: int, mode: str, transposed: bool) -> None:
    """A row too long for one band: windows of it are packed, pads at its two ends only."""
    shape = (5, 3) if transposed else (3, 5)
    spec, _ = normalize_conv(
        (2, 5, 9001), (*shape, 7), (3,), stride, ((40, 33),), 5, rank=1, transposed=transposed,
        padding_mode=mode, dtype=np.dtype(np.float32),
    )  # fmt: skip
    generator = np.random.default_rng(0)
    arrays = [
        filled(generator, s, "float32")
        for s in (spec.input_shape, spec.weight_shape, (3,), spec.output_shape)
    ]
    check(spec, *arrays)
    arrays[0] = np.ascontiguousarray(arrays[0][..., ::-1])[..., ::-1]
    check(spec, *arrays)


@pytest.mark.parametrize(("threads", "growth"), [(1, 2.5), (2, 1.5), (7, 1.5)])
def test_workspace_does_not_grow_with_the_length_of_a_signal(threads: int, growth: float) -> None:
    def workspace(length: int) -> int:
        spec, _ = normalize_conv(
            (1, 64, length), (128, 64, 3), None, padding=1, rank=1, dtype=np.dtype(np.float32)
        )
        return plan.workspace_bytes(spec)

    before = runtime.get_num_threads()
    runtime.set_num_threads(threads)
    try:
        found = [workspace(10**power) for power in (6, 7, 8, 9)]
    finally:
        runtime.set_num_threads(before)
    # Bands are cut so that what they pack stays near: 1.7 to 8.4 MB, whatever the length.
    assert found[2] <= growth * found[0]
    assert max(found) < 9e6


@pytest.mark.parametrize("activation", ["relu", "relu6", "leaky_relu", "hardswish"])
def test_activation_in_the_epilogue(activation: Any) -> None:
    spec, _ = normalize_conv((1, 4, 9, 9), (6, 4, 3, 3), (6,), rank=2, dtype=np.dtype(np.float32))
    generator = np.random.default_rng(0)
    x, weight, bias = (filled(generator, s, "float32") for s in (spec.input_shape, spec.weight_shape, (6,)))
    x[0, 0, 4, 4] = np.nan
    y = reference.output(spec, x, weight, bias)
    expected = {
        "relu": lambda: np.where(y < 0, 0, y),
        "relu6": lambda: np.clip(y, 0, 6),
        "leaky_relu": lambda: np.where(y < 0, np.float32(0.01) * y, y),
        "hardswish": lambda: y * np.clip(y + 3, 0, 6) / 6,
    }[activation]()
    np.testing.assert_allclose(plan.output(spec, x, weight, bias, activation=activation), expected, atol=2e-6)


def test_infinity_and_nan_stay_where_arithmetic_puts_them() -> None:
    spec, _ = normalize_conv((1, 2, 12, 21), (3, 2, 3, 3), None, 2, 1, rank=2, dtype=np.dtype(np.float32))
    generator = np.random.default_rng(0)
    x, weight, gradient = (
        filled(generator, s, "float32") for s in (spec.input_shape, spec.weight_shape, spec.output_shape)
    )
    x[0, 0, 3, 4], x[0, 1, 0, 20], gradient[0, 1, 2, 3] = np.inf, np.nan, -np.inf
    with np.errstate(invalid="ignore"):
        for ours, oracle in (
            (plan.output(spec, x, weight), reference.output(spec, x, weight)),
            (plan.grad_input(spec, gradient, weight), reference.grad_input(spec, gradient, weight)),
            (plan.grad_weight(spec, x, gradient), reference.grad_weight(spec, x, gradient)),
        ):
            np.testing.assert_array_equal(np.isnan(ours), np.isnan(oracle))
            np.testing.assert_array_equal(np.isinf(ours), np.isinf(oracle))


def test_tiny_and_huge_magnitudes_are_kept() -> None:
    spec, _ = normalize_conv((1, 3, 8, 8), (4, 3, 3, 3), None, rank=2, dtype=np.dtype(np.float32))
    generator = np.random.default_rng(0)
    x, weight = (filled(generator, s, "float32") for s in (spec.input_shape, spec.weight_shape))
    base = plan.output(spec, x, weight)
    for scale in (2.0**-90, 2.0**100):
        np.testing.assert_array_equal(
            plan.output(spec, x * np.float32(scale), weight), base * np.float32(scale)
        )


def _numpy(name: str) -> np.dtype[Any]:
    from support.convolutions import numpy_dtype

    return numpy_dtype(name)


@settings(max_examples=40)
@given(
    height=st.integers(2, 14),
    width=st.sampled_from((9, 17, 33, 40)),
    dilation=st.sampled_from((1, 3, 6)),
    depth=st.sampled_from((0, 1, 2, 3)),
    transposed=st.booleans(),
)
def test_taps_on_padding_are_left_out(
    height: int, width: int, dilation: int, depth: int, transposed: bool
) -> None:
    """Dilated kernels on few rows, kernels of three slices on one: most taps meet zeros only."""
    size, rank = ((depth, height, width), 3) if depth else ((height, width), 2)
    pads = (1, dilation, dilation)[-rank:]
    spec, _ = normalize_conv(
        (1, 6, *size), (6, 6, *(3,) * rank), (6,), 1, pads, (1, dilation, dilation)[-rank:],
        rank=rank, transposed=transposed, dtype=np.dtype(np.float32),
    )  # fmt: skip
    generator = np.random.default_rng(height)
    arrays = [
        filled(generator, s, "float32")
        for s in (spec.input_shape, spec.weight_shape, (6,), spec.output_shape)
    ]
    check(spec, *arrays)


def test_depthwise_gradients_take_the_kernels_of_depthwise_layers() -> None:
    """At stride 1 a gradient of the input is a depthwise layer with its taps turned round."""
    spec, _ = normalize_conv((2, 6, 7, 7), (6, 1, 3, 3), None, 1, 1, 1, 6, rank=2, dtype=np.float32)
    assert "depthwise" in str(plan.explain(grad_input_spec(spec))).splitlines()[1]
    spec, _ = normalize_conv((2, 6, 7, 7), (6, 1, 3, 3), None, 2, 1, 1, 6, rank=2, dtype=np.float32)
    assert "several tap lists" in str(plan.explain(grad_input_spec(spec)))
