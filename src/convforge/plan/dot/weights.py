"""Weights of bytes in the order in which the quantised kernel's tiles read them, and its scales."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.kernels.dot.contract import DOT_HEADER, WAYS, Products
from convforge.memory import on_lines
from convforge.problem import ConvSpec
from convforge.problem.gather import Gather
from convforge.problem.quantization import Rescaling

Array = NDArray[Any]

# How a packed element holds a weight of each of its channels.
_HELD: dict[Products, type] = {"floats": np.float32, "pairs": np.int16, "quads": np.int8}


class DotWeights:
    """Packs the weights of one plan: [phase][group][tile][block][tap][mr][packed channel][way], zeros to fill
    up. With `side`, the last but one axes in squares of so many, turned: [mr / side][packed channel][side].

    gather: of the convolution, its channels not yet packed. block: packed channels of a block, which has room
    for a side. starts: of each phase, counted in elements of 32 bits. In NumPy: a quantised layer packs once.
    """

    def __init__(
        self, spec: ConvSpec, gather: Gather, products: Products, mr: int, *, block: int = 1, side: int = 1
    ) -> None:
        self._spec, self._gather, self._mr, self._block, self._side = spec, gather, mr, block, side
        self._products: Products = products
        self._tiles = -(-gather.out_channels // mr)
        self._blocks = -(-gather.in_channels // (WAYS[products] * block))
        tile = self._blocks * side * mr * self._tiles * gather.groups
        sizes = [len(taps) * tile for taps in gather.taps_by_phase]
        self.starts = [sum(sizes[:i]) for i in range(len(sizes))]

    @property
    def signature(self) -> Hashable:
        """All that the packed memory depends on beside the values."""
        gather = self._gather
        channels = (gather.groups, gather.in_channels, gather.out_channels)
        return (self._products, self._mr, self._block, self._side, channels, gather.taps_kept)

    def pack(self, weight: Array) -> Array:
        """Packed weights, as 32-bit elements one after the other."""
        phases = [self._pack_phase(taps) for taps in self._by_phase(weight)]
        packed = on_lines((sum(phase.size for phase in phases),), np.int32)
        return np.concatenate(phases, out=packed)

    def pack_scales(self, weight: Array, rescaling: Rescaling) -> Array:
        """What the kernel finds as its bias: DOT_HEADER, and a DOT_RECORD for each phase and channel."""
        gather = self._gather
        unsigned_zero = rescaling.x_zero
        keeps_zero = self._products == "quads"
        if keeps_zero and self._spec.dtype == np.int8:
            unsigned_zero += 128
        header = np.zeros(len(DOT_HEADER), np.int32)
        header[:2] = unsigned_zero, rescaling.y_zero
        header[2:].view(np.float32)[:] = rescaling.low, rescaling.high
        # Tiles that end beyond the last channel read beyond its record.
        channels = gather.groups * gather.out_channels
        records = np.zeros((len(gather.taps_by_phase) * channels + self._mr, 3), np.int32)
        for i, taps in enumerate(self._by_phase(weight)):
            rows = records[i * channels : (i + 1) * channels]
            if keeps_zero:
                rows[:, 0] = -unsigned_zero * taps.sum(axis=(2, 3), dtype=np.int64).reshape(-1)
            rows[:, 1] = rescaling.bias.view(np.int32)
            rows[:, 2] = rescaling.multiplier.view(np.int32)
        return np.concatenate([header, records.reshape(-1)])

    def _by_phase(self, weight: Array) -> list[Array]:
        """The weights of each phase's taps: (groups, out_channels, in_channels, taps)."""
        gather, spec = self._gather, self._spec
        lone = (1,) * (3 - spec.rank)
        split = weight.reshape(gather.groups, -1, *weight.shape[1:2], *lone, *spec.kernel_size)
        if spec.transposed:
            split = split.swapaxes(1, 2)
        phases: list[Array] = []
        for kept in gather.taps_kept:
            d, h, w = np.array(kept, np.intp).reshape(-1, 3).T
            phases.append(split[:, :, :, d, h, w])
        return phases

    def _pack_phase(self, taps: Array) -> Array:
        ways, mr = WAYS[self._products], self._mr
        groups, outs, ins, count = taps.shape
        blocks, block = self._blocks, self._block
        full = np.zeros((groups, self._tiles * mr, blocks * block * ways, count), _HELD[self._products])
        full[:, :outs, :ins] = taps
        side = self._side
        tiled = full.reshape(groups, self._tiles, mr // side, side, blocks, block, ways, count)
        packed = np.zeros((groups, self._tiles, blocks, count, mr // side, side, side, ways), full.dtype)
        packed[..., :block, :, :] = tiled.transpose(0, 1, 4, 7, 2, 5, 3, 6)
        return packed.reshape(-1).view(np.int32)
