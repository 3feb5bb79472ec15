"""Chooses tiles and blocks without a clock: from the sizes of the problem and of the processor's caches."""

from __future__ import annotations

from math import prod

from convforge.ir.element import Element
from convforge.plan.cut import Split, gather_split, tile_group
from convforge.plan.tiles import ROW_CYCLES, TileCost, chain_block, gather_tile, tiled_length
from convforge.problem.gather import Gather
from convforge.schedule import (
    Along,
    GatherSchedule,
    GradWeightSchedule,
    Layout,
    RunTiles,
    Tile,
    why_tile_illegal,
)
from convforge.target import Target

# Steps of k below which tiles leave so fast that writing them is what takes time: then so many neighbours
# leave one after the other, and each channel's plane is written 1 KB at a time and not 128 bytes. VGG's first
# layer ran 12 % faster, 1x1 16 -> 96 at 112x112 7 %; from 160 steps on it made no difference.
_SHORT_STEPS, _SHORT_RUN_BYTES = 150, 1024
# What tiles that leave one after the other take less than others, 16 registers: VGG's first layer was
# predicted 20 % slower than it is, and came by Winograd's algorithm at `high`, 1.2 times as long.
_SHORT_SAVED_CYCLES = 50.0
# Cycles for a row to be fetched where it lies; for a byte of one that is packed and comes through a mesh: 24
# -> 1 channels at 224x224, 4.8 MB, took 1.6 times what its sums and rows do, 128 -> 3 at 96x96 1.3 times, and
# both were left to the direct kernel.
_ROW_IN_PLACE_CYCLES, _FAR_IN_CYCLES = 3.0, 0.09
# For a vector of a map that is packed as it is, in one run: 192 channels of 14x14, of half types, 3.5 us.
_RUN_CYCLES = 3.0
# Cycles for a row whose columns go to two planes by turns, and for each vector of them, 16 registers: 14
# columns took 24 cycles of a core, 113 took 260. Strides above 2 are taken for as dear, and were not
# measured.
_PAIR_ROW_CYCLES, _PAIR_VECTOR_CYCLES = 2.0, 6.0
# The same with masks, for a row of each plane, and for each vector of it: of every second column 14, 25 and
# 35 cycles for 1, 2 and 4 vectors, of every fourth 19 and 32 for 1 and 2, of every seventh or eighth 34 for
# one, 20 each of many; one by one 20 of 7 columns and 35 of 14 (one core of Zen 4).
_STEP_ROW_CYCLES, _STEP_CYCLES, _ONE_BY_ONE_CYCLES = 8.0, (4.0, 2.3), 30.0


def gather_schedule(
    layout: Layout, element: Element, target: Target, threads: int, *, in_place: bool, along: Along
) -> GatherSchedule:
    """The schedule of an output product.

    in_place: the input may be read where it lies. along: how tiles may lie.
    """
    gather = layout.gather
    lanes = target.vector_bytes // element.compute_bytes
    tile = gather_tile(layout, element, target, along=along)
    packed = not in_place or layout.flat < tile.nv * lanes
    split = gather_split(layout, element, target, threads, tile, packed=packed)
    return assemble(layout, element, target, tile, split, chain_block(gather), packed=packed)


def assemble(
    layout: Layout,
    element: Element,
    target: Target,
    tile: Tile,
    split: Split,
    channel_block: int,
    *,
    packed: bool,
) -> GatherSchedule:
    """The schedule of these choices. The group of tiles that share their weights follows from them."""
    gather = layout.gather
    lanes = target.vector_bytes // element.compute_bytes
    steps = gather.in_channels * max((len(taps) for taps in gather.taps_by_phase), default=1)
    mr, nv = tile.mr, tile.nv
    tiles, out_tiles = RunTiles(layout, nv * lanes, tile.along_rows).count, -(-gather.out_channels // mr)
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
        along_rows=tile.along_rows,
    )


def direct_cycles(
    layout: Layout,
    element: Element,
    target: Target,
    *,
    in_place: bool,
    flat_output: bool,
    along: Along,
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
        tile = gather_tile(layout, element, target, len(taps), along=along)
        cost = TileCost.of(layout, element, target, len(taps), along=along)
        short = target.vector_registers <= 16 and cost.steps <= _SHORT_STEPS
        total += (cost.cycles(tile) - short * _SHORT_SAVED_CYCLES * cost.tiles(tile)) * share
    # Those that may leave row by row are costed with their tiles.
    rows_out = 0 if flat_output or along != "run" else layout.out_rows * gather.out_channels
    rows = rows_in_cycles(layout, element, target, in_place=in_place) + ROW_CYCLES * rows_out
    return ((total + rows) * gather.groups + mesh_cycles(gather, element, target)) * gather.batch


def mesh_cycles(gather: Gather, element: Element, target: Target) -> float:
    """Cycles for an image's weights to come through a mesh, as far as they do not stay near: all families
    fetch them once, and 2048 -> 512 channels at 7x7 were left to the direct kernel, 450 us for 360.
    """
    if not target.l3_is_far:
        return 0.0
    weights = gather.groups * gather.in_channels * gather.out_channels * gather.kernel_taps
    return target.far_cycles(weights * element.compute_bytes)


def rows_in_cycles(layout: Layout, element: Element, target: Target, *, in_place: bool) -> float:
    """Cycles for the rows of a group's input to be packed, or to be fetched where they lie."""
    gather = layout.gather
    rows = layout.total_rows * layout.row_residues * gather.in_channels
    if in_place:
        return _ROW_IN_PLACE_CYCLES * rows
    size = gather.in_channels * prod(axis.in_size for axis in gather.axes) * element.compute_bytes
    far = _FAR_IN_CYCLES * size if target.l3_is_far and 2 * size > target.near_bytes else 0.0
    if layout.is_the_input:
        return gather.in_channels * ROW_CYCLES + _RUN_CYCLES * size / target.vector_bytes + far
    width = gather.axes[2]
    if width.in_step == 1:
        return ROW_CYCLES * rows + far
    vectors = -(-layout.row_length * element.compute_bytes // target.vector_bytes)
    if target.vector_registers <= 16:
        return rows * (_PAIR_ROW_CYCLES + _PAIR_VECTOR_CYCLES * vectors)
    vector = min(_STEP_CYCLES[0] + _STEP_CYCLES[1] * width.in_step, _ONE_BY_ONE_CYCLES)
    return rows * len(width.residues) * (_STEP_ROW_CYCLES + vector * vectors) + far


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
