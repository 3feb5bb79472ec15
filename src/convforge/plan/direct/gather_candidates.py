"""Which schedules of the direct family are worth a try: what the heuristic was seen to be wrong about."""

from __future__ import annotations

from dataclasses import replace

from convforge.ir.element import Element
from convforge.plan.cut import Split, gather_split
from convforge.plan.heuristic import assemble, gather_schedule
from convforge.plan.tiles import gather_tiles
from convforge.schedule import Along, GatherSchedule, Layout
from convforge.target import Target

# Tiles tried, and how many cycles more than the best of them they may be expected to take.
_TILES, _SLACK = 5, 1.2
_TILE_GROUPS = (2, 8)


def gather_candidates(
    layout: Layout, element: Element, target: Target, threads: int, *, in_place: bool, along: Along
) -> list[GatherSchedule]:
    """Legal schedules, the heuristic's first; those that change the order of a sum last."""
    own = gather_schedule(layout, element, target, threads, in_place=in_place, along=along)
    found = [own]
    for tile in gather_tiles(layout, element, target, _TILES, _SLACK, along=along):
        packed = own.packed or layout.flat < tile.nv * own.lanes
        split = gather_split(layout, element, target, threads, tile, packed=packed)
        found += [
            assemble(layout, element, target, tile, pieces, own.channel_block, packed=packed)
            for pieces in (split, *_other_splits(layout, split, threads))
        ]
    found += [replace(own, tile_group=min(group, own.band_tiles)) for group in _TILE_GROUPS]
    found += [replace(own, channel_block=block) for block in _other_blocks(own, layout)]
    return list(dict.fromkeys(found))


def _other_splits(layout: Layout, split: Split, threads: int) -> list[Split]:
    """As few pieces as threads need, cut along the map alone and along the channels alone."""
    gather = layout.gather
    if threads == 1:
        return []
    needed = -(-threads // min(threads, gather.batch * split.group_blocks))
    return [
        replace(split, bands=max(split.bands, needed), out_blocks=1),
        replace(split, out_blocks=max(split.out_blocks, 2 * needed)),
    ]


def _other_blocks(own: GatherSchedule, layout: Layout) -> tuple[int, ...]:
    channels = layout.gather.in_channels
    return -(-own.channel_block // 2), min(channels, 2 * own.channel_block), channels
