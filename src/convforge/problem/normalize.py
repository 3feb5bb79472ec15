"""Users' arguments in, a trusted `ConvSpec` out. The only place where a convolution is validated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from convforge.errors import (
    ConvArgumentError,
    ConvShapeError,
    ConvTypeError,
    ConvValueError,
)
from convforge.problem import checks, sizes
from convforge.problem.arguments import (
    AXES,
    IntOrInts,
    Padding,
    at_least,
    integer,
    integers,
    listed,
    padding_pairs,
)
from convforge.problem.spec import ConvSpec


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
    dtype = checks.checked_dtype(dtype)
    in_shape = tuple(int(n) for n in input_shape)
    w_shape = tuple(int(n) for n in weight_shape)
    checks.check_ranks(in_shape, w_shape, rank, transposed)
    unbatched = len(in_shape) == rank + 1
    batch, in_channels, *input_size = (1, *in_shape) if unbatched else in_shape

    strides = at_least(integers(stride, "stride", rank), "stride", 1)
    dilations = at_least(integers(dilation, "dilation", rank), "dilation", 1)
    groups = integer(groups, "groups")
    out_channels = checks.checked_channels(in_channels, w_shape, groups, transposed)
    checks.check_bias(bias_shape, out_channels)
    kernel_size = w_shape[2:]
    checks.check_not_empty(batch, in_channels, tuple(input_size), kernel_size)
    mode = checks.checked_padding_mode(padding_mode)
    pads = _padding(padding, tuple(input_size), kernel_size, strides, dilations, transposed)
    extra = at_least(integers(output_padding, "output_padding", rank), "output_padding", 0)

    if transposed:
        extra, out_size = _transposed_size(
            tuple(input_size), kernel_size, strides, pads, dilations, extra, output_size, unbatched
        )
        checks.check_mode(mode, out_size, pads, "output")
    else:
        if any(extra) or output_size is not None:
            raise ConvArgumentError(
                "output_padding and output_size belong to transposed convolutions: leave them out"
            )
        checks.check_mode(mode, tuple(input_size), pads, "input")
        out_size = _conv_size(tuple(input_size), kernel_size, strides, pads, dilations)

    # A lone window knows no stride and a lone tap no dilation: 1 there, so that equal work has equal specs.
    windows = tuple(input_size) if transposed else out_size
    spec = ConvSpec(
        transposed=bool(transposed),
        batch=batch,
        in_channels=in_channels,
        out_channels=out_channels,
        groups=groups,
        input_size=tuple(input_size),
        output_size=out_size,
        kernel_size=kernel_size,
        stride=tuple(step if n > 1 else 1 for step, n in zip(strides, windows, strict=True)),
        padding=pads,
        dilation=tuple(d if k > 1 else 1 for d, k in zip(dilations, kernel_size, strict=True)),
        output_padding=extra,
        padding_mode=mode if any(any(pair) for pair in pads) else "zeros",
        dtype=dtype,
    )
    checks.check_addressable(spec)
    return spec, unbatched


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
    # 0 is a size: some of PyTorch's kernels refuse it, those of batches and groups in float32 do not, and a
    # layer must not fail for one image that takes two.
    if any(n < 0 for n in size):
        raise ConvShapeError(
            f"Given input size per channel: {_by(input_size)}. Calculated output size per channel: "
            f"{_by(size)}. Output size is too small: use less padding than {[list(pair) for pair in pads]}"
        )
    return output_padding, size


def _wanted_size(output_size: Any, rank: int, unbatched: bool) -> tuple[int, ...]:
    """The spatial part of output_size, which may be given with batch and channels, as PyTorch allows."""
    items = listed(output_size, "output_size", rank)
    lengths = (rank, rank + (1 if unbatched else 2))
    if len(items) not in lengths:
        raise ConvValueError(
            f"output_size (={list(items)}) must have {lengths[0]} or {lengths[1]} elements "
            f"(got {len(items)}): give ({', '.join(AXES[rank])})"
        )
    return items[-rank:]


def _by(size: tuple[int, ...]) -> str:
    return f"({' x '.join(map(str, size))})"
