"""Transforms and packs the weights of convolutions by fast Fourier transforms (kernels/fft/spectrum.py)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import Element
from convforge.plan.fft.blocks import Blocks
from convforge.problem.gather import Gather
from convforge.runtime.side_by_side import side_by_side

Array = NDArray[Any]

# Magnitudes, zero aside, between which no sum of products leaves the range of fp32, whatever the lengths; the
# same for float64, for whose sake no other rule is needed.
SMALLEST, LARGEST = 2.0**-40, 2.0**40
# Weights that are transformed at a time, in bytes.
_SLICE_BYTES = 2 << 20


def is_even(largest: float) -> bool:
    """Whether arrays whose largest magnitude this is can be transformed without harm; false for NaN."""
    return largest == 0 or SMALLEST < largest < LARGEST


def magnitude(array: Array) -> float:
    """The largest magnitude; NaN where there is one."""
    return max(float(array.max()), -float(array.min())) if array.size else 0.0


class FftWeights:
    """Transforms and packs the weights of one plan."""

    def __init__(
        self,
        gather: Gather,
        element: Element,
        lanes: int,
        mr: int,
        blocks: Blocks,
        transposed: bool,
        rank: int,
    ) -> None:
        self._gather, self._element, self._lanes, self._mr = gather, element, lanes, mr
        self._blocks, self._transposed, self._rank = blocks, transposed, rank
        self._dtype = np.dtype(element.name)
        # A whole vector as one element, which NumPy moves as such.
        self._vector = np.dtype((np.void, lanes * self._dtype.itemsize))
        self.vectors = -(-2 * blocks.frequencies // lanes)
        self.out_tiles = -(-gather.out_channels // mr)

    @property
    def signature(self) -> Hashable:
        """All that the packed memory depends on beside the values."""
        gather = self._gather
        channels = (gather.groups, gather.in_channels, gather.out_channels)
        return (self._element.name, self._lanes, self._mr, channels, self._blocks.lengths, gather.taps_kept)

    def pack(self, weight: Array, threads: int) -> Array:
        """[group][vector][tile][channel][mr] of a weight array of any strides; only NaN where the weights are
        not for transforms.
        """
        if not is_even(magnitude(weight)):
            return np.full(1, np.nan, self._dtype)
        gather, mr = self._gather, self._mr
        groups, channels = gather.groups, gather.in_channels
        # A shift by the first tap's distance, and none of the padding: the block begins there.
        places = [np.array([t.offset - axis.lowest for t in axis.phases[0].taps]) for axis in gather.axes]
        taps = [np.array([t.kernel for t in axis.phases[0].taps]) for axis in gather.axes]
        spread = self._spread(weight)
        packed = np.zeros((groups, self.vectors, self.out_tiles, channels, mr), self._vector)
        size = int(np.prod(self._blocks.lengths)) * self._dtype.itemsize
        step = max(1, _SLICE_BYTES // (mr * size))

        def work(first: int, stop: int) -> None:
            for tile in range(first, stop):
                group, out = divmod(tile, self.out_tiles)
                rows = spread[group, out * mr : (out + 1) * mr]
                for start in range(0, channels, step):
                    some = rows[:, start : start + step]
                    blocks = np.zeros((*some.shape[:2], *self._blocks.lengths), self._dtype)
                    blocks[:, :, *np.ix_(*places)] = some[:, :, *np.ix_(*taps)]
                    place = packed[group, :, out, start : start + step, : len(rows)]
                    place[...] = self._vectors(blocks).transpose(2, 1, 0)

        side_by_side(work, groups * self.out_tiles, threads)
        return packed.reshape(-1).view(self._dtype)

    def pack_bias(self, bias: Array) -> Array:
        """The bias in the compute type."""
        return bias.astype(self._dtype)

    def _spread(self, weight: Array) -> Array:
        """(groups, out_channels, channels, depth, height, width), as a view."""
        gather = self._gather
        kernel = (1,) * (3 - self._rank) + weight.shape[2:]
        if self._transposed:
            shape = (gather.groups, gather.in_channels, gather.out_channels, *kernel)
            return weight.reshape(shape).swapaxes(1, 2)
        return weight.reshape(gather.groups, gather.out_channels, gather.in_channels, *kernel)

    def _vectors(self, blocks: Array) -> Array:
        """(rows, channels, vectors): the conjugate spectra, for what is computed is a correlation."""
        number = np.dtype(np.complex64 if self._dtype.itemsize == 4 else np.complex128)
        rows = np.zeros((*blocks.shape[:2], self.vectors * self._lanes // 2), number)
        shape = (*blocks.shape[:2], *self._blocks.spectrum)
        spectra: Any = rows[..., : self._blocks.frequencies].reshape(shape)
        np.fft.rfft(blocks, out=spectra)
        for axis in (-2, -3):
            if blocks.shape[axis] > 1:
                np.fft.fft(spectra, axis=axis, out=spectra)
        return np.conjugate(rows, out=rows).view(self._vector)
