"""Packs weights and biases for a plan, and keeps the last packed ones as long as they are the same."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import Element
from convforge.kernels.contract import WEIGHT_PARAMETERS, WEIGHT_PHASE_FIELDS, WeightPacker, fill
from convforge.memory import on_lines
from convforge.plan.job import Job
from convforge.plan.tables import tap_offsets
from convforge.runtime import address_of
from convforge.schedule import Layout
from convforge.target import Target

Array = NDArray[Any]


class WeightPacking:
    """Packs the weights of one plan.

    roles: axis of the weight array that holds the output channels and the input channels of the product,
    (0, 1) for a convolution, (1, 0) for a transposed one, where the first axis is grouped.
    """

    def __init__(
        self, layout: Layout, element: Element, target: Target, mr: int, *, transposed: bool, rank: int
    ) -> None:
        self._layout, self._transposed, self._rank, self._mr = layout, transposed, rank, mr
        gather = layout.gather
        self._out_tiles = -(-gather.out_channels // mr)
        sizes = [len(taps) * gather.in_channels * self._out_tiles * mr for taps in gather.taps_by_phase]
        starts = np.concatenate([[0], np.cumsum([size * gather.groups for size in sizes])])
        self.starts = [int(s) for s in starts[:-1]]
        self.size = int(starts[-1])
        self.dtype = np.dtype(_NUMPY[element.compute])
        self._element = element
        self._kernel = WeightPacker(element, mr)
        self._job = Job(self._kernel, target)
        self._parameters: dict[tuple[int, ...], tuple[NDArray[np.int64], tuple[Any, ...]]] = {}

    @property
    def signature(self) -> Hashable:
        """All that the packed memory depends on beside the values.

        Sizes of the input have no say, unless taps that meet only padding are left out. Type and channels
        have: the same bytes may come back as a weight of another type or shape.
        """
        gather = self._layout.gather
        channels = (gather.groups, gather.in_channels, gather.out_channels)
        return (self._element.name, self._mr, channels, gather.taps_kept)

    def pack(self, weight: Array, threads: int) -> Array:
        """Packed weights of a weight array of any strides."""
        gather = self._layout.gather
        parameters, _ = self._parameters_for(weight.strides, weight.itemsize)
        packed = on_lines((self.size,), self.dtype)
        total = self._out_tiles * gather.groups * len(gather.taps_by_phase)
        small = self.size < 1 << 16
        self._job.run(
            total,
            1 if small else threads,
            64,
            address_of(parameters),
            address_of(weight),
            0,
            0,
            address_of(packed),
        )
        return packed

    def pack_bias(self, bias: Array) -> Array:
        """The bias in the compute type, with room for the tile that ends beyond it."""
        padded = np.zeros(bias.size + self._mr, self.dtype)
        padded[: bias.size] = bias
        return padded

    def _parameters_for(self, strides: tuple[int, ...], itemsize: int) -> tuple[NDArray[np.int64], Any]:
        if strides not in self._parameters:
            gather = self._layout.gather
            steps = [s // itemsize for s in strides]
            first, second = steps[0], steps[1]
            spatial = [0] * (3 - self._rank) + steps[2:]
            records = np.zeros((len(gather.taps_by_phase), len(WEIGHT_PHASE_FIELDS)), np.int64)
            offsets: list[NDArray[np.int64]] = []
            for i, taps in enumerate(gather.taps_by_phase):
                offsets.append(tap_offsets(self._layout, i, (spatial[0], spatial[1], spatial[2])))
                records[i] = (len(taps), self.starts[i], offsets[-1].ctypes.data)
            per_group = gather.in_channels if self._transposed else gather.out_channels
            values = {
                "groups": gather.groups,
                "channels": gather.in_channels,
                "out_channels": gather.out_channels,
                "out_tiles": self._out_tiles,
                "w_group": first * per_group,
                "w_out": second if self._transposed else first,
                "w_channel": first if self._transposed else second,
                "phases": len(gather.taps_by_phase),
                "phase_table": records.ctypes.data,
            }
            if len(self._parameters) > 8:
                self._parameters.clear()
            self._parameters[strides] = (fill(WEIGHT_PARAMETERS, values), (records, offsets))
        return self._parameters[strides]


_NUMPY = {"f32": "float32", "f64": "float64", "i32": "int32", "i64": "int64"}
