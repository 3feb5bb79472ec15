"""What the output product costs on a tile unit, without a clock.

Cycles are those of the vector unit's multiply-adds, as other families count them: on the processor with AMX
that was timed (Granite Rapids, one core), the direct family ran at 2.33 of its cycles a nanosecond. Fitted
to 94 layers of two tables by six products, 14 % off in the mean square. A product of tiles takes 16 cycles
of the unit, and a load 8, or 48 if its rows cross lines of the cache, which products hide.
"""

from __future__ import annotations

from dataclasses import dataclass

from convforge.kernels.split_bf16.contract import PRODUCTS
from convforge.kernels.tile_unit.contract import UNIT_BYTES
from convforge.plan.bands import band_of
from convforge.plan.tile_unit.windows import splits_beside
from convforge.plan.tiles import tiled_length
from convforge.schedule import Layout
from convforge.schedule.tile_unit import (
    STEP_POSITIONS,
    TILE_NUMBERS,
    TILE_ROWS,
    WayIn,
    channel_blocks,
    tile_shapes,
)
from convforge.target import Target

_PRODUCT_CYCLES, _LOAD_CYCLES, _CROSSING_CYCLES = 20.0, 10.0, 60.0
# From a product to the next one that adds to the same tile: 52 of the unit's cycles where a product takes 16.
_LATENCY_CYCLES = 65.0
# For a vector of one channel: packed as fp32 and looked at, then split; each part rounded, stored and turned.
# For a vector of words of bytes: four channels packed, and turned (counted in instructions).
_PACK_CYCLES, _PART_CYCLES, _PACK_BYTES_CYCLES = 5.5, 4.0, 16.0
# The part of that for kernels of one tap, where they split before products, and beside them.
STEPS_SHARE: dict[WayIn, tuple[float, float]] = {
    "in place": (0.75, 0.25),
    "gathered": (0.9, 0.45),
    "planes": (0.75, 0.5),
}
# For a vector of the planes from which folded channels are read.
PLANE_CYCLES = 2.0
# For a row of the packed input, and of the output.
_ROW_CYCLES = 4.0
# For a tile of sums: turned and written, or written alone where positions are columns; and for each chain but
# the last, kept and added up.
_TURNED_CYCLES, _WRITTEN_CYCLES, _CHAIN_CYCLES = 118.0, 80.0, 150.0
# (channel, tap) pairs of one chain of bf16 products.
_CHAIN = 2048
# Units of a band, whatever is packed twice for it: 2048 channels of dilation 6 on 33x33 would take 14 MB,
# and 16 in all, for two bands.
_UNITS_BYTES = 12 << 20
# Tile shapes tried, and how many cycles more than the best they may be expected to take.
_SHAPES, _SLACK = 3, 1.2


@dataclass(frozen=True, slots=True)
class TileWork:
    """What a step of tiles is for a kind of numbers.

    parts: that each value is split into. products: of parts of weights and of inputs. ways: channels of a
    word, as a layout counts them (one whose channels are words has 1). is_exact: whether sums may be as long
    as they get. pack_cycles: for a vector of a layout's channel on its way into words.
    """

    parts: int
    products: tuple[tuple[int, int], ...]
    ways: int
    is_exact: bool
    pack_cycles: float


def bf16_work(parts: int) -> TileWork:
    """Products of bf16 parts."""
    return TileWork(parts, PRODUCTS[parts], 2, False, _PACK_CYCLES + _PART_CYCLES * parts)


BYTE_WORK = TileWork(1, ((0, 0),), 1, True, _PACK_BYTES_CYCLES)


def loads(work: TileWork, rows: int, columns: int) -> tuple[int, int]:
    """Tiles of rows and of columns that a step loads: one factor of each product mostly stays."""
    of_rows, of_columns, before = 0, 0, (-1, -1)
    for product in work.products:
        of_rows += rows * (product[0] != before[0])
        of_columns += columns * (product[1] != before[1])
        before = product
    return of_rows, of_columns


