"""What a convolution's arrays and arguments must agree on. Each check names argument, value, rule and fix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import ml_dtypes
import numpy as np
import numpy.typing as npt

from convforge.errors import (
    ConvArgumentError,
    ConvShapeError,
    ConvTypeError,
    ConvValueError,
    UnsupportedDtypeError,
)
from convforge.problem.arguments import AXES, LARGEST_INT
from convforge.problem.spec import ConvSpec, PaddingMode

PADDING_MODES: tuple[PaddingMode, ...] = get_args(PaddingMode)
_FLOATS = ("float16", "float32", "float64", "complex64", "complex128", ml_dtypes.bfloat16)
_INTEGERS = ("uint8", "int8", "int16", "int32", "int64")  # PyTorch convolves no wider unsigned ones
_CONVOLVED = frozenset(np.dtype(each) for each in (*_FLOATS, *_INTEGERS))


def checked_padding_mode(mode: object) -> PaddingMode:
    """The padding mode, if it is one; else ConvValueError."""
    for known in PADDING_MODES:
        if mode == known:
            return known
    raise ConvValueError(
        f"padding_mode (={mode!r}) must be one of {', '.join(map(repr, PADDING_MODES))}: use 'zeros'"
    )


def checked_dtype(dtype: npt.DTypeLike) -> np.dtype[np.generic]:
    """The dtype in native byte order: a float, complex or integer one. Others raise."""
    dtype = np.dtype(dtype).newbyteorder("=")
    if dtype in _CONVOLVED:
        return dtype
    fix = "convert the arrays, for example with .astype('float32')"
    if dtype.kind in "OSUMm" or dtype.type in (np.longdouble, np.clongdouble):
        raise ConvTypeError(
            f"arrays of dtype {dtype} cannot be convolved, only floats, complex and integers: {fix}"
        )
    raise UnsupportedDtypeError(f"convolution is not implemented for dtype {dtype}: {fix}")


def check_ranks(in_shape: tuple[int, ...], w_shape: tuple[int, ...], rank: int, transposed: bool) -> None:
    """Input and weight have the axes that the convolution's rank asks for; the input may lack the batch."""
    name = f"conv_transpose{rank}d" if transposed else f"conv{rank}d"
    if len(w_shape) != rank + 2:
        channels = (
            "in_channels, out_channels // groups" if transposed else "out_channels, in_channels // groups"
        )
        raise ConvShapeError(
            f"weight of shape {list(w_shape)} has {len(w_shape)} axes, but {name} needs {rank + 2}: "
            f"({channels}, {', '.join(f'kernel {axis}' for axis in AXES[rank])})"
        )
    if len(in_shape) not in (rank + 1, rank + 2):
        axes = ", ".join(AXES[rank])
        raise ConvShapeError(
            f"Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input to {name}, "
            f"but got input of size: {list(in_shape)}: reshape it to (channels, {axes}) "
            f"or (batch, channels, {axes})"
        )


def checked_channels(in_channels: int, w_shape: tuple[int, ...], groups: int, transposed: bool) -> int:
    """out_channels, once groups, input and weight agree."""
    if groups < 1:
        raise ConvArgumentError(
            f"groups (={groups}) must be at least 1: use groups=1 for a plain convolution"
        )
    first, second = w_shape[:2]
    role = "in_channels" if transposed else "out_channels"
    if first < groups or first % groups:
        raise ConvShapeError(
            f"groups (={groups}) must divide {role} (={first}, the first axis of weight {list(w_shape)}) "
            f"into groups of at least one: {_divisor_fix(first)}"
        )
    expected = first if transposed else second * groups
    if in_channels != expected:
        raise ConvShapeError(
            f"Given groups={groups}, weight of size {list(w_shape)}, expected input to have {expected} "
            f"channels, but got {in_channels} channels instead: check in_channels, groups and the order of "
            "the input's axes (channels come before height and width)"
        )
    if transposed and second < 1:
        raise ConvShapeError(
            f"weight of size {list(w_shape)} has no output channels: use out_channels of 1 or more"
        )
    return second * groups if transposed else first


def _divisor_fix(channels: int) -> str:
    divisors = [str(n) for n in range(1, min(channels, 64) + 1) if channels % n == 0]
    return f"use groups={', '.join(divisors)}" if divisors else "use at least one channel"


def check_bias(bias_shape: Sequence[int] | None, out_channels: int) -> None:
    """One number for each output channel."""
    if bias_shape is not None and tuple(bias_shape) != (out_channels,):
        raise ConvShapeError(
            f"expected bias to be 1-dimensional with {out_channels} elements, but got bias of size "
            f"{list(bias_shape)}: give one number for each output channel"
        )


def check_not_empty(
    batch: int, in_channels: int, input_size: tuple[int, ...], kernel_size: tuple[int, ...]
) -> None:
    """Kernels have taps, and spatial axes elements; only batch and channels may be 0."""
    if 0 in kernel_size:
        raise ConvShapeError(
            f"kernel_size (={list(kernel_size)}) must not be 0 along any axis: use 1 or more"
        )
    if 0 in input_size and batch and in_channels:
        raise ConvShapeError(
            f"input of spatial size {list(input_size)} has no elements; only an empty batch or zero channels "
            "are supported: give every spatial axis at least one element"
        )


def check_mode(
    mode: PaddingMode, size: tuple[int, ...], pads: tuple[tuple[int, int], ...], whose: str
) -> None:
    """Reflect reads at most size - 1 elements on a side, circular at most size; replicate needs one."""
    if mode == "zeros":
        return
    for axis, length, pair in zip(AXES[len(size)], size, pads, strict=True):
        if mode == "replicate":
            if length == 0 and max(pair) > 0:
                raise ConvShapeError(
                    f"padding (={pair} along the {axis}) with padding_mode='replicate' needs an element to "
                    f"repeat, but the {whose}'s size is 0: use less padding, or padding_mode='zeros'"
                )
            continue
        most = length - 1 if mode == "reflect" else length
        if max(pair) > max(most, 0):
            rule = "less than" if mode == "reflect" else "at most"
            raise ConvShapeError(
                f"padding (={pair} along the {axis}) with padding_mode={mode!r} must be {rule} the "
                f"{whose}'s size (={length}): use at most {max(most, 0)}, or padding_mode='replicate'"
            )


def check_addressable(spec: ConvSpec) -> None:
    """No array of the convolution, padded ones included, may exceed the address range."""
    inner = spec.output_size if spec.transposed else spec.input_size
    channels = spec.out_channels if spec.transposed else spec.in_channels
    padded = tuple(size + before + after for size, (before, after) in zip(inner, spec.padding, strict=True))
    shapes = {
        "input": spec.input_shape,
        "weight": spec.weight_shape,
        "output": spec.output_shape,
        "padded array": (spec.batch, channels, *padded),
    }
    for name, shape in shapes.items():
        size_bytes = spec.dtype.itemsize
        for n in shape:
            size_bytes *= max(n, 1)  # an empty batch does not excuse a size that no index can hold
        if size_bytes > LARGEST_INT:
            raise ConvShapeError(
                f"{name} of shape {list(shape)} would take {size_bytes} bytes, more than the address "
                "range of 2^63 bytes: use smaller padding, stride or dilation"
            )
