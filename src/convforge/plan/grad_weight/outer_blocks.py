"""Blocks the grad-weight that runs along channels (kernels/grad_weight/outer.py), without a clock.

Nothing here knows threads or strides: the order of the sums follows from the layer alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

from convforge.ir.element import Element
from convforge.plan.boxes import block_counts, box_of_outputs
from convforge.plan.grad_weight.boxes import deal
from convforge.plan.grad_weight.tap_runs import tap_runs
from convforge.schedule import GradWeightOuterSchedule, Layout, why_tile_illegal
from convforge.target import Target

# Shares of the second-level cache for a task's sums and for what a step packs.
_SUMS_SHARE, _PANEL_SHARE = 0.4, 0.4
# Cycles to write one element into a panel: a quarter of a shuffle, and loads and stores.
_PACK_CYCLES = 0.4
# And to make it a word's half, of two images.
_WORD_CYCLES = 0.4
# Cycles of a tile besides its multiply-adds: entering it, and each accumulator added to its sum.
_TILE_CYCLES, _ACCUMULATOR_CYCLES, _ROW_CYCLES = 40.0, 2.0, 8.0
# Outputs of a step: long enough to repay entering a tile, short enough that a chain of roundings is short.
_LENGTHS = (1024, 768, 512, 384, 256, 192, 128, 64, 32, 16)
# Cycles for each operand of a tile that its multiply-adds do not hide.
_LOAD_CYCLES = 0.15
# Taps of a run: beyond, sums of few channels fill the registers anyway.
_RUN_LIMIT = 13


@dataclass(frozen=True, slots=True)
class Tile:
    """A register tile: channels x taps broadcasts, nv vectors, and its cycles for each output of a layer."""

    channels: int
    taps: int
    ways: int
    nv: int
    count: int
    cycles: float


def outer_schedule(
    layout: Layout, positions: int, element: Element, target: Target, together: int = 1
) -> GradWeightOuterSchedule:
    """The blocking with the fewest expected cycles, for a kernel of `positions` positions.

    together: images that are summed at once, those of a layout's batch each.
    """
    schedule = _best(layout, positions, element, target, together)[1]
    images, *sizes = schedule.box
    return replace(schedule, box=(images * together, *sizes))


def outer_cycles(
    layout: Layout, positions: int, element: Element, target: Target, together: int = 1
) -> float:
    """Cycles of one core for the whole layer. together: as of `outer_schedule`."""
    gather = layout.gather
    outputs = gather.batch * gather.groups * prod(axis.columns for axis in gather.axes)
    return _best(layout, positions, element, target, together)[0] * outputs


def scratch_elements(
    layout: Layout, positions: int, schedule: GradWeightOuterSchedule
) -> tuple[int, int, int]:
    """Elements of the x panels, the grad-output panels and the sums of a task, overruns included."""
    lanes, mr = schedule.lanes, schedule.nv * schedule.lanes
    tiles, out_tiles = -(-schedule.channel_block // schedule.tile_channels), -(-schedule.output_block // mr)
    x = tiles * layout.planes * plane_elements(layout, schedule)
    g = out_tiles * gradient_panel_elements(schedule)
    return x, g, out_tiles * sums_elements(positions, schedule) + lanes * mr


def plane_elements(layout: Layout, schedule: GradWeightOuterSchedule) -> int:
    """Elements from a packed plane to the next: its box, and the vectors written and read beyond."""
    images, *sizes = schedule.box
    box = images * prod(size + axis.reach for size, axis in zip(sizes, layout.gather.axes))
    beyond = schedule.lanes + schedule.tile_taps * tap_runs(layout, schedule.tile_taps).shift
    return -(-(box + beyond) * schedule.ways // schedule.lanes) * schedule.lanes


def gradient_panel_elements(schedule: GradWeightOuterSchedule) -> int:
    """Elements from a packed tile of grad-output to the next."""
    return (prod(schedule.box) + schedule.lanes) * schedule.nv * schedule.lanes


def sums_elements(positions: int, schedule: GradWeightOuterSchedule) -> int:
    """Elements from the sums of a tile of grad-output to the next."""
    tiles = -(-schedule.channel_block // schedule.tile_channels)
    return tiles * schedule.tile_channels * positions * schedule.nv * schedule.lanes


@lru_cache(maxsize=256)
def _best(
    layout: Layout, positions: int, element: Element, target: Target, together: int
) -> tuple[float, GradWeightOuterSchedule]:
    lanes = target.vector_bytes // element.compute_bytes
    tiles = sorted(_tiles(layout, lanes, target), key=lambda tile: tile.cycles)
    found: list[tuple[float, GradWeightOuterSchedule]] = []
    for tile in tiles[:3]:
        found += list(_blockings(layout, positions, tile, lanes, element, target, together))
    return min(found, key=lambda pair: pair[0])


def _tiles(layout: Layout, lanes: int, target: Target) -> Iterator[Tile]:
    gather = layout.gather
    vectors = -(-gather.out_channels // lanes)
    for taps in range(1, _RUN_LIMIT + 1 if 2 * gather.in_channels <= _RUN_LIMIT else 2):
        runs = tap_runs(layout, taps).runs
        if taps > 1 and max(map(len, runs), default=1) < taps:
            break
        for channels in range(1, min(gather.in_channels, lanes) + 1):
            if taps > 1 and channels < gather.in_channels:
                continue
            for nv in range(1, min(vectors, 6) + 1):
                rows = channels * taps
                if why_tile_illegal(target, rows * nv, nv + 1) is not None:
                    continue
                step = max(rows * nv / 2, (nv + rows) / 2, (rows * nv + nv + rows + 4) / 5, 4.0)
                step += _LOAD_CYCLES * (rows + nv)
                count = -(-vectors // nv) * -(-gather.in_channels // channels) * len(runs)
                ways = 1 << (channels - 1).bit_length()
                yield Tile(channels, taps, ways, nv, count, count * step)


def _blockings(
    layout: Layout,
    positions: int,
    tile: Tile,
    lanes: int,
    element: Element,
    target: Target,
    together: int,
) -> Iterator[tuple[float, GradWeightOuterSchedule]]:
    """(cycles for each output, schedule) of the ways to cut channels into blocks."""
    gather = layout.gather
    mr = tile.nv * lanes
    in_tiles, out_tiles = -(-gather.in_channels // tile.channels), -(-gather.out_channels // mr)
    room = target.l2_bytes / element.compute_bytes
    seen: set[tuple[int, int]] = set()
    for in_blocks in block_counts(in_tiles):
        for out_blocks in block_counts(out_tiles):
            blocks = (-(-in_tiles // in_blocks), -(-out_tiles // out_blocks))
            if blocks in seen:
                continue
            seen.add(blocks)
            channels, outs = blocks[0] * tile.channels, blocks[1] * mr
            if channels * outs * positions > _SUMS_SHARE * room and blocks != (1, 1):
                continue
            in_blocks_now, out_blocks_now = -(-in_tiles // blocks[0]), -(-out_tiles // blocks[1])
            schedule = _with_box(layout, tile, lanes, channels, outs, int(_PANEL_SHARE * room / together))
            images, *sizes = schedule.box
            outputs = prod(schedule.box)
            read = images * layout.planes * prod(size + axis.reach for size, axis in zip(sizes, gather.axes))
            packing = read / outputs * in_tiles * tile.ways * out_blocks_now + out_tiles * mr * in_blocks_now
            rows = outputs / sizes[2]
            per_tile = _TILE_CYCLES + _ACCUMULATOR_CYCLES * tile.channels * tile.taps * tile.nv
            fixed = tile.count * (per_tile + _ROW_CYCLES * rows) / outputs
            blocks_now = gather.groups * in_blocks_now * out_blocks_now
            weights = gather.in_channels * gather.out_channels * positions
            pack = _PACK_CYCLES if together == 1 else together * (_PACK_CYCLES + _WORD_CYCLES)
            cycles = tile.cycles + pack * packing + fixed
            parts, cycles = deal(layout, schedule.box, blocks_now, weights, cycles)
            yield cycles, replace(schedule, parts=parts)


def _with_box(
    layout: Layout, tile: Tile, lanes: int, channels: int, outs: int, room: int
) -> GradWeightOuterSchedule:
    gather = layout.gather
    chosen: GradWeightOuterSchedule | None = None
    for length in _LENGTHS:
        box = box_of_outputs(gather.batch, tuple(axis.columns for axis in gather.axes), length)
        chosen = GradWeightOuterSchedule(
            tile.channels, tile.taps, tile.ways, tile.nv, lanes,
            min(channels, gather.in_channels), min(outs, gather.out_channels), box, parts=1,
        )  # fmt: skip
        x, g, _ = scratch_elements(layout, 1, chosen)
        if x + g <= room:
            break
    assert chosen is not None
    return chosen
