"""Users' arguments in, a trusted `ConvSpec` out. The only place where a convolution is validated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

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
from convforge.problem import sizes
from convforge.problem.arguments import (
    AXES,
    LARGEST_INT,
    IntOrInts,
    Padding,
    at_least,
    integer,
    integers,
    is_sequence,
    padding_pairs,
)
from convforge.problem.spec import ConvSpec, PaddingMode

PADDING_MODES: tuple[PaddingMode, ...] = get_args(PaddingMode)
_FLOATS = tuple(
    np.dtype(t) for t in ("float16", "float32", "float64", "complex64", "complex128", ml_dtypes.bfloat16)
)


def normalize_conv(
    input_shape: Sequence[int],
    weight_shape: Sequence[int],
    bias_shape: Sequence[int] | None,
    stride: IntOrInts = 1,
    padding: Padding = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    rank: int,
    transposed: bool = False,
    output_padding: IntOrInts = 0,
    output_size: IntOrInts | None = None,
    padding_mode: str = "zeros",
    dtype: npt.DTypeLike,
) -> tuple[ConvSpec, bool]:
    """The canonical form of a convolution, and whether its input came without a batch axis.

    input_shape: (batch, in_channels, d_1, …, d_rank) or (in_channels, d_1, …, d_rank)
    weight_shape: (out_channels, in_channels // groups, k_1, …), or with in and out exchanged
    bias_shape: (out_channels,) or None

    stride, dilation, padding, output_padding: an int, or one an axis. `padding` may also be one
    (before, after) pair an axis, "valid", "same" (output ceil(size / stride), odd element at the end:
    TensorFlow's rule), or "causal" (1-d). `output_size` (transposed only) picks one of the sizes that a
    convolution of this stride maps to the input's.

    A transposed convolution with a padding mode is the exact adjoint of the convolution with that mode.

    Raises ConvArgumentError, ConvShapeError (both RuntimeError), ConvValueError, ConvTypeError or
    UnsupportedDtypeError: for each mistake the type that PyTorch raises.
    """
    dtype = _checked_dtype(dtype)
    in_shape = tuple(int(n) for n in input_shape)
    w_shape = tuple(int(n) for n in weight_shape)
    _check_ranks(in_shape, w_shape, rank, transposed)
    unbatched = len(in_shape) == rank + 1
    batch, in_channels, *input_size = (1, *in_shape) if unbatched else in_shape

    strides = at_least(integers(stride, "stride", rank), "stride", 1)
    dilations = at_least(integers(dilation, "dilation", rank), "dilation", 1)
    groups = integer(groups, "groups")
    out_channels = _checked_channels(in_channels, w_shape, groups, transposed)
    _check_bias(bias_shape, out_channels)
    kernel_size = w_shape[2:]
    _check_not_empty(batch, in_channels, tuple(input_size), kernel_size)
    mode = checked_padding_mode(padding_mode)
    pads = _padding(padding, tuple(input_size), kernel_size, strides, dilations, transposed)
    extra = at_least(integers(output_padding, "output_padding", rank), "output_padding", 0)

    if transposed:
        extra, out_size = _transposed_size(
            tuple(input_size), kernel_size, strides, pads, dilations, extra, output_size, unbatched
        )
        _check_mode(mode, out_size, pads, "output")
    else:
        if any(extra) or output_size is not None:
            raise ConvArgumentError(
                "output_padding and output_size belong to transposed convolutions: leave them out"
            )
        _check_mode(mode, tuple(input_size), pads, "input")
        out_size = _conv_size(tuple(input_size), kernel_size, strides, pads, dilations)

    spec = ConvSpec(
        transposed=bool(transposed),
        batch=batch,
        in_channels=in_channels,
        out_channels=out_channels,
        groups=groups,
        input_size=tuple(input_size),
        output_size=out_size,
        kernel_size=kernel_size,
        stride=strides,
        padding=pads,
        dilation=dilations,
        output_padding=extra,
        padding_mode=mode if any(any(pair) for pair in pads) else "zeros",
        dtype=dtype,
    )
    _check_addressable(spec)
    return spec, unbatched


def checked_padding_mode(mode: object) -> PaddingMode:
    """The padding mode, if it is one; else ConvValueError."""
    for known in PADDING_MODES:
        if mode == known:
            return known
    raise ConvValueError(
        f"padding_mode (={mode!r}) must be one of {', '.join(map(repr, PADDING_MODES))}: use 'zeros'"
    )


def _checked_dtype(dtype: npt.DTypeLike) -> np.dtype[np.generic]:
    dtype = np.dtype(dtype)
    if dtype in _FLOATS or dtype.kind in "iu":
        return dtype.newbyteorder("=")
    fix = "convert the arrays, for example with .astype('float32')"
    if dtype.kind in "OSUMm" or dtype.type in (np.longdouble, np.clongdouble):
        raise ConvTypeError(
            f"arrays of dtype {dtype} cannot be convolved, only floats, complex and integers: {fix}"
        )
    raise UnsupportedDtypeError(f"convolution is not implemented for dtype {dtype}: {fix}")


def _check_ranks(in_shape: tuple[int, ...], w_shape: tuple[int, ...], rank: int, transposed: bool) -> None:
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


def _checked_channels(in_channels: int, w_shape: tuple[int, ...], groups: int, transposed: bool) -> int:
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


def _check_bias(bias_shape: Sequence[int] | None, out_channels: int) -> None:
    if bias_shape is not None and tuple(bias_shape) != (out_channels,):
        raise ConvShapeError(
            f"expected bias to be 1-dimensional with {out_channels} elements, but got bias of size "
            f"{list(bias_shape)}: give one number for each output channel"
        )


def _check_not_empty(
    batch: int, in_channels: int, input_size: tuple[int, ...], kernel_size: tuple[int, ...]
) -> None:
    if 0 in kernel_size:
        raise ConvShapeError(
            f"kernel_size (={list(kernel_size)}) must not be 0 along any axis: use 1 or more"
        )
    if 0 in input_size and batch and in_channels:
        raise ConvShapeError(
            f"input of spatial size {list(input_size)} has no elements; only an empty batch or zero channels "
            "are supported: give every spatial axis at least one element"
        )


def _padding(
    padding: Any,
    input_size: tuple[int, ...],
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    transposed: bool,
) -> tuple[tuple[int, int], ...]:
    if not isinstance(padding, str):
        return padding_pairs(padding, len(input_size))
    if transposed:
        raise ConvTypeError(
            f"padding (={padding!r}) of a transposed convolution must be ints, not str: "
            "give one number or one (before, after) pair an axis, or choose by output_size"
        )
    match padding:
        case "valid":
            return ((0, 0),) * len(input_size)
        case "same":
            return tuple(map(sizes.same_padding, input_size, kernel_size, stride, dilation))
        case "causal" if len(input_size) == 1:
            return tuple(map(sizes.causal_padding, kernel_size, dilation))
        case "causal":
            raise ConvArgumentError(
                "padding='causal' needs an axis of time, so is for 1-d convolutions only: "
                "give (before, after) pairs"
            )
        case _:
            known = "'valid', 'same' or 'causal'" if len(input_size) == 1 else "'valid' or 'same'"
            raise ConvArgumentError(
                f"Invalid padding string: {padding!r}: use {known}, integers, or pairs of them"
            )


def _conv_size(
    input_size: tuple[int, ...],
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    pads: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
) -> tuple[int, ...]:
    padded = tuple(size + before + after for size, (before, after) in zip(input_size, pads, strict=True))
    spans = tuple(map(sizes.dilated_size, kernel_size, dilation))
    if any(span > size for span, size in zip(spans, padded, strict=True)):
        raise ConvShapeError(
            f"Calculated padded input size per channel: {_by(padded)}. Kernel size: {_by(spans)} "
            f"(with dilation {list(dilation)}). Kernel size can't be greater than actual input size: "
            "use more padding, a smaller kernel or less dilation"
        )
    return tuple(map(sizes.conv_size, padded, kernel_size, stride, dilation))


def _transposed_size(
    input_size: tuple[int, ...],
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    pads: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    output_padding: tuple[int, ...],
    output_size: Any,
    unbatched: bool,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(output_padding, output_size), the first from the second where the user gave it."""
    rank = len(input_size)
    full = map(sizes.transposed_size, input_size, kernel_size, stride, dilation, (0,) * rank)
    smallest = tuple(size - before - after for size, (before, after) in zip(full, pads, strict=True))
    if output_size is not None:
        wanted = _wanted_size(output_size, rank, unbatched)
        largest = tuple(size + step - 1 for size, step in zip(smallest, stride, strict=True))
        if any(not low <= size <= high for low, size, high in zip(smallest, wanted, largest, strict=True)):
            raise ConvValueError(
                f"requested an output_size of {list(wanted)}, but valid sizes range from {list(smallest)} to "
                f"{list(largest)} (for an input of {list(input_size)}): choose one of these, or change "
                "stride or padding"
            )
        output_padding = tuple(size - low for size, low in zip(wanted, smallest, strict=True))
    for axis, extra, step, spread in zip(AXES[rank], output_padding, stride, dilation, strict=True):
        if extra >= max(step, spread):
            raise ConvArgumentError(
                f"output_padding (={extra} along the {axis}) must be smaller than either stride (={step}) or "
                f"dilation (={spread}): use at most {max(step, spread) - 1}"
            )
    size = tuple(low + extra for low, extra in zip(smallest, output_padding, strict=True))
    if any(n < 1 for n in size):
        raise ConvShapeError(
            f"Given input size per channel: {_by(input_size)}. Calculated output size per channel: "
            f"{_by(size)}. Output size is too small: use less padding than {[list(pair) for pair in pads]}"
        )
    return output_padding, size


def _wanted_size(output_size: Any, rank: int, unbatched: bool) -> tuple[int, ...]:
    """The spatial part of output_size, which may be given with batch and channels, as PyTorch allows."""
    if not is_sequence(output_size):
        return integers(output_size, "output_size", rank)
    items = tuple(integer(item, f"output_size[{i}]") for i, item in enumerate(output_size))
    lengths = (rank, rank + (1 if unbatched else 2))
    if len(items) not in lengths:
        raise ConvValueError(
            f"output_size (={list(items)}) must have {lengths[0]} or {lengths[1]} elements "
            f"(got {len(items)}): give ({', '.join(AXES[rank])})"
        )
    return items[-rank:]


def _check_mode(
    mode: PaddingMode, size: tuple[int, ...], pads: tuple[tuple[int, int], ...], whose: str
) -> None:
    """Reflect reads at most size - 1 elements on a side, circular at most size."""
    if mode not in ("reflect", "circular"):
        return
    for axis, length, pair in zip(AXES[len(size)], size, pads, strict=True):
        most = length - 1 if mode == "reflect" else length
        if max(pair) > max(most, 0):
            rule = "less than" if mode == "reflect" else "at most"
            raise ConvShapeError(
                f"padding (={pair} along the {axis}) with padding_mode={mode!r} must be {rule} the "
                f"{whose}'s size (={length}): use at most {max(most, 0)}, or padding_mode='replicate'"
            )


def _check_addressable(spec: ConvSpec) -> None:
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


def _by(size: tuple[int, ...]) -> str:
    return f"({' x '.join(map(str, size))})"
