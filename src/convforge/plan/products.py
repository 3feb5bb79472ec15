"""The three products on plain arrays: what kernels do not do themselves (complex numbers, folded padding,
empty arrays, odd memory) is reduced here to what they do.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge import reference
from convforge.kernels.contract import Activation
from convforge.plan.cache import grad_weight_plan, output_plan
from convforge.plan.complex_parts import ComplexParts
from convforge.plan.fallback import executable_memory_refused
from convforge.problem import ConvSpec, fold_padding, grad_input_spec, padded_size
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
) -> Array:
    """The output of a convolution.

    x: spec.input_shape, weight: spec.weight_shape, bias: (out_channels,) -> spec.output_shape, in `out` if given
    """
    if executable_memory_refused():
        return reference.output(spec, x, weight, bias, out=out)
    return Prepared(spec, activation)(x, weight, bias, out=out)


def grad_input(spec: ConvSpec, grad_output: Array, weight: Array, *, out: Array | None = None) -> Array:
    """The gradient of the input: grad_output: spec.output_shape -> spec.input_shape."""
    if executable_memory_refused():
        return reference.grad_input(spec, grad_output, weight, out=out)
    if spec.padding_mode == "zeros":
        return Prepared(grad_input_spec(spec))(grad_output, weight, None, out=out)
    if spec.transposed:
        # The transpose of "gather without padding, then fold" is "pad, then gather".
        plain = replace(
            spec,
            transposed=False,
            in_channels=spec.out_channels,
            out_channels=spec.in_channels,
            input_size=spec.output_size,
            output_size=spec.input_size,
            output_padding=(0,) * spec.rank,
        )
        return Prepared(plain)(grad_output, weight, None, out=out)
    bare = replace(spec, padding_mode="zeros", input_size=padded_size(spec), padding=((0, 0),) * spec.rank)
    padded = Prepared(grad_input_spec(bare))(grad_output, weight, None)
    return _kept(fold_padding(padded, spec.padding_mode, spec.padding), out)


def grad_weight(spec: ConvSpec, x: Array, grad_output: Array, *, out: Array | None = None) -> Array:
    """The gradient of the weight: x: spec.input_shape, grad_output: spec.output_shape -> spec.weight_shape."""
    if executable_memory_refused():
        return reference.grad_weight(spec, x, grad_output, out=out)
    if spec.transposed:
        # A transposed convolution's weight gradient is the plain one's with input and output exchanged.
        spec = replace(
            spec,
            transposed=False,
            in_channels=spec.out_channels,
            out_channels=spec.in_channels,
            input_size=spec.output_size,
            output_size=spec.input_size,
            output_padding=(0,) * spec.rank,
        )
        x, grad_output = grad_output, x
    if spec.dtype.kind == "c":
        return _kept(ComplexParts(spec).grad_weight(x, grad_output), out)
    wide = _wide_spec(spec)
    if wide is not spec:
        result = grad_weight(wide, x.astype(wide.dtype), grad_output.astype(wide.dtype))
        return _kept(result.astype(spec.dtype), out)
    result = np.zeros(spec.weight_shape, spec.dtype)
    if 0 not in spec.input_shape and 0 not in spec.output_shape and result.size:
        x, grad_output = _readable(x), _readable(grad_output)
        grad_weight_plan(spec, x.strides, grad_output.strides)(x, grad_output, result)
    return _kept(result, out)


class Prepared:
    """An output product whose choices are made: called again and again with arrays of one shape.

    Keeps the packed weights of the last `weight_key`; a key must change whenever the weight or bias does.
    """

    def __init__(self, spec: ConvSpec, activation: Activation = "none") -> None:
        self.spec = spec
        self._activation: Activation = activation
        self._key: Hashable = None
        self._packed: tuple[Any, ...] = ()
        self._folds = spec.transposed and spec.padding_mode != "zeros"
        self._plain = (
            spec.dtype.kind != "c"
            and not self._folds
            and _wide_spec(spec) is spec
            and 0 not in spec.input_shape
            and 0 not in spec.output_shape
        )

    def __call__(
        self,
        x: Array,
        weight: Array,
        bias: Array | None,
        weight_key: Hashable = None,
        *,
        out: Array | None = None,
    ) -> Array:
        """The output; `weight_key` None packs the weights anew."""
        if not self._plain:
            return _kept(self._indirect(x, weight, bias), out)
        y = (
            out
            if out is not None and _is_writable(out, x, weight, bias)
            else np.empty(self.spec.output_shape, self.spec.dtype)
        )
        if (
            weight_key is None
            or weight_key != self._key
            or self._packed[0] != x.strides
            or self._packed[1] != y.strides
        ):
            x = _readable(x)
            plan = output_plan(self.spec, x.strides, y.strides, bias is not None, self._activation)
            weights = plan.weights.pack(_readable(weight), plan.threads)
            packed_bias = None if bias is None else plan.weights.pack_bias(bias)
            self._packed, self._key = (x.strides, y.strides, plan, weights, packed_bias), weight_key
        _, _, plan, weights, packed_bias = self._packed
        plan(_readable(x), weights, packed_bias, y)
        return y if out is None or y is out else _kept(y, out)

    def _indirect(self, x: Array, weight: Array, bias: Array | None) -> Array:
        """Folded padding, complex numbers, dtypes without conversion instructions, empty arrays."""
        spec = self.spec
        if self._folds:
            bare = replace(
                spec, padding_mode="zeros", output_size=padded_size(spec), padding=((0, 0),) * spec.rank
            )
            y = fold_padding(output(bare, x, weight), spec.padding_mode, spec.padding)
            return _finish(y, bias, spec, self._activation)
        if 0 in spec.input_shape or 0 in spec.output_shape or 0 in spec.weight_shape:
            return _finish(np.zeros(spec.output_shape, spec.dtype), bias, spec, self._activation)
        if spec.dtype.kind == "c":
            return ComplexParts(spec).output(x, weight, bias)
        wide = _wide_spec(spec)
        wide_bias = None if bias is None else bias.astype(wide.dtype)
        y = output(
            wide, x.astype(wide.dtype), weight.astype(wide.dtype), wide_bias, activation=self._activation
        )
        return y.astype(spec.dtype)


def _finish(y: Array, bias: Array | None, spec: ConvSpec, activation: Activation) -> Array:
    assert activation == "none", "an activation is fused only where a kernel writes the output"
    if bias is not None:
        y = y + bias.reshape(-1, *(1,) * spec.rank)
    return y.astype(spec.dtype, copy=False)


def _wide_spec(spec: ConvSpec) -> ConvSpec:
    """The spec in fp32 where the processor has no instruction for fp16."""
    if spec.dtype == np.float16 and not Target.host().has_half:
        return replace(spec, dtype=np.dtype(np.float32))
    return spec


def _readable(array: Array) -> Array:
    """The array itself, unless its elements lie where whole ones cannot be loaded."""
    size = array.itemsize
    if array.flags.aligned and all(s % size == 0 for s in array.strides):
        return array
    return array.copy()


def _is_writable(out: Array, *inputs: Array | None) -> bool:
    size = out.itemsize
    aligned = out.flags.aligned and all(s % size == 0 for s in out.strides)
    return aligned and not any(i is not None and np.may_share_memory(out, i) for i in inputs)


def _kept(result: Array, out: Array | None) -> Array:
    if out is None:
        return np.ascontiguousarray(result) if not result.flags.c_contiguous else result
    out[...] = result
    return out
