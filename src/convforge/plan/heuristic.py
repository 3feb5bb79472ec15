"""Chooses tiles and blocks without a clock: from the sizes of the problem and of the processor's caches."""

from __future__ import annotations

from dataclasses import dataclass

from convforge.ir.element import Element
from convforge.plan.tiles import TileCost, chain_block, gather_tile, tiled_length
from convforge.schedule import GatherSchedule, GradWeightSchedule, Layout, why_tile_illegal
from convforge.target import Target

# Work in multiply-adds below which a second thread costs more than it brings (a dispatch is 1.5 µs).
SERIAL_MULTIPLY_ADDS = 40_000
# Tasks for each thread: enough that one that is done early takes over, few enough not to pack twice.
TASKS_PER_THREAD = 4
# Pieces of work are cut so that no thread works longer than so many times its share, if they can be.
_EVEN = 1.04
# A packed band takes this many times the second-level cache, if packing its halos again and again makes no
# more than so many rows of one: U-Net's 64 channels at 256x256 ran 8 % faster in 2.5 MB than in 6.
_BAND_LIMITS = ((0.6, 1.25), (2.5, 1.5))
# Where halos are larger still, bands may take this much.
BAND_LIMIT_BYTES = 8 << 20
# Steps of k below which tiles leave so fast that writing them is what takes time: then so many neighbours
# leave one after the other, and each channel's plane is written 1 KB at a time and not 128 bytes. VGG's first
# layer ran 12 % faster, 1x1 16 -> 96 at 112x112 7 %; from 160 steps on it made no difference.
_SHORT_STEPS, _SHORT_RUN_BYTES = 150, 1024
# Cycles for a row to be packed, or to leave a tile by way of scratch.
ROW_CYCLES = 15.0
# For one to be fetched where it lies.
ROW_IN_PLACE_CYCLES = 3.0


def gather_schedule(
    layout: Layout, element: Element, target: Target, threads: int, *, in_place: bool
) -> GatherSchedule:
    """The schedule of an output product. `in_place`: the input may be read where it lies."""
    gather = layout.gather
    lanes = target.vector_bytes // element.compute_bytes
    tile = gather_tile(layout, element, target)
    packed = not in_place or layout.flat < tile[1] * lanes
    split = gather_split(layout, element, target, threads, tile, packed=packed)
    return assemble(layout, element, target, tile, split, chain_block(gather), packed=packed)


@dataclass(frozen=True, slots=True)
class Split:
    """Into how many pieces each image is cut: bands of tiles, blocks of output channels, blocks of groups."""

    bands: int
    out_blocks: int
    group_blocks: int


