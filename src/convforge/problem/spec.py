"""The one description of a convolution that everything below the API reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from convforge.problem import sizes

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]


@dataclass(frozen=True, slots=True)
class ConvSpec:
    """A convolution in canonical form: every size a tuple of Python ints, every padding per side.

    Only `normalize_conv` makes one from a user's arguments; whoever holds a `ConvSpec` may trust it.

        batch, in_channels, *input_size                     input array
        out_channels, in_channels // groups, *kernel_size   weight array (in_channels first if transposed)
        batch, out_channels, *output_size                   output array

    `padding` is ((before, after), …), one pair an axis, in input elements (output elements if transposed).
    `output_padding` is zeros unless transposed. `dtype` is the dtype of input, weight and output.
    """

    transposed: bool
    batch: int
    in_channels: int
    out_channels: int
    groups: int
    input_size: tuple[int, ...]
    output_size: tuple[int, ...]
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    output_padding: tuple[int, ...]
    padding_mode: PaddingMode
    dtype: np.dtype[np.generic]

    @property
    def rank(self) -> int:
        """Number of spatial axes: 1, 2 or 3."""
        return len(self.kernel_size)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(batch, in_channels, *input_size)."""
        return (self.batch, self.in_channels, *self.input_size)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(batch, out_channels, *output_size)."""
        return (self.batch, self.out_channels, *self.output_size)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(out_channels, in_channels // groups, *kernel_size), or in_channels first if transposed."""
        return sizes.weight_shape(
            self.transposed, self.in_channels, self.out_channels, self.groups, self.kernel_size
        )
