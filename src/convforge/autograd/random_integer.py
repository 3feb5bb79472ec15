"""Integer draws and permutations with PyTorch's CPU numbers, bit for bit.

Integers are a draw modulo the range, with PyTorch's small skew: 32-bit draws for ranges below 2**28, 64-bit
ones from there on.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.autograd.filling import PIECE, Array, check_writable, fill, is_floating
from convforge.autograd.generator import Generator, default_generator

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_WIDE_RANGE = 2**28  # from here a 32-bit draw modulo the range would be skewed by over 5 %
_NO_FULL_RANGE = {"uint16", "uint32", "uint64"}
_SMALL_PERMUTATION = 1 << 14
_LARGE_PERMUTATION = (2**32 - 1) // 20
# Bits of the significand: integers up to 2**bits are exact.
_SIGNIFICAND_BITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}


def random_(
    array: Array, low: int | None = None, high: int | None = None, generator: Generator | None = None
) -> Array:
    """Fill with integers of [low, high), bit for bit PyTorch's.

    array: any shape and strides; bool, integer or floating. Without `high`, up to the dtype's largest
    integer; without both, from 0 to there. `random_(to)` of PyTorch is low=0, high=to.

    Raises RuntimeError where the range is empty or leaves the dtype; NotImplementedError for complex arrays.
    """
    check_writable(array, "random_")
    dtype = array.dtype
    stream = generator or default_generator
    if dtype.kind == "c" or (low is None and high is None and dtype.name in _NO_FULL_RANGE):
        raise NotImplementedError(f'"random_kernel_cpu" not implemented for {dtype}: give low and high')
    if low is None and high is None:
        size = _full_size(dtype)
        is_wide = dtype.name in {"int64", "float64"}
        return _fill_integers(array, size, 0, is_wide, stream)
    low = 0 if low is None else _as_int64("from", low)
    if high is None and low == _INT64_MIN:
        return _fill_all_64_bits(array, stream)
    low, last = _range_of(dtype, low, None if high is None else _as_int64("to", high))
    size = last - low + 1
    return _fill_integers(array, size, low, size >= _WIDE_RANGE, stream)


def _as_int64(name: str, value: int) -> int:
    if not _INT64_MIN <= int(value) <= _INT64_MAX:
        raise ValueError(f"Overflow when unpacking long long: {name} (={value}) must lie in [-2**63, 2**63)")
    return int(value)


def _full_size(dtype: np.dtype[Any]) -> int:
    if dtype.kind == "b":
        return 2
    if is_floating(dtype):
        return 2 ** _SIGNIFICAND_BITS[dtype.name] + 1
    return int(np.iinfo(dtype).max) + 1


def _range_of(dtype: np.dtype[Any], low: int, to: int | None) -> tuple[int, int]:
    """The first and the last integer to draw, after PyTorch's checks against the dtype."""
    if to is not None and low >= to:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={to}: use a larger 'to'"
        )
    high = _highest(dtype) + 1 if to is None else to
    if is_floating(dtype):
        low = _round_up(dtype, low)
        high = high if to is None else _round_down(dtype, to)
        if low >= high:
            raise RuntimeError(
                f"random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, but got "
                f"from={low} >= to={high}: {dtype} has no integer in between"
            )
    _check_bounds(dtype, low, high - 1, "to_inc" if to is None else "to - 1")
    return low, high - 1


def _highest(dtype: np.dtype[Any]) -> int:
    """The last integer that `random_(low, None)` may draw."""
    if is_floating(dtype):
        return 2 ** _SIGNIFICAND_BITS[dtype.name]
    return 1 if dtype.kind == "b" else min(int(np.iinfo(dtype).max), _INT64_MAX)


def _check_bounds(dtype: np.dtype[Any], low: int, last: int, last_name: str) -> None:
    if is_floating(dtype):
        largest = float.fromhex("0x1.fep127") if dtype.name == "bfloat16" else float(np.finfo(dtype).max)
        smallest = -largest
    elif dtype.kind == "b":
        smallest, largest = 0, 1
    else:
        smallest, largest = int(np.iinfo(dtype).min), min(int(np.iinfo(dtype).max), _INT64_MAX)
    for name, value in (("from", low), (last_name, last)):
        if not smallest <= value <= largest:
            raise RuntimeError(
                f"{name} is out of bounds for {dtype}: {name} (={value}) must lie in [{smallest}, {largest}]"
            )
        if is_floating(dtype) and abs(value) > 2 ** _SIGNIFICAND_BITS[dtype.name]:
            bits = _SIGNIFICAND_BITS[dtype.name]
            warnings.warn(
                f"{name} is out of bounds [-(2^{bits}), 2^{bits}]. Due to precision limitations {dtype} can "
                "support discrete uniform distribution only within this range.",
                stacklevel=4,
            )


def _cast(dtype: np.dtype[Any], value: int) -> int:
    as_float = float(np.asarray(np.float32(value) if dtype.name != "float64" else value).astype(dtype))
    return int(as_float) if math.isfinite(as_float) and abs(as_float) < 2.0**63 else _INT64_MIN


