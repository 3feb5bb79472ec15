"""Blocks the grad-weight by Winograd's algorithm (kernels/grad_weight/winograd.py), without a clock.

Nothing here knows threads or strides: the order of the sums follows from the layer alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from math import prod

from convforge.ir.element import ELEMENTS, Element
from convforge.kernels.winograd.contract import IN_REGISTERS
from convforge.plan.boxes import block_counts, box_of_outputs
from convforge.plan.grad_weight.boxes import JUDGED_THREADS, deal
from convforge.plan.winograd.box import panel_elements
from convforge.plan.winograd.channels_cut import step_cycles
from convforge.plan.winograd.tiles import tilings
from convforge.problem import ConvSpec, Precision
from convforge.problem.gather import Gather, gather_of
from convforge.schedule import GradWeightWinogradSchedule, Layout, layout_of, why_tile_illegal
from convforge.schedule.winograd import Tiling, gradient_gathers, spacings
from convforge.target import Target

# Products of a tile: M has as many parts.
_POINT_LIMIT = 64
# What M and the values of a step may take together: beyond the second-level cache, for both are read in
# order, in which caches fetch ahead; but not more of the last level than is this thread's, of as many as a
# choice is judged by. 64 channels at 56x56 on Zen 1 (512 KB, and 4 MB of the last level): 57 ms in 0.55 MB,
# 47 in 1.3; 512 at 7x7 71 and 62 in 1.9.
_L2_TIMES, _L2_SHARE, _L3_SHARE = 4.5, 0.9, 0.5
_VALUES_SHARE = 0.5
# Tiles of a step: enough to repay taking up and putting down M.
_LENGTHS = (128, 96, 64, 48, 32, 24, 16, 8, 4)
# Cycles to write one element into a panel; of each point of a vector to transform on the way in, in registers
# and by way of scratch; and on the way out. Measured with parts of the kernel left out, Zen 1.
_PACK_CYCLES, _POINT_CYCLES, _OUT_CYCLES = 0.6, (2.6, 6.0), 3.0
# Cycles of a register tile besides its multiply-adds.
_TILE_CYCLES, _ACCUMULATOR_CYCLES = 20.0, 2.0


def gradient_tilings(gather: Gather, precision: Precision) -> list[Tiling]:
    """The tiles that keep a precision: those of the forward layer, outputs and taps exchanged."""
    found = (Tiling(tiling.taps, tiling.outputs) for tiling in tilings(gather, precision))
    return [tiling for tiling in found if tiling.points <= _POINT_LIMIT]


def rounded_layouts(gather: Gather, tiling: Tiling) -> tuple[Layout, Layout]:
    """Of the input and of grad-output, for whole tiles."""
    x, g = gradient_gathers(gather, tiling)
    return layout_of(x), layout_of(g)


class Room:
    """Elements of scratch that a task takes.

    tiles: of a step. rows: from the values of a tile to the next's, of the input first, then of grad-output.
    """

    def __init__(self, layouts: tuple[Layout, Layout], schedule: GradWeightWinogradSchedule) -> None:
        lanes, tiling, box = schedule.lanes, schedule.tiling, schedule.box
        mr = schedule.nv * lanes
        self.tiles = prod(box) // prod(tiling.taps)
        channels = -(-schedule.channel_block // schedule.rows) * schedule.rows
        out_tiles = -(-schedule.output_block // mr)
        self.rows = (-(-channels // lanes) * lanes, out_tiles * mr)
        self.sums_tile = channels * mr
        self.sums_point = out_tiles * self.sums_tile + lanes
        self.panels = (panel_elements(layouts[0], box, lanes), panel_elements(layouts[1], box, lanes))
        self.leaving = (schedule.channel_block * prod(tiling.outputs) + lanes) * lanes
        self.lines = 2 * tiling.points * lanes


def winograd_schedule(
    spec: ConvSpec, precision: Precision, target: Target
) -> tuple[float, GradWeightWinogradSchedule] | None:
    """(cycles of one core, the blocking with the fewest), or None where no block of tiles fits."""
    return _best(gather_of(spec), ELEMENTS[spec.dtype.name], precision, target)


@lru_cache(maxsize=256)
def _best(
    gather: Gather, element: Element, precision: Precision, target: Target
) -> tuple[float, GradWeightWinogradSchedule] | None:
    lanes = target.vector_bytes // element.compute_bytes
    found = [
        blocking
        for tiling in gradient_tilings(gather, precision)
        for rows, nv in _register_tiles(gather, lanes, target)
        for blocking in _blockings(gather, tiling, rows, nv, lanes, element, target)
    ]
    return min(found, key=lambda pair: pair[0], default=None)


def _register_tiles(gather: Gather, lanes: int, target: Target) -> list[tuple[int, int]]:
    """(rows, nv) of the three cheapest register tiles."""
    vectors = -(-gather.out_channels // lanes)
    legal = [
        (rows, nv)
        for nv in range(1, min(vectors, 6) + 1)
        for rows in range(1, min(gather.in_channels, 26) + 1)
        if why_tile_illegal(target, rows * nv, nv + 1) is None
    ]

    def cycles(tile: tuple[int, int]) -> float:
        rows, nv = tile
        return -(-vectors // nv) * -(-gather.in_channels // rows) * step_cycles(rows, nv)

    return sorted(legal, key=cycles)[:3]


def _blockings(
    gather: Gather, tiling: Tiling, rows: int, nv: int, lanes: int, element: Element, target: Target
) -> Iterator[tuple[float, GradWeightWinogradSchedule]]:
    """(cycles of one core, schedule) of the ways to cut channels into blocks."""
    layouts = rounded_layouts(gather, tiling)
    mr, room = nv * lanes, _room(target) / element.compute_bytes
    in_tiles, out_tiles = -(-gather.in_channels // rows), -(-gather.out_channels // mr)
    seen: set[tuple[int, int]] = set()
    for in_count in block_counts(in_tiles):
        for out_count in block_counts(out_tiles):
            blocks = (-(-in_tiles // in_count), -(-out_tiles // out_count))
            channels, outs = blocks[0] * rows, blocks[1] * mr
            too_large = tiling.points * channels * outs > (1 - _VALUES_SHARE) * room and blocks != (1, 1)
            if blocks in seen or too_large:
                continue
            seen.add(blocks)
            schedule = GradWeightWinogradSchedule(
                tiling=tiling,
                rows=rows,
                nv=nv,
                lanes=lanes,
                point=_point(tiling, lanes, room),
                channel_block=min(channels, gather.in_channels),
                output_block=min(outs, gather.out_channels),
                box=(1, 1, 1, 1),
                parts=1,
            )
            boxed = _with_box(layouts, schedule)
            if boxed is not None:
                yield _dealt(gather, layouts, boxed)


def _room(target: Target) -> float:
    """Bytes for M and the values of a step."""
    l3 = _L3_SHARE * target.l3_share(JUDGED_THREADS)
    return max(_L2_SHARE * target.l2_bytes, min(_L2_TIMES * target.l2_bytes, l3))


def _point(tiling: Tiling, lanes: int, room: float) -> int:
    """Elements from the values of a point to the next's: the same for all layers, as it is part of the code.

    A line more than a multiple of many, or the points of a tile would fall on the same sets of the cache.
    """
    return int(_VALUES_SHARE * room / (2 * tiling.points)) // (8 * lanes) * 8 * lanes + lanes


def _with_box(
    layouts: tuple[Layout, Layout], schedule: GradWeightWinogradSchedule
) -> GradWeightWinogradSchedule | None:
    """With the largest box whose values fit; None where those of a single block of tiles do not."""
    gather, taps = layouts[0].gather, schedule.tiling.taps
    apart = spacings(gather)
    blocks = tuple(axis.columns // (m * s) for axis, m, s in zip(gather.axes, taps, apart))
    for length in _LENGTHS:
        images, *counts = box_of_outputs(gather.batch, blocks, length // prod(apart))
        d, h, w = (count * m * s for count, m, s in zip(counts, taps, apart))
        chosen = replace(schedule, box=(images, d, h, w))
        needed = Room(layouts, chosen)
        if needed.tiles * max(needed.rows) + schedule.lanes <= schedule.point:
            return chosen
    return None


def _dealt(
    gather: Gather, layouts: tuple[Layout, Layout], schedule: GradWeightWinogradSchedule
) -> tuple[float, GradWeightWinogradSchedule]:
    """(cycles of one core, schedule with its parts)."""
    tiling, lanes = schedule.tiling, schedule.lanes
    room = Room(layouts, schedule)
    in_blocks = -(-gather.in_channels // schedule.channel_block)
    out_blocks = -(-gather.out_channels // schedule.output_block)
    in_tiles = -(-gather.in_channels // schedule.rows)
    out_tiles = -(-gather.out_channels // (schedule.nv * lanes))
    vectors = -(-gather.in_channels // lanes) * out_blocks, -(-gather.out_channels // lanes) * in_blocks
    # Of each Winograd tile.
    fixed = _TILE_CYCLES + _ACCUMULATOR_CYCLES * schedule.rows * schedule.nv
    products = in_tiles * out_tiles * (step_cycles(schedule.rows, schedule.nv) + fixed / room.tiles)
    point = _POINT_CYCLES[tiling.points > IN_REGISTERS]
    cycles = tiling.points * (products + point * sum(vectors))
    cycles += _PACK_CYCLES * sum(n * panel for n, panel in zip(vectors, room.panels)) / room.tiles
    outputs = prod(tiling.taps)
    weights = gather.in_channels * gather.out_channels * prod(tiling.outputs)
    parts, cycles = deal(
        layouts[0], schedule.box, gather.groups * in_blocks * out_blocks, weights, cycles / outputs
    )
    out = tiling.points * _OUT_CYCLES * gather.in_channels * -(-gather.out_channels // lanes)
    positions = gather.batch * prod(axis.columns for axis in layouts[0].gather.axes)
    return gather.groups * (cycles * positions + parts * out), replace(schedule, parts=parts)
