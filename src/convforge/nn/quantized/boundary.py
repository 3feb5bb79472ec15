"""Where numbers become bytes, and bytes numbers again."""

from __future__ import annotations

from typing import Any

import numpy as np

from convforge.autograd.quantized import QDType, QTensor, quantize_per_tensor, quint8
from convforge.autograd.tensor import from_data
from convforge.nn.module import Module
from convforge.problem.quantization import checked_scale, checked_zero_point

__all__ = ["DeQuantize", "OnBytes", "Quantize"]


class Quantize(Module):
    """A float32 Tensor -> a QTensor at this scale; buffers `scale` and `zero_point`, of one element."""

    scale: Any
    zero_point: Any

    def __init__(self, scale: Any, zero_point: Any, dtype: QDType = quint8) -> None:
        super().__init__()
        self.dtype = dtype
        step, zero = checked_scale(scale), checked_zero_point(zero_point, dtype.numpy)
        self.register_buffer("scale", from_data(np.array([step], np.float32)))
        self.register_buffer("zero_point", from_data(np.array([zero], np.int64)))

    def forward(self, X: Any) -> QTensor:
        """Quantise."""
        return quantize_per_tensor(X, self.scale.item(), self.zero_point.item(), self.dtype)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return f"scale={self.scale}, zero_point={self.zero_point}, dtype={self.dtype}"


class DeQuantize(Module):
    """A QTensor -> a float32 Tensor."""

    def forward(self, Xq: QTensor) -> Any:
        """Dequantise."""
        return Xq.dequantize()


class OnBytes(Module):
    """A module that only moves or compares elements (max-pooling, flattening), on the bytes of a QTensor."""

    def __init__(self, module: Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, input: QTensor) -> QTensor:
        """Apply it; scale and zero point stay."""
        return input.on_bytes(self.module)
