"""Outputs written past the caches: the same bits, nothing beside them, and only where no cache keeps them."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from convforge.ir.element import ELEMENTS
from convforge.kernels.direct.contract import GatherKernel
from convforge.memory import LINE_BYTES
from convforge.plan import streaming
from convforge.plan.depthwise import (
    large as depthwise_large,
    phases as depthwise_phases,
    planes as depthwise,
    rows as depthwise_rows,
)
from convforge.plan.direct import gather as direct
from convforge.plan.pairs import gather as pairs
from convforge.plan.request import OutputRequest, contiguous_strides
from convforge.problem import ConvSpec, Precision, normalize_conv
from convforge.runtime import address_of
from convforge.runtime.compiler import assembly
from convforge.target import Target
from support.convolutions import numpy_dtype
from support.guarded import Guarded
from support.targets import MASKS, masked

Array = np.ndarray[Any, Any]

# A family, and a layer that it serves: input, weight, arguments.
CASES: dict[str, tuple[ModuleType, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "flat": (direct, (2, 6, 8, 32), (13, 6, 1, 1), {}),
    "flat, the last tile early": (direct, (1, 6, 8, 34), (13, 6, 1, 1), {}),
    "flat, packed": (direct, (1, 6, 16, 64), (5, 6, 1, 1), {"stride": (2, 1)}),
    "rows": (direct, (1, 3, 7, 64), (7, 3, 3, 3), {"padding": 1}),
    "rows with a short tile": (direct, (1, 3, 7, 80), (7, 3, 5, 5), {"padding": 2}),
    "volume": (direct, (1, 3, 3, 4, 64), (5, 3, 3, 3, 3), {"padding": 1}),
    "signal": (direct, (2, 3, 640), (5, 3, 3), {"padding": 1}),
    "woven": (direct, (1, 6, 5, 64), (6, 5, 2, 2), {"stride": 2, "transposed": True}),
    "pairs": (pairs, (2, 6, 8, 64), (13, 6, 3, 3), {"padding": 1}),
    "depthwise rows": (depthwise_rows, (2, 4, 11, 64), (8, 1, 3, 3), {"padding": 1, "groups": 4}),
    "depthwise rows, early": (depthwise_rows, (1, 4, 9, 80), (4, 1, 5, 5), {"padding": 2, "groups": 4}),
    "depthwise rows, stride 2": (
        depthwise_rows, (1, 4, 9, 96), (4, 1, 3, 3), {"padding": 1, "stride": 2, "groups": 4},
    ),
    "depthwise rows, collected": (depthwise_rows, (2, 4, 11, 56), (8, 1, 3, 3), {"padding": 1, "groups": 4}),
    "depthwise rows, odd": (depthwise_rows, (1, 4, 21, 23), (4, 1, 3, 3), {"padding": 1, "groups": 4}),
    "depthwise, strips of a lone row": (depthwise_rows, (1, 2, 1, 9000), (2, 1, 1, 31), {"groups": 2}),
    "depthwise volume, collected": (
        depthwise_rows, (1, 3, 3, 9, 40), (3, 1, 2, 3, 3), {"padding": 1, "groups": 3},
    ),
    "depthwise packed": (
        depthwise, (1, 4, 9, 64), (4, 1, 3, 3), {"padding": 1, "padding_mode": "reflect", "groups": 4},
    ),
    "depthwise large": (depthwise_large, (1, 3, 21, 64), (3, 1, 13, 11), {"padding": (6, 5), "groups": 3}),
    "depthwise phases": (
        depthwise_phases, (1, 3, 7, 64), (3, 1, 3, 3),
        {"padding": 1, "stride": 2, "output_padding": 1, "groups": 3, "transposed": True},
    ),
}  # fmt: skip


def spec_of(name: str, dtype: str) -> ConvSpec:
    """The layer of a case."""
    _, x, weight, arguments = CASES[name]
    return normalize_conv(x, weight, None, rank=len(x) - 2, dtype=numpy_dtype(dtype), **arguments)[0]


def near(target: Target) -> Target:
    """The target with a last level that is not behind a mesh."""
    return replace(target, l2_bytes=min(target.l2_bytes, 1 << 20))


def run(
    name: str, spec: ConvSpec, target: Target, x: Array, weight: Array, out: Array, threads: int
) -> bool | None:
    """Compute by a case's family; whether it streams, None where it cannot serve."""
    family = CASES[name][0]
    precision: Precision = "medium" if family is pairs and spec.dtype == np.float32 else "highest"
    request = OutputRequest(spec, x.strides, out.strides, False, "none", precision)
    illegal = pairs.why_unfit(request) if family is pairs else family.why_illegal(request, target)
    if illegal is not None:
        return None
    plan = family.plan(request, target, threads)
    packed = plan.weights.pack(weight, threads)
    assert plan(address_of(x), address_of(packed), 0, address_of(out)) is not False
    streams: bool = plan.kernel.streams
    return streams


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int8"])
@pytest.mark.parametrize("name", CASES)
def test_streamed_outputs_have_the_same_bits_and_touch_nothing_else(
    name: str, dtype: str, mask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs that begin on a line, an element behind one, and that end where a guard begins."""
    if name == "pairs" and dtype not in ("float32", "bfloat16"):
        dtype = "float32"
    spec, guarded, generator = spec_of(name, dtype), Guarded(), np.random.default_rng(5)
    x, weight = (
        guarded.array(generator.integers(-9, 9, shape).astype(spec.dtype), at_end=True)
        for shape in (spec.input_shape, spec.weight_shape)
    )
    count = int(np.prod(spec.output_shape))
    with masked(mask) as host:
        target, threads = near(host), 2
        expected = np.zeros(spec.output_shape, spec.dtype)
        assert run(name, spec, target, x, weight, expected, threads) in (False, None)
        monkeypatch.setattr(streaming, "_LEAST_BYTES", 0)
        monkeypatch.setattr(streaming, "_SHARE", 0)
        monkeypatch.setattr(streaming, "_RUN_SHARE", 0)
        for lead, at_end in ((0, False), (1, False), (0, True)):
            poisoned = guarded.array(np.full(lead + count, 77, spec.dtype), at_end=at_end)
            out = poisoned[lead:].reshape(spec.output_shape)
            streams = run(name, spec, target, x, weight, out, threads)
            if streams is None:
                return
            np.testing.assert_array_equal(out.view(np.uint8), expected.view(np.uint8))
            assert (poisoned[:lead] == 77).all()
            # Of 16 lanes of four bytes all tiles here are whole lines.
            in_lines = name not in ("flat, packed", "depthwise, strips of a lone row")
            assert streams or target.vector_bytes < 64 or spec.dtype.itemsize != 4 or not in_lines


@pytest.mark.parametrize("way_out", ["flat", "unit", "pair"])
def test_whole_tiles_leave_by_nontemporal_stores_and_are_waited_for(way_out: str) -> None:
    target = Target(
        "x86_64-unknown-linux-gnu",
        frozenset({"avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512dq"}),
    )
    kernel = GatherKernel(
        ELEMENTS["float32"],
        16,
        4,
        2,
        True,
        "unit",
        way_out,
        True,
        "none",
        streams=True,  # type: ignore[arg-type]
    )
    text = assembly(kernel.emit(target.triple), target)
    woven = 2 if way_out == "pair" else 1
    assert len(re.findall("vmovntps", text)) == kernel.mr * kernel.nv * woven
    assert len(re.findall("sfence", text)) == 1
    plain = assembly(replace(kernel, streams=False).emit(target.triple), target)
    assert "vmovnt" not in plain
    assert "sfence" not in plain


def test_only_what_no_cache_keeps_is_streamed() -> None:
    """A quarter of the last level, and 8 MB; channels on lines; not behind a mesh."""
    target = near(Target("x86_64-unknown-linux-gnu", frozenset(), l3_bytes=32 << 20))

    def asked(channels: int, size: int, target: Target = target, length: int = 32) -> bool:
        spec, _ = normalize_conv((1, 8, size, size), (channels, 8, 1, 1), None, rank=2, dtype="float32")
        y_strides = contiguous_strides(spec.output_shape, 4)
        request = OutputRequest(spec, contiguous_strides(spec.input_shape, 4), y_strides, False, "none")
        return streaming.streams(request, target, length, axis=1)

    assert asked(32, 256)
    assert not asked(31, 256)
    assert not asked(33, 255)
    assert asked(32, 256, length=LINE_BYTES // 4)
    assert not asked(32, 256, length=LINE_BYTES // 4 + 8)
    assert not asked(32, 256, replace(target, l2_bytes=2 << 20))
    assert not asked(32, 256, replace(target, l3_bytes=64 << 20))
    assert asked(32, 256, replace(target, l3_bytes=8 << 20))
    assert not asked(32, 256, replace(target, triple="aarch64-unknown-linux-gnu"))
