"""The arithmetic of sizes: named paddings, outputs of convolutions and transposed convolutions.

All of it for one axis, in Python ints. Source: Dumoulin & Visin, A guide to convolution arithmetic.
"""

from __future__ import annotations


def dilated_size(kernel: int, dilation: int) -> int:
    """Elements that a kernel spans: kernel 3, dilation 2 -> x.x.x -> 5."""
    return dilation * (kernel - 1) + 1


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """(before, after) such that the output has ceil(size / stride) elements; the odd one goes to the end.

    Size 5, kernel 3, stride 2 -> 3 windows of 3 at 0, 2, 4 span 7 = 1 + 5 + 1 -> (1, 1)
    Size 6, kernel 3, stride 2 -> 3 windows at 0, 2, 4 span 7 = 0 + 6 + 1     -> (0, 1)

    Source: TensorFlow's rule for padding "SAME"; for stride 1 it is PyTorch's.
    """
    windows = -(-size // stride)
    total = max((windows - 1) * stride + dilated_size(kernel, dilation) - size, 0)
    return total // 2, total - total // 2


def causal_padding(kernel: int, dilation: int) -> tuple[int, int]:
    """(before, after) such that an output element sees no later input element."""
    return dilation * (kernel - 1), 0


def conv_size(padded: int, kernel: int, stride: int, dilation: int) -> int:
    """Windows that fit into a padded axis: 12345, kernel 3, stride 2 -> 123, 345 -> 2; below 1 if none."""
    return (padded - dilated_size(kernel, dilation)) // stride + 1


def transposed_size(size: int, kernel: int, stride: int, dilation: int, output_padding: int) -> int:
    """Elements that a transposed convolution writes before its padding is taken off."""
    return (size - 1) * stride + dilated_size(kernel, dilation) + output_padding


def weight_shape(
    transposed: bool, in_channels: int, out_channels: int, groups: int, kernel_size: tuple[int, ...]
) -> tuple[int, ...]:
    """(out_channels, in_channels // groups, *kernel_size), or in_channels first if transposed."""
    first, second = (in_channels, out_channels) if transposed else (out_channels, in_channels)
    return (first, second // groups, *kernel_size)
