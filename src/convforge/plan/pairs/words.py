"""What the two bf16 numbers of a word are: two channels at one tap, or one channel at two taps of a row.

    channels     a0 b0 | a1 b1 | a2 b2 | …       3 channels of a 7x7 kernel     2 x 49 words, a quarter empty
    taps         a0 a1 | a1 a2 | a2 a3 | …                                      3 x 7 x 4, an eighth empty

Whichever needs fewer words: it follows from the layer alone, and so does the order of its sums.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.problem.gather import Gather, Tap
from convforge.schedule import Layout

Array = NDArray[Any]
Int64s = NDArray[np.int64]

# Farthest in packed columns that a word's second number lies from its first: what is packed behind a plane
# has zeros for so many.
_FARTHEST = 16


@dataclass(frozen=True)
class Words:
    """How words are made.

    gather: its channels are words. halves: the same, each half of a word a channel of its own, as the weights
    have them. ways: channels of the input in a word. apart: columns from a word's first number to its second,
    0 where these are channels. columns: the kernel columns whose weights are in a word, None for a zero.
    """

    gather: Gather
    halves: Gather
    ways: int
    apart: int = 0
    columns: tuple[tuple[int, int | None], ...] = ()

    def turn(self, weight: Array, channel_axis: int) -> Array:
        """A weight array whose channels are the halves of words."""
        if not self.columns:
            return weight
        first = weight[..., [column for column, _ in self.columns]]
        second = np.zeros_like(first)
        there = [i for i, (_, column) in enumerate(self.columns) if column is not None]
        second[..., there] = weight[..., [column for _, column in self.columns if column is not None]]
        shape = list(first.shape)
        shape[channel_axis] *= 2
        return np.stack([first, second], axis=channel_axis + 1).reshape(shape)


def words_of_channels(gather: Gather) -> Words:
    """Words of two channels each."""
    return Words(replace(gather, in_channels=-(-gather.in_channels // 2)), gather, ways=2)


@lru_cache(maxsize=256)
def words_of(gather: Gather) -> Words:
    """The words of a gather."""
    channels = words_of_channels(gather)
    width = gather.axes[2]
    taps = width.phases[0].taps if len(width.phases) == 1 else ()
    apart = {b.offset - a.offset for a, b in pairwise(taps)}
    pairs = -(-len(taps) // 2)
    fewer = gather.in_channels * pairs < channels.gather.in_channels * len(taps)
    if not fewer or len(apart) != 1 or max(apart) > _FARTHEST * width.in_step:
        return channels
    numbers = {tap: i // 2 for i, tap in enumerate(taps) if i % 2 == 0}
    # Phases differ in their slices and rows alone.
    kept = tuple(
        tuple((d, h, Tap(numbers[w], w.offset)) for d, h, w in phase if w in numbers)
        for phase in gather.taps_by_phase
    )
    words = replace(gather, taps_by_phase=kept)
    kernels: list[int | None] = [*(tap.kernel for tap in taps), None]
    columns = tuple((taps[2 * i].kernel, kernels[2 * i + 1]) for i in range(pairs))
    halves = replace(words, in_channels=2 * gather.in_channels)
    return Words(words, halves, ways=1, apart=apart.pop(), columns=columns)


def partners(layout: Layout, words: Words, plane: int) -> Int64s:
    """For each plane of a channel, elements from a word's first number to its second in planes of numbers."""
    width = layout.gather.axes[2]
    found = np.full(layout.planes, layout.planes * plane, np.int64)
    if not words.apart:
        return found
    for at, residue in enumerate(width.residues):
        steps, other = divmod(residue + words.apart, width.in_step)
        # The number itself where no tap reads the other: its weight is zero then.
        partner = (width.residues.index(other) - at) * plane + steps if other in width.residues else 0
        found[at :: len(width.residues)] = partner
    return found
