"""Writes rows of the input into the planes of Winograd tiles: one plane for each column of a tile.

    plane[i][row][t] = x[source row][t * m + i]         i < m + r - 1, or 0 where that lies on padding

    F(2, 3):   a b c d e f g h …   ->   plane 0: a c e g …    plane 2:  c e g …
                                        plane 1: b d f h …    plane 3:  d f h …

A row is read once: m vectors are sorted into those of each remainder, and each is stored to every plane that
holds it, some tiles earlier in those of columns m and more.

Contract: columns of the input lie side by side; as pack/planes.py for all else. Margins that a padding mode
fills are written by `emit_margins` there.
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import COLUMN_FIELDS, ZERO_ROW
from convforge.kernels.pack.planes import emit_margins
from convforge.kernels.parameters import Parameters


def emit_pack_tiles(
    e: Emitter,
    v: Vectors,
    p: Parameters,
    *,
    outputs: int,
    columns: int,
    margins: bool,
    source: Value,
    target: Value,
    first_row: Int,
    first_column: Int,
    before: Int,
    behind: Int,
) -> None:
    """Pack the rows first_row … first_row + p.plane_rows of one channel, for tiles of `outputs` columns.

    columns: those of a tile's input. Of the flat run, packed positions before … behind - 1 are needed; the
    rest of the first and the last row is left out. Rows are written forwards, a vector beyond their ends:
    what the next row begins with is written after that.
    """
    compute, storage = v.element.compute, v.element.storage
    rows = e.minimum(p.plane_rows, e.sub(p.total_rows, first_row))
    farthest = (columns - 1) // outputs  # tiles by which a plane's store comes early
    with e.loop(0, p.row_residues, name="row_residue") as residue:
        offsets = e.at(p.pointer("row_table"), "i64", e.add(e.mul(residue.index, p.total_rows), first_row))
        planes = e.at(target, compute, e.mul(residue.index, columns, p.plane))
        with e.loop(0, rows, name="pack_row") as row:
            offset = e.load("i64", offsets, row.index)
            real = e.differ(offset, ZERO_ROW)
            line = e.at(source, storage, e.select(real, offset, 0))
            width = e.select(real, p.in_width, 0)
            to = e.at(planes, compute, e.mul(row.index, p.pitch))
            start = e.mul(row.index, p.pitch)
            begin = e.maximum(e.sub(before, start), 0)
            end = e.add(e.minimum(e.sub(behind, start), p.row_length), farthest)
            with e.loop(begin, end, step=v.lanes, name="some_tiles") as tile:
                at = e.add(e.mul(e.add(first_column, tile.index), outputs), p.lowest)
                parts = [e.add(at, k * v.lanes) for k in range(outputs)]
                data = v.deinterleave([v.load_stored(line, k, v.between(k, width)) for k in parts])
                for i in range(columns):
                    early = i // outputs
                    place = e.add(e.mul(p.plane, i), e.sub(tile.index, early))
                    if early == 0:
                        v.store(data[i % outputs], to, place)
                    else:
                        # The first lanes of a row's first vector belong to no tile.
                        v.store_masked(data[i % outputs], to, place, v.from_lane(e.sub(early, tile.index)))
            if margins:
                for i in range(columns):
                    record = e.at(p.pointer("column_table"), "i64", i * len(COLUMN_FIELDS))
                    with e.when(real):
                        emit_margins(
                            e,
                            v,
                            p,
                            source,
                            offset,
                            e.at(to, compute, e.mul(p.plane, i)),
                            record,
                            first_column,
                        )
