"""How a Winograd plan's work is cut into tasks: without a clock, and without a bit of the result changing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from convforge.kernels.winograd.contract import WinogradKernel
from convforge.plan.cut import TASKS_PER_THREAD
from convforge.problem.gather import Gather
from convforge.schedule import Layout
from convforge.target import Target

# Bytes of values and sums in the last-level cache: values of all channels; or of some, and sums of all tiles.
_VALUE_BYTES, _SOME_VALUE_BYTES, _SUM_BYTES = 8 << 20, 3 << 20, 6 << 20
# Values fill no more of a thread's share of it: beyond, every product waits for memory. Of 8 MB and two
# threads, 128 channels of 28x28 by 3.2 MB ran at 110 GFLOP/s, by 6.3 MB at 37.
_VALUE_SHARE = 0.8
# Where the last level is far (`Target.l3_is_far`) values, or sums, keep to this share of the second. Of 2
# MB, VGG's 256 channels at 56x56 ran by 2.7 MB at 140 GFLOP/s a core, by 1 MB and by 0.6 MB at 245.
_L2_SHARE = 0.5
# Values that fill the second-level cache so many times slow products down so much, and sums of all tiles as
# much as the last: 512 channels of 33x33 took 14.9 ms by 1 MB of values, 16.0 by 2 MB, 16.4 by blocks of
# channels; 1024 channels 28.5 by 2 MB, 33.4 by 4 MB, 30.5; 2048 channels 41 by 6 MB, 33.
_NEAR = 1.25
_SLOWER = ((_NEAR, 1.0), (2.5, 1.05), (float("inf"), 1.13))
# Fetching the weights takes as long as multiplying so many tiles by them: from the last-level cache, and from
# memory if there are more bytes of them.
_FETCH_TILES, _FAR_FETCH_TILES, _FAR_FETCH_BYTES = 1.0, 6.0, 24 << 20
# Images of a task: more fill no more vectors.
_IMAGES = 16
# Channels of one chain of multiply-adds: 512 in blocks of 128 have 0.6 times the error of one chain.
_CHAIN = 128


@dataclass(frozen=True, slots=True)
class _Costs:
    """What differs with the width of vectors.

    blocked: products take so many times as long where sums of all tiles are held. transform_channels:
    transforming a tile's inputs costs as much as multiplying it for so many output channels.
    """

    blocked: float
    transform_channels: float


# Measured on AVX-512; and on AVX2 (Zen 1): of up to 130 cuts of each of 21 layers these choose such as take
# 3 % longer than the best in the mean.
_WIDE, _NARROW = _Costs(1.17, 8.0), _Costs(1.04, 28.0)


def channel_block(gather: Gather) -> int:
    """Input channels of one chain of multiply-adds."""
    return chain_of(gather.in_channels)


def chain_of(channels: int) -> int:
    """Those of one of as few even chains as can be."""
    return -(-channels // max(1, -(-channels // _CHAIN)))


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
    """The cut by which the busiest thread is done first; arguments as of `Cutter`."""
    cutter = Cutter(gather, layout, kernel, target, threads, channel_block)
    return min(cutter.candidates(), key=cutter.cost)


@dataclass(frozen=True, slots=True)
class Cutter:
    """The ways to cut one plan's work. channel_block: channels of one chain of sums."""

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
        near = int(_NEAR * self.target.l2_bytes) // self.tile_bytes
        for out_blocks in range(1, min(self.out_tiles, most) + 1 if self.threads > 1 else 2):
            for whole in (True, False):
                make = self.whole if whole else self.blocked
                tiles = self._held() if whole else self._summed(out_blocks)
                if whole and length * self.tile_bytes > _VALUE_BYTES:
                    # Those of the fewest tiles: of 2048 channels in 64 points 25 MB.
                    continue
                fewest = -(-vectors // max(1, tiles // length))
                nearest = -(-vectors // max(1, near // length)) if whole else fewest
                for size in _piece_sizes(vectors, fewest, min(vectors, nearest + most)):
                    yield make(1, size * length, out_blocks)
                for images in range(2, min(batch, tiles // flat, _IMAGES) + 1):
                    yield make(images, vectors * length, out_blocks)

    @property
    def _block_bytes(self) -> int:
        """Bytes of one tile's values of the channels of one chain of sums."""
        return self.tile_bytes // self.gather.in_channels * self.channel_block

    def _room(self, most: int) -> int:
        """Bytes of values, or of sums, that a thread may hold, at most so many."""
        target = self.target
        room = (
            _L2_SHARE * target.l2_bytes if target.l3_is_far else _VALUE_SHARE * target.l3_share(self.threads)
        )
        return min(most, int(room))

    def _held(self) -> int:
        """Tiles whose values of all channels may be held."""
        return self._room(_VALUE_BYTES) // self.tile_bytes

    def _summed(self, out_blocks: int) -> int:
        """Tiles whose sums, and values of a block of channels, may be held.

        out_blocks: blocks of output channels.
        """
        channels = self.kernel.mr * -(-self.out_tiles // out_blocks)
        sum_bytes = self.kernel.tiling.points * channels * self.kernel.element.compute_bytes
        return min(self._room(_SUM_BYTES) // sum_bytes, self._room(_SOME_VALUE_BYTES) // self._block_bytes)

    def whole(self, images: int, band_length: int, out_blocks: int) -> Cut:
        """Values of all channels are held, and sums of one tile."""
        return self._cut(images, band_length, out_blocks, self.gather.in_channels, 1, self.kernel.length)

    def blocked(self, images: int, band_length: int, out_blocks: int) -> Cut:
        """Values of some channels are held, and all sums of the task."""
        run = self._run(images, band_length)
        blocks = max(1, self._room(_SOME_VALUE_BYTES) // (run * self._block_bytes))
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
        gather, kernel = self.gather, self.kernel
        costs = _WIDE if self.target.vector_bytes == 64 else _NARROW
        tiles = min(cut.band_length, self.layout.flat)
        products = float(_rounded(cut.images * tiles, kernel.length))
        whole = cut.value_block == gather.in_channels
        filled = cut.run * self.tile_bytes / self.target.l2_bytes
        if cut.tile_group > kernel.length or not whole:
            products *= costs.blocked
        else:
            products *= next(slower for times, slower in _SLOWER if filled <= times)
        weight_bytes = self.tile_bytes * gather.out_channels
        products += _FETCH_TILES if weight_bytes <= _FAR_FETCH_BYTES else _FAR_FETCH_TILES
        share = cut.task_tiles / self.out_tiles
        rounds = -(-cut.tasks // self.threads)
        tail = share / 20  # several short tasks even out what the system takes from a thread
        # Values of all channels are kept for the next task, if that has the same tiles.
        transformed = min(rounds, cut.tasks // cut.out_blocks) if whole else rounds
        inputs = cut.images * _rounded(tiles, kernel.lanes)
        return (
            products * (rounds * share + tail)
            + transformed * inputs * costs.transform_channels / gather.out_channels
        )


def _piece_sizes(total: int, fewest: int, most: int) -> Iterator[int]:
    """The sizes of `fewest` to `most` even pieces, each once, the largest first: of a signal of 100 million
    there are 264,000 numbers of pieces, and looking at each took 2 s.
    """
    pieces = fewest
    while pieces <= most:
        size = -(-total // pieces)
        yield size
        if size == 1:
            return
        pieces = -(-total // (size - 1))


def _rounded(size: int, step: int) -> int:
    return -(-size // step) * step
