"""Where pooling windows stand: sizes, and which slice of the input each tap of a window reads.

    size 5, kernel 3, stride 2, padding 1      . 0 1 2 3 4 .
    tap 0 reads  . 1 3     -> out[1:], in[1::2]
    tap 1 reads  0 2 4     -> out[:],  in[0::2]
    tap 2 reads  1 3 .     -> out[:2], in[1::2]

Working tap by tap on strided slices needs neither a padded copy of the input nor a copy of its windows.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

# PyTorch keeps pooling arguments in 32-bit ints.
_LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Tap:
    """One position inside a window: the outputs that have it, and the inputs they read there."""

    out: slice
    inp: slice
    first_input: int
    """The input index that output `out.start` reads."""


@dataclass(frozen=True, slots=True)
class Window:
    """A window that slides along one axis. Output o, tap t reads input o·stride - padding + t·dilation."""

    size: int
    kernel: int
    stride: int
    padding: int
    dilation: int
    out: int

    def taps(self) -> list[Tap]:
        """Return the taps that read at least one input, in order.

        At most size + out·stride of the kernel's taps can do so: a kernel of 2^30 costs nothing.
        """
        first = max(0, -(-(self.padding - (self.out - 1) * self.stride) // self.dilation))
        last = min(self.kernel - 1, (self.size - 1 + self.padding) // self.dilation)
        taps: list[Tap] = []
        for t in range(first, last + 1):
            shift = t * self.dilation - self.padding
            lo = max(0, -(shift // self.stride))
            hi = min(self.out, (self.size - 1 - shift) // self.stride + 1)
            if lo < hi:
                start = lo * self.stride + shift
                stop = start + (hi - lo - 1) * self.stride + 1
                taps.append(Tap(slice(lo, hi), slice(start, stop, self.stride), start))
        return taps


def taps_of(windows: Sequence[Window]) -> Iterator[tuple[Tap, ...]]:
    """Yield every combination of taps over the axes, the last axis fastest."""
    return product(*(window.taps() for window in windows))


def along(axis: int, where: slice) -> tuple[Any, ...]:
    """Return the index that takes `where` of a negative `axis` and all of the others."""
    return (..., where, *([slice(None)] * (-axis - 1)))


def int_tuple(function: str, name: str, value: Any, rank: int) -> tuple[int, ...]:
    """Return an int, or a sequence of 1 or `rank` ints, as a tuple of `rank` ints.

    Raises TypeError where something is not an int, RuntimeError where the length or an int is out of range.
    """
    given: tuple[Any, ...]
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{function}(): argument '{name}' must be int or tuple of ints, not {value!r}")
    try:
        given = tuple(value)
    except TypeError:
        given = (value,)
    try:
        numbers = tuple(operator.index(v) for v in given)
    except TypeError:
        kinds = ", ".join(type(v).__name__ for v in given)
        raise TypeError(
            f"{function}(): argument '{name}' must be int or tuple of ints, not {kinds}"
        ) from None
    if len(numbers) not in (1, rank):
        raise RuntimeError(
            f"{function}(): {name} (={value!r}) has {len(numbers)} numbers: give one int, or {rank}, "
            "one an axis"
        )
    for number in numbers:
        if abs(number) > _LARGEST:
            raise RuntimeError(f"{function}(): {name} (={value!r}) is out of range: at most {_LARGEST}")
    return numbers * rank if len(numbers) == 1 else numbers


def pool_windows(
    function: str,
    shape: Sequence[int],
    rank: int,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> tuple[Window, ...]:
    """Return the windows of a pooling layer over the last `rank` axes of `shape`.

    shape: (N, C, *spatial) or (C, *spatial); N may be 0. stride None or () means kernel_size.

    Raises RuntimeError, as PyTorch, where a size, a stride, a padding or a result is out of range; IndexError
    for avg_pool2d of fewer than three dimensions, whose channels PyTorch reads first.
    Source: ATen/native/Pool.h, pooling_output_shape.
    """
    kernels = int_tuple(function, "kernel_size", kernel_size, rank)
    if len(shape) < 3 and function in ("avg_pool2d", "lp_pool2d"):
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-len(shape)}, {len(shape) - 1}], "
            "but got -3): "
            f"{function}() takes (N, C, H, W) or (C, H, W), not {list(shape)}"
        )
    unset = stride is None or (
        not isinstance(stride, int) and hasattr(stride, "__len__") and len(stride) == 0
    )
    strides = kernels if unset else int_tuple(function, "stride", stride, rank)
    paddings = int_tuple(function, "padding", padding, rank)
    dilations = int_tuple(function, "dilation", dilation, rank)
    for name, numbers in (("kernel_size", kernels), ("stride", strides), ("dilation", dilations)):
        if min(numbers) < 1:
            raise RuntimeError(f"{function}(): {name} (={numbers}) must be greater than zero")
    for kernel, pad, gap in zip(kernels, paddings, dilations):
        if pad < 0:
            raise RuntimeError(f"{function}(): padding (={paddings}) must be non-negative")
        if pad > ((kernel - 1) * gap + 1) // 2:
            raise RuntimeError(
                f"{function}(): pad should be at most half of effective kernel size, but got pad={pad}, "
                f"kernel_size={kernel} and dilation={gap}: use padding <= {((kernel - 1) * gap + 1) // 2}"
            )
    check_pool_input(function, shape, rank)
    sizes = tuple(shape[-rank:])
    outs: list[int] = []
    for size, kernel, step, pad, gap in zip(sizes, kernels, strides, paddings, dilations):
        span = size + 2 * pad - gap * (kernel - 1) - 1
        out = (span + (step - 1 if ceil_mode else 0)) // step + 1
        # The last window must start inside the input or its left padding.
        if ceil_mode and (out - 1) * step >= size + pad:
            out -= 1
        outs.append(out)
    if min(outs) < 1:
        raise RuntimeError(
            f"{function}(): Given input size: {tuple(shape[-rank - 1 :])}. Calculated output size: "
            f"{(shape[-rank - 1], *outs)}. Output size is too small: use a smaller kernel_size "
            f"(={kernels}) or dilation (={dilations})"
        )
    return tuple(
        Window(size, kernel, step, pad, gap, out)
        for size, kernel, step, pad, gap, out in zip(sizes, kernels, strides, paddings, dilations, outs)
    )


def check_pool_input(function: str, shape: Sequence[int], rank: int) -> None:
    """Raise RuntimeError unless `shape` is (C, *spatial) or (N, C, *spatial) with only N allowed to be 0."""
    batched = len(shape) == rank + 2
    if (not batched and len(shape) != rank + 1) or 0 in shape[1 if batched else 0 :]:
        raise RuntimeError(
            f"{function}(): Expected {rank + 1}D or {rank + 2}D (batch mode) tensor with optional 0 "
            f"dim batch size for input, but got: {list(shape)}"
        )
