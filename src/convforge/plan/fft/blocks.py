"""Into which blocks a convolution by fast Fourier transforms cuts its input, and what that costs.

Overlap and save: a block of B inputs gives B - span + 1 outputs that no wrapping round has spoilt, and the
next block begins so many inputs later. Long blocks lose less to overlaps; short ones need less arithmetic
each, and fewer weights.

    span 4, B 8      i i i i i i i i . . . . .
                     \\_ 5 outputs _/
                               i i i i i i i i

Source: Oppenheim & Schafer, Discrete-Time Signal Processing, section 8.7.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import log2, prod

from convforge.ir.element import Element
from convforge.problem.gather import Axis, Gather
from convforge.schedule import why_tile_illegal
from convforge.target import Target

# Cycles of one core: of a real transform of length B, for each B log2 B (pocketfft, scalar code: 1.1 to 1.3
# on Zen 1, B 256 to 4096), and for each element that is padded, cut and copied beside it.
_TRANSFORM_CYCLES, _COPY_CYCLES = 1.0, 3.0
# Bytes a cycle of weights on their way from memory.
_WEIGHT_BYTES = 4.0
# The share of the weights' transforms that counts.
_WEIGHT_SHARE = 0.5
# Of a call, whatever its size: threads that are started, NumPy's calls.
_CALL_CYCLES = 1_500_000.0
# Blocks from about the span of the taps up to so many times it.
_LONGEST = 16
# A row of spectra is whole lines of the cache, and an odd number of them, that rows lie in different sets.
_LINE_BYTES = 64
# Spectra of one block, input and output together: what is held at least.
_BLOCK_BYTES = 12 << 20


@dataclass(frozen=True, slots=True)
class Blocks:
    """Three axes: lengths of transforms, outputs of a block, numbers of blocks."""

    lengths: tuple[int, int, int]
    outputs: tuple[int, int, int]
    counts: tuple[int, int, int]

    @property
    def count(self) -> int:
        """Blocks of an image."""
        return prod(self.counts)

    @property
    def spectrum(self) -> tuple[int, int, int]:
        """Frequencies along each axis; the last one's other half mirrors them."""
        return (*self.lengths[:2], self.lengths[2] // 2 + 1)

    @property
    def frequencies(self) -> int:
        """Of one block."""
        return prod(self.spectrum)

    def row(self, element_bytes: int) -> int:
        """Elements from one block's spectrum to the next."""
        lines = -(-2 * self.frequencies * element_bytes // _LINE_BYTES) | 1
        return lines * _LINE_BYTES // element_bytes


def span(axis: Axis) -> int:
    """Inputs from an axis' first tap to its last."""
    offsets = [tap.offset for tap in axis.phases[0].taps]
    return max(offsets, default=0) - min(offsets, default=0) + 1


def best_blocks(gather: Gather, element: Element, target: Target) -> Blocks | None:
    """The cheapest blocks of one image, None where none fits the memory that a thread may use.

    Of one image, whatever the batch: an image's bits may not depend on others.
    """
    found = [
        blocks
        for lengths in product(*(_lengths(axis) for axis in gather.axes))
        if _held_bytes(gather, blocks := blocks_of(gather, lengths), element) <= _BLOCK_BYTES
    ]
    return min(found, key=lambda b: image_cycles(gather, b, element, target), default=None)


def blocks_of(gather: Gather, lengths: tuple[int, ...]) -> Blocks:
    """The blocks of transforms of these lengths."""
    outputs = [n - span(axis) + 1 for n, axis in zip(lengths, gather.axes)]
    counts = [-(-axis.out_size // n) for axis, n in zip(gather.axes, outputs)]
    d, h, w = zip(lengths, outputs, counts)
    return Blocks(*zip(d, h, w))


def spectrum_tile(gather: Gather, blocks: int, target: Target) -> tuple[int, int]:
    """(mr, nb): output channels and blocks of a tile of products."""
    legal = [
        (mr, nb)
        for nb in range(1, min(blocks, 4) + 1)
        for mr in range(1, min(gather.out_channels, 14) + 1)
        if why_tile_illegal(target, 2 * mr * nb, mr + 1) is None
    ]
    return min(legal, key=lambda tile: _product_cycles(gather, blocks, *tile))


def image_cycles(gather: Gather, blocks: Blocks, element: Element, target: Target) -> float:
    """Cycles of one core for an image: transforms of all blocks there and back, products, weights fetched;
    and a share of the weights' transforms. A layer keeps these, but whoever changes its weights, and a
    function, pays for them in each call, and must choose what a layer does: it takes twice the time at most.
    """
    rows = gather.groups * (gather.in_channels + gather.out_channels) * blocks.count
    transforms = rows * _transform_cycles(blocks)
    lanes = target.vector_bytes // element.compute_bytes
    vectors = -(-2 * blocks.frequencies // lanes) * gather.groups
    tile = spectrum_tile(gather, blocks.count, target)
    products = vectors * _product_cycles(gather, blocks.count, *tile)
    pairs = gather.groups * gather.in_channels * gather.out_channels
    fetched = 2 * blocks.frequencies * pairs * element.compute_bytes / _WEIGHT_BYTES
    kept = _WEIGHT_SHARE * pairs * _transform_cycles(blocks)
    return transforms + products + fetched + kept + _CALL_CYCLES


def _product_cycles(gather: Gather, blocks: int, mr: int, nb: int) -> float:
    """Cycles for one vector of frequencies: multiply-adds at two a cycle, loads at two, all at five."""
    step = max(mr * nb, (mr + 2 * nb) / 2, (2 * mr * nb + mr + 2 * nb + 4) / 5)
    tile = gather.in_channels * step + 12 + 3 * mr * nb
    packing = 2 * gather.in_channels * blocks
    return -(-gather.out_channels // mr) * -(-blocks // nb) * tile + packing


def _transform_cycles(blocks: Blocks) -> float:
    size = prod(blocks.lengths)
    return size * (_TRANSFORM_CYCLES * log2(max(size, 2)) + _COPY_CYCLES)


def _held_bytes(gather: Gather, blocks: Blocks, element: Element) -> int:
    channels = gather.groups * (gather.in_channels + gather.out_channels)
    return channels * blocks.row(element.compute_bytes) * element.compute_bytes


def _lengths(axis: Axis) -> list[int]:
    """Lengths of transforms worth trying: 2^a and 3 2^a, even, up to one that takes the whole axis."""
    taps = span(axis)
    if taps == 1:
        return [1]
    whole = axis.out_size + taps - 1
    good = sorted(factor << power for factor in (1, 3) for power in range(1, 31))
    least = next(n for n in good if n >= whole)
    return [n for n in good if taps < n <= min(least, _LONGEST * taps)] or [least]
