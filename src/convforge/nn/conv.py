"""Conv1d … ConvTranspose3d: thin subclasses of one base, with PyTorch's signatures.

Beyond PyTorch: `padding` also one (before, after) pair an axis, 'same' with any stride, 'causal' in 1-d;
padding modes on transposed layers, which are then the exact adjoints of the plain layers with that mode;
`precision`, "highest", "high" or "medium", of a layer's float32 products, forward and backward (None: what
`convforge.precision` or `set_float32_matmul_precision` says when they run).
"""

from __future__ import annotations

from typing import Any, ClassVar

from convforge.errors import ConvTypeError
from convforge.nn.conv_nd import ConvNd
from convforge.problem import Precision
from convforge.problem.arguments import integers

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]


class PlainConvNd(ConvNd):
    """Base of the plain layers: their arguments, in PyTorch's order."""

    _rank: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
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
            in_channels,
            out_channels,
            integers(kernel_size, "kernel_size", self._rank),
            stride,
            padding,
            dilation,
            False,
            0,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
            precision=precision,
        )


class Conv1d(PlainConvNd):
    """A layer that convolves signals with kernels it learns.

    input (batch, in_channels, length) or (in_channels, length) -> (batch, out_channels, length'),
    length' = (length + pads - dilation (kernel_size - 1) - 1) // stride + 1

        x  1 2 3 4 5                kernel_size 3, stride 2:
           └─────┘                  each output sees 3 inputs,
               └─────┘              the next one starts 2 further on

    weight: (out_channels, in_channels // groups, kernel_size); bias: (out_channels,), None if bias=False.
    padding: ints, (before, after) pairs, 'valid', 'same' (output ceil(length / stride)) or 'causal' (no
    output sees a later input). padding_mode: 'zeros', 'reflect', 'replicate' or 'circular'.

    Raises ValueError where groups do not divide the channels, for unknown paddings and modes; TypeError for
    what is no integer; RuntimeError for integers out of range.
    """

    _rank = 1


class Conv2d(PlainConvNd):
    """A layer that convolves images with kernels it learns.

    input (batch, in_channels, height, width) or without batch -> (batch, out_channels, height', width'),
    each side' = (side + pads - dilation (kernel_size - 1) - 1) // stride + 1

        conv = Conv2d(3, 8, 3, stride=2, padding=1)
        conv(x)                 # (1, 3, 32, 32) -> (1, 8, 16, 16)

    weight: (out_channels, in_channels // groups, *kernel_size); bias: (out_channels,), None if bias=False.
    padding: ints, ((top, bottom), (left, right)), 'valid', or 'same' (output ceil(side / stride)).
    padding_mode: 'zeros', 'reflect', 'replicate' or 'circular'.

    Raises ValueError where groups do not divide the channels, for unknown paddings and modes; TypeError for
    what is no integer; RuntimeError for integers out of range.
    """

    _rank = 2


class Conv3d(PlainConvNd):
    """A layer that convolves volumes with kernels it learns: `Conv2d` with a depth before height and width.

    input (batch, in_channels, depth, height, width) or without batch -> (batch, out_channels, …, …, …)
    weight: (out_channels, in_channels // groups, *kernel_size); bias: (out_channels,), None if bias=False.
    padding: ints, ((front, back), (top, bottom), (left, right)), 'valid' or 'same'.

    Raises as `Conv2d`.
    """

    _rank = 3


class ConvTransposeNd(ConvNd):
    """Base of the transposed layers: their arguments, in PyTorch's order, and `output_size`."""

    _rank: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
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
        if isinstance(padding, str):
            raise ConvTypeError(
                f"padding (={padding!r}) of a transposed convolution must be ints, not str: give a number or "
                "one (before, after) pair an axis, or choose the size by output_size when calling"
            )
        super().__init__(
            in_channels,
            out_channels,
            integers(kernel_size, "kernel_size", self._rank),
            stride,
            padding,
            dilation,
            True,
            output_padding,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
            precision=precision,
        )

    def forward(self, input: Any, output_size: Any = None) -> Any:
        """The transposed convolution of input, a Tensor: (batch, in_channels, …) or (in_channels, …).

        output_size: any size that the plain convolution maps to the input's, with or without the axes before
        it; output_padding is then left aside. Raises ValueError, with the valid range, for others.
        """
        if output_size is None:
            return super().forward(input)
        convolution = self.__dict__.get("_convolution") or self._prepare()
        return convolution(input, self.weight, self.bias, output_size=output_size)


class ConvTranspose1d(ConvTransposeNd):
    """The adjoint of `Conv1d`: every input element adds the kernel, times itself, to the output.

    input (batch, in_channels, length) or (in_channels, length) -> (batch, out_channels, length'),
    length' = (length - 1) stride - pads + dilation (kernel_size - 1) + 1 + output_padding

        x 1 2, weight 1 1 1, stride 2:   1 1 1 . .
                                         . . 2 2 2   ->   1 1 3 2 2

    weight: (in_channels, out_channels // groups, kernel_size); bias: (out_channels,), None if bias=False.
    padding takes elements off the output's ends, by padding_mode folds them back into it.

    Raises as `Conv2d`.
    """

    _rank = 1


class ConvTranspose2d(ConvTransposeNd):
    """The adjoint of `Conv2d`: every input pixel adds the kernel, times itself, to the output.

    input (batch, in_channels, height, width) or without batch -> (batch, out_channels, height', width'),
    each side' = (side - 1) stride - pads + dilation (kernel_size - 1) + 1 + output_padding

        up = ConvTranspose2d(8, 3, 3, stride=2, padding=1)
        up(x)                           # (1, 8, 16, 16) -> (1, 3, 31, 31)
        up(x, output_size=(32, 32))     # (1, 8, 16, 16) -> (1, 3, 32, 32)

    weight: (in_channels, out_channels // groups, *kernel_size); bias: (out_channels,), None if bias=False.
    padding takes elements off the output's sides, by padding_mode folds them back into it.

    Raises as `Conv2d`.
    """

    _rank = 2


class ConvTranspose3d(ConvTransposeNd):
    """The adjoint of `Conv3d`: `ConvTranspose2d` with a depth before height and width.

    input (batch, in_channels, depth, height, width) or without batch -> (batch, out_channels, …, …, …)
    weight: (in_channels, out_channels // groups, *kernel_size); bias: (out_channels,), None if bias=False.

    Raises as `Conv2d`.
    """

    _rank = 3
