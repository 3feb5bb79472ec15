"""Observers: modules that pass on what they see, and choose scale and zero point by the range of it.

    affine       scale = (max - min) / 255, zero_point where 0 lies: every range has 0 in it
    symmetric    scale = max|x| / 127.5, zero_point 0 (128 of quint8)

Numbers and names are those of PyTorch's `torch.ao.quantization`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.autograd.quantized import (
    QDType,
    QScheme,
    QTensor,
    per_channel_affine,
    per_channel_symmetric,
    per_tensor_affine,
    per_tensor_symmetric,
    quantize_per_channel,
    quantize_per_tensor,
    quint8,
)
from convforge.autograd.tensor import Tensor, from_data
from convforge.errors import ConvArgumentError
from convforge.nn.module import Module
from convforge.problem.quantization import limits

__all__ = ["MinMaxObserver", "PerChannelMinMaxObserver"]

Floats = NDArray[np.float32]
# PyTorch's smallest scale: 2^-23.
_EPSILON = np.float32(np.finfo(np.float32).eps)


class _RangeObserver(Module):
    """Remembers the smallest and the largest number seen. Buffers: min_val, max_val."""

    _schemes: tuple[QScheme, QScheme]
    min_val: Any
    max_val: Any

    def __init__(self, dtype: QDType, qscheme: QScheme, unseen: tuple[Floats, Floats]) -> None:
        super().__init__()
        if qscheme not in self._schemes:
            raise ConvArgumentError(
                f"qscheme (={qscheme}) does not fit {self._get_name()}: use {self._schemes[0]} or "
                f"{self._schemes[1]}"
            )
        self.dtype, self.qscheme = dtype, qscheme
        self.register_buffer("min_val", from_data(unseen[0]))
        self.register_buffer("max_val", from_data(unseen[1]))

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """(scales, zero points), one element or one for each channel; 1 and 0 before anything was seen."""
        low, high = np.atleast_1d(self.min_val._data), np.atleast_1d(self.max_val._data)
        if low.size == 0 or np.any(low > high):
            return from_data(np.ones(1, np.float32)), from_data(np.zeros(1, np.int64))
        low, high = np.minimum(low, np.float32(0)), np.maximum(high, np.float32(0))
        smallest, largest = limits(self.dtype.numpy)
        if self.qscheme in (per_tensor_symmetric, per_channel_symmetric):
            scale = np.maximum(-low, high) / np.float32((largest - smallest) / 2)
            zero = np.full(scale.shape, 128 if self.dtype == quint8 else 0, np.int64)
            return from_data(np.maximum(scale, _EPSILON)), from_data(zero)
        scale = np.maximum((high - low) / np.float32(largest - smallest), _EPSILON)
        zero = np.clip(smallest - np.rint(low / scale).astype(np.int64), smallest, largest)
        return from_data(scale), from_data(zero)

    def _extend(self, low: Floats, high: Floats) -> None:
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise ConvArgumentError(
                "input has infinities or NaN, which no range holds: calibrate with finite numbers"
            )
        self.min_val = from_data(np.asarray(np.minimum(self.min_val._data, low), np.float32))
        self.max_val = from_data(np.asarray(np.maximum(self.max_val._data, high), np.float32))

    def extra_repr(self) -> str:
        """The range, as it is printed."""
        return f"min_val={self.min_val.tolist()}, max_val={self.max_val.tolist()}"


class MinMaxObserver(_RangeObserver):
    """Chooses one scale by the smallest and the largest number seen."""

    _schemes = (per_tensor_affine, per_tensor_symmetric)

    def __init__(self, dtype: QDType = quint8, qscheme: QScheme = per_tensor_affine) -> None:
        unseen = np.asarray(np.inf, np.float32), np.asarray(-np.inf, np.float32)
        super().__init__(dtype, qscheme, unseen)

    def forward(self, x_orig: Any) -> Any:
        """See a Tensor, and pass it on. Raises RuntimeError for infinities and NaN."""
        data: Any = x_orig._data
        if data.size:
            self._extend(data.min(), data.max())
        return x_orig

    def quantize(self, x: Any) -> QTensor:
        """A Tensor at the scale chosen."""
        scale, zero_point = self.calculate_qparams()
        return quantize_per_tensor(x, scale.item(), zero_point.item(), self.dtype)


class PerChannelMinMaxObserver(_RangeObserver):
    """Chooses one scale for each index of axis `ch_axis`."""

    _schemes = (per_channel_affine, per_channel_symmetric)

    def __init__(
        self, ch_axis: int = 0, dtype: QDType = quint8, qscheme: QScheme = per_channel_affine
    ) -> None:
        super().__init__(dtype, qscheme, (np.zeros(0, np.float32), np.zeros(0, np.float32)))
        self.ch_axis = ch_axis

    def forward(self, x_orig: Any) -> Any:
        """See a Tensor, and pass it on. Raises RuntimeError for infinities and NaN."""
        data: Any = x_orig._data
        rows = np.moveaxis(data, self.ch_axis, 0).reshape(data.shape[self.ch_axis], -1)
        if rows.size:
            low, high = rows.min(axis=1), rows.max(axis=1)
            if self.min_val._data.shape != low.shape:
                self.min_val, self.max_val = from_data(low), from_data(high)
            self._extend(low, high)
        return x_orig

    def quantize(self, x: Any) -> QTensor:
        """A Tensor at the scales chosen."""
        scales, zero_points = self.calculate_qparams()
        return quantize_per_channel(x, scales, zero_points, self.ch_axis, self.dtype)
