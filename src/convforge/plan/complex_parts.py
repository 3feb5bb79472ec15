"""A complex convolution as a real one with twice the channels.

    re y = wr xr - wi xi        weights [wr -wi]   channels of x: [xr]
    im y = wi xr + wr xi                [wi  wr]                  [xi]

Four real products, as exact as the real kernel; nothing is conjugated.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.problem import ConvSpec

Array = NDArray[Any]


class ComplexParts:
    """The real convolution of a complex spec, and the ways between their arrays."""

    def __init__(self, spec: ConvSpec) -> None:
        self._complex = spec
        real = np.dtype(np.float32 if spec.dtype == np.complex64 else np.float64)
        self.spec = replace(
            spec, in_channels=2 * spec.in_channels, out_channels=2 * spec.out_channels, dtype=real
        )

    def split(self, array: Array) -> Array:
        """(batch, groups * channels, …) complex -> (batch, groups * 2 * channels, …) real, group by group."""
        batch, channels, *size = array.shape
        groups = self._complex.groups
        parts = np.empty((batch, groups, 2, channels // groups, *size), self.spec.dtype)
        grouped: Any = array.reshape(batch, groups, channels // groups, *size)
        parts[:, :, 0], parts[:, :, 1] = grouped.real, grouped.imag
        return parts.reshape(batch, 2 * channels, *size)

    def join(self, parts: Array) -> Array:
        """The complex output of the real one."""
        spec = self._complex
        parts = parts.reshape(spec.batch, spec.groups, 2, spec.out_channels // spec.groups, *spec.output_size)
        y = np.empty(
            (spec.batch, spec.groups, spec.out_channels // spec.groups, *spec.output_size), spec.dtype
        )
        y.real, y.imag = parts[:, :, 0], parts[:, :, 1]
        return y.reshape(spec.output_shape)

    def join_weight(self, parts: Array) -> Array:
        """The complex weight gradient of a plain convolution, from all four real products."""
        spec, groups = self._complex, self._complex.groups
        shape = (groups, 2, spec.out_channels // groups, 2, spec.in_channels // groups, *spec.kernel_size)
        parts = parts.reshape(shape)
        result = np.empty((groups, shape[2], *shape[4:]), spec.dtype)
        result.real = parts[:, 0, :, 0] - parts[:, 1, :, 1]
        result.imag = parts[:, 1, :, 0] + parts[:, 0, :, 1]
        return result.reshape(spec.weight_shape)

    def split_weight(self, weight: Array) -> Array:
        """The real weight; the first axis, output channels or (transposed) input channels, is grouped."""
        groups = self._complex.groups
        first, second, *kernel = weight.shape
        grouped: Any = weight.reshape(groups, first // groups, second, *kernel)
        parts = np.empty((groups, 2, first // groups, 2, second, *kernel), self.spec.dtype)
        parts[:, 0, :, 0], parts[:, 1, :, 1] = grouped.real, grouped.real
        # Row and column of the matrix above: rows are outputs, which come second if transposed.
        minus, plus = ((1, 0), (0, 1)) if self._complex.transposed else ((0, 1), (1, 0))
        parts[:, minus[0], :, minus[1]], parts[:, plus[0], :, plus[1]] = -grouped.imag, grouped.imag
        return parts.reshape(2 * first, 2 * second, *kernel)
