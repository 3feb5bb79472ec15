"""Packs the weights of kernels on pairs of bf16 numbers (kernels/pairs/weights.py)."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import Element
from convforge.kernels.contract import FLAG_BYTES, HEADER_BYTES
from convforge.kernels.pairs.contract import PAIR_WEIGHT_PARAMETERS, PairWeightPacker
from convforge.memory import on_lines
from convforge.plan.job import Job
from convforge.plan.pairs.words import Words
from convforge.plan.weight_places import FEW_BYTES, WeightPlaces, within_reach
from convforge.plan.weights import with_room
from convforge.runtime import address_of
from convforge.schedule import layout_of
from convforge.target import Target

Array = NDArray[Any]


class PairWeights:
    """Packs the weights of one plan. starts: where those of each phase begin, in words. mr: output channels
    of a tile.
    """

    def __init__(self, words: Words, element: Element, target: Target, mr: int, *, transposed: bool) -> None:
        self._words, self._channel_axis = words, 0 if transposed else 1
        self._layout, self._element, self._mr = layout_of(words.halves), element, mr
        gather = words.halves
        self._out_tiles = -(-gather.out_channels // mr)
        pairs = -(-gather.in_channels // 2)
        sizes = [len(taps) * pairs * self._out_tiles * mr * gather.groups for taps in gather.taps_by_phase]
        self.starts = list(accumulate(sizes, initial=0))[:-1]
        self._size = sum(sizes)
        self._job = Job(PairWeightPacker(element, target.vector_bytes // 4, mr), target)
        values = {"out_tiles": self._out_tiles, "pairs": pairs}
        self._places = WeightPlaces(
            self._layout, self.starts, PAIR_WEIGHT_PARAMETERS, values, transposed=transposed
        )

    @property
    def signature(self) -> Hashable:
        """All that the packed memory depends on beside the values."""
        gather = self._layout.gather
        channels = (gather.groups, gather.in_channels, gather.out_channels)
        return (self._element.name, self._mr, channels, gather.taps_kept, self._words.columns)

    def pack(self, weight: Array, threads: int) -> Array:
        """Packed weights of a weight array of any strides; NaN in front where they must not be rounded."""
        weight = within_reach(self._words.turn(weight, self._channel_axis))
        packed = on_lines((max(self._size, 1),), np.float32)
        packed[:1] = 0
        exact = self._job.run_watched(
            FLAG_BYTES,
            self._out_tiles * self._layout.gather.groups * len(self.starts),
            threads if packed.nbytes >= FEW_BYTES else 1,
            HEADER_BYTES + 64,
            address_of(self._places.parameters(weight)),
            address_of(weight),
            0,
            0,
            address_of(packed),
        )
        if not exact:
            packed[:1] = np.nan
        return packed

    def pack_bias(self, bias: Array) -> Array:
        """The bias in fp32, with room for the tile that ends beyond it."""
        return with_room(bias, self._mr, np.dtype(np.float32))
