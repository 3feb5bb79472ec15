"""How Winograd's work with vectors along channels is cut, and what it costs (kernels/winograd/channels.py).

Without a clock, and without a bit of the result changing: sums have the order of plan/winograd/tiles.py's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod

from convforge.kernels.winograd.contract import IN_REGISTERS
from convforge.plan.boxes import Sizes, block_counts
from convforge.plan.cut import TASKS_PER_THREAD
from convforge.plan.winograd.cut import channel_block
from convforge.problem.gather import Gather
from convforge.schedule import why_tile_illegal
from convforge.schedule.polyphase import polyphase
from convforge.schedule.winograd import Tiling, residues_of_points, rounded_gather, spacings
from convforge.target import Target

# Cycles to write one element into a panel, and out of scratch into the output; of each point of a vector to
# transform on the way in; on the way out, in registers and by way of scratch. Fitted on 22 layers of 16 to
# 512 channels in 1, 2 and 3 dimensions, at both precisions, one thread of Zen 1: 5.5 % off the measured.
_PACK_CYCLES, _WRITE_CYCLES, _POINT_CYCLES, _OUT_CYCLES = 0.5, 0.32, 2.4, (2.6, 9.4)
# Cycles to write an element that does not lie beside its neighbour.
_SCATTERED_CYCLES = 1.5
# Cycles of a register tile besides its multiply-adds, and for each operand that they do not hide.
_TILE_CYCLES, _ACCUMULATOR_CYCLES, _LOAD_CYCLES = 12.0, 1.5, 0.15
# Cycles of an input vector's magnitudes, of a tile's check, of a task.
_MAGNITUDE_CYCLES, _CHECK_CYCLES, _TASK_CYCLES = 1.0, 60.0, 3000.0
# Cycles for each weight fetched anew: from the second-level cache, the last one, memory.
_FETCH_CYCLES = (0.03, 0.25, 0.5)
# With 16 registers all this takes so much less time than tiles.py has cycles for vectors along tiles.
_NARROW_TIMES = 0.8
# With 512 bits behind a mesh, and input channels that do not fill a vector, so much more: of 3 channels
# (Granite Rapids, one core) MobileNet's, ResNet's and AlexNet's first layers took 1.3 to 2.3 times what
# others take for their cycles, and AlexNet's was chosen at `high`, 979 us on two cores where the direct
# kernel takes 560.
_FEW_TIMES = 2.0
# The same along three axes: C3D's and a 3-d U-Net's layers took 0.95 to 1.15 of these cycles on two cores,
# where 2-d ones take 0.7 to 0.95; 128 -> 256 channels at 8x28x28 16.7 ms by them, 13.8 by split bf16.
_VOLUME_TIMES = 1.4
# With 512 bits and a near last level so much less, along two axes and three, whatever the channels: at `high`
# two cores of Zen 4 took AlexNet's first layer in 550 us, by the direct kernel 700, R3D's in 8.0 ms, and 14.4
# ms; 32 groups of 32 channels at 7x7 117 us, by channels 143.
_WIDE_NEAR_TIMES = 0.9
# Bytes of weights that the last-level cache does not hold between tasks.
_FAR_BYTES = 24 << 20
# The share of a last level that stays from pass to pass, and cycles for a byte from memory (28 GB/s, of two
# cores; other cycles take 1.6 times what they say).
_STAYS, _STREAM_CYCLES = 0.75, 0.13
# A thread's share of the last-level cache that values may take, and sums as much.
_VALUE_BYTES, _VALUE_SHARE = 6 << 20, 0.7
# Cycles for each value read again, where values and sums take no more of the second-level cache: the
# channels of a block are short runs, which no cache fetches ahead. 128 channels at 112x112 on Zen 1 (512 KB):
# 49.9 ms by 1.6 MB of them, 55.9 by 15, 69.0 by 9.5 read eight times as often.
_AGAIN = ((0.6, 0.03), (3.0, 0.12), (float("inf"), 0.45))
# Tiles of output channels summed together.
_GROUPS = (1, 2, 4, 8)
_IMAGES = 16
# Winograd tiles of a register tile: each has an address of its own.
_MOST_ROWS = 9


@dataclass(frozen=True, slots=True)
class ChannelsTile:
    """A register tile: rows of Winograd tiles by nv vectors of output channels."""

    rows: int
    nv: int


@dataclass(frozen=True, slots=True)
class ChannelsCut:
    """The tasks: boxes (images, slices, rows, columns of outputs) by out_blocks blocks of task_tiles tiles of
    output channels, out_group of which are summed together. rows: Winograd tiles of a register tile.
    """

    box: Sizes
    boxes: int
    rows: int
    task_tiles: int
    out_blocks: int
    out_group: int


def step_cycles(rows: int, nv: int) -> float:
    """Cycles of a register tile for each channel: multiply-adds at two a cycle, loads, all at five."""
    step = max(rows * nv / 2, (nv + rows) / 2, (rows * nv + nv + rows + 4) / 5, 4.0)
    return step + _LOAD_CYCLES * (rows + nv)


class Work:
    """What all cuts of a layer have in common: looked up once, for cuts are costed by the hundred."""

    def __init__(self, gather: Gather, tiling: Tiling, lanes: int) -> None:
        poly = polyphase(gather)
        self.gather, self.tiling, self.lanes = gather, tiling, lanes
        self.windows, self.residues, self.phases = poly.windows, poly.residues, len(poly.phases)
        self.spacings = spacings(poly.windows)
        self.points, self.outputs = tiling.points, prod(tiling.outputs)
        self.box = (1, *(axis.columns for axis in rounded_gather(poly.windows, tiling.outputs).axes))
        self.residue, self.row = residue_elements(gather, lanes)
        # Channels summed, and how many points of all phases sum so many.
        of_points = residues_of_points(poly, tiling)
        counts = Counter(len(residues) for points in of_points for residues in points)
        self._depths = [(gather.in_channels * residues, times) for residues, times in counts.items()]
        self._reach = [axis.reach for axis in poly.windows.axes]
        self._vectors = -(-gather.in_channels // lanes) * poly.residues
        out = tiling.points * _OUT_CYCLES[tiling.points > IN_REGISTERS]
        write = _WRITE_CYCLES if gather.axes[2].out_step == 1 else _SCATTERED_CYCLES
        self._out = (out + self.outputs * lanes * write) * self.phases

    @cached_property
    def weights(self) -> int:
        """Weights of one output channel, of all points and phases."""
        return sum(channels * times for channels, times in self._depths)

    def tiles(self, box: tuple[int, ...]) -> int:
        """Tiles of a box."""
        return prod(box) // self.outputs

    def product_cycles(self, tiles: int, outs: int, tile: ChannelsTile) -> float:
        """Cycles of all points of so many tiles and output channels, of all phases."""
        step = step_cycles(tile.rows, tile.nv)
        own = _TILE_CYCLES + _ACCUMULATOR_CYCLES * tile.rows * tile.nv
        one = sum(times * (channels * step + own) for channels, times in self._depths)
        return -(-tiles // tile.rows) * -(-outs // (tile.nv * self.lanes)) * one

    def in_cycles(self, box: tuple[int, ...]) -> float:
        """Cycles to pack and transform a box of one group."""
        tiles = self.tiles(box)
        panel = box[0] * prod(size + reach for size, reach in zip(box[1:], self._reach))
        each = panel * (_PACK_CYCLES * self.lanes + _MAGNITUDE_CYCLES) + tiles * self.points * _POINT_CYCLES
        return self._vectors * each + tiles * _CHECK_CYCLES * self.residues

    def out_cycles(self, tiles: int, outs: int) -> float:
        """Cycles to transform and write so many tiles and output channels, of all phases."""
        return -(-outs // self.lanes) * tiles * self._out


_work = lru_cache(maxsize=64)(Work)


@lru_cache(maxsize=256)
def channels_tile(gather: Gather, tiling: Tiling, target: Target, lanes: int) -> ChannelsTile:
    """The register tile for one image's tiles."""
    work, outs = _work(gather, tiling, lanes), gather.out_channels
    tiles, vectors = work.tiles(work.box), -(-outs // lanes)
    legal = [
        ChannelsTile(rows, nv)
        for nv in range(1, min(vectors, 6) + 1)
        for rows in range(1, _MOST_ROWS + 1)
        if why_tile_illegal(target, rows * nv, nv + 1) is None
    ]
    return min(legal, key=lambda tile: work.product_cycles(tiles, outs, tile))


def why_too_large(gather: Gather, tiling: Tiling, size: int) -> str | None:
    """The reason why the values of one block of neighbouring tiles cannot be held, or None."""
    poly = polyphase(gather)
    held = tiling.points * gather.in_channels * poly.residues * prod(spacings(poly.windows)) * size
    return (
        None if held <= _VALUE_BYTES else f"a block of tiles has {held} bytes of values, above {_VALUE_BYTES}"
    )


def channels_cycles(gather: Gather, tiling: Tiling, target: Target, lanes: int) -> float:
    """Cycles of one core for the whole layer, image by image, beside those of plan/winograd/tiles.py."""
    work, tile = _work(gather, tiling, lanes), channels_tile(gather, tiling, target, lanes)
    tiles, outs = work.tiles(work.box), gather.out_channels
    one = work.product_cycles(tiles, outs, tile) + work.in_cycles(work.box) + work.out_cycles(tiles, outs)
    one = (one + _TASK_CYCLES) * gather.batch * gather.groups
    if target.vector_registers == 16:
        return one * _NARROW_TIMES
    if not target.l3_is_far:
        return one * (1.0 if max(tiling.sizes) == tiling.points else _WIDE_NEAR_TIMES)
    volume = _VOLUME_TIMES if min(tiling.sizes) > 1 else 1.0
    return volume * (one * _FEW_TIMES if gather.in_channels < lanes else one)


def fetch_cycles(gather: Gather, tiling: Tiling, target: Target, lanes: int) -> float:
    """Cycles to fetch the weights once, which plan/winograd/tiles.py's products hide."""
    weights = _work(gather, tiling, lanes).weights * gather.out_channels * gather.groups
    return weights * _FETCH_CYCLES[1] * (_NARROW_TIMES if target.vector_registers == 16 else 1.0)


def far_cycles(gather: Gather, tiling: Tiling, target: Target, lanes: int) -> float:
    """Cycles for weights that come from afar, image by image: a choice of tiles may not depend on a batch.

    512 channels at 4x4 by F(2x4, 3x3) have 25 MB of them, and took twice as long as by F(2x2); DCGAN's 512 ->
    256 at 4x4 by F(3x3, 2x2) 34 MB, and 1.6 times as long as vectors along channels.
    """
    return target.far_cycles(_weight_bytes(gather, tiling, target, lanes)) * gather.batch


def streamed_cycles(gather: Gather, tiling: Tiling, target: Target, lanes: int) -> float:
    """Cycles for weights that stay in no cache to come from memory, which they do beside the products. Passes
    over what takes three quarters of a cache find all of it there, over what takes all of it nothing.

    Two cores of Zen 4, 32 MB: 512 channels at 7x7 by F(4x4), 38 MB, 560 to 970 us, by F(2x4), 25 MB, 530; of
    3x3x3 at 2x7x7 by F(2x2x2), 67 MB, 2.9 ms, which are its products'.
    """
    size = _weight_bytes(gather, tiling, target, lanes)
    room = _STAYS * target.near_bytes
    missed = min(1.0, max(0.0, (size - room) / (target.near_bytes - room)))
    return _STREAM_CYCLES * missed * size * gather.batch


def _weight_bytes(gather: Gather, tiling: Tiling, target: Target, lanes: int) -> int:
    weights = _work(gather, tiling, lanes).weights * gather.out_channels * gather.groups
    return weights * target.vector_bytes // lanes


def residue_elements(gather: Gather, lanes: int) -> tuple[int, int]:
    """Elements from the values of a residue, and of a tile, to the next's: vectors of channels may end beyond
    the last channel, where the next residue is written later; not where two vectors would meet.
    """
    channels, vectors = gather.in_channels, -(-gather.in_channels // lanes)
    residue = channels if vectors == 1 else vectors * lanes
    return residue, (polyphase(gather).residues - 1) * residue + vectors * lanes


def cut_channels(
    gather: Gather, tiling: Tiling, nv: int, target: Target, lanes: int, size: int, threads: int
) -> ChannelsCut:
    """The cut by which the busiest thread is done first. nv: vectors of output channels of a register tile.
    size: bytes of an element.
    """
    cutter = Cutter(gather, tiling, nv, target, lanes, size, threads)
    return min(cutter.candidates(), key=cutter.cost)


@dataclass(frozen=True)
class Cutter:
    """The ways to cut one plan's work; arguments as of `cut_channels`.

    Without slots, for what all of a hundred cuts share is computed once: 8 ms of a first call.
    """

    gather: Gather
    tiling: Tiling
    nv: int
    target: Target
    lanes: int
    size: int
    threads: int

    @cached_property
    def _points(self) -> int:
        return self.tiling.points

    @cached_property
    def _work(self) -> Work:
        return _work(self.gather, self.tiling, self.lanes)

    @cached_property
    def _room(self) -> int:
        """Elements of values, or of sums."""
        room = min(_VALUE_BYTES, int(_VALUE_SHARE * self.target.l3_share(self.threads)))
        return room // self.size

    @cached_property
    def _block(self) -> tuple[int, ...]:
        """Outputs of a block of tiles along each axis."""
        return tuple(m * spacing for m, spacing in zip(self.tiling.outputs, self._work.spacings))

    @cached_property
    def _counts(self) -> tuple[int, ...]:
        """Blocks along each axis."""
        return tuple(-(-axis.out_size // n) for axis, n in zip(self._work.windows.axes, self._block))

    @cached_property
    def _out_tiles(self) -> int:
        return -(-self.gather.out_channels // (self.nv * self.lanes))

    @cached_property
    def _fetch(self) -> tuple[float, float]:
        """Cycles for each weight of a task that does not fit the second-level cache, and of one that does."""
        gather = self.gather
        whole = self._work.weights * gather.out_channels * gather.groups * self.size
        near, last, far = _FETCH_CYCLES
        return (far, far) if whole > _FAR_BYTES else (last, near)

    def candidates(self) -> Iterator[ChannelsCut]:
        """Cuts whose values and sums stay in the last-level cache."""
        most = self.threads * TASKS_PER_THREAD
        blocks = [n for n in block_counts(self._out_tiles) if n <= most] if self.threads > 1 else [1]
        for images, counts in self._boxes():
            d, h, w = (n * size for n, size in zip(counts, self._block))
            tiles = images * d * h * w // prod(self.tiling.outputs)
            rows = self.rows(tiles)
            boxes = prod(-(-n // k) for n, k in zip(self._counts, counts))
            boxes *= -(-self.gather.batch // images)
            for out_blocks in blocks:
                task_tiles = -(-self._out_tiles // out_blocks)
                real_blocks = -(-self._out_tiles // task_tiles)
                for group in sorted({min(task_tiles, n) for n in (*_GROUPS, task_tiles)}):
                    if group == 1 or self._points * tiles * group * self.nv * self.lanes <= self._room:
                        yield ChannelsCut((images, d, h, w), boxes, rows, task_tiles, real_blocks, group)

    def rows(self, tiles: int) -> int:
        """Winograd tiles of a register tile, for so many of them."""
        return _rows(tiles, self.nv, self.target)

    def _boxes(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """(images, blocks of tiles along each axis) of boxes: images, slices of one, rows, parts of a row."""
        counts = self._counts
        # Of few input channels the sums, of one tile of output channels, are more than the values.
        largest = max(self._work.row, self.nv * self.lanes)
        block = self._points * largest * prod(self._work.spacings)
        most = max(1, self._room // block)
        one = prod(counts)
        for images in range(min(self.gather.batch, _IMAGES, most // one), 0, -1):
            yield images, counts
        for axis in range(3):
            inner = prod(counts[axis + 1 :])
            for pieces in block_counts(counts[axis])[1:]:
                length = -(-counts[axis] // pieces)
                if length * inner <= most:
                    yield 1, ((1,) * axis + (length,) + counts[axis + 1 :])
        if most == 1 or one == 1:
            yield 1, (1, 1, 1)

    def cost(self, cut: ChannelsCut) -> float:
        """When the busiest thread is done, in cycles; it packs and transforms each box that it meets."""
        gather, work, mr, points = self.gather, self._work, self.nv * self.lanes, self._points
        tiles = work.tiles(cut.box)
        outs = min(cut.task_tiles * mr, gather.out_channels)
        weights, values, sums = work.weights * outs, points * tiles * work.row, points * tiles * mr
        filled = (values + sums * cut.out_group) * self.size / self.target.l2_bytes
        again = next(cycles for times, cycles in _AGAIN if filled <= times)
        passes = -(-gather.in_channels // channel_block(gather))
        moved = values * -(-cut.task_tiles // cut.out_group) + sums * cut.task_tiles * (2 * passes - 1) / 4
        task = work.product_cycles(tiles, outs, ChannelsTile(cut.rows, self.nv)) + moved * work.phases * again
        task += weights * self._fetch[weights * self.size < self.target.l2_bytes / 2]
        task += work.out_cycles(tiles, outs) + _TASK_CYCLES
        rounds = -(-cut.boxes * gather.groups * cut.out_blocks // self.threads)
        met = min(rounds, -(-rounds // cut.out_blocks) + (cut.out_blocks > 1))
        # Several short tasks even out what the system takes from a thread.
        return task * (rounds + 0.05) + met * work.in_cycles(cut.box)


def _rows(tiles: int, nv: int, target: Target) -> int:
    """Winograd tiles of a register tile, for so many of them."""
    legal = [rows for rows in range(1, _MOST_ROWS + 1) if why_tile_illegal(target, rows * nv, nv + 1) is None]
    return min(legal, key=lambda rows: (-(-tiles // rows) * step_cycles(rows, nv), -rows))
