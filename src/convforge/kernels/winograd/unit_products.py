"""Products of Winograd's values on a tile unit: each point is a matrix product of bf16 parts.

    for point
        for tile of k: 32 output channels
            for tile of t: 32 Winograd tiles
                for block of 32 channels                  sums in tiles, by the steps of tile_unit/step.py
                M[point][t][k] stored

    V[point][block][part][t][16 words]                    box.py
    U[tile of k][point][block][part][16 k's][word][k][2]  split_bf16/weights.py, whose groups are points

Rows beyond the last tile hold what was there before: their sums are read by nobody. Beside each step's
products its successor's values are fetched into the first level, and into the second a share of the weights
of the next tile of k, or point: 128 channels at 28x28 on one core 748 us without, 529 with both and smaller
boxes.
"""

from __future__ import annotations

from functools import partial

from convforge.ir.amx import Tiles
from convforge.ir.emitter import Int, Value
from convforge.kernels.split_bf16.contract import PRODUCTS
from convforge.kernels.tile_unit.contract import UNIT_WORDS
from convforge.kernels.tile_unit.step import TileStep
from convforge.kernels.winograd.channels_task import ChannelsTask
from convforge.schedule.tile_unit import TILE_NUMBERS, TILE_ROWS


def emit_tile_products(task: ChannelsTask, weights: Value, phase: Int, outs: Int, tiles: Int) -> None:  # noqa: ARG001
    """M of `outs` tiles of output channels and all tiles of the box: of the one phase that stride 1 has."""
    e, p, kernel = task.e, task.p, task.kernel
    side, sums = task.x.p, task.scratch_at("sums_at")
    rows, columns = kernel.nv, kernel.rows // TILE_NUMBERS
    step_words = kernel.parts * kernel.mr * UNIT_WORDS
    unit, step = Tiles(e), TileStep(rows, columns, PRODUCTS[kernel.parts])
    unit.configure(p.pointer("shapes"))
    with (
        e.loop(0, kernel.tiling.points, name="point") as point,
        e.loop(0, outs, name="out_tile") as out,
    ):
        point_words = e.mul(p.in_blocks, step_words)
        u = e.at(weights, "i32", e.add(e.mul(out.index, p.weights_step), e.mul(point.index, point_words)))
        back = e.sub(point_words, e.mul(out.index, p.weights_step))
        ahead = e.select(e.less(e.add(out.index, 1), outs), p.weights_step, back)
        with e.loop(0, tiles, step=kernel.rows, name="tile") as t:
            at = e.add(e.mul(point.index, kernel.point), e.mul(t.index, UNIT_WORDS))
            first = e.at(task.x.values, "i32", at)
            # Each tile of t fetches its share of a block's lines; beyond the last one, the first again.
            lines = len(step.products) * rows * columns * kernel.fetched
            share = e.mul(e.div(t.index, kernel.rows), lines)
            share = e.select(e.less(share, step_words // UNIT_WORDS), share, 0)
            fetched = e.at(u, "i32", e.add(ahead, e.mul(share, UNIT_WORDS)))
            # From the last block's values to those of the next tile of t, or the first one again.
            is_last = e.no_less(e.add(t.index, kernel.rows), tiles)
            turn = e.select(is_last, e.mul(t.index, -UNIT_WORDS), kernel.rows * UNIT_WORDS)
            turn = e.sub(turn, e.mul(e.sub(p.in_blocks, 1), side.block))
            for tile in range(rows * columns):
                unit.zero(tile)
            with e.loop(0, p.in_blocks, name="block") as block:
                at = e.mul(block.index, step_words)
                here = e.at(first, "i32", e.mul(block.index, side.block))
                pixels = [e.at(here, "i32", j * TILE_NUMBERS * UNIT_WORDS) for j in range(columns)]
                more = e.less(e.add(block.index, 1), p.in_blocks)
                there = e.at(here, "i32", e.select(more, side.block, turn))
                weights_there = e.at(fetched, "i32", at)
                beside = [partial(e.prefetch, weights_there, "i32", i * UNIT_WORDS, 2) for i in range(lines)]
                for part in reversed(range(kernel.parts)):
                    line = e.at(there, "i32", e.mul(side.part, part))
                    beside += [partial(e.prefetch, line, "i32", i * UNIT_WORDS) for i in range(kernel.rows)]
                step.emit(e, unit, unit.multiply_bf16, e.at(u, "i32", at), pixels, side.part, beside)
            at = e.add(e.mul(point.index, p.sums_point), e.mul(out.index, p.sums_tile))
            held = e.at(sums, "f32", e.add(at, e.mul(t.index, kernel.mr)))
            for i in range(rows):
                for j in range(columns):
                    place = j * TILE_NUMBERS * kernel.mr + i * TILE_ROWS
                    unit.store(i * columns + j, e.at(held, "f32", place), 4 * kernel.mr)
    unit.release()
