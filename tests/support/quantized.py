"""Convolutions of bytes to test with: arrays, scales, and every way of summing them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from convforge.kernels.dot.contract import Instruction, Products
from convforge.plan.dot.gather import DotPlan, instruction_of, why_illegal
from convforge.plan.request import DotRequest
from convforge.problem import ConvSpec
from convforge.problem.gather import gather_of
from convforge.problem.quantization import Rescaling, limits
from convforge.runtime import address_of
from convforge.target import Target

Array = np.ndarray[Any, Any]


def some_bytes(generator: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    """All values that the dtype holds, its two ends as often as all others together."""
    low, high = limits(np.dtype(dtype))
    ends = generator.choice([low, high], shape)
    return np.where(generator.random(shape) < 0.5, ends, generator.integers(low, high + 1, shape)).astype(
        dtype
    )


def some_rescaling(
    generator: np.random.Generator,
    spec: ConvSpec,
    y_dtype: Any,
    *,
    x_zero: int | None = None,
    relu: bool = False,
) -> Rescaling:
    """Scales that bring most sums into the range of the outputs, and a bias."""
    low, high = limits(spec.dtype)
    kind = np.dtype(y_dtype)
    y_low, y_high = limits(kind) if kind.kind != "f" else (0, 0)
    channels = spec.in_channels // spec.groups * np.prod(spec.kernel_size)
    return Rescaling.of(
        x_scale=0.1,
        x_zero=int(generator.integers(low, high + 1)) if x_zero is None else x_zero,
        weight_scales=generator.uniform(0.5, 1.5, spec.out_channels) / 128,
        bias=generator.standard_normal(spec.out_channels).astype(np.float32),
        relu=relu,
        y_dtype=kind,
        y_scale=0.1 * float(np.sqrt(max(channels, 1))),
        y_zero=int(generator.integers(y_low, y_high + 1)),
    )


def ways(spec: ConvSpec, target: Target) -> Iterator[tuple[Products, Instruction]]:
    """Every way of summing that is exact for a spec: by this processor's instruction, and spelt out."""
    for products in ("floats", "pairs", "quads"):
        if why_illegal(products, gather_of(spec)) is None:
            yield from {(products, instruction_of(products, target)), (products, "plain")}


def run_dot(
    spec: ConvSpec,
    x: Array,
    weight: Array,
    rescaling: Rescaling,
    out: Array,
    *,
    products: Products,
    instruction: Instruction,
    threads: int = 1,
) -> Array:
    """One convolution, summed in one way."""
    request = DotRequest(spec, x.strides, out.strides, rescaling.y_dtype.name)  # type: ignore[arg-type]
    plan = DotPlan(request, Target.host(), threads, products, instruction)
    weights, scales = plan.weights.pack(weight), plan.weights.pack_scales(weight, rescaling)
    plan(address_of(x), address_of(weights), address_of(scales), address_of(out))
    return out
