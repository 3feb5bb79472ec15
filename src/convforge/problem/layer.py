"""A convolution layer as a value: its arguments in canonical form, without weights and without an input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from convforge.errors import ConvArgumentError, ConvValueError
from convforge.problem import sizes
from convforge.problem.arguments import IntOrInts, at_least, integer, integers, is_sequence, padding_pairs
from convforge.problem.checks import checked_padding_mode
from convforge.problem.normalize import normalize_conv
from convforge.problem.spec import ConvSpec, PaddingMode

LayerPadding = str | tuple[int, ...] | tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class ConvLayer:
    """What one of the six layers was asked to be; `normalize_layer` makes one.

    A layer of any size costs nothing as this value: `spec` says what it does to an input, and only a module
    has weights. `padding` is one int an axis, one (before, after) pair an axis, or a name ('same' depends on
    the input, so it stays a name here).
    """

    transposed: bool
    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: LayerPadding
    dilation: tuple[int, ...]
    output_padding: tuple[int, ...]
    groups: int
    bias: bool
    padding_mode: PaddingMode

    @property
    def rank(self) -> int:
        """Number of spatial axes: 1, 2 or 3."""
        return len(self.kernel_size)

    @property
    def name(self) -> str:
        """PyTorch's name of the class: "Conv2d", "ConvTranspose1d"."""
        return f"Conv{'Transpose' if self.transposed else ''}{self.rank}d"

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(out_channels, in_channels // groups, *kernel_size), or in_channels first if transposed."""
        return sizes.weight_shape(
            self.transposed, self.in_channels, self.out_channels, self.groups, self.kernel_size
        )

    @property
    def text(self) -> str:
        """The shortest code that makes it: "Conv2d(3, 64, 3, padding=1)"."""
        kernel = _short(self.kernel_size)
        parts = [f"{self.in_channels}, {self.out_channels}, {kernel}"]
        ones, zeros = (1,) * self.rank, (0,) * self.rank
        for name, plain in (
            ("stride", ones),
            ("padding", zeros),
            ("output_padding", zeros),
            ("dilation", ones),
        ):
            value = getattr(self, name)
            if value != plain:
                parts.append(f"{name}={_short(value)}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if not self.bias:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode!r}")
        return f"{self.name}({', '.join(parts)})"

    def spec(
        self,
        input_size: tuple[int, ...],
        *,
        batch: int = 1,
        output_size: IntOrInts | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> ConvSpec:
        """What the layer does to inputs (batch, in_channels, *input_size).

        Raises what calling the layer with such an input raises.
        """
        return normalize_conv(
            (batch, self.in_channels, *input_size),
            self.weight_shape,
            (self.out_channels,) if self.bias else None,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            rank=self.rank,
            transposed=self.transposed,
            output_padding=self.output_padding,
            output_size=output_size,
            padding_mode=self.padding_mode,
            dtype=dtype,
        )[0]


def normalize_layer(
    in_channels: Any,
    out_channels: Any,
    kernel_size: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
    bias: bool = True,
    padding_mode: str = "zeros",
    *,
    rank: int,
    transposed: bool = False,
    output_padding: Any = 0,
) -> ConvLayer:
    """The canonical form of a layer's arguments.

    Conv2d(3, 8, 3, padding="same") -> kernel_size (3, 3), stride (1, 1), padding "same"

    Raises ValueError, as PyTorch, where groups do not divide channels and for unknown names of paddings and
    modes; RuntimeError for values out of range, which PyTorch raises at the first call; TypeError for what
    is no integer.
    """
    kernel = integers(kernel_size, "kernel_size", rank)
    channels_in = _channels(in_channels, "in_channels")
    channels_out = _channels(out_channels, "out_channels")
    return ConvLayer(
        transposed=transposed,
        in_channels=channels_in,
        out_channels=channels_out,
        groups=_groups(groups, channels_in, channels_out),
        kernel_size=at_least(kernel, "kernel_size", 1),
        stride=at_least(integers(stride, "stride", rank), "stride", 1),
        dilation=at_least(integers(dilation, "dilation", rank), "dilation", 1),
        padding=_padding(padding, rank),
        output_padding=at_least(integers(output_padding, "output_padding", rank), "output_padding", 0),
        padding_mode=checked_padding_mode(padding_mode),
        bias=bool(bias),
    )


def _channels(value: Any, name: str) -> int:
    channels = integer(value, name)
    if channels < 0:
        raise ConvArgumentError(f"{name} (={channels}) must not be negative: use 1 or more")
    return channels


def _groups(value: Any, in_channels: int, out_channels: int) -> int:
    groups = integer(value, "groups")
    if groups < 1:
        raise ConvValueError(
            f"groups (={groups}) must be a positive integer: use groups=1 for a plain convolution"
        )
    common = math.gcd(in_channels, out_channels)
    fix = ", ".join(str(n) for n in range(1, min(common, 64) + 1) if common % n == 0) or "1"
    for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        if channels % groups:
            raise ConvValueError(
                f"{name} (={channels}) must be divisible by groups (={groups}): use groups={fix}"
            )
    return groups


def _padding(value: Any, rank: int) -> LayerPadding:
    """A known name, one int an axis, or one pair an axis where any was given as a pair."""
    if isinstance(value, str):
        known = ("same", "valid", "causal") if rank == 1 else ("same", "valid")
        if value not in known:
            raise ConvValueError(
                f"Invalid padding string {value!r}: use one of {', '.join(map(repr, known))}"
            )
        return value
    pairs = padding_pairs(value, rank)
    if is_sequence(value) and any(is_sequence(item) for item in value):
        return pairs
    return tuple(before for before, _ in pairs)


def _short(value: Any) -> str:
    """(3, 3) -> 3, as users write it."""
    if isinstance(value, tuple):
        items: list[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType]
        if all(isinstance(item, int) for item in items) and len(set(items)) == 1:
            return str(items[0])
    return repr(value)