def shape_cycles(
    layout: Layout, work: TileWork, shape: tuple[int, int], length: int, way_in: WayIn = "packed"
) -> float:
    """Cycles of one image and one group in tiles of (rows, columns), for so many outputs, packing aside."""
    rows, columns = shape
    gather = layout.gather
    step = block_cycles(work, shape)
    blocks, _ = channel_blocks(gather.in_channels, work.ways)
    chains = -(-blocks // chain_length(layout, work))
    leaving = _TURNED_CYCLES if way_in == "packed" else _WRITTEN_CYCLES
    finish = rows * columns * (leaving + (chains - 1) * _CHAIN_CYCLES)
    tiles = -(-length // (columns * TILE_NUMBERS))
    tiles *= -(-gather.out_channels // (rows * TILE_ROWS))
    return tiles * sum(blocks * len(taps) * step + finish for taps in gather.taps_by_phase)


def block_cycles(work: TileWork, shape: tuple[int, int], *, crossing: bool = False) -> float:
    """Cycles of a step: a tap and a block of channels. crossing: whether rows of columns' tiles cross
    lines of the cache.
    """
    rows, columns = shape
    products = len(work.products) * max(rows * columns * _PRODUCT_CYCLES, _LATENCY_CYCLES)
    of_rows, of_columns = loads(work, rows, columns)
    column = _CROSSING_CYCLES if crossing else _LOAD_CYCLES
    return max(products, of_rows * _LOAD_CYCLES + of_columns * column)


def best_shapes(layout: Layout, work: TileWork) -> list[tuple[int, int]]:
    """The shapes of tiles worth trying, best first."""
    # A signal's is one that many lengths share.
    length = tiled_length(layout)
    costs = {shape: shape_cycles(layout, work, shape, length) for shape in tile_shapes()}
    ranked = sorted(costs, key=lambda shape: costs[shape])
    return [shape for shape in ranked[:_SHAPES] if costs[shape] <= _SLACK * costs[ranked[0]]]


def chain_length(layout: Layout, work: TileWork) -> int:
    """Blocks of channels of one chain of sums, even ones; all, where sums have no errors.

    A product of tiles sums 32 products by itself and is added to the chain as one: in 2048 (channel, tap)
    pairs a sum is rounded 384 times by six products.
    """
    gather = layout.gather
    blocks, depth = channel_blocks(gather.in_channels, work.ways)
    if work.is_exact:
        return blocks
    taps = max((len(taps) for taps in gather.taps_by_phase), default=1)
    longest = max(1, _CHAIN // max(1, taps * work.ways * depth))
    return -(-blocks // -(-blocks // longest))


def tile_unit_cycles(layout: Layout, target: Target, work: TileWork, way_in: WayIn = "packed") -> float:
    """Cycles of one core for an output product."""
    gather = layout.gather
    blocks, depth = channel_blocks(gather.in_channels, work.ways)
    vectors = -(-layout.total_rows * layout.pitch * layout.planes * 4 // target.vector_bytes)
    packing = (
        work.ways * depth * blocks * vectors * work.pack_cycles * _packing_share(layout, target, work, way_in)
    )
    rows = (
        layout.total_rows * layout.row_residues * gather.in_channels + layout.out_rows * gather.out_channels
    )
    shape = best_shapes(layout, work)[0]
    if way_in == "packed":
        packing *= _times_packed(layout, target, work, shape)
    one = shape_cycles(layout, work, shape, layout.flat, way_in) + packing + _ROW_CYCLES * rows
    return one * gather.batch * gather.groups


def _packing_share(layout: Layout, target: Target, work: TileWork, way_in: WayIn) -> float:
    if way_in == "packed":
        return 1.0
    gather = layout.gather
    blocks, _ = channel_blocks(gather.in_channels, work.ways)
    position_bytes = work.parts * blocks * UNIT_BYTES
    weight_bytes = position_bytes * gather.out_channels * sum(map(len, gather.taps_by_phase))
    before, beside = STEPS_SHARE[way_in]
    if not splits_beside(target, position_bytes, weight_bytes):
        return before
    # The first window is split before there are products.
    first = min(1.0, STEP_POSITIONS / layout.flat)
    return beside + (before - beside) * first


def _times_packed(layout: Layout, target: Target, work: TileWork, shape: tuple[int, int]) -> float:
    """How often a position is packed, on average, where bands must be cut: of 2048 channels of dilation 18 on
    33x33 each band packs all 69 rows.
    """
    lanes, length = target.vector_bytes // 4, shape[1] * TILE_NUMBERS
    blocks, _ = channel_blocks(layout.gather.in_channels, work.ways)
    tiles = -(-layout.flat // length)
    most = most_tiles(layout, tiles, length, lanes, work.parts * blocks * UNIT_BYTES * layout.planes)
    if most == tiles:
        return 1.0
    packed = -(-tiles // most) * band_of(layout, most * length, lanes, length).plane
    return max(1.0, packed / (layout.total_rows * layout.pitch))


def most_tiles(layout: Layout, tiles: int, length: int, lanes: int, position_bytes: int) -> int:
    """Tiles of a band whose units are not too many, at most so many."""
    while tiles > 1 and band_of(layout, tiles * length, lanes, length).plane * position_bytes > _UNITS_BYTES:
        tiles = max(1, tiles * 3 // 4)
    return tiles
