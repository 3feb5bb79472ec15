"""LazyConv1d … LazyConvTranspose3d: convolution layers that take in_channels from their first input."""

from __future__ import annotations

from typing import Any

from convforge.errors import ConvShapeError, ConvValueError
from convforge.nn.conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from convforge.nn.lazy import LazyModuleMixin
from convforge.nn.parameter import UninitializedParameter
from convforge.problem import Precision, sizes

__all__ = [
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
]


class _LazyConvXdMixin(LazyModuleMixin):
    """Waits with weight and bias for the first input. Mixed in before a convolution layer."""

    def _postpone(self: Any, out_channels: int, bias: bool, dtype: Any) -> None:
        """Put uninitialised parameters in the place of the empty ones."""
        self.weight = UninitializedParameter(dtype=dtype)
        self.out_channels = out_channels
        if bias:
            self.bias = UninitializedParameter(dtype=dtype)

    def reset_parameters(self: Any) -> None:
        """Draw weight and bias, once there is something to draw."""
        if not self.has_uninitialized_params() and self.in_channels != 0:
            layer: Any = super()
            layer.reset_parameters()

    def initialize_parameters(self: Any, input: Any, output_size: Any = None) -> None:
        """Take in_channels from the input, and draw weight and bias.

        Raises ConvShapeError (a RuntimeError) for an input of wrong rank, ValueError where groups do not fit.
        """
        del output_size
        if not self.has_uninitialized_params():
            return
        rank = len(self.kernel_size)
        if input.ndim not in (rank + 1, rank + 2):
            raise ConvShapeError(
                f"Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input to "
                f"{type(self).__name__}, but got input of size: {list(input.shape)}: "
                "reshape it to (channels, …) or (batch, channels, …)"
            )
        self.in_channels = input.shape[-rank - 1]
        for name in ("in_channels", "out_channels"):
            channels = getattr(self, name)
            if channels % self.groups:
                raise ConvValueError(
                    f"{name} (={channels}) must be divisible by groups (={self.groups}): use groups=1"
                )
        self.weight.materialize(
            sizes.weight_shape(
                self.transposed, self.in_channels, self.out_channels, self.groups, self.kernel_size
            )
        )
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


class _LazyPlainConvNd(_LazyConvXdMixin):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        precision: Precision | None = None,
    ) -> None:
        super().__init__(
            0,
            0,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            False,
            padding_mode,
            device,
            dtype,
            precision=precision,
        )
        self._postpone(out_channels, bias, dtype)


class _LazyConvTransposeNd(_LazyConvXdMixin):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        precision: Precision | None = None,
    ) -> None:
        super().__init__(
            0,
            0,
            kernel_size,
            stride,
            padding,
            output_padding,
            groups,
            False,
            dilation,
            padding_mode,
            device,
            dtype,
            precision=precision,
        )
        self._postpone(out_channels, bias, dtype)


class LazyConv1d(_LazyPlainConvNd, Conv1d):
    """A `Conv1d` that takes in_channels from its first input."""

    cls_to_become = Conv1d


class LazyConv2d(_LazyPlainConvNd, Conv2d):
    """A `Conv2d` that takes in_channels from its first input."""

    cls_to_become = Conv2d


class LazyConv3d(_LazyPlainConvNd, Conv3d):
    """A `Conv3d` that takes in_channels from its first input."""

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConvTransposeNd, ConvTranspose1d):
    """A `ConvTranspose1d` that takes in_channels from its first input."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTransposeNd, ConvTranspose2d):
    """A `ConvTranspose2d` that takes in_channels from its first input."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTransposeNd, ConvTranspose3d):
    """A `ConvTranspose3d` that takes in_channels from its first input."""

    cls_to_become = ConvTranspose3d
