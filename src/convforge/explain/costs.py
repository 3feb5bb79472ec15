"""What a layer costs, counted exactly: parameters, multiplications, additions, bytes.

Nothing is called "FLOPs": a multiplication, an addition of two products and the addition of a bias each have
a column of their own. Nominal counts take every tap of every output, as all tools do; real counts only
those that meet an element of the input.

    3x3, padding 1, on one channel of 7x7: 49 outputs x 9 taps = 441 nominal
    an axis: 7 outputs x 3 taps = 21, less one tap at each end: 19;  19 x 19 = 361 real

Counts are products over the axes, for a convolution is separable in what meets what; so an axis of a million
elements takes as long as its kernel has taps.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from convforge.explain.coverage import covered, landed, meetings
from convforge.problem import ConvLayer, ConvSpec, padding_map
from convforge.problem.arguments import IntOrInts


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of one call of one layer. All are exact ints.

    weight_parameters, bias_parameters: elements of the two arrays.
    multiply_adds: products, nominal: (output, tap, input channel); of a transposed layer every input times
        every weight, those that the padding cuts off included.
    real_multiply_adds: products of an element of the input that reach the output. What a padding mode copies
        is such an element; a zero is not.
    additions, real_additions: of products to each other: one less than products, for each sum that has any.
    bias_additions: one for each output element, where there is a bias.
    input_bytes, weight_bytes, bias_bytes, output_bytes: of the arrays.
    training_bytes: activations kept from the forward for the backward: the input, which the gradient of the
        weight needs. The output is kept, if at all, by the layer that reads it.
    """

    weight_parameters: int
    bias_parameters: int
    multiply_adds: int
    real_multiply_adds: int
    additions: int
    real_additions: int
    bias_additions: int
    input_bytes: int
    weight_bytes: int
    bias_bytes: int
    output_bytes: int
    training_bytes: int

    @property
    def parameters(self) -> int:
        """Weight and bias."""
        return self.weight_parameters + self.bias_parameters

    @property
    def multiplications(self) -> int:
        """Nominal: one a product."""
        return self.multiply_adds

    @property
    def real_multiplications(self) -> int:
        """Real: one a product that reads the input and reaches the output."""
        return self.real_multiply_adds

    @property
    def idle_multiply_adds(self) -> int:
        """Products on padding's zeros; of a transposed layer, those that the padding cuts off."""
        return self.multiply_adds - self.real_multiply_adds

    @property
    def moved_bytes(self) -> int:
        """Input, weight, bias and output, once each: no implementation moves less."""
        return self.input_bytes + self.weight_bytes + self.bias_bytes + self.output_bytes

    @property
    def arithmetic_intensity(self) -> float:
        """Nominal multiplications and all additions for each byte of `moved_bytes`; 0 if none is moved."""
        operations = self.multiply_adds + self.additions + self.bias_additions
        return operations / self.moved_bytes if self.moved_bytes else 0.0

    def to_dict(self) -> dict[str, Any]:
        """All of it, the derived values too, as JSON can hold it."""
        derived = ("parameters", "idle_multiply_adds", "moved_bytes", "arithmetic_intensity")
        return asdict(self) | {name: getattr(self, name) for name in derived}


@dataclass(frozen=True, slots=True)
class _Axis:
    """Along one axis: products and the sums that they go into, nominal and real."""

    products: int
    sums: int
    real_products: int
    real_sums: int


def costs_of(
    layer: ConvLayer,
    input_size: tuple[int, ...],
    *,
    batch: int = 1,
    dtype: npt.DTypeLike = "float32",
    output_size: IntOrInts | None = None,
) -> Costs:
    """What a call of the layer on inputs (batch, in_channels, *input_size) costs.

    Raises what such a call raises.
    """
    spec = layer.spec(tuple(input_size), batch=batch, output_size=output_size, dtype=dtype)
    return costs_of_spec(spec, bias=layer.bias)


def costs_of_spec(spec: ConvSpec, *, bias: bool) -> Costs:
    """What a convolution costs."""
    axes = [_counts(spec, axis) for axis in range(spec.rank)]
    inputs = spec.in_channels // spec.groups
    outputs = spec.batch * spec.out_channels

    def additions(products: int, sums: int) -> int:
        # Each sum of n products takes n - 1 additions; without input channels there is none.
        return outputs * (inputs * products - sums) if inputs else 0

    products, real = prod(axis.products for axis in axes), prod(axis.real_products for axis in axes)
    elements = prod(spec.output_shape)
    itemsize = spec.dtype.itemsize
    return Costs(
        weight_parameters=prod(spec.weight_shape),
        bias_parameters=spec.out_channels if bias else 0,
        multiply_adds=outputs * inputs * products,
        real_multiply_adds=outputs * inputs * real,
        additions=additions(products, prod(axis.sums for axis in axes)),
        real_additions=additions(real, prod(axis.real_sums for axis in axes)),
        bias_additions=elements if bias else 0,
        input_bytes=itemsize * prod(spec.input_shape),
        weight_bytes=itemsize * prod(spec.weight_shape),
        bias_bytes=itemsize * spec.out_channels if bias else 0,
        output_bytes=itemsize * elements,
        training_bytes=itemsize * prod(spec.input_shape),
    )


def _counts(spec: ConvSpec, axis: int) -> _Axis:
    kernel, stride, dilation = spec.kernel_size[axis], spec.stride[axis], spec.dilation[axis]
    inner, outer = spec.input_size[axis], spec.output_size[axis]
    before, after = spec.padding[axis]
    # Window n meets position n * stride + tap * dilation - before of the side that is padded.
    windows, size = (inner, outer) if spec.transposed else (outer, inner)
    pairs = windows * kernel
    copies = spec.padding_mode != "zeros"
    runs = list(meetings(windows, size, kernel, stride, dilation, before))
    real = pairs if copies else sum(stop - first for first, stop in runs)
    if not spec.transposed:
        return _Axis(pairs, windows, real, windows if copies else covered(runs))
    written = landed(before + size + after, windows, kernel, stride, dilation)
    inside = written[before : before + size]
    if copies:
        inside = np.zeros(size, np.bool_)
        inside[padding_map(spec.padding_mode, size, before, after)[written]] = True
    return _Axis(pairs, int(np.count_nonzero(written)), real, int(np.count_nonzero(inside)))
