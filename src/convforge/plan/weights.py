"""Packs weights and biases for a plan, and keeps the last packed ones as long as they are the same."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import Element
from convforge.kernels.pack.contract import WEIGHT_PARAMETERS, WeightPacker, WeightSide
from convforge.memory import on_lines
from convforge.plan.job import Job
from convforge.plan.weight_places import FEW_BYTES, WeightPlaces
from convforge.runtime import address_of
from convforge.schedule import Layout
from convforge.target import Target

Array = NDArray[Any]
# Packed numbers from which on vectors are worth their kernel: squares take 10 ms longer to compile.
_MANY = 1 << 13


class WeightPacking:
    """Packs the weights of one plan.

    transposed: whether the weight array's first axis, which is grouped, holds the input channels of the
    product and the second one its output channels, as a transposed layer's does.
    """

    def __init__(
        self, layout: Layout, element: Element, target: Target, mr: int, *, transposed: bool
    ) -> None:
        self._layout, self._mr = layout, mr
        gather = layout.gather
        self._out_tiles = -(-gather.out_channels // mr)
        sizes = [len(taps) * gather.in_channels * self._out_tiles * mr for taps in gather.taps_by_phase]
        starts = np.concatenate([[0], np.cumsum([size * gather.groups for size in sizes])])
        self.starts = [int(s) for s in starts[:-1]]
        self.size = int(starts[-1])
        self.dtype = packed_dtype(element)
        self._element, self._target = element, target
        self._lanes = target.vector_bytes // element.compute_bytes
        self._jobs: dict[WeightSide, Job] = {}
        values = {"out_tiles": self._out_tiles}
        self._places = WeightPlaces(layout, self.starts, WEIGHT_PARAMETERS, values, transposed=transposed)

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
        packed = on_lines((self.size,), self.dtype)
        total = self._out_tiles * gather.groups * len(gather.taps_by_phase)
        is_small = packed.nbytes < FEW_BYTES
        self._job(self._side(weight)).run(
            total,
            1 if is_small else threads,
            64,
            address_of(self._places.parameters(weight)),
            address_of(weight),
            0,
            0,
            address_of(packed),
        )
        return packed

    def _side(self, weight: Array) -> WeightSide:
        """How it is read: by vectors where they are worth another kernel."""
        whole = self._mr % self._lanes == 0 or self._target.vector_bytes == 64
        halves = self._mr < self._lanes and self._mr & (self._mr - 1) == 0
        side = self._places.side(weight)
        possible = whole or (side == "taps" and halves)
        return side if possible and self.size >= _MANY else "numbers"

    def _job(self, side: WeightSide) -> Job:
        job = self._jobs.get(side)
        if job is None:
            lanes = 1 if side == "numbers" else self._lanes
            job = self._jobs[side] = Job(WeightPacker(self._element, self._mr, lanes, side), self._target)
        return job

    def pack_bias(self, bias: Array) -> Array:
        """The bias in the compute type, with room for the tile that ends beyond it."""
        return with_room(bias, self._mr, self.dtype)


def packed_dtype(element: Element) -> np.dtype[Any]:
    """The dtype of packed memory."""
    return np.dtype(_NUMPY[element.compute])


def with_room(bias: Array, mr: int, dtype: np.dtype[Any]) -> Array:
    """A bias of this dtype, and zeros for a tile of `mr` channels that ends beyond it."""
    padded = np.zeros(bias.size + mr, dtype)
    padded[: bias.size] = bias
    return padded


_NUMPY = {"f32": "float32", "f64": "float64", "i32": "int32", "i64": "int64"}
