"""Chooses tiles and blocks without a clock: from the sizes of the problem and of the processor's caches."""

from __future__ import annotations

from dataclasses import dataclass

from convforge.ir.element import Element
from convforge.problem.gather import Gather
from convforge.schedule import GatherSchedule, GradWeightSchedule, Layout, why_tile_illegal
from convforge.target import Target

# Work in multiply-adds below which a second thread costs more than it brings (a dispatch is 1.5 µs).
SERIAL_MULTIPLY_ADDS = 40_000
# Tasks for each thread: enough that one that is done early takes over, few enough not to pack twice.
TASKS_PER_THREAD = 4
# A packed band takes this many times the second-level cache, if packing its halos again and again makes no
# more than so many rows of one: U-Net's 64 channels at 256x256 ran 8 % faster in 2.5 MB than in 6.
_BAND_LIMITS = ((0.6, 1.25), (2.5, 1.5))
# Where halos are larger still, bands may take this much.
BAND_LIMIT_BYTES = 8 << 20
# Steps of k between additions to the accumulators: a chain this long has fp32's usual error, and a tile's
# weights for it (64 channels of a vector tile: 128 KB) stay in the second-level cache.
_CHAIN = 512
# Fixed costs of a tile in cycles: entering the loop, starting and finishing each accumulator.
_TILE_CYCLES, _ACCUMULATOR_CYCLES = 12.0, 1.5
# Cycles for a row to be packed, or to leave a tile by way of scratch.
ROW_CYCLES = 15.0


def gather_schedule(
    layout: Layout, element: Element, target: Target, threads: int, *, in_place: bool
) -> GatherSchedule:
    """The schedule of an output product. `in_place`: the input may be read where it lies."""
    gather = layout.gather
    lanes = target.vector_bytes // element.compute_bytes
    steps = gather.in_channels * max((len(taps) for taps in gather.taps_by_phase), default=1)
    tile = gather_tile(target, lanes, gather.out_channels, layout.flat, steps)
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
            out_blocks = missing
        else:
            bands = min(tiles, bands * missing)
            missing = -(-wanted // (gather.batch * bands * group_blocks))
            out_blocks = min(out_tiles, missing)
    return Split(bands, out_blocks, group_blocks)


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
    return GatherSchedule(
        mr=mr,
        nv=nv,
        lanes=lanes,
        channel_block=channel_block,
        band_tiles=band_tiles,
        tile_group=_tile_group(weight_bytes, tile_bytes, target, band_tiles),
        channel_tiles=channel_tiles,
        group_block=-(-gather.groups // min(gather.groups, split.group_blocks)),
        packed=packed,
    )


def gather_tile(target: Target, lanes: int, out_channels: int, flat: int, steps: int) -> tuple[int, int]:
    """(mr, nv) of the tile that needs the fewest cycles for all outputs, lanes and channels wasted included.

    A step of k costs the largest of: multiply-adds at two a cycle; loads at two a cycle, a vector that
    crosses cache lines counted twice; instructions at five a cycle.
    """
    return min(
        _legal_tiles(target, out_channels),
        key=lambda tile: _tile_cycles(*tile, lanes, out_channels, flat, steps),
    )


def gather_tiles(
    layout: Layout, element: Element, target: Target, count: int, slack: float
) -> list[tuple[int, int]]:
    """The `count` best tiles, best first, of those that need at most `slack` times the fewest cycles."""
    gather = layout.gather
    lanes = target.vector_bytes // element.compute_bytes
    steps = gather.in_channels * max((len(taps) for taps in gather.taps_by_phase), default=1)

    def cycles(tile: tuple[int, int]) -> float:
        return _tile_cycles(*tile, lanes, gather.out_channels, layout.flat, steps)

    ranked = sorted(_legal_tiles(target, gather.out_channels), key=cycles)
    return [tile for tile in ranked[:count] if cycles(tile) <= slack * cycles(ranked[0])]


def _legal_tiles(target: Target, out_channels: int) -> list[tuple[int, int]]:
    return [
        (mr, nv)
        for nv in range(1, 13)
        for mr in range(1, min(out_channels, 16) + 1)
        if why_tile_illegal(target, mr * nv, nv + 1) is None
    ]


def direct_cycles(layout: Layout, element: Element, target: Target) -> float:
    """Cycles of one core for an output product by the best tile, and for its rows on the way in and out."""
    gather = layout.gather
    lanes = target.vector_bytes // element.compute_bytes
    total = 0.0
    for taps in gather.taps_by_phase:
        steps = gather.in_channels * len(taps)
        mr, nv = gather_tile(target, lanes, gather.out_channels, layout.flat, steps)
        total += _tile_cycles(mr, nv, lanes, gather.out_channels, layout.flat, steps)
    rows_in = layout.total_rows * layout.row_residues * gather.in_channels
    rows_out = layout.out_rows * gather.out_channels
    return (total + ROW_CYCLES * (rows_in + rows_out)) * gather.batch * gather.groups


def _tile_cycles(mr: int, nv: int, lanes: int, out_channels: int, flat: int, steps: int) -> float:
    fma, loads, issued = mr * nv / 2, (2 * nv + mr) / 2, (mr * nv + nv + mr + 4) / 5
    tile = steps * max(fma, loads, issued, 4.0) + _TILE_CYCLES + _ACCUMULATOR_CYCLES * mr * nv
    return -(-flat // (nv * lanes)) * -(-out_channels // mr) * tile


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


def chain_block(gather: Gather) -> int:
    """Input channels of one chain of multiply-adds: as even blocks as need the fewest chains.

    The order of an output's sum, and so its bits, follow from it: it may not depend on threads, batch,
    memory layout or tile. Blocks that held a tile's input in the first-level cache (25 to 90 steps for 1x1)
    spent up to 15 % on taking up and putting down the sums.
    """
    taps = max((len(t) for t in gather.taps_by_phase), default=1)
    blocks = max(1, -(-gather.in_channels * taps // _CHAIN))
    return max(1, -(-gather.in_channels // blocks))


def _tile_group(weight_bytes: int, tile_bytes: int, target: Target, band_tiles: int) -> int:
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
        band = band_of(layout, -(-tiles // bands) * length, lanes, length)
        planes = layout.gather.in_channels * layout.planes
        return planes * band.plane * element.compute_bytes, band.rows * bands

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
