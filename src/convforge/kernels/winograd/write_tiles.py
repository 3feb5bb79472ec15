"""Writes the outputs of Winograd tiles, row by row, into the output array."""

from __future__ import annotations

from functools import partial

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import ZERO_ROW
from convforge.kernels.parameters import Parameters
from convforge.kernels.winograd.contract import WinogradKernel


def emit_write_tiles(
    e: Emitter,
    v: Vectors,
    p: Parameters,
    kernel: WinogradKernel,
    *,
    leaving: Value,
    skipped: Int,
    tile: Int,
    tiles: Int,
    target: Value,
    rows: Int,
) -> None:
    """Write `tiles` tiles of the flat run, from number `tile` on, of `rows` channels from `target` on.

    leaving: [output row of a tile][channel][a row's columns of kernel.length tiles], of which the first
    `skipped` tiles are not for this place. A row's columns are in their order in the output; where the kernel
    is dilated, all first columns of the tiles come first, then all second ones.
    """
    depth, height, width = kernel.tiling.outputs
    compute, storage, size = v.element.compute, v.element.storage, kernel.length * width
    first = e.div(tile, p.pitch)
    out_rows = p.pointer("out_row_table")
    start = e.sub(e.mul(first, p.pitch), tile)
    with e.loop(start, tiles, step=p.pitch, carried=[e.i64(first)], name="tile_row") as row:
        number = row.carried[0]
        row.next = [e.i64(e.add(number, 1))]
        begin = e.maximum(e.sub(0, row.index), 0)
        stop = e.minimum(p.pitch, e.sub(tiles, row.index))
        at = e.add(row.index, skipped)  # of the row's first tile
        with e.loop(0, depth * height, name="out_row") as i:
            offset = e.load("i64", out_rows, e.add(e.mul(i.index, p.out_rows), number))
            line = e.at(target, storage, offset)
            held = e.at(leaving, compute, e.mul(i.index, kernel.mr * size))
            with e.when(e.differ(offset, ZERO_ROW)):
                if kernel.spaced:
                    _emit_blocks(e, v, p, kernel, e.at(held, compute, at), line, begin, stop, rows)
                else:
                    source = e.at(held, compute, e.mul(e.add(at, begin), width))
                    column = e.mul(begin, width)
                    count = e.sub(e.minimum(e.mul(stop, width), p.width), column)
                    to = e.at(line, storage, e.mul(column, p.y_step))
                    _emit_columns(e, v, p, kernel, source, to, count, rows)


def _emit_blocks(
    e: Emitter,
    v: Vectors,
    p: Parameters,
    kernel: WinogradKernel,
    held: Value,
    line: Value,
    begin: Int,
    stop: Int,
    rows: Int,
) -> None:
    """The tiles begin … stop - 1 of a row, in blocks of p.spacing neighbours whose outputs are neighbours."""
    width = kernel.tiling.outputs[2]
    blocks = e.div(e.add(stop, p.spacing, -1), p.spacing)
    with e.loop(e.div(begin, p.spacing), blocks, name="out_block") as block:
        first = e.mul(block.index, p.spacing)
        low, high = e.maximum(first, begin), e.minimum(e.add(first, p.spacing), stop)
        for k in range(width):
            column = e.add(low, e.mul(first, width - 1), e.mul(p.spacing, k))
            count = e.minimum(e.sub(high, low), e.sub(p.width, column))
            source = e.at(held, v.element.compute, e.add(low, k * kernel.length))
            to = e.at(line, v.element.storage, e.mul(column, p.y_step))
            _emit_columns(e, v, p, kernel, source, to, count, rows)


def _emit_columns(
    e: Emitter,
    v: Vectors,
    p: Parameters,
    kernel: WinogradKernel,
    source: Value,
    target: Value,
    count: Int,
    rows: Int,
) -> None:
    """`count` neighbouring outputs of each of `rows` channels."""
    compute, storage = v.element.compute, v.element.storage
    with e.loop(0, rows, name="out_channel") as m:
        to = e.at(target, storage, e.mul(m.index, p.y_channel))
        held = e.at(source, compute, e.mul(m.index, kernel.length * kernel.tiling.outputs[2]))
        if kernel.way_out == "unit":
            v.store_run(partial(v.load, held), to, count)
        else:
            with e.loop(0, count, name="out_column") as j:
                value = v.narrow(e.load(compute, held, j.index))
                e.store(value, storage, to, e.mul(j.index, p.y_step))
