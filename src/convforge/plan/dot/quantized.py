"""A convolution of bytes made ready to be called again and again with inputs of any shape."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from convforge import reference
from convforge.kernels.dot.contract import QuantizedOutput
from convforge.plan.arrays import readable
from convforge.plan.dot.gather import DotPlan
from convforge.plan.dot.planner import dot_plan
from convforge.plan.dot.unit import DotTilesPlan
from convforge.plan.fallback import executable_memory_refused
from convforge.plan.request import DotRequest
from convforge.problem import ConvSpec
from convforge.problem.quantization import Rescaling
from convforge.runtime import address_of

Array = NDArray[Any]


class QuantizedProduct:
    """Weights and scales that are given once, and packed once for each way in which a shape wants them.

    weight: int8, spec.weight_shape but for axes of 1 at its end.
    """

    def __init__(self, weight: Array, rescaling: Rescaling) -> None:
        self._weight, self._rescaling = weight, rescaling
        self._output: QuantizedOutput = cast(QuantizedOutput, rescaling.y_dtype.name)
        self._packed: dict[Hashable, tuple[Array, Array]] = {}

    def __call__(self, spec: ConvSpec, x: Array, out: Array | None = None) -> Array:
        """x: spec.input_shape -> spec.output_shape, in `out` if it is given; both of any strides."""
        if executable_memory_refused():
            weight = self._weight.reshape(spec.weight_shape)
            y = reference.quantized_output(spec, x, weight, self._rescaling)
            if out is not None:
                out[...] = y
            return y if out is None else out
        y = np.empty(spec.output_shape, self._rescaling.y_dtype) if out is None else out
        if 0 in spec.output_shape:
            return y
        x = readable(x)
        plan = dot_plan(DotRequest(spec, x.strides, y.strides, self._output))
        weights, scales = self._fetch(plan)
        plan(address_of(x), address_of(weights), address_of(scales), address_of(y))
        return y

    def _fetch(self, plan: DotPlan | DotTilesPlan) -> tuple[Array, Array]:
        # int8 inputs that stay unsigned bytes have another zero point than uint8 ones: hence the dtype.
        key = (plan.spec.dtype, plan.weights.signature)
        if key not in self._packed:
            scales = plan.weights.pack_scales(self._weight, self._rescaling)
            self._packed[key] = (plan.weights.pack(self._weight), scales)
        return self._packed[key]
