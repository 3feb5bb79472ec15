"""Convolutions of bytes against int64 sums: every way of summing, all specs, all masks, extreme values."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from convforge import reference
from convforge.kernels.dot.contract import DotKernel, Instruction, Products
from convforge.plan.dot.gather import (
    FLOAT_STEPS,
    DotPlan,
    choose_products,
    instruction_of,
    why_illegal,
)
from convforge.plan.dot.quantized import QuantizedProduct
from convforge.plan.request import DotRequest
from convforge.problem import ConvSpec, normalize_conv
from convforge.problem.gather import gather_of
from convforge.problem.quantization import Rescaling
from convforge.runtime.compiler import assembly, compile_object
from convforge.runtime.image import link
from convforge.target import Target
from support.convolutions import LAYOUTS, Case, cases, with_layout
from support.quantized import run_dot, some_bytes, some_rescaling, ways
from support.targets import MASKS, masked

INPUTS = (np.uint8, np.int8)
OUTPUTS = ("uint8", "int8", "float32")
X86 = frozenset(
    ("sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "avx", "avx2", "fma", "f16c", "bmi", "bmi2", "avx512f")
) | {"avx512bw", "avx512dq", "avx512vl", "avx512cd", "avx512vnni"}
VNNI = Target("x86_64-unknown-linux-gnu", X86)
ARM = Target("aarch64-unknown-linux-gnu", frozenset({"neon"}))


def check_all_ways(
    spec: ConvSpec, x: Any, weight: Any, rescaling: Rescaling, target: Target, threads: int = 1
) -> None:
    """Each way of summing gives the oracle's bytes, and writes all of them."""
    expected = reference.quantized_output(spec, x, weight, rescaling)
    for products, instruction in ways(spec, target):
        out = np.full(spec.output_shape, 77, rescaling.y_dtype)
        how: Any = {"products": products, "instruction": instruction, "threads": threads}
        run_dot(spec, x, weight, rescaling, out, **how)
        np.testing.assert_array_equal(out, expected, err_msg=f"{products}, {instruction}")


@pytest.mark.parametrize("mask", MASKS)
@settings(max_examples=20)
@given(
    case=cases(batches=(1, 2)),
    x_dtype=st.sampled_from(INPUTS),
    y_dtype=st.sampled_from(OUTPUTS),
    layout=st.sampled_from(LAYOUTS),
    relu=st.booleans(),
    seed=st.integers(0, 99),
)
def test_every_spec(
    mask: str, case: Case, x_dtype: Any, y_dtype: str, layout: str, relu: bool, seed: int
) -> None:
    assume(not case.transposed or case.padding_mode == "zeros")
    spec, generator = case.spec(x_dtype), np.random.default_rng(seed)
    x = with_layout(some_bytes(generator, spec.input_shape, x_dtype), layout)
    weight = some_bytes(generator, spec.weight_shape, np.int8)
    rescaling = some_rescaling(generator, spec, y_dtype, relu=relu)
    with masked(mask) as target:
        check_all_ways(spec, x, weight, rescaling, target)


