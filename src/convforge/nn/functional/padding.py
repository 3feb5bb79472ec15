"""Padding in every mode, for any number of axes; negative padding crops."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convforge.autograd.arrays import array_api
from convforge.autograd.tensor import Tensor
from convforge.nn.functional.axis_gather import AxisGather, Chain
from convforge.nn.functional.linear_map import apply_map
from convforge.nn.functional.precision import Array
from convforge.nn.functional.refusal import not_implemented

__all__ = ["pad"]

_LARGEST = 2**62


@dataclass(frozen=True, slots=True)
class _Surround:
    """x with zeros before and after each axis; a negative count crops."""

    shape: tuple[int, ...]
    sides: tuple[tuple[int, int], ...]

    def _slices(self) -> tuple[tuple[slice, ...], tuple[slice, ...], tuple[int, ...]]:
        """Where x is read, where it is written, and the output's shape."""
        read, write, sizes = [], [], []
        for size, (before, after) in zip(self.shape, self.sides):
            start, stop = max(0, -before), size - max(0, -after)
            read.append(slice(start, max(start, stop)))
            write.append(slice(max(0, before), max(0, before) + max(0, stop - start)))
            sizes.append(size + before + after)
        return tuple(read), tuple(write), tuple(sizes)

    def forward(self, x: Array) -> Array:
        """Pad or crop."""
        read, write, sizes = self._slices()
        out = np.zeros(sizes, dtype=x.dtype)
        out[write] = x[read]
        return out

    def adjoint(self, grad: Array) -> Array:
        """Crop or pad."""
        read, write, _ = self._slices()
        out = np.zeros(self.shape, dtype=grad.dtype)
        out[read] = grad[write]
        return out

    def border(self, out: Array, value: Any) -> None:
        """Write `value` everywhere around x, in place."""
        _, write, sizes = self._slices()
        for axis, part in enumerate(write):
            before = (slice(None),) * axis
            out[(*before, slice(0, part.start))] = value
            out[(*before, slice(part.stop, sizes[axis]))] = value


def _source_index(mode: str, size: int, before: int, after: int) -> Array:
    """Which input position each output position shows, for reflect, replicate and circular."""
    positions = np.arange(-before, size + after, dtype=np.int64)
    if mode == "replicate":
        return positions.clip(0, size - 1)
    if mode == "circular":
        return positions % size
    positions = np.abs(positions)
    return np.where(positions >= size, 2 * (size - 1) - positions, positions)


def _numbers(pad: Any) -> tuple[int, ...]:
    try:
        numbers = tuple(operator.index(number) for number in pad)
    except TypeError:
        raise TypeError(f"pad(): argument 'pad' must be tuple of ints, not {pad!r}") from None
    for number in numbers:
        if abs(number) > _LARGEST:
            raise RuntimeError(f"pad(): pad (={pad!r}) is out of range")
    return numbers


def _check_border_mode(input: Tensor, pad: Sequence[int], mode: str) -> int:
    """Return how many axes are padded. Raises where PyTorch has no such padding."""
    rank = len(pad) // 2
    if rank not in (1, 2, 3) or input.ndim not in (rank + 1, rank + 2):
        raise NotImplementedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now: pad (="
            f"{tuple(pad)}) has {len(pad)} numbers and the input {input.ndim} dimensions, which must "
            f"be 1 or 2 more than the {rank} padded ones"
        )
    # Circular padding copies slices, for which channels may be missing.
    if 0 in input.shape[-rank if mode == "circular" else -rank - 1 :]:
        raise RuntimeError(
            f"Expected {rank + 1}D or {rank + 2}D (batch mode) tensor with possibly 0 batch size and "
            f"other non-zero dimensions for input, but got: {list(input.shape)}"
        )
    for axis in range(rank):
        size, before, after = input.shape[-1 - axis], pad[2 * axis], pad[2 * axis + 1]
        if mode == "reflect" and (before >= size or after >= size):
            raise RuntimeError(
                "Argument #4: Padding size should be less than the corresponding input dimension, but "
                "got: padding "
                f"({before}, {after}) at dimension {input.ndim - 1 - axis} of input {list(input.shape)}"
            )
        if mode == "circular" and (before > size or after > size):
            raise RuntimeError(
                f"Padding value causes wrapping around more than once: padding ({before}, {after}) at "
                f"dimension {input.ndim - 1 - axis} of input {list(input.shape)}"
            )
    return rank


@array_api
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Pad the last axes.

    pad: (before, after) of the last axis, then of the one before it, …; negative numbers crop
    mode: constant, reflect, replicate or circular
    1 2 3, pad (2, 1) -> constant 0 0 1 2 3 0 · reflect 3 2 1 2 3 2
                         replicate 1 1 1 2 3 3 · circular 2 3 1 2 3 1

    Raises RuntimeError where pad has an odd length, too many numbers, or leaves a negative size; or is too
    large for
    the mode; NotImplementedError where the mode is unknown or cannot pad that many axes.
    """
    numbers = _numbers(pad)
    if len(numbers) % 2:
        raise RuntimeError(
            f"Padding length must be divisible by 2: pad (={numbers}) has {len(numbers)} numbers"
        )
    if len(numbers) > 2 * input.ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(numbers)} and input of dimension {input.ndim}"
        )
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise NotImplementedError(
            f"Unrecognised padding mode {mode}: use constant, reflect, replicate or circular"
        )
    shape = tuple(input.shape)
    sides = [(0, 0)] * (len(shape) - len(numbers) // 2)
    sides += [(numbers[at], numbers[at + 1]) for at in range(len(numbers) - 2, -1, -2)]
    for axis, (size, (before, after)) in enumerate(zip(shape, sides)):
        least = 0 if mode == "constant" else 1
        if size + before + after < least and (before or after):
            raise RuntimeError(
                f"The input size {size}, plus negative padding {before} and {after}, resulted in a "
                f"negative or zero output size, which is invalid. Check dimension {axis} of your input."
            )
    size = math.prod(length + before + after for length, (before, after) in zip(shape, sides))
    if size * input._data.dtype.itemsize > _LARGEST:
        raise RuntimeError(f"pad(): pad (={numbers}) makes a tensor of {size} elements: more than memory has")
    if mode == "constant":
        return _pad_constant(input, _Surround(shape, tuple(sides)), value)
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument (={value})')
    rank = _check_border_mode(input, numbers, mode)
    gathers: list[AxisGather] = []
    for axis, (before, after) in enumerate(sides[-rank:], start=len(shape) - rank):
        if before or after:
            index = _source_index(mode, shape[axis], before, after)
            gathers.append(AxisGather(axis, shape[axis], index[None]))
    stem = {"reflect": "reflection_pad", "replicate": "replication_pad"}.get(mode)
    if stem and input._data.dtype.kind == "b":
        raise not_implemented(f"{stem}{rank}d", input)
    title = {"reflect": "ReflectionPad", "replicate": "ReplicationPad"}.get(mode)
    name = f"{title}{rank}DBackward0" if title else "CopySlices"
    return apply_map(input, Chain(tuple(gathers)), name)


def _pad_constant(input: Tensor, surround: _Surround, value: float | None) -> Tensor:
    result = apply_map(input, surround, "ConstantPadNdBackward0")
    if value is not None and value != 0:
        # The border is a constant: writing it behind the tape's back changes no gradient.
        surround.border(result._data, value)
    return result
