"""Quantised tensors: bytes that stand for x = (q - zero_point) * scale.

    q = quantize_per_tensor(x, scale=0.05, zero_point=128, dtype=quint8)
    q.int_repr()        the bytes        q.dequantize()      the numbers, float32

A `QTensor` is a value, not a `Tensor`: it takes no part in autograd, and only quantised layers compute with
it. Rounding is PyTorch's on x86, bit for bit: x times the scale's float32 reciprocal, plus the zero point,
to the nearest integer, ties to even, then clamped; product and sum are one operation for one scale, two for
a scale a channel. NaN becomes the largest byte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.autograd.tensor import Tensor, from_data
from convforge.errors import ConvArgumentError, ConvDtypeError, ConvTypeError
from convforge.plan.dot.quantize import quantized
from convforge.problem.arguments import integer
from convforge.problem.quantization import checked_scale, checked_scales, checked_zero_point
from convforge.reference import rounded

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class QDType:
    """A quantised element type; `numpy` is how it is stored."""

    name: str
    numpy: np.dtype[Any]

    def __repr__(self) -> str:
        return f"torch.{self.name}"


@dataclass(frozen=True, slots=True)
class QScheme:
    """How scales and zero points are chosen."""

    name: str

    def __repr__(self) -> str:
        return f"torch.{self.name}"


quint8, qint8 = QDType("quint8", np.dtype(np.uint8)), QDType("qint8", np.dtype(np.int8))
per_tensor_affine, per_tensor_symmetric = QScheme("per_tensor_affine"), QScheme("per_tensor_symmetric")
per_channel_affine, per_channel_symmetric = QScheme("per_channel_affine"), QScheme("per_channel_symmetric")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class QTensor:
    """Bytes with a scale and a zero point, or with one of each for every index of an axis.

    ints: the bytes. scale, zero_point: numbers where `axis` is None, else arrays.
    """

    ints: Array
    scale: Any
    zero_point: Any
    dtype: QDType
    axis: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes."""
        return self.ints.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.ints.ndim

    @property
    def is_quantized(self) -> bool:
        """True."""
        return True

    def dim(self) -> int:
        """Number of axes."""
        return self.ints.ndim

    def size(self, dim: int | None = None) -> Any:
        """Sizes, or one of them."""
        return self.shape if dim is None else self.shape[dim]

    def numel(self) -> int:
        """Number of elements."""
        return self.ints.size

    def int_repr(self) -> Tensor:
        """The bytes, as a Tensor on the same memory."""
        return from_data(self.ints)

    def dequantize(self) -> Tensor:
        """The numbers that the bytes stand for, float32."""
        zero, scale = self._aligned(self.zero_point, np.float32), self._aligned(self.scale, np.float32)
        return from_data((self.ints.astype(np.float32) - zero) * scale)

    def qscheme(self) -> QScheme:
        """Whether there is one scale, or one for each channel."""
        return per_tensor_affine if self.axis is None else per_channel_affine

    def q_scale(self) -> float:
        """The scale. Raises ConvArgumentError where there is one for each channel."""
        return self._one(self.scale, "q_scale", "q_per_channel_scales")

    def q_zero_point(self) -> int:
        """The zero point. Raises ConvArgumentError where there is one for each channel."""
        return self._one(self.zero_point, "q_zero_point", "q_per_channel_zero_points")

    def q_per_channel_scales(self) -> Tensor:
        """The scale of each channel, float64."""
        return from_data(self._each(self.scale, "q_per_channel_scales", "q_scale"))

    def q_per_channel_zero_points(self) -> Tensor:
        """The zero point of each channel, int64."""
        return from_data(self._each(self.zero_point, "q_per_channel_zero_points", "q_zero_point"))

    def q_per_channel_axis(self) -> int:
        """The axis of the channels."""
        self._each(self.scale, "q_per_channel_axis", "q_scale")
        assert self.axis is not None
        return self.axis

    def on_bytes(self, function: Callable[[Tensor], Tensor]) -> QTensor:
        """What a function that only moves or compares elements makes of the bytes; one scale for all."""
        self.q_scale()
        return replace(self, ints=function(from_data(self.ints))._data)

    def reshape(self, *shape: Any) -> QTensor:
        """The same bytes in another shape; one scale for all."""
        return self.on_bytes(lambda ints: ints.reshape(*shape))

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> QTensor:
        """Some axes as one; one scale for all."""
        return self.on_bytes(lambda ints: ints.flatten(start_dim, end_dim))

    def __repr__(self) -> str:
        numbers = repr(self.dequantize())
        scheme = f"quantization_scheme={self.qscheme()}"
        if self.axis is None:
            how = f"scale={self.scale}, zero_point={self.zero_point}"
        else:
            how = f"scale={self.scale.tolist()}, zero_point={self.zero_point.tolist()}, axis={self.axis}"
        return f"{numbers[:-1]}, size={self.shape}, dtype={self.dtype}, {scheme}, {how})"

    def _aligned(self, value: Any, dtype: type) -> Any:
        """One number, or one for each channel along the axis of the channels."""
        if self.axis is None:
            return dtype(value)
        return value.astype(dtype).reshape(-1, *(1,) * (self.ndim - self.axis - 1))

    def _one(self, value: Any, asked: str, fix: str) -> Any:
        if self.axis is not None:
            raise ConvArgumentError(
                f"{asked} of a tensor with a scale for each index of axis {self.axis}: use {fix}()"
            )
        return value

    def _each(self, value: Any, asked: str, fix: str) -> Array:
        if self.axis is None:
            raise ConvArgumentError(f"{asked} of a tensor with one scale for all: use {fix}()")
        return value


