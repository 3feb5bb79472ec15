"""Weights of layers of one input channel a group: each output channel's taps, phase by phase."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import Element
from convforge.memory import on_lines
from convforge.plan.tables import tap_offsets
from convforge.plan.weights import packed_dtype, with_room
from convforge.schedule import Layout

Array = NDArray[Any]


class DepthwiseWeights:
    """Packs them: [phase][output channel][tap]. They are few, so that NumPy is quicker than a kernel (of 960
    channels of nine taps 12 us, by one 31) and no kernel is to be compiled.
    """

    def __init__(self, layout: Layout, element: Element) -> None:
        gather = layout.gather
        assert gather.in_channels == 1
        self._layout, self._element, self.dtype = layout, element, packed_dtype(element)
        self._outs = gather.groups * gather.out_channels
        sizes = [self._outs * len(taps) for taps in gather.taps_by_phase]
        self._bounds = list(accumulate(sizes, initial=0))
        # Of each phase, once a weight has shown its sizes.
        self._taps: list[NDArray[np.int64]] = []

    @property
    def signature(self) -> Hashable:
        """All that the packed memory depends on beside the values."""
        gather = self._layout.gather
        return (self._element.name, gather.groups, gather.out_channels, gather.taps_kept)

    def pack(self, weight: Array, threads: int) -> Array:
        """Packed weights of a weight array of any strides."""
        del threads
        if not self._taps:
            _, height, width = (1, 1, 1, *weight.shape[2:])[-3:]
            strides, phases = (height * width, width, 1), range(len(self._bounds) - 1)
            self._taps = [tap_offsets(self._layout, phase, strides) for phase in phases]
        rows = np.ascontiguousarray(weight, self.dtype).reshape(self._outs, -1)
        packed = on_lines((self._bounds[-1],), self.dtype)
        for taps, start, stop in zip(self._taps, self._bounds, self._bounds[1:]):
            rows.take(taps, 1, packed[start:stop].reshape(self._outs, -1), "clip")
        return packed

    def pack_bias(self, bias: Array) -> Array:
        """The bias in the compute type, with room for one more."""
        return with_room(bias, 1, self.dtype)
