"""A layer with the numbers that a drawing shows: few digits, the same every time, or the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from convforge.errors import ConvShapeError, ConvValueError
from convforge.explain.layers import as_layer
from convforge.explain.trace import Term, Trace, trace_of
from convforge.problem import ConvLayer, ConvSpec

Array = npt.NDArray[np.float64]
MOST_CHANNELS = 4
"""Of a group: grids of more do not fit beside each other."""


@dataclass(frozen=True)
class Sample:
    """A layer, what it does to an input, and numbers for it.

    x: (in_channels, *input_size). weight: the layer's. bias: (out_channels,), zeros where it has none.
    """

    layer: ConvLayer
    trace: Trace
    x: Array
    weight: Array
    bias: Array

    @property
    def spec(self) -> ConvSpec:
        """The sizes."""
        return self.trace.spec

    def value(self, term: Term) -> float:
        """The input element of a product; 0 on a zero."""
        return 0.0 if term.source is None else float(self.x[term.source])

    def output(self, out_channel: int, position: tuple[int, ...]) -> float:
        """One output element, summed over the trace."""
        products = sum(
            self.value(t) * float(self.weight[t.weight]) for t in self.trace.terms(out_channel, position)
        )
        return products + float(self.bias[out_channel])

    def inputs_of(self, out_channel: int) -> range:
        """The input channels that an output channel reads."""
        inputs = self.spec.in_channels // self.spec.groups
        group = out_channel // (self.spec.out_channels // self.spec.groups)
        return range(group * inputs, (group + 1) * inputs)

    def weight_index(self, out_channel: int, in_channel: int, taps: tuple[int, ...]) -> tuple[int, ...]:
        """Where the weight between two channels of one group stands."""
        inputs, outputs = (
            self.spec.in_channels // self.spec.groups,
            self.spec.out_channels // self.spec.groups,
        )
        if self.spec.transposed:
            return (in_channel, out_channel % outputs, *taps)
        return (out_channel, in_channel % inputs, *taps)


def sample_of(
    layer: Any,
    input_size: tuple[int, ...] | int | None,
    *,
    x: npt.ArrayLike | None = None,
    weight: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    out_channel: int = 0,
) -> Sample:
    """Numbers for a layer: those given, those of a module, or small ones that are easy to follow.

    One axis: the input counts 0, 1, 2, … and the weights 0.1, 0.2, 0.3, … as in the notes' example. More axes:
    small whole numbers. A bias is 1.

    Raises ValueError for ranks and channels that drawings with numbers have no room for, and for an output
    channel that is not there; RuntimeError for arrays of another shape; what the layer raises.
    """
    value = as_layer(layer)
    if value.rank == 3:
        raise ConvValueError(
            f"{value.text}: drawn with its numbers is a layer of 1 or 2 axes: use {value.name[:-2]}2d"
        )
    if input_size is None:
        input_size = np.shape(x)[1:] if x is not None else (8, 5)[value.rank - 1 :][:1] * value.rank
    size = (input_size,) * value.rank if isinstance(input_size, int) else tuple(input_size)
    spec = value.spec(size)
    inputs = value.in_channels // value.groups
    if not 0 < inputs <= MOST_CHANNELS:
        raise ConvValueError(
            f"{value.text}: an output reads {inputs} channels and there is room for {MOST_CHANNELS}: use fewer "
            f"in_channels, or groups={value.in_channels or 1}"
        )
    if not 0 <= out_channel < value.out_channels:
        raise ConvValueError(
            f"out_channel (={out_channel}) must be below out_channels (={value.out_channels}): use out_channel=0"
        )
    if 0 in spec.output_shape or 0 in spec.input_shape:
        raise ConvValueError(f"{value.text}: nothing to draw for an output of size {list(spec.output_size)}")
    if weight is None and hasattr(layer, "weight") and not isinstance(layer, str):
        weight = layer.weight.detach().numpy()
        bias = None if layer.bias is None else layer.bias.detach().numpy()
    ones = np.ones(value.out_channels) if value.bias else np.zeros(value.out_channels)
    return Sample(
        value,
        trace_of(spec),
        _checked("x", x, spec.input_shape[1:], _small_input),
        _checked("weight", weight, spec.weight_shape, _small_weight),
        ones if bias is None else _checked("bias", bias, ones.shape, np.zeros),
    )


def _checked(name: str, given: npt.ArrayLike | None, shape: tuple[int, ...], make: Any) -> Array:
    if given is None:
        return np.asarray(make(shape), np.float64)
    array = np.asarray(given, np.float64)
    if array.shape != shape:
        raise ConvShapeError(f"{name} has shape {array.shape} and the layer takes {shape}: give that shape")
    return array


def _small_input(shape: tuple[int, ...]) -> Array:
    if len(shape) == 2:
        return np.add.outer(np.arange(shape[0]), np.arange(shape[1])) % 10
    return np.random.default_rng(5).integers(0, 5, shape).astype(np.float64)


def _small_weight(shape: tuple[int, ...]) -> Array:
    if len(shape) == 3:
        return np.broadcast_to((np.arange(shape[2]) + 1) / 10, shape)
    return np.random.default_rng(11).integers(-1, 3, shape).astype(np.float64)


def number_text(value: float) -> str:
    """At most two decimals, and a real minus: 0.8, −3, 12."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text.replace("-", "−")
