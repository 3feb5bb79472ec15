"""Chooses the blocks of a weight gradient on a tile unit (kernels/grad_weight/unit.py), without a clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

from convforge.kernels.tile_unit.contract import UNIT_BYTES
from convforge.plan.boxes import block_counts
from convforge.plan.grad_weight.boxes import deal_steps
from convforge.plan.grad_weight.unit_input import XChannels, XWindows, part_bytes, x_of_tiles
from convforge.plan.run_positions import rounded
from convforge.plan.tile_unit.cost import bf16_work, block_cycles
from convforge.problem import ConvSpec
from convforge.schedule import Layout, layout_of
from convforge.schedule.tile_unit import TILE_ROWS, images_as_slices, tile_shapes
from convforge.target import Target

_TILE_BYTES = TILE_ROWS * UNIT_BYTES
# Words of a box, tried; of one of several images, at most; of a chunk, whose rows of A stay in the
# first-level cache: of 32 to 96 tried 64 was the fastest on five layers.
_WORDS, _JOINED, CHUNK = (768, 512, 384, 256, 192, 128, 96, 64, 32, 16), 512, 64
# Shares of the second-level cache for a task's sums, and for the words of two boxes of x.
_SUMS_SHARE, _BOX_SHARE = 0.35, 0.5
# Cycles as other families count them: of the tile unit's own (tile_unit/cost.py) where work is done beside;
# for a position of a channel of grad-output to be split; for each tile of sums of a chunk, loaded and stored;
# for each weight of a part, written, and added up where there are several. Fitted to 120 blockings of 14
# layers, 11 % off; with grad-output split unit by unit 11 layers take 0.75 to 1.23 of it, and the
# planner's choice is within 2 % of the best family on all of them.
_STEP_SHARE, _ROW_CYCLES, _SUM_CYCLES = 0.69, 0.87, 51.0
_WEIGHT_CYCLES, _PART_CYCLES = 4.2, 7.2


@dataclass(frozen=True, slots=True)
class Blocking:
    """Blocking of a layer: see GradWeightTilesKernel; blocks count channels, cycles are for a group.

    images: of a period (GRAD_WEIGHT_TILES_PARAMETERS).
    """

    rows: int
    columns: int
    channel_block: int
    out_block: int
    words: int
    images: int
    parts: int
    cycles: float


@lru_cache(maxsize=256)
def best_blocking(spec: ConvSpec, parts: int, target: Target) -> Blocking:
    """The cheapest for arrays whose values are split into so many parts."""
    return min(blockings(spec, parts, target), key=lambda blocking: blocking.cycles)


def blockings(spec: ConvSpec, parts: int, target: Target) -> Iterator[Blocking]:
    """Those that fit the caches: each box with each cut of both arrays' channels, in its best tiles."""
    x = x_of_tiles(spec, parts)
    layout, gather = x.layout, x.layout.gather
    outputs = gather.batch * prod(axis.columns for axis in gather.axes)
    weights = prod(spec.weight_shape) // spec.groups
    taps, o_tiles, c_tiles = x.taps, -(-gather.out_channels // TILE_ROWS), x.tiles
    work, crossing = bf16_work(parts), x.windows is not None
    unit_bytes = parts * part_bytes(CHUNK) * min(2, o_tiles)
    steps = {shape: block_cycles(work, shape, crossing=crossing) for shape in tile_shapes()}
    cuts = [
        (-(-o_tiles // o_blocks), -(-c_tiles // c_blocks))
        for o_blocks in block_counts(o_tiles)
        for c_blocks in block_counts(c_tiles)
    ]
    for words, images in _boxes(x):
        tile_bytes = x.tile_bytes(words)
        boxes = -(-gather.batch // images) * bands_of(layout, words, images)
        for o_many, c_many in cuts:
            smallest = (o_many, c_many) == (1, 1)
            size = 2 * (unit_bytes + tile_bytes * c_many)
            if size > _BOX_SHARE * target.l2_bytes and (not smallest or words > TILE_ROWS):
                continue
            if o_many * c_many * taps * _TILE_BYTES > _SUMS_SHARE * target.l2_bytes and not smallest:
                continue
            o_count, c_count = -(-o_tiles // o_many), -(-c_tiles // c_many)
            rows = o_tiles * c_count * words * _ROW_CYCLES
            split = 2 * TILE_ROWS * rows * parts / 3
            split += o_count * c_tiles * x.cycles(words)

            def multiplied(
                shape: tuple[int, int], words: int = words, o: int = o_many, c: int = c_many
            ) -> float:
                tiles = -(-o // shape[0]) * -(-c * taps // shape[1])
                sums = -(-words // CHUNK) * prod(shape) * _SUM_CYCLES
                return tiles * (words / TILE_ROWS * _STEP_SHARE * steps[shape] + sums)

            shape = min(steps, key=multiplied)
            box = o_count * c_count * multiplied(shape) + split
            cycles = (boxes * box + _WEIGHT_CYCLES * weights) / outputs
            blocks = o_count * c_count * gather.groups
            dealt, cycles = deal_steps(boxes, outputs, blocks, weights, cycles, _PART_CYCLES)
            yield Blocking(
                *shape, c_many * TILE_ROWS, o_many * TILE_ROWS, words, images, dealt, cycles * outputs
            )


def _boxes(x: XChannels | XWindows) -> Iterator[tuple[int, int]]:
    """(words of a box, images of a period), which is one image in boxes or some images in one."""
    layout = x.layout
    run = run_of(layout, 1)
    for boxes in {-(-run // (2 * words)) for words in _WORDS}:
        yield rounded(-(-run // (2 * boxes))), 1
    if x.windows is not None:
        # The gaps behind rows are not those that images share.
        return
    run = run_of(layout, 2)
    for images in range(2, min(layout.gather.batch, 2 * _JOINED // run) + 1):
        if images * run % (2 * TILE_ROWS) == 0:
            yield images * run // 2, images


def run_of(layout: Layout, images: int) -> int:
    """Positions from an image of a period to the next: where there are several, zeros at the end of one are
    those at the beginning of the next.
    """
    if images == 1:
        return rounded(layout.flat)
    joined = images_as_slices(replace(layout.gather, batch=2))
    if joined is None:
        return rounded(layout.flat + layout.reach)
    both = layout_of(joined)
    return rounded(both.slice_rows * both.pitch)


def fewest_bytes(x: XChannels | XWindows, parts: int) -> int:
    """Scratch of the smallest blocks: words of two units and two boxes, and sums of all taps."""
    return 2 * (parts * part_bytes(CHUNK) + x.tile_bytes(TILE_ROWS)) + x.taps * _TILE_BYTES


def bands_of(layout: Layout, words: int, images: int) -> int:
    """Boxes of a period."""
    return -(-run_of(layout, images) * images // (2 * words))
