"""How a Winograd plan's work is cut into tasks: without a clock, and without a bit of the result changing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from convforge.kernels.contract import WinogradKernel
from convforge.plan.heuristic import TASKS_PER_THREAD
from convforge.problem.gather import Gather
from convforge.schedule import Layout
from convforge.target import Target

# The part of the second-level cache that the values of a task may take.
_NEAR_SHARE = 0.6
# Tiles whose values must fit there; with fewer, the weights' way from memory would cost too much.
_NEAR_TILES = 64
# Then values may take so much of the last-level cache, of no more than so many tiles, and sums so much.
_FAR_BYTES, _FAR_TILES, _SUMS_BYTES = 11 << 20, 320, 4 << 20
# Fetching the weights costs as much as multiplying so many tiles by them.
_WEIGHT_TILES = 6.0
# Transforming a tile's inputs costs as much as multiplying it for so many output channels.
_TRANSFORM_CHANNELS = 8


@dataclass(frozen=True, slots=True)
class Cut:
    """The tasks of a plan.

    A task holds `images` images, or one of `bands` bands of up to band_length tiles of one image, and
    task_tiles tiles of output channels. run: elements for the values of a channel. Sums of out_group tiles
    of channels and tile_group elements of the run are held together.
    """

    images: int
    bands: int
    band_length: int
    run: int
    task_tiles: int
    out_blocks: int
    out_group: int
    tile_group: int
    tasks: int


def cut_tasks(gather: Gather, layout: Layout, kernel: WinogradKernel, target: Target, threads: int) -> Cut:
    """The cut by which the busiest thread is done first."""
    cutter = _Cutter(gather, layout, kernel, target, threads)
    return min(cutter.candidates(), key=cutter.cost)


@dataclass(frozen=True, slots=True)
class _Cutter:
    gather: Gather
    layout: Layout
    kernel: WinogradKernel
    target: Target
    threads: int

    @property
    def tile_bytes(self) -> int:
        """Bytes of one tile's values."""
        return self.kernel.tiling.points * self.gather.in_channels * self.kernel.element.compute_bytes

    @property
    def out_tiles(self) -> int:
        """Tiles of output channels."""
        return -(-self.gather.out_channels // self.kernel.mr)

    def candidates(self) -> Iterator[Cut]:
        """Cuts whose values stay in a cache."""
        length, flat = self.kernel.length, self.layout.flat
        near = int(_NEAR_SHARE * self.target.l2_bytes) // self.tile_bytes
        most = near if near >= _NEAR_TILES else min(_FAR_TILES, max(near, _FAR_BYTES // self.tile_bytes))
        vectors = -(-flat // length)
        fewest = -(-vectors // max(1, most // length))
        several = self.threads * TASKS_PER_THREAD
        blocks = range(1, min(self.out_tiles, several) + 1 if self.threads > 1 else 2)
        nearest = -(-vectors // max(1, near // length))
        for out_blocks in blocks:
            for bands in range(fewest, min(vectors, max(nearest, fewest + several)) + 1):
                yield self._cut(1, -(-vectors // bands) * length, out_blocks)
            for images in range(2, min(self.gather.batch, most // flat) + 1):
                yield self._cut(images, vectors * length, out_blocks)

    def _cut(self, images: int, band_length: int, out_blocks: int) -> Cut:
        gather, kernel, flat = self.gather, self.kernel, self.layout.flat
        run = band_length
        if images > 1:
            # The last image's last vector reaches beyond its tiles.
            ends = images * flat + kernel.lanes - 1
            run = max(_rounded(images * flat, kernel.length), _rounded(ends, kernel.lanes))
        bands = -(-flat // band_length)
        task_tiles = -(-self.out_tiles // out_blocks)
        out_blocks = -(-self.out_tiles // task_tiles)
        out_group, tile_group = 1, kernel.length
        if run * self.tile_bytes > _NEAR_SHARE * self.target.l2_bytes:
            tile_group = _rounded(run, kernel.length)
            sums = kernel.tiling.points * kernel.mr * tile_group * kernel.element.compute_bytes
            groups = -(-task_tiles // max(1, _SUMS_BYTES // sums))
            out_group = -(-task_tiles // groups)
        tasks = -(-gather.batch // images) * gather.groups * bands * out_blocks
        return Cut(images, bands, band_length, run, task_tiles, out_blocks, out_group, tile_group, tasks)

    def cost(self, cut: Cut) -> float:
        """When the busiest thread is done, in products of a tile with all output channels.

        A thread transforms each band that it meets, and fetches the weights anew for each task.
        """
        tiles = min(cut.band_length, self.layout.flat)
        products = _rounded(cut.images * tiles, self.kernel.length) + _WEIGHT_TILES
        inputs = cut.images * _rounded(tiles, self.kernel.lanes)
        share = cut.task_tiles / self.out_tiles
        rounds = -(-cut.tasks // self.threads)
        bands = cut.tasks // cut.out_blocks
        tail = share / 20  # several short tasks even out what the system takes from a thread
        transform = _TRANSFORM_CHANNELS / self.gather.out_channels * inputs
        return products * (rounds * share + tail) + min(rounds, bands) * transform


def _rounded(size: int, step: int) -> int:
    return -(-size // step) * step
