"""The arrays that the page shows: small whole numbers, the same here and in static/core.js.

Whole numbers, so that every sum is exact and can be followed by hand. They depend on a seed and on an
element's place alone, so that the page can fill an array while a slider is dragged without asking.

    seed 0 -> the input of a Conv1d begins 9 3 6 1
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from convforge.errors import ConvValueError
from convforge.problem import ConvSpec

Kind = Literal["random", "counting", "ones", "impulse"]
KINDS: tuple[Kind, ...] = get_args(Kind)
INPUT_RANGE, WEIGHT_RANGE, BIAS_RANGE = (0, 9), (-2, 2), (-3, 3)
LARGEST_SEED = 2**31 - 1
# Each array draws from a stream of its own, or input and weights would go in step.
_INPUT, _WEIGHT, _BIAS = 1, 2, 3
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Numbers:
    """How to fill the arrays.

    seed: of everything drawn. input, weight: "random" whole numbers; "counting" 0, 1, 2, … (weights from
    1); "ones"; or "impulse", a single one in the middle of every channel.
    """

    seed: int = 0
    input: Kind = "random"
    weight: Kind = "random"

    def __post_init__(self) -> None:
        """Raises ConvValueError for a seed out of range and for kinds that there are none of."""
        if not 0 <= self.seed <= LARGEST_SEED:
            raise ConvValueError(f"seed (={self.seed}) must be from 0 to {LARGEST_SEED}: use seed=0")
        for name, kind in (("input", self.input), ("weight", self.weight)):
            if kind not in KINDS:
                raise ConvValueError(
                    f"numbers.{name} (={kind!r}) must be one of {', '.join(map(repr, KINDS))}: use 'random'"
                )

    def input_array(self, spec: ConvSpec) -> Array:
        """spec.input_shape."""
        middle = tuple(size // 2 for size in spec.input_size)
        return _filled(self.input, spec.input_shape, middle, self.seed, _INPUT, INPUT_RANGE, 0)

    def weight_array(self, spec: ConvSpec) -> Array:
        """spec.weight_shape."""
        middle = tuple((size - 1) // 2 for size in spec.kernel_size)
        return _filled(self.weight, spec.weight_shape, middle, self.seed, _WEIGHT, WEIGHT_RANGE, 1)

    def bias_array(self, spec: ConvSpec) -> Array:
        """(out_channels,)"""
        return drawn(self.seed, _BIAS, spec.out_channels, BIAS_RANGE)


def drawn(seed: int, stream: int, count: int, within: tuple[int, int]) -> Array:
    """Whole numbers that look random, one from each place: (count,)

    Source of the mixing constants: C. Wellons, hash-prospector, triple32. 32-bit, as JavaScript multiplies.
    """
    low, high = within
    mixed = np.arange(1, count + 1, dtype=np.uint32) * np.uint32(0x9E3779B1)
    mixed += np.uint32((seed * 0x85EBCA77 + stream * 0x27D4EB2F) & 0xFFFFFFFF)
    for shift, factor in ((17, 0xED5AD4BB), (11, 0xAC4C1B51), (15, 0x31848BAB)):
        mixed ^= mixed >> np.uint32(shift)
        mixed *= np.uint32(factor)
    mixed ^= mixed >> np.uint32(14)
    return low + (mixed % np.uint32(high - low + 1)).astype(np.float64)


def _filled(
    kind: Kind,
    shape: tuple[int, ...],
    middle: tuple[int, ...],
    seed: int,
    stream: int,
    within: tuple[int, int],
    first: int,
) -> Array:
    count = math.prod(shape)
    match kind:
        case "random":
            return drawn(seed, stream, count, within).reshape(shape)
        case "counting":
            return np.arange(first, first + count, dtype=np.float64).reshape(shape)
        case "ones":
            return np.ones(shape)
        case "impulse":
            array = np.zeros(shape)
            array[(..., *middle)] = 1
            return array
