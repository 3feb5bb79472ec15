"""conv1d … conv_transpose3d with PyTorch's signatures, on Tensors and on plain ndarrays.

Beyond PyTorch: `padding` also one (before, after) pair an axis, "same" with any stride, "causal" in 1-d;
`padding_mode` on all of them (on a transposed convolution the exact adjoint of the plain one's);
`output_size` of the transposed ones; `out`, an array for the result; `precision` of float32, forward and
backward ("highest", "high" or "medium"; None is what is in force when each of them runs).
"""

from __future__ import annotations

from typing import Any

from convforge.problem import Precision, checked_precision
from convforge.problem.arguments import integer, integers, padding_pairs

from .convolve import Array, Convolution

# Argument sets remembered by these functions, each with the shapes it met.
REMEMBERED = 128

_known: dict[tuple[Any, ...], Convolution] = {}


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    out: Array | None = None,
    precision: Precision | None = None,
) -> Any:
    """Convolve a signal.

    input: (batch, in_channels, length) or (in_channels, length)
    weight: (out_channels, in_channels // groups, kernel), bias: (out_channels,)
    -> (batch, out_channels, (length + pads - dilation (kernel - 1) - 1) // stride + 1)

        input 1 2 3 4 5, weight 1 0 -1 -> 1-3, 2-4, 3-5 -> -2 -2 -2

    Raises RuntimeError, ValueError, TypeError or NotImplementedError, as PyTorch for the same mistake.
    """
    convolution = _convolution(1, False, stride, padding, dilation, groups, 0, padding_mode, precision)
    return convolution(input, weight, bias, out=out)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    out: Array | None = None,
    precision: Precision | None = None,
) -> Any:
    """Convolve an image.

    input: (batch, in_channels, height, width) or (in_channels, height, width)
    weight: (out_channels, in_channels // groups, kernel height, kernel width), bias: (out_channels,)
    -> (batch, out_channels, …, …), each side (side + pads - dilation (kernel - 1) - 1) // stride + 1

    Raises RuntimeError, ValueError, TypeError or NotImplementedError, as PyTorch for the same mistake.
    """
    convolution = _convolution(2, False, stride, padding, dilation, groups, 0, padding_mode, precision)
    return convolution(input, weight, bias, out=out)


def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    out: Array | None = None,
    precision: Precision | None = None,
) -> Any:
    """Convolve a volume.

    input: (batch, in_channels, depth, height, width) or (in_channels, depth, height, width)
    weight: (out_channels, in_channels // groups, *kernel), bias: (out_channels,)
    -> (batch, out_channels, …, …, …), each side (side + pads - dilation (kernel - 1) - 1) // stride + 1

    Raises RuntimeError, ValueError, TypeError or NotImplementedError, as PyTorch for the same mistake.
    """
    convolution = _convolution(3, False, stride, padding, dilation, groups, 0, padding_mode, precision)
    return convolution(input, weight, bias, out=out)


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    output_size: Any = None,
    padding_mode: str = "zeros",
    out: Array | None = None,
    precision: Precision | None = None,
) -> Any:
    """The adjoint of `conv1d`: every input element adds the kernel, times itself, to the output.

    input: (batch, in_channels, length) or (in_channels, length)
    weight: (in_channels, out_channels // groups, kernel), bias: (out_channels,)
    -> (batch, out_channels, (length - 1) stride - pads + dilation (kernel - 1) + 1 + output_padding)

        input 1 2, weight 1 1 1, stride 2 -> 1 1 1 . .
                                             . . 2 2 2 -> 1 1 3 2 2

    output_size, instead of output_padding, is a size that a convolution of this stride maps to the input's.
    Raises RuntimeError, ValueError, TypeError or NotImplementedError, as PyTorch for the same mistake.
    """
    convolution = _convolution(
        1, True, stride, padding, dilation, groups, output_padding, padding_mode, precision
    )
    return convolution(input, weight, bias, output_size=output_size, out=out)


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    output_size: Any = None,
    padding_mode: str = "zeros",
    out: Array | None = None,
    precision: Precision | None = None,
) -> Any:
    """The adjoint of `conv2d`: every input element adds the kernel, times itself, to the output.

    input: (batch, in_channels, height, width) or (in_channels, height, width)
    weight: (in_channels, out_channels // groups, kernel height, kernel width), bias: (out_channels,)
    -> (batch, out_channels, …, …), (side - 1) stride - pads + dilation (kernel - 1) + 1 + output_padding

    output_size, instead of output_padding, is a size that a convolution of this stride maps to the input's.
    Raises RuntimeError, ValueError, TypeError or NotImplementedError, as PyTorch for the same mistake.
    """
    convolution = _convolution(
        2, True, stride, padding, dilation, groups, output_padding, padding_mode, precision
    )
    return convolution(input, weight, bias, output_size=output_size, out=out)


def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    output_size: Any = None,
    padding_mode: str = "zeros",
    out: Array | None = None,
    precision: Precision | None = None,
) -> Any:
    """The adjoint of `conv3d`: every input element adds the kernel, times itself, to the output.

    input: (batch, in_channels, depth, height, width) or (in_channels, depth, height, width)
    weight: (in_channels, out_channels // groups, *kernel), bias: (out_channels,)
    -> (batch, out_channels, …, …, …), sides as in `conv_transpose2d`

    output_size, instead of output_padding, is a size that a convolution of this stride maps to the input's.
    Raises RuntimeError, ValueError, TypeError or NotImplementedError, as PyTorch for the same mistake.
    """
    convolution = _convolution(
        3, True, stride, padding, dilation, groups, output_padding, padding_mode, precision
    )
    return convolution(input, weight, bias, output_size=output_size, out=out)


def _convolution(
    rank: int,
    transposed: bool,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    output_padding: Any,
    padding_mode: str,
    precision: Precision | None,
) -> Convolution:
    # Anything but a plain int is brought to tuples of ints first: as keys, 1, 1.0 and True would be equal.
    key: tuple[Any, ...] = (
        rank,
        transposed,
        stride if stride.__class__ is int else integers(stride, "stride", rank),
        padding if padding.__class__ in (int, str) else padding_pairs(padding, rank),
        dilation if dilation.__class__ is int else integers(dilation, "dilation", rank),
        groups if groups.__class__ is int else integer(groups, "groups"),
        output_padding
        if output_padding.__class__ is int
        else integers(output_padding, "output_padding", rank),
        str(padding_mode),
        None if precision is None else checked_precision(precision),
    )
    convolution = _known.get(key)
    if convolution is None:
        if len(_known) >= REMEMBERED:
            _known.pop(next(iter(_known)), None)
        convolution = _known[key] = Convolution(*key[:-1], precision=key[-1])
    return convolution