def quantize_per_tensor(input: Any, scale: Any, zero_point: Any, dtype: QDType) -> QTensor:
    """Bytes at one scale: q = clamp(round(x / scale + zero_point)).

    input: a float32 Tensor or ndarray. dtype: quint8 (0 to 255) or qint8 (-128 to 127).
    Raises RuntimeError for a scale that is not positive and finite, a zero point that the dtype does not
    hold, another dtype of the input; TypeError for another dtype to quantise to.
    """
    x, dtype = _checked_input(input), _checked_dtype(dtype)
    step, zero = checked_scale(scale), checked_zero_point(zero_point, dtype.numpy)
    return QTensor(quantized(x, step, zero, dtype.numpy), step, zero, dtype)


def quantize_per_channel(input: Any, scales: Any, zero_points: Any, axis: int, dtype: QDType) -> QTensor:
    """Bytes at one scale for each index of an axis.

    scales, zero_points: of `input.shape[axis]` elements. Raises as `quantize_per_tensor`, and RuntimeError
    for an axis that there is not.
    """
    x, dtype = _checked_input(input), _checked_dtype(dtype)
    axis = integer(axis, "axis")
    if not 0 <= axis < x.ndim:
        raise ConvArgumentError(
            f"axis (={axis}) must be one of the {x.ndim} axes of input: use 0 to {x.ndim - 1}"
        )
    channels = x.shape[axis]
    steps = checked_scales(_plain(scales), channels)
    listed = np.asarray(_plain(zero_points)).reshape(-1).tolist()
    if len(listed) != channels:
        raise ConvArgumentError(
            f"zero_points has {len(listed)} elements, but there are {channels} channels: use one for each"
        )
    zeros = np.array([checked_zero_point(int(z), dtype.numpy, "zero_points") for z in listed], np.int64)
    shape = (-1, *(1,) * (x.ndim - axis - 1))
    with np.errstate(over="ignore"):
        moved = x * (np.float32(1) / steps.astype(np.float32)).reshape(shape)
    ints = rounded(moved + zeros.astype(np.float32).reshape(shape), dtype.numpy)
    return QTensor(ints, steps, zeros, dtype, axis)


def _plain(value: Any) -> Any:
    return value._data if isinstance(value, Tensor) else value


def _checked_input(value: Any) -> Array:
    array = value._data if isinstance(value, Tensor) else value
    if not isinstance(array, np.ndarray):
        raise ConvTypeError(
            f"input must be a Tensor or an ndarray, not {type(value).__name__}: use tensor(input)"
        )
    if array.dtype != np.float32:
        raise ConvDtypeError(f"Quantize only works on Float Tensor, got {array.dtype}: use input.float()")
    return array


def _checked_dtype(dtype: Any) -> QDType:
    if not isinstance(dtype, QDType):
        raise ConvTypeError(
            f"dtype (={dtype!r}) must be a quantised dtype: use convforge.quint8 or convforge.qint8"
        )
    return dtype
