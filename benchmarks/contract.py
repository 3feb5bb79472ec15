"""The error that a precision promises, ‖y − y64‖ / ‖y64‖, and the plain convolution it is tied to."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from convforge.problem.spec import ConvSpec

PROMISED = {"high": 1e-5, "medium": 1e-2}
PLAIN_FACTOR = 2.0
OUTPUT_SAMPLES = 1024
WEIGHT_SAMPLES = 64
"""A weight's sum runs over all pixels, so fewer are drawn: their error's norm is known to a tenth."""


def allowed_error(precision: str, plain_error: float | None) -> float | None:
    """`highest`: twice a plain fp32 convolution's error, None where that is not known. Else a number."""
    if precision in PROMISED:
        return PROMISED[precision]
    return None if plain_error is None else PLAIN_FACTOR * plain_error


def plain_output_error(
    spec: ConvSpec, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, expected: np.ndarray
) -> float:
    """Relative error of a plain fp32 FMA convolution: bias, then taps, then a tap's channels, in one chain.

    Of 1024 outputs drawn at random, the same in every run. `expected` is the float64 output.
    """
    generator = np.random.default_rng(0)
    at = tuple(generator.integers(0, size, OUTPUT_SAMPLES) for size in spec.output_shape)
    outs = at[1]
    inner = spec.in_channels // spec.groups
    of_group = spec.out_channels // spec.groups
    channels = outs // of_group * inner + np.arange(inner)[:, None]
    sums = np.zeros(OUTPUT_SAMPLES, np.float32) if bias is None else bias[outs]
    for tap in product(*map(range, spec.kernel_size)):
        places, inside = _pixels(spec, tap, at[2:])
        pixels = x[(at[0], channels, *places)] * inside
        factors = (
            weight[(channels, outs % of_group, *tap)]
            if spec.transposed
            else weight[(outs, slice(None), *tap)].T
        )
        sums = _chain(sums, pixels, factors)
    return _relative(sums, expected[at])


def plain_weight_error(spec: ConvSpec, x: np.ndarray, grad_output: np.ndarray, expected: np.ndarray) -> float:
    """Relative error of a plain fp32 FMA sum over images and pixels, of 64 of the weight's gradients."""
    from convforge.problem import pad_array

    generator = np.random.default_rng(0)
    at = tuple(generator.integers(0, size, WEIGHT_SAMPLES) for size in spec.weight_shape)
    # The windowed array is the plain convolution's output, the padded one its input.
    dense, windows = (grad_output, x) if spec.transposed else (x, grad_output)
    counts = windows.shape[2:]
    padded = pad_array(dense, spec.padding_mode, spec.padding)
    inner, rows = spec.weight_shape[1], spec.weight_shape[0] // spec.groups
    left = np.empty((windows.shape[0] * int(np.prod(counts)), WEIGHT_SAMPLES), np.float32)
    right = np.empty_like(left)
    for k, (row, column, *tap) in enumerate(zip(*at, strict=True)):
        window = tuple(
            slice(t * d, t * d + (count - 1) * s + 1, s)
            for t, d, s, count in zip(tap, spec.dilation, spec.stride, counts, strict=True)
        )
        left[:, k] = windows[:, row].reshape(-1)
        right[:, k] = padded[(slice(None), row // rows * inner + column, *window)].reshape(-1)
    return _relative(_chain(np.zeros(WEIGHT_SAMPLES, np.float32), left, right), expected[at])


def _pixels(
    spec: ConvSpec, tap: tuple[int, ...], position: tuple[np.ndarray, ...]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Input indices that a tap meets at output positions, and whether they lie inside."""
    places: list[np.ndarray] = []
    inside = np.ones(len(position[0]), bool)
    for axis, (t, where) in enumerate(zip(tap, position, strict=True)):
        before, step = spec.padding[axis][0], spec.stride[axis]
        if spec.transposed:
            place, rest = np.divmod(where + before - t * spec.dilation[axis], step)
            inside &= rest == 0
        else:
            place = where * step + t * spec.dilation[axis] - before
        inside &= (place >= 0) & (place < spec.input_size[axis])
        places.append(np.clip(place, 0, spec.input_size[axis] - 1))
    return places, inside


def _chain(sums: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """sums + Σ left · right over the first axis, rounded to float32 after each product as an FMA rounds.

    A product of two float32 is exact in float64; the sum's rounding in float64 before the one to float32
    changes the result in one of 2²⁹ cases.
    """
    for a, b in zip(left, right, strict=True):
        sums = (sums + a.astype(np.float64) * b).astype(np.float32)
    return sums


def _relative(result: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(result - expected) / np.linalg.norm(expected))
