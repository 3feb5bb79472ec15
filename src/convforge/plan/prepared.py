"""An output product made ready to be called again and again; everything that kernels do not do themselves
(folded padding, complex numbers, empty arrays, odd memory) is reduced here to what they do.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.kernels.contract import Activation
from convforge.memory import on_lines
from convforge.plan.arrays import folding_spec, has_finite_sum, is_writable, kept, readable, wide_spec
from convforge.plan.cache import output_plan
from convforge.plan.complex_parts import ComplexParts
from convforge.plan.request import OutputPlan, OutputRequest
from convforge.plan.search.tuner import tune_if_asked
from convforge.plan.store import WeightStore
from convforge.problem import ConvSpec, Precision, fold_padding, padded_size, precision_of
from convforge.runtime import address_of, get_num_threads, notes

Array = NDArray[Any]

# Bytes of an output from which on it is worth a microsecond to have it begin on a line of the cache.
_LARGE = 1 << 14


class Prepared:
    """An output product whose choices are made, for arrays of one shape.

    Keeps the packed weights of the last `weight_key` in `store`, which a layer's shapes share; a key must
    change whenever the weight or bias does. precision: of float32, the one in force now if None.
    """

    def __init__(
        self,
        spec: ConvSpec,
        activation: Activation = "none",
        store: WeightStore | None = None,
        precision: Precision | None = None,
    ) -> None:
        self.spec = spec
        self._precision: Precision = precision_of(spec.dtype, precision)
        self._store = store or WeightStore()
        self._activation: Activation = activation
        self._shape, self._dtype = spec.output_shape, spec.dtype
        self._large = prod(self._shape) * self._dtype.itemsize >= _LARGE
        self._ready: _Ready | None = None
        # For one image alone, and for one that takes a plain request: made when the first such image comes.
        self._alone: Prepared | None = None
        self._plain_request = False
        # Where no tap meets padding, weights need not be looked at: 5 us of each call that packs them anew.
        padded = spec.padding_mode == "zeros" and any(any(pair) for pair in spec.padding)
        self._meets_padding = max(spec.kernel_size, default=1) > 1 if spec.transposed else padded
        self._folds = spec.transposed and spec.padding_mode != "zeros"
        self._empty = 0 in spec.input_shape or 0 in spec.output_shape or 0 in spec.weight_shape
        self._plain = (
            spec.dtype.kind != "c" and not self._folds and not self._empty and wide_spec(spec) is spec
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
            return kept(self._indirect(x, weight, bias), out)
        if out is not None and is_writable(out, x, weight, bias):
            y = out
        else:
            y = (on_lines if self._large else np.empty)(self._shape, self._dtype)
        x = readable(x)
        ready = self._ready
        if ready is None or weight_key is None or not ready.fits(weight_key, x, y):
            ready = self._prepare(weight_key, x, weight, bias, y)
        if ready.plan(address_of(x), ready.weights_at, ready.bias_at, address_of(y)) is False:
            self._compute_plainly(x, weight, bias, weight_key, y)
        return y if out is None or y is out else kept(y, out)

    def forget(self) -> None:
        """Drop the packed weights of this shape."""
        self._ready = self._alone = None

    def _prepare(self, key: Hashable, x: Array, weight: Array, bias: Array | None, y: Array) -> _Ready:
        request = OutputRequest(
            self.spec,
            x.strides,
            y.strides,
            bias is not None,
            self._activation,
            self._precision,
            self._plain_request,
            every_tap=self._meets_padding and not has_finite_sum(weight),
        )
        tune_if_asked(request, x, weight, bias, y)
        plan = output_plan(request)
        weights, packed_bias = self._store.fetch(key, plan, weight, bias)
        ready = _Ready(key, x.strides, y.strides, plan, weights, packed_bias)
        if key is not None:
            self._ready = ready
        return ready

    def _compute_plainly(self, x: Array, weight: Array, bias: Array | None, key: Hashable, y: Array) -> None:
        """Compute into y again, each image by what is for it alone, that its bits do not depend on others."""
        alone = self._alone
        if alone is None:
            alone = self._alone = Prepared(
                replace(self.spec, batch=1), self._activation, self._store, self._precision
            )
            alone._plain_request = self.spec.batch == 1
        for image in range(self.spec.batch):
            y[image : image + 1] = alone(x[image : image + 1], weight, bias, key)

    def _indirect(self, x: Array, weight: Array, bias: Array | None) -> Array:
        # What is computed as float32 for another dtype's sake stays at that dtype's own precision.
        spec, precision = self.spec, self._precision
        if self._empty:
            return _with_bias(np.zeros(spec.output_shape, spec.dtype), bias, spec)
        if self._folds:
            bare = replace(
                folding_spec(spec),
                padding_mode="zeros",
                output_size=padded_size(spec),
                padding=((0, 0),) * spec.rank,
            )
            padded = Prepared(bare, precision=precision)(
                x.astype(bare.dtype, copy=False), weight.astype(bare.dtype, copy=False), None
            )
            y = fold_padding(padded, spec.padding_mode, spec.padding)
            return _with_bias(y, bias, spec)
        if spec.dtype.kind == "c":
            parts = ComplexParts(spec)
            product = Prepared(parts.spec, precision=precision)
            real = product(parts.split(x), parts.split_weight(weight), None)
            return _with_bias(parts.join(real), bias, spec)
        wide = wide_spec(spec)
        wide_bias = None if bias is None else bias.astype(wide.dtype)
        product = Prepared(wide, self._activation, precision=precision)
        y = product(x.astype(wide.dtype), weight.astype(wide.dtype), wide_bias)
        return y.astype(spec.dtype)


class _Ready:
    """A plan with packed weights, for one weight key and one set of strides."""

    def __init__(
        self,
        key: Hashable,
        x_strides: tuple[int, ...],
        y_strides: tuple[int, ...],
        plan: OutputPlan,
        weights: Array,
        bias: Array | None,
    ) -> None:
        self.plan = plan
        self.weights_at, self.bias_at = address_of(weights), 0 if bias is None else address_of(bias)
        self._key, self._x_strides, self._y_strides = key, x_strides, y_strides
        self._keep = (weights, bias)
        self._epoch = notes.epoch

    def fits(self, key: Hashable, x: Array, y: Array) -> bool:
        """Whether this is what the arrays need."""
        return (
            key == self._key
            and x.strides == self._x_strides
            and y.strides == self._y_strides
            and self.plan.threads == get_num_threads()
            and self._epoch == notes.epoch
        )


def _with_bias(y: Array, bias: Array | None, spec: ConvSpec) -> Array:
    if bias is not None:
        y = y + bias.reshape(-1, *(1,) * spec.rank)
    return y.astype(spec.dtype, copy=False)
