"""Outputs rounded to bfloat16: to nearest even, every kind of number, by an instruction or spelt out."""

from __future__ import annotations

import re
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from convforge.ir.element import ELEMENTS
from convforge.kernels.direct.contract import GatherKernel
from convforge.plan.depthwise import (
    large as depthwise_large,
    map as depthwise_map,
    planes as depthwise,
    rows as depthwise_rows,
)
from convforge.plan.direct import channels, gather as direct
from convforge.plan.element import element_of
from convforge.plan.request import OutputRequest
from convforge.problem import normalize_conv
from convforge.runtime import address_of
from convforge.runtime.compiler import assembly
from convforge.target import Target
from support.convolutions import numpy_dtype
from support.targets import MASKS, masked

Array = np.ndarray[Any, Any]
BFLOAT16 = numpy_dtype("bfloat16")
# A family, its kernel's side and groups: all but the middle tap are zeros.
FAMILIES: dict[str, tuple[ModuleType, int, bool]] = {
    "direct": (direct, 1, True),
    "channels": (channels, 1, False),
    "depthwise rows": (depthwise_rows, 3, True),
    "depthwise packed": (depthwise, 3, True),
    "depthwise large": (depthwise_large, 3, True),
    "depthwise map": (depthwise_map, 3, True),
}
CHANNELS = 20
# What inputs are multiplied by: products become denormal, overflow, or lie halfway between two numbers.
FACTORS = np.array([1.0, -1.0078125, 1.5, 0.33203125, 3.0e-38, -1.1e-36, 2.5e38, 1.9921875, 2.0**-126, 0.0])


def numbers(shape: tuple[int, ...], *, finite: bool) -> Array:
    """Bit patterns of every kind, half of them near the denormal numbers."""
    generator = np.random.default_rng(7)
    bits = generator.integers(0, 1 << 16, shape, np.uint16)
    small = generator.integers(0, 0x180, shape, np.uint16) | (bits & 0x8000)
    bits = np.where(generator.random(shape) < 0.5, small, bits).astype(np.uint16)
    if finite:
        bits[bits & 0x7F80 == 0x7F80] = 0x3F80
    return bits.view(BFLOAT16)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("special", ["denormal", "ordinary"])
@pytest.mark.parametrize("name", FAMILIES)
def test_products_are_rounded_as_numpy_rounds_them(name: str, special: str, mask: str) -> None:
    family, side, depthwise_layer = FAMILIES[name]
    groups = CHANNELS if depthwise_layer else 1
    spec, _ = normalize_conv(
        (2, CHANNELS, 14, 14), (CHANNELS, CHANNELS // groups, side, side), None, 1, side // 2, 1, groups,
        rank=2, dtype=BFLOAT16,
    )  # fmt: skip
    # Zeros of other taps and channels would make NaN of infinities.
    x = numbers(spec.input_shape, finite=side > 1 or groups == 1)
    if special == "ordinary":
        x.view(np.uint16)[x.view(np.uint16) & 0x7F80 < 0x1000] = 0x3F81
    factors = np.resize(FACTORS[:3] if special == "ordinary" else FACTORS, CHANNELS).astype(BFLOAT16)
    weight = np.zeros(spec.weight_shape, BFLOAT16)
    weight[np.arange(CHANNELS), 0 if depthwise_layer else np.arange(CHANNELS), side // 2, side // 2] = factors
    out = np.full(spec.output_shape, 77, BFLOAT16)
    request = OutputRequest(spec, x.strides, out.strides, has_bias=False, activation="none")
    with masked(mask) as target:
        if family.why_illegal(request, target) is not None:
            assert name in ("depthwise rows", "depthwise map"), "without masked loads they are packed"
            return
        plan = family.plan(request, target, 2)
        packed = plan.weights.pack(weight, 1)
        plan(address_of(x), address_of(packed), 0, address_of(out))
    with np.errstate(all="ignore"):
        products = x.astype(np.float32) * factors.astype(np.float32)[:, None, None]
        expected, found = products.astype(BFLOAT16).astype(np.float32), out.astype(np.float32)
    tiny = np.abs(expected[np.isfinite(expected) & (expected != 0)]) < 2.0**-126
    assert tiny.any() == (special == "denormal")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("way_out", ["flat", "unit"])
def test_a_tile_is_looked_through_once_and_rounded_by_the_instruction(way_out: str) -> None:
    features = frozenset({"avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512bf16"})
    target = Target("x86_64-unknown-linux-gnu", features)
    element = element_of(normalize_conv((1, 1, 4), (1, 1, 1), None, rank=1, dtype=BFLOAT16)[0], target)
    assert element == replace(ELEMENTS["bfloat16"], rounds=True)
    kernel = GatherKernel(
        element,
        16,
        4,
        2,
        True,
        "unit",
        way_out,
        True,
        "none",  # type: ignore[arg-type]
    )
    text = assembly(kernel.emit(target.triple), target)
    assert len(re.findall("vcvtneps2bf16", text)) >= kernel.mr * kernel.nv
    assert len(re.findall("vfpclassps", text)) == len(re.findall("vcvtneps2bf16", text))
    plain = assembly(replace(kernel, element=ELEMENTS["bfloat16"]).emit(target.triple), target)
    assert "vcvtneps2bf16" not in plain


def test_only_processors_that_round_are_asked_to() -> None:
    spec, _ = normalize_conv((1, 1, 4), (1, 1, 1), None, rank=1, dtype=BFLOAT16)
    features = frozenset({"avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512dq"})
    target = Target("x86_64-unknown-linux-gnu", features | {"avx512bf16"})
    assert element_of(spec, target).rounds
    assert not element_of(spec, replace(target, features=features)).rounds
    assert not element_of(spec, replace(target, features=frozenset({"avx2", "avx512bf16"}))).rounds
    assert not element_of(replace(spec, dtype=np.dtype(np.float32)), target).rounds
