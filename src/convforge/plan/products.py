"""The three products on plain arrays: output, grad-input, grad-weight.

precision, of each: what float32 arrays ask for, by default what is in force.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge import reference
from convforge.kernels.contract import Activation
from convforge.plan.arrays import folding_spec, kept, readable, wide_spec
from convforge.plan.cache import PLAN_LIMIT, grad_weight_plan
from convforge.plan.complex_parts import ComplexParts
from convforge.plan.fallback import executable_memory_refused
from convforge.plan.prepared import Prepared
from convforge.plan.request import GradWeightRequest
from convforge.problem import (
    ConvSpec,
    Precision,
    fold_padding,
    grad_input_spec,
    padded_size,
    precision_of,
)
from convforge.target import Target

Array = NDArray[Any]


def output(
    spec: ConvSpec,
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    out: Array | None = None,
    activation: Activation = "none",
    precision: Precision | None = None,
) -> Array:
    """The output of a convolution.

    x: spec.input_shape, weight: spec.weight_shape, bias: (out_channels,) -> spec.output_shape, in `out` if
    it is given
    """
    if executable_memory_refused():
        return reference.output(spec, x, weight, bias, out=out)
    return Prepared(spec, activation, precision=precision)(x, weight, bias, out=out)


def grad_input(
    spec: ConvSpec,
    grad_output: Array,
    weight: Array,
    *,
    out: Array | None = None,
    precision: Precision | None = None,
) -> Array:
    """The gradient of the input: grad_output: spec.output_shape -> spec.input_shape."""
    if executable_memory_refused():
        return reference.grad_input(spec, grad_output, weight, out=out)
    precision = precision_of(spec.dtype, precision)
    if spec.padding_mode == "zeros":
        return _prepared_gradient(spec, precision, Target.host())(grad_output, weight, None, out=out)
    if spec.transposed:
        # The transpose of "gather without padding, then fold" is "pad, then gather".
        plain = _exchanged(spec)
        return Prepared(plain, precision=precision)(grad_output, weight, None, out=out)
    bare = replace(
        folding_spec(spec), padding_mode="zeros", input_size=padded_size(spec), padding=((0, 0),) * spec.rank
    )
    padded = Prepared(grad_input_spec(bare), precision=precision)(
        grad_output.astype(bare.dtype, copy=False), weight.astype(bare.dtype, copy=False), None
    )
    folded = fold_padding(padded, spec.padding_mode, spec.padding)
    return kept(folded.astype(spec.dtype, copy=False), out)


@lru_cache(maxsize=PLAN_LIMIT)
def _prepared_gradient(spec: ConvSpec, precision: Precision, target: Target) -> Prepared:
    """Kept, for a training step asks again, between kernels that have thrown the interpreter's own memory out
    of the caches: to make it anew took 20 us of 880 (192 -> 64 of 1x1 at 14x14, batch 16, two cores of Zen
    4). target: whose kernels it asks for.
    """
    del target
    return Prepared(grad_input_spec(spec), precision=precision)


def grad_weight(
    spec: ConvSpec,
    x: Array,
    grad_output: Array,
    *,
    out: Array | None = None,
    precision: Precision | None = None,
) -> Array:
    """The gradient of the weight.

    x: spec.input_shape, grad_output: spec.output_shape -> spec.weight_shape
    """
    return begin_grad_weight(spec, x, grad_output, precision=precision)(out)


def begin_grad_weight(
    spec: ConvSpec, x: Array, grad_output: Array, *, precision: Precision | None = None
) -> Callable[[Array | None], Array]:
    """`grad_weight` for later: what is returned computes it, in an array if one is given.

    Its kernel is being compiled from now on. A first step of both gradients so took 198 ms and not 257 (3x3,
    128 channels at 28x28, batch 16, two cores), 228 and not 290 (512 at 7x7).
    """
    if executable_memory_refused():
        return lambda out: reference.grad_weight(spec, x, grad_output, out=out)
    precision = precision_of(spec.dtype, precision)
    if spec.transposed:
        # A transposed convolution's weight gradient is the plain one's with input and output exchanged.
        spec = _exchanged(spec)
        x, grad_output = grad_output, x
    if spec.dtype.kind == "c":
        parts = ComplexParts(spec)
        pieces = (parts.split(x), parts.split(grad_output))
        real = begin_grad_weight(parts.spec, *pieces, precision=precision)
        return lambda out: kept(parts.join_weight(real(None)), out)
    wide = wide_spec(spec)
    if wide is not spec:
        pieces = (x.astype(wide.dtype), grad_output.astype(wide.dtype))
        result = begin_grad_weight(wide, *pieces, precision=precision)
        return lambda out: kept(result(None).astype(spec.dtype), out)
    if 0 in (*spec.input_shape, *spec.output_shape, *spec.weight_shape):
        return lambda out: kept(np.zeros(spec.weight_shape, spec.dtype), out)
    x, grad_output = readable(x), readable(grad_output)
    compute = grad_weight_plan(GradWeightRequest(spec, x.strides, grad_output.strides, precision))

    def finish(out: Array | None) -> Array:
        found = np.zeros(spec.weight_shape, spec.dtype)
        compute(x, grad_output, found)
        return kept(found, out)

    return finish


def _exchanged(spec: ConvSpec) -> ConvSpec:
    """The plain convolution of a transposed one's output to its input, of the same weight array."""
    return replace(
        spec,
        transposed=False,
        in_channels=spec.out_channels,
        out_channels=spec.in_channels,
        input_size=spec.output_size,
        output_size=spec.input_size,
        output_padding=(0,) * spec.rank,
    )