@settings(max_examples=25)
@given(
    channels=st.sampled_from((1, 2, 3, 4, 5, 8, 9, 33)),
    outputs=st.sampled_from((1, 3, 4, 5, 8, 13)),
    height=st.integers(1, 9),
    width=st.sampled_from((1, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65)),
    kernel=st.sampled_from((1, 2, 3, 5)),
    stride=st.sampled_from((1, 2, 3)),
    padding=st.integers(0, 2),
    transposed=st.booleans(),
    x_dtype=st.sampled_from(INPUTS),
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
    x_dtype: Any,
) -> None:
    """Runs one shorter than, equal to and one longer than a vector, a packed element, a tile."""
    least = 2 * padding + 1 if transposed else max(1, kernel - 2 * padding)
    weight_shape = (channels, outputs) if transposed else (outputs, channels)
    spec, _ = normalize_conv(
        (2, channels, max(height, least), max(width, least)), (*weight_shape, kernel, kernel), None, stride,
        padding, rank=2, transposed=transposed, dtype=x_dtype,
    )  # fmt: skip
    generator = np.random.default_rng(width)
    x = some_bytes(generator, spec.input_shape, x_dtype)
    weight = some_bytes(generator, spec.weight_shape, np.int8)
    check_all_ways(spec, x, weight, some_rescaling(generator, spec, "uint8"), Target.host())


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    ("x_dtype", "x_zero"),
    [*((np.uint8, zero) for zero in (0, 1, 128, 255)), *((np.int8, zero) for zero in (-128, 0, 127))],
)
@pytest.mark.parametrize("ends", ["all smallest", "all largest", "alternating"])
def test_the_largest_sums_there_are(mask: str, x_dtype: Any, x_zero: int, ends: str) -> None:
    """-128 * -255 for every product: where 16 bits or a float's 24 would not do."""
    info = np.iinfo(x_dtype)
    spec, _ = normalize_conv((1, 57, 4, 19), (5, 57, 3, 3), None, padding=1, rank=2, dtype=x_dtype)
    x = np.full(spec.input_shape, info.max if ends == "all largest" else info.min, x_dtype)
    weight = np.full(spec.weight_shape, 127 if ends == "all largest" else -128, np.int8)
    if ends == "alternating":
        x.reshape(-1)[::2], weight.reshape(-1)[::2] = info.max, 127
    rescaling = Rescaling.of(
        x_scale=1.0, x_zero=x_zero, weight_scales=np.ones(5), bias=None, relu=False,
        y_dtype=np.dtype(np.float32),
    )  # fmt: skip
    with masked(mask) as target:
        check_all_ways(spec, x, weight, rescaling, target)


def test_floats_are_taken_only_while_they_are_exact() -> None:
    at_most, _ = normalize_conv((1, FLOAT_STEPS, 9), (1, FLOAT_STEPS, 1), None, rank=1, dtype=np.uint8)
    beyond, _ = normalize_conv((1, FLOAT_STEPS + 1, 9), (1, FLOAT_STEPS + 1, 1), None, rank=1, dtype=np.uint8)
    assert why_illegal("floats", gather_of(at_most)) is None
    assert "515 products" in str(why_illegal("floats", gather_of(beyond)))
    # One more would pass 2^24 and come out rounded.
    assert FLOAT_STEPS * 255 * 128 <= 1 << 24 < (FLOAT_STEPS + 1) * 255 * 128
    x, weight = np.full(at_most.input_shape, 255, np.uint8), np.full(at_most.weight_shape, -128, np.int8)
    weight[0, 0] = -127
    rescaling = Rescaling.of(
        x_scale=1.0, x_zero=0, weight_scales=np.ones(1), bias=None, relu=False, y_dtype=np.dtype(np.float32)
    )
    check_all_ways(at_most, x, weight, rescaling, Target.host())


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing(threads: int) -> None:
    spec, _ = normalize_conv((3, 20, 30, 31), (40, 10, 3, 3), None, 1, 1, groups=2, rank=2, dtype=np.int8)
    generator = np.random.default_rng(0)
    x = some_bytes(generator, spec.input_shape, np.int8)
    weight = some_bytes(generator, spec.weight_shape, np.int8)
    check_all_ways(spec, x, weight, some_rescaling(generator, spec, "int8"), Target.host(), threads)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "circular"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("x_dtype", INPUTS)
def test_bands_of_long_signals(x_dtype: Any, stride: int, mode: str) -> None:
    """A band packs a window of the signal: it begins in the run of the input, or before it, or ends it."""
    spec, _ = normalize_conv(
        (1, 6, 3001), (4, 6, 9), None, stride, 4, 3, rank=1, padding_mode=mode, dtype=x_dtype
    )
    generator = np.random.default_rng(stride)
    x = some_bytes(generator, spec.input_shape, x_dtype)
    weight = some_bytes(generator, spec.weight_shape, np.int8)
    check_all_ways(spec, x, weight, some_rescaling(generator, spec, "uint8"), Target.host(), threads=3)


