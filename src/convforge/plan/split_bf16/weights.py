"""Splits and packs the weights of kernels on tile units (kernels/split_bf16/weights.py)."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import Element
from convforge.kernels.contract import FLAG_BYTES
from convforge.kernels.split_bf16.contract import SPLIT_WEIGHT_PARAMETERS, SplitWeightPacker
from convforge.kernels.tile_unit.contract import UNIT_BYTES
from convforge.memory import LINE_BYTES, on_lines
from convforge.plan.job import Job
from convforge.plan.weight_places import FEW_BYTES, WeightPlaces, within_reach
from convforge.plan.weights import with_room
from convforge.problem.gather import Gather
from convforge.runtime import address_of
from convforge.schedule import Layout
from convforge.schedule.fold import fold_weight
from convforge.schedule.tap_rows import TapRowsSchedule, tap_rows_weight
from convforge.schedule.tile_unit import TileUnitSchedule
from convforge.target import Target

Array = NDArray[Any]

# Two bf16 NaN: a NaN in fp32.
NAN = 0x7FC0


@dataclass(frozen=True, slots=True)
class FoldedWeights:
    """What makes the weights of a layer, of this gather, those of the one folded along its last axes."""

    gather: Gather
    axes: int

    def __call__(self, weight: Array) -> Array:
        """Of a weight array of any strides."""
        return fold_weight(weight, self.gather, self.axes)


@dataclass(frozen=True, slots=True)
class TapRowsWeights:
    """What makes the weights of a layer, of this gather, those of a product whose rows are taps."""

    gather: Gather
    transposed: bool

    def __call__(self, weight: Array) -> Array:
        """Of a weight array of any strides."""
        return tap_rows_weight(weight, self.gather, transposed=self.transposed)


Arranged = FoldedWeights | TapRowsWeights


class SplitWeights:
    """Splits and packs the weights of one plan. starts: where those of each phase begin, in bytes.

    arranged: what makes the weights of the layout's gather of the layer's, where taps are channels. upright:
    for a kernel whose positions are columns.
    """

    def __init__(
        self,
        layout: Layout,
        element: Element,
        target: Target,
        schedule: TileUnitSchedule | TapRowsSchedule,
        *,
        transposed: bool,
        arranged: Arranged | None,
        upright: bool,
    ) -> None:
        self._layout, self._element, self._schedule = layout, element, schedule
        self._arranged = arranged
        gather = layout.gather
        lanes = target.vector_bytes // 4
        transposed = transposed and arranged is None
        turned = upright and transposed
        self._kernel = SplitWeightPacker(element, lanes, schedule.parts, schedule.rows, upright, turned)
        self._out_tiles = -(-gather.out_channels // self._kernel.mr)
        tap_bytes = schedule.blocks * self._out_tiles * self._kernel.mr * schedule.parts * UNIT_BYTES
        sizes = [len(taps) * tap_bytes * gather.groups for taps in gather.taps_by_phase]
        self.starts = list(accumulate(sizes, initial=0))[:-1]
        self._size = sum(sizes)
        self._job = Job(self._kernel, target)
        self._places = WeightPlaces(
            layout,
            [start // 2 for start in self.starts],
            SPLIT_WEIGHT_PARAMETERS,
            {"blocks": schedule.blocks, "pairs": schedule.depth, "out_tiles": self._out_tiles},
            transposed=transposed,
        )

    @property
    def signature(self) -> Hashable:
        """All that the packed memory depends on beside the values."""
        gather, schedule = self._layout.gather, self._schedule
        channels = (gather.groups, gather.in_channels, gather.out_channels)
        tiles = (schedule.parts, schedule.rows, schedule.depth, self._kernel.upright)
        return (self._element.name, tiles, channels, gather.taps_kept, self._arranged)

    def pack(self, weight: Array, threads: int) -> Array:
        """Packed weights of a weight array of any strides; NaN in front where they must not be split."""
        if self._arranged:
            weight = self._arranged(weight)
        weight = within_reach(weight)
        packed = on_lines((max(self._size, LINE_BYTES) // 2,), np.uint16)
        packed[:2] = 0
        exact = self._job.run_watched(
            FLAG_BYTES,
            self._out_tiles * self._layout.gather.groups * len(self.starts),
            threads if self._size >= FEW_BYTES else 1,
            self._kernel.scratch_bytes,
            address_of(self._places.parameters(weight)),
            address_of(weight),
            0,
            0,
            address_of(packed),
        )
        if not exact:
            packed[:2] = NAN
        return packed

    def pack_bias(self, bias: Array) -> Array:
        """The bias in fp32, with room for the tile that ends beyond it."""
        return with_room(bias, self._kernel.mr, np.dtype(np.float32))
