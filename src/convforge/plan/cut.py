"""Cuts a gather's work into tasks, without a clock: bands of the map, blocks of output channels, of groups.

A task packs its band (once a thread), or copies the tiles that it reads in place, and fetches its weights. So
blocks of channels pack or copy the same input again and again, and bands fetch the same weights again and
again; few tasks leave threads idle at the end, many cost their own beginnings. `Cut.cycles` is the sum of it.

Fitted on a Zen 1 to 31 layers cut in 10 to 40 ways each, on one thread and on two: the cut chosen takes 1.2 %
longer than the best. By rules (four tasks a thread; many channels are cut by channels) it was 4.6 % on two
threads, and 28 % where 512 channels of 28x28 were copied eight times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from convforge.ir.element import Element
from convforge.plan.bands import BAND_LIMIT_BYTES, band_of, fewest_bands
from convforge.plan.tiles import ROW_CYCLES, step_overhead, tile_overhead
from convforge.problem.gather import Gather
from convforge.schedule import Layout, RunTiles, Tile
from convforge.target import Target

# Work in multiply-adds below which a second thread costs more than it brings (a dispatch is 1.5 µs).
SERIAL_MULTIPLY_ADDS = 40_000
# Tasks for each thread: enough that one that is done early takes over, few enough not to pack twice.
TASKS_PER_THREAD = 4
# Cycles for a vector of a row to be packed.
_VECTOR_CYCLES = 1.0
# Fewest input channels of which tiles are copied; cycles to copy a vector.
_COPIED_CHANNELS, _COPY_CYCLES = 48, 4.0
# Bytes in a cycle of weights that do not stay in the second-level cache, and of a band's input that takes
# more than a share of it.
WEIGHT_BYTES, _INPUT_BYTES, _INPUT_SHARE = 40.0, 8.0, 0.6
# The beginning of a task, in cycles; what it is late by when the others are done, as a share of it.
TASK_CYCLES, _LATE = 2000.0, 0.02
# Beyond so many bands only numbers that grow by this are looked at, and no more tasks, for each that threads
# want, if blocks of channels make them: looking takes 1 ms.
_ALL_BANDS, _RATIO, _MOST_TASKS = 16, 1.2, 4


@dataclass(frozen=True, slots=True)
class Split:
    """Into how many pieces each image is cut: bands of tiles, blocks of output channels, blocks of groups."""

    bands: int
    out_blocks: int
    group_blocks: int


def gather_split(
    layout: Layout,
    element: Element,
    target: Target,
    threads: int,
    tile: Tile,
    *,
    packed: bool,
    step_cycles: float | None = None,
    vector_cycles: float = _VECTOR_CYCLES,
    packed_bytes: float | None = None,
) -> Split:
    """The pieces that take the shortest time. step_cycles: of a step of k, where it is not made of vectors'
    multiply-adds. vector_cycles: of packing a vector. packed_bytes: of a packed element, where not the
    compute type's.
    """
    gather = layout.gather
    lanes = target.vector_bytes // element.compute_bytes
    run = RunTiles(layout, tile.nv * lanes, tile.along_rows)
    tiles, out_tiles = run.count, -(-gather.out_channels // tile.mr)
    limit = int(BAND_LIMIT_BYTES * element.compute_bytes / (packed_bytes or element.compute_bytes))
    least = fewest_bands(run, element, target, limit) if packed else 1
    wanted = threads * TASKS_PER_THREAD if threads > 1 and gather.multiply_adds > SERIAL_MULTIPLY_ADDS else 1
    group_blocks = min(gather.groups, max(1, -(-wanted // (gather.batch * least))))
    wanted = -(-wanted // (gather.batch * group_blocks))
    if step_cycles is None:
        step_cycles = max(tile.mr * tile.nv / 2, 4.0) + step_overhead(target)
    cut = Cut(
        run, element, target, threads if wanted > 1 else 1, tile,
        packed=packed, group_blocks=group_blocks, step_cycles=step_cycles, vector_cycles=vector_cycles,
        packed_bytes=packed_bytes,
    )  # fmt: skip
    blocks = min(wanted, out_tiles)
    if not packed and is_copied(gather, target, out_tiles):
        blocks = min(wanted, out_tiles // _copied_tiles(gather, target))
    pairs = (
        (bands, 1 << i)
        for bands in counts(tiles, least, tiles if packed else 2 * wanted)
        for i in range(blocks.bit_length())
        if i == 0 or bands << i <= _MOST_TASKS * wanted
    )
    bands, out_blocks = min(pairs, key=lambda pair: cut.cycles(*pair))
    return Split(bands, out_blocks, group_blocks)


def counts(tiles: int, least: int, most: int) -> Iterator[int]:
    """Numbers of pieces worth looking at, from `least` on."""
    bands = least
    while bands <= max(least, min(most, tiles)):
        yield bands
        bands = max(bands + 1, int(bands * _RATIO) if bands > _ALL_BANDS else 0)


def is_copied(gather: Gather, target: Target, channel_tiles: int) -> bool:
    """Whether tiles of an input that is read in place are copied side by side first, one time for all of a
    task's tiles of output channels. Their lines lie in as many pages as there are channels, which no
    prefetcher follows.

    AVX2 (Zen 1): 64 -> 256 at 56x56 27 -> 33 GFLOP/s a core, 1024 -> 256 at 14x14 29 -> 34; 16 and 32
    channels 1 to 2 % slower. Two tiles: as long as without, but where channels fall on the same sets of the
    cache, 512 -> 12 at 64x64 3.9 -> 2.5 ms. Vectors of 512 bits where the last level is far (Granite Rapids,
    two cores): 256 -> 64 at 56x56 477 -> 396 us, 512 -> 128 at 28x28 487 -> 343, 96 -> 16 at 112x112 of batch
    16 10.7 -> 5.7 ms; 96 -> 24 at 56x56, which is near, 49 -> 62.
    """
    pays = not is_fetched(target)
    return pays and gather.in_channels >= _COPIED_CHANNELS and channel_tiles >= _copied_tiles(gather, target)


def is_fetched(target: Target) -> bool:
    """Whether such lines are fetched a tile ahead beside the products instead.

    Vectors of 512 bits whose last level is near reach 90 % of the peak in place, and what comes from memory
    comes in time: 256 -> 64 at 56x56 of batch 16 10.6 -> 7.6 ms (copied 9.6), 96 -> 16 at 112x112 8.3 -> 5.8
    (6.0), 128 -> 512 at 28x28 8.3 -> 7.9; what lies in a cache takes as long as before (Zen 4, two cores).
    """
    return target.vector_bytes == 64 and not target.l3_is_far


def _copied_tiles(gather: Gather, target: Target) -> int:
    """Fewest tiles of output channels for whose sake a tile of the input is copied: fewer where it comes from
    afar.
    """
    inputs = gather.batch * gather.groups * gather.in_channels * prod(axis.in_size for axis in gather.axes)
    return 2 if target.vector_bytes < 64 or 4 * inputs > target.near_bytes else 4


def tile_group(weight_bytes: int, tile_bytes: int, target: Target, band_tiles: int) -> int:
    """Tiles that share a fetch of the weights: several where weights do not stay in the second-level cache.

    Their accumulators take at most a quarter of that cache.
    """
    if weight_bytes <= target.l2_bytes // 2:
        return 1
    groups = -(-band_tiles // max(1, min(8, target.l2_bytes // 4 // tile_bytes)))
    return -(-band_tiles // groups)


class Cut:
    """What the work costs that is cut into bands and blocks of output channels."""

    def __init__(
        self,
        run: RunTiles,
        element: Element,
        target: Target,
        threads: int,
        tile: Tile,
        *,
        packed: bool,
        group_blocks: int,
        step_cycles: float,
        vector_cycles: float,
        packed_bytes: float | None,
    ) -> None:
        layout, gather = run.layout, run.layout.gather
        mr, nv = tile.mr, tile.nv
        self._run = run
        self._layout, self._target, self._threads, self._packed = layout, target, threads, packed
        self._lanes = target.vector_bytes // element.compute_bytes
        self._size, self._mr, self._length = element.compute_bytes, mr, run.length
        # Larger ones are fetched behind more products.
        self._packed_size = min(self._size, packed_bytes or self._size)
        self._tiles, self._out_tiles = run.count, -(-gather.out_channels // mr)
        self._times = gather.batch * group_blocks
        self._groups = -(-gather.groups // group_blocks)
        phases = gather.taps_by_phase
        self._most_steps = gather.in_channels * max((len(taps) for taps in phases), default=1)
        self._steps = gather.in_channels * sum(len(taps) for taps in phases)
        self._vector_cycles = vector_cycles
        self._sums = self._steps * step_cycles + len(phases) * tile_overhead(tile)
        self._copies = gather.in_channels * nv * _COPY_CYCLES
        rows = {layout.distance(tap, 1 << 40) // layout.pitch for taps in phases for tap in taps}
        line = 64 // self._size
        self._input_bytes = gather.in_channels * max(len(rows), 1) * (self._length + line) * self._size

    def cycles(self, bands: int, out_blocks: int) -> float:
        """Of the thread that is done last."""
        band, block = -(-self._tiles // bands), -(-self._out_tiles // out_blocks)
        gather, threads = self._layout.gather, self._threads
        tile = block * self._sums
        if not self._packed and is_copied(gather, self._target, block):
            tile += self._copies
        task = band * tile + self._weights(band, block)
        packing = 0.0
        if self._packed:
            vectors = self._packed_vectors(band)
            # A signal's channels are long rows, which are fetched ahead of their use.
            large = vectors[1] * self._lanes * self._packed_size > _INPUT_SHARE * self._target.l2_bytes
            if large and not self._layout.is_one_row:
                task += band * self._input_bytes / _INPUT_BYTES
            # Threads that share a band each pack it.
            bands_packed = -(-bands * self._times * min(threads, out_blocks) // threads)
            packing = (vectors[0] * ROW_CYCLES + vectors[1] * self._vector_cycles) * bands_packed
        # The last pieces are smaller: about this many rounds of whole ones.
        whole = (self._tiles / band) * (self._out_tiles / block) * self._times
        rounds = max(-(-round(whole, 3) // threads), whole / threads) + _LATE
        return self._groups * (rounds * task + packing) + rounds * TASK_CYCLES

    def _weights(self, band: int, block: int) -> float:
        """Cycles to fetch a task's weights: none where all of them stay in the cache, else once if its own
        do, and once for each group of tiles if not.
        """
        row, half = self._mr * self._steps * self._size, self._target.l2_bytes // 2
        if self._out_tiles * row <= half:
            return 0.0
        times = 1
        if block * row > half:
            largest = block * self._mr * self._most_steps * self._size
            sums = block * self._mr * self._length * self._size
            times = -(-band // tile_group(largest, sums, self._target, band))
        return times * block * row / WEIGHT_BYTES

    def _packed_vectors(self, band: int) -> tuple[int, float]:
        """(rows, vectors) that are packed for a band."""
        layout = self._layout
        planes = layout.gather.in_channels * layout.planes
        packed = band_of(layout, self._run.reach(band), self._lanes, self._length)
        row = packed.row_length if layout.is_one_row else layout.pitch
        return planes * packed.rows, planes * packed.rows * row / self._lanes