def test_weights_are_packed_once_for_each_tile_that_sizes_of_input_take() -> None:
    generator = np.random.default_rng(0)
    spec, _ = normalize_conv((1, 4, 9, 9), (6, 4, 3, 3), None, rank=2, dtype=np.uint8)
    weight = some_bytes(generator, spec.weight_shape, np.int8)
    rescaling = some_rescaling(generator, spec, "uint8", x_zero=3)
    product = QuantizedProduct(weight, rescaling)
    packed: list[int] = []
    for side in (9, 12, 13, 9, 12, 13):
        sized = replace(spec, input_size=(side, side), output_size=(side - 2, side - 2))
        x = some_bytes(generator, sized.input_shape, np.uint8)
        np.testing.assert_array_equal(
            product(sized, x), reference.quantized_output(sized, x, weight, rescaling)
        )
        packed.append(len(product._packed))
    assert packed[2] < 3, "some sizes take the same tile"
    assert packed[3:] == [packed[2]] * 3


def test_the_way_of_summing_follows_the_processor() -> None:
    deep, _ = normalize_conv((1, 64, 9, 9), (8, 64, 3, 3), None, rank=2, dtype=np.uint8)
    depthwise, _ = normalize_conv((1, 8, 9, 9), (8, 1, 3, 3), None, groups=8, rank=2, dtype=np.uint8)
    avx2 = VNNI.without("avx512f")
    assert choose_products(gather_of(deep), VNNI) == "quads"
    assert choose_products(gather_of(deep), VNNI.without("avx512vnni")) == "pairs"
    assert choose_products(gather_of(deep), avx2) == choose_products(gather_of(deep), ARM) == "pairs"
    for target in (VNNI, avx2, ARM):
        assert choose_products(gather_of(depthwise), target) == "floats"
    assert instruction_of("quads", VNNI) == "vpdpbusd"
    assert instruction_of("pairs", avx2) == "pmaddwd"
    assert instruction_of("pairs", ARM) == instruction_of("quads", avx2) == "plain"


def kernel(target: Target, products: Products, instruction: Instruction, output: Any = "uint8") -> DotKernel:
    return DotKernel(
        products=products,
        instruction=instruction,
        signed=True,
        output=output,
        lanes=target.vector_bytes // 4,
        mr=4,
        nv=2,
        fused=target.fused,
        columns="unit",
        way_out="unit",
    )


@pytest.mark.parametrize(
    ("target", "products", "instruction"),
    [
        (VNNI, "quads", "vpdpbusd"),
        (VNNI.without("avx512vnni"), "pairs", "vpmaddwd"),
        (VNNI.without("avx512f"), "pairs", "vpmaddwd"),
        (VNNI.without("avx", "sse4.2", "sse3"), "pairs", "pmaddwd"),
    ],
)
def test_the_instruction_is_in_the_code(target: Target, products: Products, instruction: str) -> None:
    made = kernel(target, products, instruction_of(products, target))
    code = assembly(made.emit(target.triple), target)
    assert code.count(instruction) >= made.mr * made.nv, "one for each sum of a tile"
    assert "pmaddubsw" not in code


def test_weights_are_the_signed_bytes_of_vpdpbusd() -> None:
    """No processor here runs it. In this spelling: signed bytes, unsigned ones, sums."""
    code = assembly(kernel(VNNI, "quads", "vpdpbusd").emit(VNNI.triple), VNNI)
    weights = set(re.findall(r"vpbroadcastd\t\d*\(%r\w+,%r\w+,4\), (%zmm\d+)", code))
    signed, unsigned = (
        set(each) for each in zip(*re.findall(r"vpdpbusd\t(%zmm\d+), (%zmm\d+), %zmm\d+", code), strict=True)
    )
    assert signed <= weights
    assert not unsigned & weights


@pytest.mark.parametrize("products", ["floats", "pairs", "quads"])
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("target", [VNNI, VNNI.without("avx512f"), ARM], ids=["vnni", "avx2", "arm"])
def test_every_kernel_compiles_and_needs_nothing_from_outside(
    target: Target, output: str, products: Products
) -> None:
    code = compile_object(
        kernel(target, products, instruction_of(products, target), output).emit(target.triple), target
    )
    if target is not ARM:
        link([code])


def test_a_kernel_says_what_it_is() -> None:
    spec, _ = normalize_conv((1, 64, 30, 30), (64, 64, 3, 3), None, padding=1, rank=2, dtype=np.uint8)
    strides = spec.input_shape[1] * 900, 900, 30, 1
    made = DotPlan(DotRequest(spec, strides, (64 * 784, 784, 28, 1), "uint8"), Target.host(), 1)
    assert made.describe().startswith("dot ")
    assert "tasks" in made.describe()