def _round_up(dtype: np.dtype[Any], low: int) -> int:
    """The lower end, moved up to a number of the dtype where casting would fall below it."""
    following = _cast(dtype, low + 1)
    if following < low:
        return following + 2 ** max((abs(low + 1).bit_length() - 1) - _SIGNIFICAND_BITS[dtype.name] + 1, 0)
    return low


def _round_down(dtype: np.dtype[Any], high: int) -> int:
    """The upper end, moved down to a number of the dtype where casting would reach it."""
    last = _cast(dtype, high - 1)
    if last >= high:
        return last - 2 ** max((abs(high - 1).bit_length() - 1) - _SIGNIFICAND_BITS[dtype.name] + 1, 0)
    return high


def _fill_integers(array: Array, size: int, low: int, is_wide: bool, stream: Generator) -> Array:
    if array.size == 0:
        return array
    dtype = array.dtype
    offset = np.uint64(low % 2**64)

    def draw(count: int) -> Array:
        words = stream.raw64(count) if is_wide else stream.raw32(count)
        if size < 2**64:
            words = words % np.uint64(size)
        return _as_dtype((words + offset).view(np.int64), dtype)

    with stream.lock:
        fill(array, draw)
    return array


def _fill_all_64_bits(array: Array, stream: Generator) -> Array:
    dtype = array.dtype
    if dtype.name not in {"int64", "float64", "float32", "bfloat16"}:
        raise RuntimeError(
            "random_full_64_bits_range_kernel_cpu handles only int64, double, float and bfloat16: got "
            f"{dtype}"
        )
    if array.size:
        with stream.lock:
            fill(array, lambda count: _as_dtype(stream.raw64(count).view(np.int64), dtype))
    return array


def _as_dtype(values: NDArray[np.int64], dtype: np.dtype[Any]) -> Array:
    if dtype.name in {"float16", "bfloat16"}:
        return values.astype(np.float32).astype(dtype)  # PyTorch's half types are made from float32
    return values.astype(dtype)


def randperm(n: int, generator: Generator | None = None, dtype: Any = np.int64) -> Array:
    """A random permutation of 0 … n-1, bit for bit PyTorch's: shape (n,), int64 unless `dtype` is given.

    Raises RuntimeError where n is negative or not exact in the dtype.
    """
    dtype = np.dtype(dtype)
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: n (={n}) must be 0 or more")
    limit = 2 ** _SIGNIFICAND_BITS[dtype.name] + 1 if is_floating(dtype) else int(np.iinfo(dtype).max)
    if n > limit:
        raise RuntimeError(f"n cannot be greater than {limit} for {dtype} type: n (={n}) needs a wider dtype")
    stream = generator or default_generator
    with stream.lock:
        order = _shuffled(n, stream) if n < _LARGE_PERMUTATION else _inside_out(n, stream)
    return np.asarray(order, np.int64).astype(dtype, copy=False)


def _shuffled(n: int, stream: Generator) -> NDArray[np.int64]:
    """Fisher and Yates: element i changes places with one of the n - i that are left.

    Exchanges of a block that touch each place once may be made all at once; blocks of √m / 6 of m places
    rarely do not (3 of 100). 10**6 numbers take a quarter of the time of single exchanges, 10**7 a tenth.
    """
    order = np.arange(n, dtype=np.int64)
    seen = np.empty(n if n > _SMALL_PERMUTATION else 0, np.int32)
    start = 0
    # A place touched twice keeps the second exchange's number in `seen`, and the first finds another there.
    while n - start > _SMALL_PERMUTATION:
        stop = start + math.isqrt(n - start) // 6
        partners = _partners(start, stop, n, stream)
        numbers = np.arange(stop - start, dtype=np.int32)
        seen[partners] = numbers
        if partners.min() >= stop and (seen[partners] == numbers).all():
            moved = order[start:stop].copy()
            order[start:stop] = order[partners]
            order[partners] = moved
        else:
            _exchange(order.data, start, partners)
        start = stop
    # A list for the rest: an exchange takes a quarter of the time that it takes in an array.
    rest = order[start:].tolist()
    _exchange(rest, 0, _partners(start, max(n - 1, start), n, stream) - start)
    order[start:] = rest
    return order


def _partners(start: int, stop: int, n: int, stream: Generator) -> NDArray[np.int64]:
    positions = np.arange(start, stop, dtype=np.uint64)
    return (stream.raw32(stop - start) % (np.uint64(n) - positions) + positions).astype(np.int64)


def _exchange(cells: Any, start: int, partners: NDArray[np.int64]) -> None:
    for i, j in enumerate(partners.tolist(), start):
        cells[i], cells[j] = cells[j], cells[i]


def _inside_out(n: int, stream: Generator) -> NDArray[np.int64]:
    """The shuffle for n where 32 bits would be skewed: 64-bit draws, element i put where its partner was."""
    order = np.empty(n, np.int64)
    cells = order.data  # 40 ns an access; a list of n integers would need eight times the memory
    for start in range(0, n, PIECE):
        stop = min(start + PIECE, n)
        sizes = np.arange(start + 1, stop + 1, dtype=np.uint64)
        for i, j in enumerate((stream.raw64(stop - start) % sizes).tolist(), start):
            cells[i] = i
            cells[i] = cells[j]
            cells[j] = i
    return order
