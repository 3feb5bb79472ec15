"""Layers of the sizes that nets have, where kernels block and split the work: output and both gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convforge.autograd import from_data
from convforge.nn import functional
from support.convolutions import Case, filled
from support.tolerance import assert_close
from support.torch_oracle import magnitudes, products


def case(
    input_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    *,
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int = 1,
    groups: int = 1,
    transposed: bool = False,
    mode: str = "zeros",
) -> Case:
    rank = len(weight_shape) - 2
    pads = (padding, padding) if isinstance(padding, int) else padding
    return Case(
        rank=rank,
        transposed=transposed,
        input_shape=input_shape,
        weight_shape=weight_shape,
        stride=(stride,) * rank,
        padding=(pads,) * rank,
        dilation=(dilation,) * rank,
        groups=groups,
        output_padding=(0,) * rank,
        padding_mode=mode,
        has_bias=True,
    )


NETS = {
    "stem 7x7/2": case((1, 3, 56, 56), (64, 3, 7, 7), stride=2, padding=3),
    "3x3": case((2, 64, 14, 14), (96, 64, 3, 3), padding=1),
    "3x3 late": case((1, 256, 7, 7), (256, 256, 3, 3), padding=1),
    "1x1": case((2, 64, 17, 17), (200, 64, 1, 1)),
    "1x1/2": case((1, 96, 28, 28), (64, 96, 1, 1), stride=2),
    "depthwise": case((2, 96, 28, 28), (96, 1, 3, 3), padding=1, groups=96),
    "depthwise 5x5/2": case((1, 40, 29, 27), (40, 1, 5, 5), stride=2, padding=2, groups=40),
    "8 groups": case((1, 64, 14, 14), (128, 8, 3, 3), padding=1, groups=8),
    "dilated": case((1, 32, 30, 30), (32, 32, 3, 3), padding=4, dilation=4),
    "circular": case((1, 16, 33, 35), (24, 16, 5, 5), padding=2, mode="circular"),
    "long signal": case((1, 4, 5000), (8, 4, 25), stride=3, padding=12),
    "dilated signal": case((2, 32, 700), (32, 32, 2), padding=(64, 0), dilation=64),
    "volume": case((1, 8, 9, 20, 21), (16, 8, 3, 3, 3), padding=1),
    "large kernel": case((1, 8, 40, 40), (8, 1, 31, 31), padding=15, groups=8),
    "upsampling 4x4/2": case((1, 64, 14, 14), (64, 32, 4, 4), stride=2, padding=1, transposed=True),
    "upsampling 2x2/2": case((1, 128, 14, 14), (128, 64, 2, 2), stride=2, transposed=True),
    "upsampled volume": case((1, 8, 5, 9, 9), (8, 6, 3, 3, 3), stride=2, padding=1, transposed=True),
    "upsampled signal": case((1, 32, 100), (32, 16, 16), stride=8, padding=4, transposed=True),
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", NETS)
def test_all_products(name: str, dtype: str) -> None:
    net = NETS[name]
    spec = net.spec("float32")
    x, weight, bias = net.arrays(dtype, seed=1)
    grad = filled(np.random.default_rng(2), spec.output_shape, dtype)
    tensors: list[Any] = [from_data(each).requires_grad_() for each in (x, weight, bias)]
    arguments = net.arguments
    function = getattr(functional, f"conv_transpose{net.rank}d" if net.transposed else f"conv{net.rank}d")
    y = function(*tensors, **arguments)
    y.backward(from_data(grad))
    exact = products(net, x, weight, bias, grad)
    size = magnitudes(net, x, weight, bias, grad)
    taps, places = int(np.prod(spec.kernel_size)), int(np.prod(spec.output_size)) * spec.batch
    counts = (taps * spec.in_channels // spec.groups, taps * spec.out_channels // spec.groups, places, places)
    actual = (y.detach(), *(tensor.grad for tensor in tensors))
    for tensor, expected, magnitude, count in zip(actual, exact, size, counts, strict=True):
        assert_close(tensor.numpy(), expected, magnitude, count)