def gather_split(
    layout: Layout, element: Element, target: Target, threads: int, tile: tuple[int, int], *, packed: bool
) -> Split:
    """The pieces that caches and threads want."""
    gather = layout.gather
    lanes = target.vector_bytes // element.compute_bytes
    steps = gather.in_channels * max((len(taps) for taps in gather.taps_by_phase), default=1)
    mr, length = tile[0], tile[1] * lanes
    tiles, out_tiles = -(-layout.flat // length), -(-gather.out_channels // mr)
    bands = _bands(layout, element, target, length, tiles) if packed else 1
    wanted = threads * TASKS_PER_THREAD if threads > 1 and gather.multiply_adds > SERIAL_MULTIPLY_ADDS else 1
    group_blocks = min(gather.groups, max(1, -(-wanted // (gather.batch * bands))))
    out_blocks = 1
    missing = -(-wanted // (gather.batch * bands * group_blocks))
    if missing > 1:
        # Packing again for another block of channels costs about 8 / (channels * taps) of the work; a band
        # of its own costs halo rows. Many channels: split channels. Few: split bands.
        if out_tiles >= 2 * missing and mr * (out_tiles // missing) * steps >= 2048:
            out_blocks = even_pieces(out_tiles, missing, threads, gather.batch * bands * group_blocks)
        else:
            bands = even_pieces(tiles, bands * missing, threads, gather.batch * group_blocks)
            missing = -(-wanted // (gather.batch * bands * group_blocks))
            out_blocks = min(out_tiles, missing)
    return Split(bands, out_blocks, group_blocks)


def even_pieces(items: int, wanted: int, threads: int, times: int) -> int:
    """Into how many pieces to cut `items`, at least `wanted` where possible, so that threads end together.

    All pieces but the last are equal, and all are done `times` over. 43 items in 8 pieces are seven of 6 and
    one of 1: of two threads one does 24, the other 19, and is idle for a tenth of the time.
    """

    def longest(pieces: int) -> int:
        size = -(-items // pieces)
        whole, rest = divmod(items, size)
        rounds, left = divmod(whole * times, threads)
        return rounds * size + (size if left else rest * -(-times // threads))

    counts = range(min(items, wanted), min(items, 2 * wanted) + 1)
    ideal = items * times / threads
    for pieces in counts:
        # Every piece has costs of its own: the fewest that are nearly even.
        if longest(pieces) <= _EVEN * ideal:
            return pieces
    return min(counts, key=longest)


def assemble(
    layout: Layout,
    element: Element,
    target: Target,
    tile: tuple[int, int],
    split: Split,
    channel_block: int,
    *,
    packed: bool,
) -> GatherSchedule:
    """The schedule of these choices. The group of tiles that share their weights follows from them."""
    gather = layout.gather
    lanes = target.vector_bytes // element.compute_bytes
    steps = gather.in_channels * max((len(taps) for taps in gather.taps_by_phase), default=1)
    mr, nv = tile
    tiles, out_tiles = -(-layout.flat // (nv * lanes)), -(-gather.out_channels // mr)
    band_tiles = -(-tiles // min(tiles, split.bands))
    channel_tiles = -(-out_tiles // min(out_tiles, split.out_blocks))
    weight_bytes = channel_tiles * mr * steps * element.compute_bytes
    tile_bytes = channel_tiles * mr * nv * lanes * element.compute_bytes
    group = tile_group(weight_bytes, tile_bytes, target, band_tiles)
    if steps <= _SHORT_STEPS and channel_block == gather.in_channels:
        run = -(-_SHORT_RUN_BYTES // (nv * lanes * element.compute_bytes))
        group = max(group, min(run, band_tiles))
    return GatherSchedule(
        mr=mr,
        nv=nv,
        lanes=lanes,
        channel_block=channel_block,
        band_tiles=band_tiles,
        tile_group=group,
        channel_tiles=channel_tiles,
        group_block=-(-gather.groups // min(gather.groups, split.group_blocks)),
        packed=packed,
    )


def direct_cycles(
    layout: Layout, element: Element, target: Target, *, in_place: bool, flat_output: bool
) -> float:
    """Cycles of one core for an output product by the best tile, and for its rows on the way in and out.

    Rows that leave side by side from registers cost nothing of their own. With them, and with rows in place
    as dear as packed ones, 1x1 layers on 14x14 maps were predicted 12 % slower than by channels, and ran 7 to
    23 % faster.
    """
    gather = layout.gather
    total = 0.0
    # Tiles are chosen for a length that many signals share; what they cost is that of this one.
    share = layout.flat / tiled_length(layout)
    for taps in gather.taps_by_phase:
        tile = gather_tile(layout, element, target, len(taps))
        total += TileCost.of(layout, element, target, len(taps)).cycles(tile) * share
    rows_in = layout.total_rows * layout.row_residues * gather.in_channels
    rows_out = 0 if flat_output else layout.out_rows * gather.out_channels
    rows = (ROW_IN_PLACE_CYCLES if in_place else ROW_CYCLES) * rows_in + ROW_CYCLES * rows_out
    return (total + rows) * gather.batch * gather.groups


@dataclass(frozen=True, slots=True)
class Band:
    """What is packed for a stretch of the flat run: rows of each plane, columns of each row, and the
    elements from one plane to the next.
    """

    rows: int
    row_length: int
    plane: int


def band_of(layout: Layout, length: int, lanes: int, overrun: int) -> Band:
    """The band of any `length` outputs of the flat run, of which tiles read up to `overrun` more.

    The last row may be written, and the last tile read, beyond the rows. Planes an exact power of two
    apart would fall on the same lines of the cache: hence the extra line.
    """
    reach = layout.gather.axes[2].reach
    if layout.is_one_row:
        rows, row_length = 1, min(length + reach, layout.row_length)
        size = row_length
    else:
        rows = min((length + layout.pitch - 2) // layout.pitch + 1 + layout.reach_rows, layout.total_rows)
        row_length = layout.row_length
        size = rows * layout.pitch + row_length
    size += reach + overrun + lanes
    lines = -(-size // lanes)
    return Band(rows, row_length, (lines + (1 if lines % 64 in (0, 63) else 0)) * lanes)


def tile_group(weight_bytes: int, tile_bytes: int, target: Target, band_tiles: int) -> int:
    """Tiles that share a fetch of the weights: several where weights do not stay in the second-level cache.

    Their accumulators take at most a quarter of that cache.
    """
    if weight_bytes <= target.l2_bytes // 2:
        return 1
    groups = -(-band_tiles // max(1, min(8, target.l2_bytes // 4 // tile_bytes)))
    return -(-band_tiles // groups)


def _bands(layout: Layout, element: Element, target: Target, length: int, tiles: int) -> int:
    """The fewest bands whose packed input fits the cache, or the memory that halos leave.

    None is shorter than its halo, whatever memory that takes: so packing makes two rows of one at most. A
    kernel that reaches over half the input (dilation 300 of 1000) was packed anew for every tile, 500 times
    slower.
    """
    lanes = target.vector_bytes // element.compute_bytes

    def packed_bytes(bands: int) -> tuple[int, int]:
        """Of one band; and how many rows are packed for all bands together."""
        flats = -(-tiles // bands) * length
        planes = layout.gather.in_channels * layout.planes
        starts = range(0, layout.flat, flats)
        rows = sum((min(at + flats, layout.flat) - 1) // layout.pitch - at // layout.pitch for at in starts)
        band = band_of(layout, flats, lanes, length)
        return planes * band.plane * element.compute_bytes, rows + len(starts) * (1 + layout.reach_rows)

    def fewest(limit: int) -> int:
        low, high = 1, max(1, min(tiles, layout.flat // max(layout.reach, 1)))
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if packed_bytes(middle)[0] <= limit else (middle + 1, high)
        return low

    for share, most in _BAND_LIMITS:
        bands = fewest(int(share * target.l2_bytes))
        if layout.is_one_row or packed_bytes(bands)[1] <= most * layout.total_rows:
            return bands
    return fewest(BAND_LIMIT_BYTES)


def grad_weight_schedule(layout: Layout, element: Element, target: Target) -> GradWeightSchedule:
    """The schedule of grad-weight. The order of its sums follows from it, so it knows no threads."""
    gather = layout.gather
    lanes = target.vector_bytes // element.compute_bytes
    taps = max(len(gather.taps_by_phase[0]), 1)
    best, best_cost = (1, 1), float("inf")
    for mr in range(1, min(gather.out_channels, 8) + 1):
        for nk in range(1, min(gather.in_channels * taps, 12) + 1):
            if why_tile_illegal(target, mr * nk, mr + 2):
                continue
            step = max(mr * nk / 2, (mr + 2 * nk + 1) / 2, (mr * nk + 2 * nk + mr + 4) / 5)
            cost = (
                -(-gather.out_channels // mr) * -(-gather.in_channels * taps // nk) * (step + mr * nk * 0.1)
            )
            if cost < best_cost:
                best, best_cost = (mr, nk), cost
    mr, nk = best
    # Eight blocks of input channels keep any sensible number of threads busy; the packed band of a block
    # and of grad-output share the second-level cache.
    channel_block = max(1, -(-gather.in_channels // 8), min(gather.in_channels, -(-2 * nk // taps)))
    output_block = min(gather.out_channels, 128)
    budget = int(0.6 * target.l2_bytes) // element.compute_bytes
    per_output = channel_block * layout.planes + output_block
    if layout.is_one_row:
        length = max(16 * lanes, budget // per_output // lanes * lanes)
    else:
        rows = budget // (layout.pitch * per_output) - layout.reach_rows
        length = max(1, rows, min(4 * layout.reach_rows, layout.out_rows)) * layout.pitch
    return GradWeightSchedule(mr, nk, lanes, channel_block, output_block, min(length, layout.flat))
