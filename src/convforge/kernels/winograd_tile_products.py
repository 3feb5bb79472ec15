"""Products of Winograd's values on a tile unit: each point is a matrix product of bf16 parts.

    for point
        for tile of k: 32 output channels
            for tile of t: 32 Winograd tiles
                for block of 32 channels                  sums in tiles, by the steps of tile_step.py
                M[point][t][k] stored

    V[point][block][part][t][16 words]                    winograd_box.py
    U[tile of k][point][block][part][16 k's][word][k][2]  split_bf16_weights.py, whose groups are points

Rows beyond the last tile hold what was there before: their sums are read by nobody. Beside each step's
products its successor's values are fetched into the first level, and into the second a share of the weights
of the next tile of k, or point: 128 channels at 28x28 on one core 748 us without, 529 with both and smaller
boxes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from convforge.ir.amx import Tiles
from convforge.ir.emitter import Emitter, Int, Value
from convforge.kernels.contract_split import PRODUCTS
from convforge.kernels.contract_tiles import UNIT_WORDS
from convforge.kernels.contract_winograd import WinogradChannelsKernel
from convforge.kernels.parameters import Parameters
from convforge.kernels.tile_step import TileStep
from convforge.schedule.tile_unit import TILE_NUMBERS, TILE_ROWS


def emit_tile_products(
    e: Emitter, kernel: WinogradChannelsKernel, p: Parameters, x: Parameters, values: Value, sums: Value,
    weights: Value, outs: Int, tiles: Int,
) -> None:  # fmt: skip
    """M at `sums` of `outs` tiles of output channels and all tiles of a box, from V at `values`."""
    rows, columns = kernel.nv, kernel.rows // TILE_NUMBERS
    step_words = kernel.parts * kernel.mr * UNIT_WORDS
    unit, step = Tiles(e), TileStep(rows, columns, PRODUCTS[kernel.parts])
    unit.configure(p.pointer("shapes"))
    with (
        e.loop(0, kernel.tiling.points, name="point") as point,
        e.loop(0, outs, name="out_tile") as out,
    ):
        u = e.at(
            weights,
            "i32",
            e.add(e.mul(out.index, p.weights_step), e.mul(point.index, p.in_blocks, step_words)),
        )
        back = e.sub(e.mul(p.in_blocks, step_words), e.mul(out.index, p.weights_step))
        ahead = e.select(e.less(e.add(out.index, 1), outs), p.weights_step, back)
        with e.loop(0, tiles, step=kernel.rows, name="tile") as t:
            v = e.at(values, "i32", e.add(e.mul(point.index, kernel.point), e.mul(t.index, UNIT_WORDS)))
            # Each tile of t fetches its share of a block's lines; beyond the last one, the first again.
            lines = len(step.products) * rows * columns * kernel.fetched
            share = e.mul(e.div(t.index, kernel.rows), lines)
            share = e.select(e.less(share, step_words // UNIT_WORDS), share, 0)
            fetched = e.at(u, "i32", e.add(ahead, e.mul(share, UNIT_WORDS)))
            last = e.no_less(e.add(t.index, kernel.rows), tiles)
            turn = e.select(last, e.mul(t.index, -UNIT_WORDS), kernel.rows * UNIT_WORDS)
            turn = e.sub(turn, e.mul(e.sub(p.in_blocks, 1), x.block))
            for tile in range(rows * columns):
                unit.zero(tile)
            with e.loop(0, p.in_blocks, name="block") as block:
                at = e.mul(block.index, step_words)
                first = e.at(v, "i32", e.mul(block.index, x.block))
                pixels = [e.at(first, "i32", j * TILE_NUMBERS * UNIT_WORDS) for j in range(columns)]
                there = e.at(fetched, "i32", at)
                more = e.less(e.add(block.index, 1), p.in_blocks)
                next_values = e.at(first, "i32", e.select(more, x.block, turn))
                parts = [
                    e.at(next_values, "i32", e.mul(x.part, part)) for part in reversed(range(kernel.parts))
                ]
                beside: list[Callable[[], None]] = [
                    partial(e.prefetch, there, "i32", i * UNIT_WORDS, 2) for i in range(lines)
                ] + [
                    partial(e.prefetch, part, "i32", i * UNIT_WORDS)
                    for part in parts
                    for i in range(kernel.rows)
                ]
                step.emit(e, unit, unit.multiply_bf16, e.at(u, "i32", at), pixels, x.part, beside)
            at = e.add(
                e.mul(point.index, p.sums_point), e.mul(out.index, p.sums_tile), e.mul(t.index, kernel.mr)
            )
            for i in range(rows):
                for j in range(columns):
                    place = e.add(at, j * TILE_NUMBERS * kernel.mr + i * TILE_ROWS)
                    unit.store(i * columns + j, e.at(sums, "f32", place), 4 * kernel.mr)
    unit.release()
