"""Quantised layers, with the names of PyTorch's `torch.ao.nn.quantized`: bytes in, int32 sums, bytes out.

quantised = nn.quantized.quantize(model.eval(), calibration_batches)
y = quantised(x)                                     # a Tensor in, a Tensor out
"""

from __future__ import annotations

from . import functional as functional
from .boundary import DeQuantize, OnBytes, Quantize
from .conv import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvReLU1d,
    ConvReLU2d,
    ConvReLU3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from .linear import Linear, LinearReLU
from .observer import MinMaxObserver, PerChannelMinMaxObserver
from .quantize import quantize

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvReLU1d",
    "ConvReLU2d",
    "ConvReLU3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "DeQuantize",
    "Linear",
    "LinearReLU",
    "MinMaxObserver",
    "OnBytes",
    "PerChannelMinMaxObserver",
    "Quantize",
    "functional",
    "quantize",
]
