"""Random fills of arrays with PyTorch's CPU numbers: uniform, integers, Bernoulli, permutations.

Every function fills a NumPy array in place, whatever its strides, and returns it. Integers and uniform
numbers are PyTorch's bit for bit. Normal draws and what is made from them are in `random_normal`.
Source: ATen/native/cpu/DistributionTemplates.h, ATen/core/DistributionsHelper.h of PyTorch 2.13.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convforge.autograd.filling import Array, as_real, check_writable, fill, is_floating
from convforge.autograd.fma import fma32, fma64
from convforge.autograd.generator import (
    Generator,
    default_generator,
    fork_rng,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
    uniform32,
    uniform64,
)
from convforge.autograd.random_integer import random_, randperm
from convforge.autograd.random_normal import cauchy_, exponential_, geometric_, log_normal_, normal_

__all__ = [
    "Generator",
    "bernoulli_",
    "cauchy_",
    "default_generator",
    "exponential_",
    "fork_rng",
    "geometric_",
    "get_rng_state",
    "initial_seed",
    "log_normal_",
    "manual_seed",
    "normal_",
    "random_",
    "randperm",
    "seed",
    "set_rng_state",
    "uniform_",
]


def uniform_(array: Array, low: float = 0.0, high: float = 1.0, generator: Generator | None = None) -> Array:
    """Fill with numbers of [low, high), bit for bit PyTorch's.

    array: any shape and strides; float16, bfloat16, float32, float64 or complex (both parts are drawn).

    Raises NotImplementedError for other dtypes; RuntimeError where the range is empty, or not of the dtype.
    """
    name = "uniform_"
    check_writable(array, name)
    low, high = float(low), float(high)
    real = as_real(array) if array.dtype.kind == "c" else array
    if not is_floating(real.dtype):
        raise NotImplementedError(
            f'"check_uniform_bounds" not implemented for {array.dtype}: use a floating-point array'
        )
    _check_range(real.dtype, low, high)
    if array.size == 0:
        return array
    stream = generator or default_generator
    with stream.lock:
        if real.dtype == np.float64:
            fill(real, lambda count: _below(fma64(uniform64(stream, count), high - low, low), high, low))
        else:
            _fill_single(real, low, high, stream)
    return array


def _fill_single(real: Array, low: float, high: float, stream: Generator) -> None:
    start = np.float32(low)
    width = np.float32(high) - start
    scalar = real.dtype.type

    def draw(count: int) -> Array:
        values = fma32(uniform32(stream, count), float(width), float(start))
        return _below(values.astype(real.dtype, copy=False), scalar(high), scalar(low))

    fill(real, draw)


def _below(values: Array, high: Any, low: Any) -> Array:
    # Rounding may reach `high`, which the interval leaves out: PyTorch gives `low` there.
    is_high = values == high
    if is_high.any():
        values[is_high] = low
    return values


def _check_range(dtype: np.dtype[Any], low: float, high: float) -> None:
    limit = largest(dtype)
    for argument, value in (("from", low), ("to", high)):
        if not -limit <= value <= limit:
            raise RuntimeError(
                f"{argument} is out of bounds for {dtype}: {argument} (={value:g}) must lie in ±{limit:g}"
            )
    if low > high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}: swap them"
        )
    if high - low > limit:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{dtype}>::max(), but found to={high:g} and "
            f"from={low:g} which result in to-from to exceed the limit: draw a narrower range and scale it"
        )


def largest(dtype: np.dtype[Any]) -> float:
    """The largest finite number of a floating dtype, bfloat16 included."""
    if dtype.name == "bfloat16":
        return float.fromhex("0x1.fep127")
    return float(np.finfo(dtype).max)


def bernoulli_(array: Array, p: float | Array = 0.5, generator: Generator | None = None) -> Array:
    """Fill with 1 where a uniform draw is below `p`, else 0.

    array: any shape, strides and real dtype. p: a number of [0, 1], or floating probabilities that broadcast
    to the array's shape. A number is compared with float64 draws, an array with draws of its own precision.

    Raises RuntimeError where p leaves [0, 1]; NotImplementedError for complex arrays and integer p.
    """
    check_writable(array, "bernoulli_")
    if array.dtype.kind == "c" or (array.dtype.kind == "u" and array.dtype.itemsize > 1):
        raise NotImplementedError(
            f'"bernoulli_scalar_cpu_" not implemented for {array.dtype}: use a real array'
        )
    stream = generator or default_generator
    if isinstance(p, np.ndarray):
        return _bernoulli_each(array, p, stream)
    p = float(p)
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
    if array.size == 0:
        return array
    with stream.lock:
        fill(array, lambda count: uniform64(stream, count) < p)
    return array


def _bernoulli_each(array: Array, p: Array, stream: Generator) -> Array:
    if not is_floating(p.dtype):
        raise NotImplementedError(
            f'"bernoulli_tensor_cpu_p_" not implemented for {p.dtype}: give p as floating-point probabilities'
        )
    chances = np.broadcast_to(p, array.shape)
    if array.size == 0:
        return array
    if not ((chances >= 0) & (chances <= 1)).all():
        raise RuntimeError("bernoulli_ expects every p to be in [0, 1]: clip it, and look for NaN")
    is_double = p.dtype == np.float64
    draws = np.empty_like(array, np.float64 if is_double else np.float32)
    with stream.lock:
        uniform = uniform64 if is_double else uniform32
        fill(draws, lambda count: uniform(stream, count))
    array[...] = draws < chances.astype(draws.dtype)
    return array
