"""Transforms and packs the weights of Winograd's kernels (kernels/winograd/weights.py)."""

from __future__ import annotations

from collections.abc import Hashable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import Element
from convforge.kernels.contract import FLAG_BYTES, HEADER_BYTES, fill
from convforge.kernels.tile_unit.contract import UNIT_WORDS
from convforge.kernels.winograd.contract import (
    NO_TAP,
    WINOGRAD_WEIGHT_PARAMETERS,
    WinogradWeightPacker,
)
from convforge.memory import on_lines
from convforge.plan.job import Job
from convforge.plan.sizes import aligned
from convforge.plan.weight_places import within_reach
from convforge.plan.weights import packed_dtype, with_room
from convforge.plan.winograd.cut import channel_block
from convforge.problem.gather import Gather
from convforge.runtime import address_of
from convforge.schedule.polyphase import polyphase
from convforge.schedule.winograd import Tiling
from convforge.target import Target

Array = NDArray[Any]
Int64s = NDArray[np.int64]


class WinogradWeights:
    """Transforms and packs the weights of one plan."""

    def __init__(
        self,
        gather: Gather,
        element: Element,
        target: Target,
        mr: int,
        tiling: Tiling,
        transposed: bool,
        rank: int,
        *,
        woven: bool = False,
    ) -> None:
        self._gather, self._element, self._mr, self._tiling = gather, element, mr, tiling
        self._transposed, self._rank = transposed, rank
        self._poly = polyphase(gather)
        self._out_tiles = -(-gather.out_channels // mr)
        # Channels of the words of a tile unit, and those that are missing to whole blocks: zeros.
        block = 2 * UNIT_WORDS if woven else 1
        self._rows = -(-gather.in_channels // block) * block * self._poly.residues
        self._has_gaps = self._rows > gather.in_channels * self._poly.residues
        # Weights of one block of channels and one point are read together, of many tiles: were these a power
        # of two apart, they would fall on the same sets of the cache.
        self.step = mr * (self._rows * tiling.points + (0 if woven else channel_block(gather)))
        self._tiles = gather.groups * len(self._poly.phases) * self._out_tiles
        self._size = self._tiles * self.step
        self._dtype = packed_dtype(element)
        lanes = target.vector_bytes // element.compute_bytes
        self._kernel = WinogradWeightPacker(element, lanes, mr, tiling, woven)
        self._job = Job(self._kernel, target)

    @property
    def signature(self) -> Hashable:
        """All that the packed memory depends on beside the values."""
        gather = self._gather
        channels = (gather.groups, gather.in_channels, gather.out_channels)
        return (self._element.name, self._mr, channels, self._tiling, gather.taps_kept)

    def pack(self, weight: Array, threads: int) -> Array:
        """Packed weights of a weight array of any strides; NaN in front where they must not be used."""
        weight = within_reach(weight)
        steps = [s // weight.itemsize for s in weight.strides]
        offsets = self._offsets([0] * (3 - self._rank) + steps[2:])
        gather = self._gather
        per_group = gather.in_channels if self._transposed else gather.out_channels
        first, second = steps[0], steps[1]
        taps = prod(self._tiling.taps)
        kernel, size = self._kernel, self._dtype.itemsize
        lines = aligned(HEADER_BYTES + kernel.padded_mr * taps * self._poly.residues * size)
        values = {
            "groups": gather.groups,
            "phases": len(self._poly.phases),
            "residues": self._poly.residues,
            "channels": gather.in_channels,
            "out_channels": gather.out_channels,
            "out_tiles": self._out_tiles,
            "tile_step": self.step,
            "point_rows": self._rows,
            "w_group": first * per_group,
            "w_out": second if self._transposed else first,
            "w_channel": first if self._transposed else second,
            "offsets": offsets.ctypes.data,
            "lines": lines,
        }
        parameters = fill(WINOGRAD_WEIGHT_PARAMETERS, values)
        packed = on_lines((self._size,), self._dtype)
        if self._has_gaps:
            packed[:] = 0
        even = self._job.run_watched(
            FLAG_BYTES,
            self._tiles,
            threads,
            aligned(lines + kernel.lanes * (size + 8 * (taps + 2 * self._tiling.points))),
            address_of(parameters),
            address_of(weight),
            0,
            0,
            address_of(packed),
        )
        if not even:
            packed[0] = np.nan
        return packed

    def pack_bias(self, bias: Array) -> Array:
        """The bias in the compute type, with room for the tile that ends beyond it."""
        return with_room(bias, self._mr, self._dtype)

    def _offsets(self, steps: list[int]) -> Int64s:
        """Element offset in the weight array of each tap, in the order of the inputs that they read."""
        return np.array(
            [
                NO_TAP if tap is None else sum(at * step for at, step in zip(tap, steps))
                for phase in self._poly.taps
                for residue in phase
                for tap in residue
            ],
            np.int64,
        )
