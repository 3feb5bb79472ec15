"""How a Winograd plan's work is cut into tasks: without a clock, and without a bit of the result changing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from convforge.kernels.contract import WinogradKernel
from convforge.plan.heuristic import TASKS_PER_THREAD
from convforge.problem.gather import Gather
from convforge.schedule import Layout
from convforge.target import Target

# The part of the second-level cache that the values of a task may take, if they are of so many tiles at
# least: with fewer, the weights' way from memory would cost too much.
_NEAR_SHARE, _NEAR_TILES = 0.6, 64
# Otherwise the values of some channels and all sums share the last-level cache.
_VALUE_BYTES, _SUM_BYTES = 3 << 20, 6 << 20
# Fetching the weights costs as much as multiplying so many tiles by them.
_WEIGHT_TILES = 6.0
# Transforming a tile's inputs costs as much as multiplying it for so many output channels.
_TRANSFORM_CHANNELS = 8


@dataclass(frozen=True, slots=True)
class Cut:
    """The tasks of a plan.

    A task holds `images` images, or one of `bands` bands of up to band_length tiles of one image, and
    task_tiles tiles of output channels. run: elements for the values of a channel, of which value_block
    channels are held together. Sums of out_group tiles of channels and tile_group elements of the run are
    held together.
    """

    images: int
    bands: int
    band_length: int
    run: int
    value_block: int
    task_tiles: int
    out_blocks: int
    out_group: int
    tile_group: int
    tasks: int


def cut_tasks(
    gather: Gather, layout: Layout, kernel: WinogradKernel, target: Target, threads: int, channel_block: int
) -> Cut:
    """The cut by which the busiest thread is done first. channel_block: channels of one chain of sums."""
    cutter = _Cutter(gather, layout, kernel, target, threads, channel_block)
    return min(cutter.candidates(), key=cutter.cost)


@dataclass(frozen=True, slots=True)
class _Cutter:
    gather: Gather
    layout: Layout
    kernel: WinogradKernel
    target: Target
    threads: int
    channel_block: int

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
        length, flat, batch = self.kernel.length, self.layout.flat, self.gather.batch
        vectors, most = -(-flat // length), self.threads * TASKS_PER_THREAD
        near = int(_NEAR_SHARE * self.target.l2_bytes) // self.tile_bytes
        fewest = -(-vectors // max(1, near // length))
        for out_blocks in range(1, min(self.out_tiles, most) + 1 if self.threads > 1 else 2):
            for bands in range(fewest, min(vectors, fewest + most) + 1):
                yield self._near(1, -(-vectors // bands) * length, out_blocks)
            for images in range(2, min(batch, near // flat) + 1):
                yield self._near(images, vectors * length, out_blocks)
            if near < _NEAR_TILES:
                sums = self.kernel.tiling.points * self.kernel.mr * self.kernel.element.compute_bytes
                far = _SUM_BYTES // (sums * -(-self.out_tiles // out_blocks))
                fewest_far = -(-vectors // max(1, far // length))
                for bands in range(fewest_far, min(vectors, fewest_far + most) + 1):
                    yield self._far(1, -(-vectors // bands) * length, out_blocks)
                for images in range(2, min(batch, far // flat) + 1):
                    yield self._far(images, vectors * length, out_blocks)

    def _near(self, images: int, band_length: int, out_blocks: int) -> Cut:
        """Values of all channels are held, and sums of one tile."""
        return self._cut(images, band_length, out_blocks, self.gather.in_channels, 1, self.kernel.length)

    def _far(self, images: int, band_length: int, out_blocks: int) -> Cut:
        """Values of some channels are held, and all sums of the task."""
        run = self._run(images, band_length)
        tile_bytes = self.tile_bytes // self.gather.in_channels * self.channel_block
        blocks = max(1, _VALUE_BYTES // (run * tile_bytes))
        held = min(blocks * self.channel_block, self.gather.in_channels)
        task_tiles = -(-self.out_tiles // out_blocks)
        return self._cut(images, band_length, out_blocks, held, task_tiles, _rounded(run, self.kernel.length))

    def _run(self, images: int, band_length: int) -> int:
        if images == 1:
            return band_length
        # The last image's last vector reaches beyond its tiles.
        tiles = images * self.layout.flat
        ends = _rounded(tiles + self.kernel.lanes - 1, self.kernel.lanes)
        return max(_rounded(tiles, self.kernel.length), ends)

    def _cut(
        self, images: int, band_length: int, out_blocks: int, held: int, out_group: int, tile_group: int
    ) -> Cut:
        gather = self.gather
        bands = -(-self.layout.flat // band_length)
        task_tiles = -(-self.out_tiles // out_blocks)
        out_blocks = -(-self.out_tiles // task_tiles)
        return Cut(
            images=images,
            bands=bands,
            band_length=band_length,
            run=self._run(images, band_length),
            value_block=held,
            task_tiles=task_tiles,
            out_blocks=out_blocks,
            out_group=out_group,
            tile_group=tile_group,
            tasks=-(-gather.batch // images) * gather.groups * bands * out_blocks,
        )

    def cost(self, cut: Cut) -> float:
        """When the busiest thread is done, in products of a tile with all output channels.

        A thread transforms each band that it meets, and fetches the weights anew for each task.
        """
        tiles = min(cut.band_length, self.layout.flat)
        products = _rounded(cut.images * tiles, self.kernel.length) + _WEIGHT_TILES
        inputs = cut.images * _rounded(tiles, self.kernel.lanes)
        share = cut.task_tiles / self.out_tiles
        rounds = -(-cut.tasks // self.threads)
        # Values of all channels are kept for the next task, if that has the same tiles.
        kept = cut.value_block == self.gather.in_channels
        transformed = min(rounds, cut.tasks // cut.out_blocks) if kept else rounds
        tail = share / 20  # several short tasks even out what the system takes from a thread
        transform = _TRANSFORM_CHANNELS / self.gather.out_channels * inputs
        return products * (rounds * share + tail) + transformed * transform


def _rounded(size: int, step: int) -> int:
    return -(-size // step) * step
