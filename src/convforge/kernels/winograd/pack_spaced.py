"""Writes rows of the input into the planes of a dilated kernel's Winograd tiles: blocks of neighbours.

    plane[i][row][t] = x[source row][(t / s) * m * s + t % s + i * s]     0 where that lies on padding

    F(2, 3), s = 3:   a b c d e f g h i j k l m …   ->   plane 0: a b c g h i m …
                                                         plane 1: d e f j k l …
                                                         plane 2: g h i m …

Contract: as pack_tiles.py; columns of the input may have any stride.
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import ZERO_ROW, Columns
from convforge.kernels.parameters import Parameters


def emit_pack_spaced(
    e: Emitter,
    v: Vectors,
    p: Parameters,
    *,
    columns: Columns,
    outputs: int,
    inputs: int,
    source: Value,
    target: Value,
    first_row: Int,
    first_column: Int,
    before: Int,
    behind: Int,
) -> None:
    """Pack the rows first_row … first_row + p.plane_rows of one channel; a tile has `inputs` columns.

    before, behind: as `emit_pack_tiles` has them. Vectors are written forwards, beyond the ends of a block
    too: what the next one begins with is written after that.
    """
    compute, storage = v.element.compute, v.element.storage
    rows = e.minimum(p.plane_rows, e.sub(p.total_rows, first_row))
    step = 1 if columns == "strided" else v.lanes
    with e.loop(0, p.row_residues, name="row_residue") as residue:
        offsets = e.at(p.pointer("row_table"), "i64", e.add(e.mul(residue.index, p.total_rows), first_row))
        planes = e.at(target, compute, e.mul(residue.index, inputs, p.plane))
        with e.loop(0, rows, name="pack_row") as row:
            offset = e.load("i64", offsets, row.index)
            real = e.differ(offset, ZERO_ROW)
            line = e.at(source, storage, e.select(real, offset, 0))
            width = e.select(real, p.in_width, 0)
            start = e.mul(row.index, p.pitch)
            to = e.at(planes, compute, e.sub(start, first_column))
            begin = e.add(first_column, e.maximum(e.sub(before, start), 0))
            end = e.add(first_column, e.minimum(e.sub(behind, start), p.row_length))
            end = e.maximum(begin, end)
            blocks = e.div(e.add(end, p.spacing, -1), p.spacing)
            with e.loop(e.div(begin, p.spacing), blocks, name="block") as block:
                first = e.mul(block.index, p.spacing)
                origin = e.add(e.mul(first, outputs - 1), p.lowest)
                low, high = e.maximum(first, begin), e.minimum(e.add(first, p.spacing), end)
                with e.loop(low, high, step=step, name="some_tiles") as tile:
                    for i in range(inputs):
                        at = e.add(tile.index, origin, e.mul(p.spacing, i))
                        place = e.add(e.mul(p.plane, i), tile.index)
                        if columns == "strided":
                            inside = e.below(at, width)
                            value = e.load(storage, line, e.select(inside, e.mul(at, p.x_column), 0))
                            value = v.widen(value)
                            e.store(e.b.select(inside, value, value.type(0.0)), compute, to, place)
                        else:
                            v.store(v.load_stored(line, at, v.between(at, width)), to, place)
