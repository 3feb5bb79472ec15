"""Chooses tiles and blocks for a tile unit, by the costs of plan/tile_unit/cost.py."""

from __future__ import annotations

from dataclasses import replace

from convforge.ir.element import ELEMENTS
from convforge.kernels.tile_unit.contract import UNIT_BYTES
from convforge.plan.cut import gather_split, tile_group
from convforge.plan.tile_unit.cost import TileWork, best_shapes, block_cycles, chain_length, most_tiles
from convforge.plan.tile_unit.steps_cut import StepsCut
from convforge.plan.tile_unit.windows import Windows
from convforge.schedule import Layout, Tile
from convforge.schedule.tile_unit import TILE_NUMBERS, TILE_ROWS, TileUnitSchedule, WayIn, channel_blocks
from convforge.target import Target

# Planes of a band from which folded channels are read take so much less than a band's units may.
_BAND_SHARE = 8
# What packing weighs against the rest where bands and blocks of output channels are chosen: what is packed
# again for another block also drives weights out. 512 channels of dilation 2 at 33x33 8.0 -> 7.1 ms.
_PACKED_AGAIN = 1.5
# Tiles that share a fetch of weights, tried.
_TILE_GROUPS = (1, 4)


def tile_unit_schedule(
    layout: Layout,
    target: Target,
    threads: int,
    work: TileWork,
    shape: tuple[int, int] | None = None,
    *,
    way_in: WayIn = "packed",
    plane_bytes: int = 0,
) -> TileUnitSchedule:
    """The schedule of an output product; tiles of `shape`, or of the cheapest. plane_bytes: of what is packed
    for an output of a band.
    """
    rows, columns = shape or best_shapes(layout, work)[0]
    blocks, depth = channel_blocks(layout.gather.in_channels, work.ways)
    if way_in == "packed":
        band_tiles, channel_tiles, group = _packed_cut(
            layout, target, threads, work, (rows, columns), plane_bytes
        )
        windows = Windows(band_tiles, 0)
    else:
        cut = StepsCut(layout, target, threads, work, (rows, columns), way_in, plane_bytes)
        band_tiles, channel_tiles = cut.best()
        windows = cut.windows(band_tiles, channel_tiles)
        group = windows.tiles
    return TileUnitSchedule(
        parts=work.parts,
        rows=rows,
        columns=columns,
        blocks=blocks,
        depth=depth,
        chain=chain_length(layout, work),
        band_tiles=band_tiles,
        window_tiles=windows.tiles,
        tile_group=group,
        channel_tiles=channel_tiles,
        way_in=way_in,
        beside=windows.beside,
    )


def _packed_cut(
    layout: Layout, target: Target, threads: int, work: TileWork, shape: tuple[int, int], plane_bytes: int
) -> tuple[int, int, int]:
    """(tiles of a band, tiles of output channels of a task, tiles that share each fetch of weights) where a
    band is packed before its products.
    """
    gather = layout.gather
    rows, columns = shape
    mr, length = rows * TILE_ROWS, columns * TILE_NUMBERS
    lanes = target.vector_bytes // 4
    blocks, depth = channel_blocks(gather.in_channels, work.ways)
    # Units of all parts, and the planes of one block in fp32.
    unit_bytes = work.parts * UNIT_BYTES / (work.ways * depth) + 4 / blocks
    pieces = gather_split(
        layout,
        ELEMENTS["float32"],
        target,
        threads,
        Tile(mr, length // lanes),
        packed=True,
        step_cycles=block_cycles(work, shape) / (work.ways * depth),
        vector_cycles=_PACKED_AGAIN * work.pack_cycles,
        packed_bytes=_BAND_SHARE * plane_bytes / gather.in_channels if plane_bytes else unit_bytes,
    )
    tiles, out_tiles = -(-layout.flat // length), -(-gather.out_channels // mr)
    band_tiles = -(-tiles // min(tiles, pieces.bands))
    position_bytes = work.parts * blocks * UNIT_BYTES * layout.planes
    band_tiles = most_tiles(layout, band_tiles, length, lanes, position_bytes)
    channel_tiles = -(-out_tiles // min(out_tiles, pieces.out_blocks))
    taps = max((len(taps) for taps in gather.taps_by_phase), default=1)
    weight_bytes = channel_tiles * mr * work.parts * UNIT_BYTES * blocks * taps
    group = tile_group(weight_bytes, channel_tiles * mr * length * 4, target, band_tiles)
    return band_tiles, channel_tiles, group


def tile_unit_candidates(
    layout: Layout,
    target: Target,
    threads: int,
    work: TileWork,
    way_in: WayIn = "packed",
    plane_bytes: int = 0,
) -> list[TileUnitSchedule]:
    """Schedules worth a try, the own choice first; none changes the order of a sum."""

    def make(shape: tuple[int, int] | None = None) -> TileUnitSchedule:
        return tile_unit_schedule(
            layout, target, threads, work, shape, way_in=way_in, plane_bytes=plane_bytes
        )

    own = make()
    groups = [replace(own, tile_group=min(group, own.window_tiles)) for group in _TILE_GROUPS]
    return list(dict.fromkeys([own, *map(make, best_shapes(layout, work)), *groups]))
