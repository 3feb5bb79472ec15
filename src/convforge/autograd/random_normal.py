"""Normal draws with PyTorch's CPU numbers, and the distributions whose draws are made one by one in float64.

PyTorch has two ways to draw normal numbers, and which one is taken shows in the numbers:

    contiguous, 16 or more     uniform numbers in blocks of 16:  u_0 … u_7 | u_8 … u_15
                               out_j = r_j cos t_j, out_(j+8) = r_j sin t_j,
                               r_j = sqrt(-2 log(1 - u_j)), t_j = 2π u_(j+8);
                               a rest of the size is covered by a whole block, drawn anew, over the last 16
    otherwise                  one pair of float64 uniform numbers for two elements; the second of a pair
                               waits in the generator, for the next call too
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from convforge.autograd.filling import PIECE, Array, as_real, check_writable, fill, is_floating
from convforge.autograd.generator import Generator, default_generator, uniform32, uniform64

_BLOCK = 16


def normal_(array: Array, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Array:
    """Fill with normal numbers, PyTorch's within 1e-6.

    array: any shape and strides; floating or complex (whose parts share the variance std**2).

    Raises RuntimeError where std is negative, NotImplementedError for integer arrays.
    """
    check_writable(array, "normal_")
    mean, std = float(mean), float(std)
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    if array.size == 0:
        return array
    stream = generator or default_generator
    real = array
    if array.dtype.kind == "c":
        real, std = as_real(array), std / math.sqrt(2)
    if not is_floating(real.dtype):
        raise NotImplementedError(
            f'"normal_kernel_cpu" not implemented for {array.dtype}: use a floating array'
        )
    with stream.lock:
        if real.size >= _BLOCK and real.flags.c_contiguous:
            _fill_blocks(real.reshape(-1), mean, std, stream)
        else:
            fill(real, lambda count: _single_draws(stream, count) * std + mean)
    return array


def _fill_blocks(flat: Array, mean: float, std: float, stream: Generator) -> None:
    is_half = flat.dtype.itemsize == 2
    uniform = uniform64 if flat.dtype == np.float64 else uniform32
    whole = flat.size - flat.size % _BLOCK
    for start in range(0, whole, PIECE):
        part = flat[start : min(start + PIECE, whole)]
        part[...] = _box_muller(uniform(stream, part.size), mean, std).astype(flat.dtype, copy=False)
    if flat.size == whole:
        return
    if not is_half:
        # PyTorch draws uniform numbers for the whole array first and overwrites these; half types skip them.
        uniform(stream, flat.size - whole)
    flat[-_BLOCK:] = _box_muller(uniform(stream, _BLOCK), mean, std).astype(flat.dtype, copy=False)


def _box_muller(uniform: Array, mean: float, std: float) -> Array:
    scalar = uniform.dtype.type
    blocks = uniform.reshape(-1, 2, _BLOCK // 2)
    radius = np.sqrt(scalar(-2) * np.log(scalar(1) - blocks[:, 0]))
    angle = scalar(2 * math.pi) * blocks[:, 1]
    blocks[:, 0] = radius * np.cos(angle) * scalar(std) + scalar(mean)
    blocks[:, 1] = radius * np.sin(angle) * scalar(std) + scalar(mean)
    return uniform


def _single_draws(stream: Generator, count: int) -> NDArray[np.float64]:
    """Standard normal numbers in pairs; what is left of a pair is kept in the generator."""
    out = np.empty(count, np.float64)
    rest = out
    if stream.next_normal is not None:
        out[0], rest = stream.next_normal, out[1:]
        stream.next_normal = None
    pairs = (rest.size + 1) // 2
    if pairs:
        uniform = uniform64(stream, 2 * pairs)
        radius = np.sqrt(-2.0 * np.log1p(-uniform[1::2]))
        angle = 2.0 * math.pi * uniform[0::2]
        sines = radius * np.sin(angle)
        rest[0::2] = radius * np.cos(angle)
        rest[1::2] = sines[: rest.size // 2]
        if rest.size % 2:
            stream.next_normal = float(sines[-1])
    return out


def log_normal_(
    array: Array, mean: float = 1.0, std: float = 2.0, generator: Generator | None = None
) -> Array:
    """Fill with exp of normal numbers. Raises RuntimeError where std is not positive."""
    if not std > 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
    return _fill_each(array, "log_normal_", generator, lambda g, n: np.exp(_single_draws(g, n) * std + mean))


def exponential_(array: Array, lambd: float = 1.0, generator: Generator | None = None) -> Array:
    """Fill with exponential numbers of rate `lambd`. Raises RuntimeError where it is not positive."""
    if not lambd > 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    return _fill_each(
        array, "exponential_", generator, lambda g, n: -1.0 / lambd * np.log1p(-uniform64(g, n))
    )


def cauchy_(
    array: Array, median: float = 0.0, sigma: float = 1.0, generator: Generator | None = None
) -> Array:
    """Fill with Cauchy numbers. Raises RuntimeError where sigma is not positive."""
    if not sigma > 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    return _fill_each(
        array, "cauchy_", generator, lambda g, n: median + sigma * np.tan(math.pi * (uniform64(g, n) - 0.5))
    )


def geometric_(array: Array, p: float, generator: Generator | None = None) -> Array:
    """Fill with the number of trials up to the first success of chance p, in (0, 1); integer arrays too."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    return _fill_each(
        array,
        "geometric_",
        generator,
        lambda g, n: np.ceil(np.log(uniform64(g, n)) / math.log1p(-p)),
        takes_integers=True,
    )


def _fill_each(
    array: Array,
    name: str,
    generator: Generator | None,
    draw: Callable[[Generator, int], NDArray[np.float64]],
    takes_integers: bool = False,
) -> Array:
    check_writable(array, name)
    if not is_floating(array.dtype) and not (takes_integers and array.dtype.kind in "iu"):
        message = f"{name} is not implemented for {array.dtype}: dtype must be a floating point"
        if name in ("exponential_", "cauchy_"):
            title = name.rstrip("_").capitalize()
            message = (
                f"{title} distribution is a continuous probability distribution. dtype must be a "
                "floating point "
                f"but you specified {array.dtype}: use a floating array"
            )
        raise (NotImplementedError if name == "log_normal_" else RuntimeError)(message)
    stream = generator or default_generator
    if array.size:
        with stream.lock:
            fill(array, lambda count: draw(stream, count))
    return array
