"""What is asked of a planner, and what it gives."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from convforge.kernels.contract import Activation
from convforge.kernels.dot.contract import QuantizedOutput
from convforge.plan.sizes import element_steps
from convforge.problem import ConvSpec, Precision

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class OutputRequest:
    """An output product of arrays of these strides (bytes); grad-input is one too.

    x and y are aligned and do not overlap. precision: what must be kept at least; "highest" for all dtypes
    but float32. plain: only families that take every value as it is. every_tap: those that meet padding too,
    for 0 times an infinite weight is NaN, and which taps are left out depends on tiles, and so on batch.
    """

    spec: ConvSpec
    x_strides: tuple[int, ...]
    y_strides: tuple[int, ...]
    has_bias: bool
    activation: Activation
    precision: Precision = "highest"
    plain: bool = False
    every_tap: bool = False

    @property
    def without_gaps(self) -> OutputRequest:
        """The same product of contiguous arrays."""
        spec, size = self.spec, self.spec.dtype.itemsize
        x_strides = contiguous_strides(spec.input_shape, size)
        return replace(self, x_strides=x_strides, y_strides=contiguous_strides(spec.output_shape, size))


@dataclass(frozen=True, slots=True)
class DotRequest:
    """A convolution of bytes, of arrays of these strides (bytes). spec.dtype: of the input, uint8 or int8."""

    spec: ConvSpec
    x_strides: tuple[int, ...]
    y_strides: tuple[int, ...]
    output: QuantizedOutput

    @property
    def x_steps(self) -> tuple[int, ...]:
        """Elements between neighbours along the input's axes."""
        return element_steps(self.x_strides, self.spec)

    @property
    def y_steps(self) -> tuple[int, ...]:
        """Elements between neighbours along the output's axes."""
        return element_steps(self.y_strides, replace(self.spec, dtype=np.dtype(self.output)))


def contiguous_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Strides in bytes of an array without gaps."""
    strides = [itemsize]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * max(size, 1))
    return tuple(strides)


@dataclass(frozen=True, slots=True)
class GradWeightRequest:
    """A weight gradient of a plain convolution, of arrays of these strides (bytes).

    precision, plain: as in `OutputRequest`.
    """

    spec: ConvSpec
    x_strides: tuple[int, ...]
    g_strides: tuple[int, ...]
    precision: Precision = "highest"
    plain: bool = False


class PackedWeights(Protocol):
    """How a plan wants its weights."""

    @property
    def signature(self) -> Hashable:
        """Equal where two plans of one layer with this class of packing read the same packed weights."""
        ...

    def pack(self, weight: Array, threads: int) -> Array:
        """Weights in the plan's own order, from a weight array of any strides."""
        ...

    def pack_bias(self, bias: Array) -> Array:
        """The bias as the plan reads it."""
        ...


class OutputPlan(Protocol):
    """A request with all choices made, to be called many times."""

    threads: int

    @property
    def weights(self) -> PackedWeights:
        """Packs weights for this plan."""
        ...

    @property
    def tasks(self) -> int:
        """Pieces that threads draw."""
        ...

    @property
    def workspace_bytes(self) -> int:
        """Scratch memory of one thread."""
        ...

    def __call__(self, x: int, packed_weights: int, packed_bias: int, y: int) -> bool | None:
        """Compute the output at y: addresses of arrays that the caller keeps alive; a bias of 0 is none.

        False where an image is such that a plan of a `plain` request must compute it; y is not of use then.
        """
        ...

    def describe(self) -> str:
        """One line: kernel, vectors, tasks, memory."""
        ...
