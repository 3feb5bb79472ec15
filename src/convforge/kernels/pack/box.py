"""Packs boxes of an array with the channels of a position side by side (interleave.py).

    box[tile of channels][residue][image][slice][row][column][ways]  =  x[channel][source row][source column]

A box is what a stretch of outputs reads. Its rows are written one by one; or, where whole rows of a map lie
one behind the other, as one run, each element to the place that a table says.
"""

from __future__ import annotations

from dataclasses import dataclass

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import COLUMN_FIELDS, MARGIN_FIELDS, ZERO_ROW, Side
from convforge.kernels.pack.contract import SCATTER_FIELDS
from convforge.kernels.pack.interleave import Run, emit_run, emit_scatter
from convforge.kernels.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Box:
    """Outputs of one step: `images` from `image` on, and a stretch of each axis from depth, height, width."""

    image: Int
    images: Int
    depth: Int
    depths: Int
    height: Int
    heights: Int
    width: Int
    widths: Int


def box_of(e: Emitter, p: Parameters, step: Int) -> Box:
    """The box of a step: widths vary fastest, images slowest."""
    w, rest = e.rem(step, p.width_boxes), e.div(step, p.width_boxes)
    h, rest = e.rem(rest, p.height_boxes), e.div(rest, p.height_boxes)
    d, n = e.rem(rest, p.depth_boxes), e.div(rest, p.depth_boxes)
    image, depth, height, width = (
        e.mul(n, p.images), e.mul(d, p.depths), e.mul(h, p.heights), e.mul(w, p.widths)
    )  # fmt: skip
    return Box(
        image,
        e.minimum(p.images, e.sub(p.batch, image)),
        depth,
        e.minimum(p.depths, e.sub(p.depth, depth)),
        height,
        e.minimum(p.heights, e.sub(p.height, height)),
        width,
        e.minimum(p.widths, e.sub(p.width, width)),
    )


def emit_pack_box(
    e: Emitter,
    v: Vectors,
    side: Side,
    ways: int,
    p: Parameters,
    box: Box,
    source: Value,
    channels: Int,
    to: Value,
) -> None:
    """Pack what the outputs of a box read: `channels` channels from `source` on, which is image 0."""
    storage, compute = v.element.storage, v.element.compute
    tiles = e.div(e.add(channels, p.tile_channels, -1), p.tile_channels)
    length = e.add(box.widths, p.reach_w)
    rows, columns = p.pointer("row_table"), p.pointer("column_table")
    with (
        e.loop(0, box.images, name="pack_image") as image,
        e.loop(0, tiles, name="pack_tile") as tile,
        e.loop(0, p.row_residues, name="row_residue") as row_residue,
        e.loop(0, p.column_residues, name="column_residue") as residue,
        e.loop(0, e.add(box.depths, p.reach_d), name="pack_slice") as d,
        e.loop(0, e.add(box.heights, p.reach_h), name="pack_row") as h,
    ):
        first = e.mul(tile.index, p.tile_channels)
        at = e.add(e.mul(e.add(box.image, image.index), p.x_batch), e.mul(first, p.x_channel))
        x = e.at(source, storage, at)
        index = e.add(e.mul(row_residue.index, p.column_residues), residue.index)
        line_at = e.add(
            e.mul(
                e.add(e.mul(e.add(e.mul(image.index, p.in_depths), d.index), p.in_heights), h.index), p.in_row
            ),
            e.mul(tile.index, p.panel),
            e.mul(index, p.plane),
        )
        out = e.at(to, compute, line_at)
        row = e.add(e.mul(e.add(box.depth, d.index), p.slice_rows), box.height, h.index)
        offset = e.load("i64", rows, e.add(e.mul(row_residue.index, p.total_rows), row))
        record = e.at(columns, "i64", e.mul(residue.index, len(COLUMN_FIELDS)))
        lead, count, start, *margins = (e.load("i64", record, i) for i in range(len(COLUMN_FIELDS)))
        # A row of zeros is a run of length 0; its offset is never used.
        real = e.differ(offset, ZERO_ROW)
        run = Run(
            line=e.at(x, storage, e.select(real, e.add(offset, start), 0)),
            channels=e.sub(channels, first),
            channel=p.x_channel,
            column=p.x_column,
            lead=e.sub(lead, box.width),
            count=e.select(real, count, 0),
            length=length,
        )
        emit_run(e, v, side, ways, ways, run, out)
        row_line = e.at(x, storage, e.select(real, offset, 0))
        for i in range(0, len(margins), len(MARGIN_FIELDS)):
            first_at, stop_at, offsets = margins[i : i + len(MARGIN_FIELDS)]
            stop_at = e.select(real, stop_at, first_at)
            margin = (first_at, stop_at, e.b.inttoptr(offsets, x.type))
            _emit_margin(e, v, ways, run, margin, row_line, box.width, out)


def emit_scatter_box(
    e: Emitter, v: Vectors, p: Parameters, box: Box, source: Value, channels: Int, to: Value, spare: Int
) -> None:
    """Pack what the outputs of a box read of as many channels as a vector has lanes, as one run an image.

    Padding is not written. spare: a place from `to` on for a vector that nobody reads.
    """
    storage, compute = v.element.storage, v.element.compute
    number = e.div(box.height, p.box_heights)
    record = e.at(p.pointer("scatter_table"), "i64", e.mul(number, len(SCATTER_FIELDS)))
    first, count, places = (e.load("i64", record, i) for i in range(len(SCATTER_FIELDS)))
    table = e.at(p.pointer("place_table"), "i64", places)
    with e.loop(0, box.images, name="image") as image:
        at = e.add(e.mul(e.add(box.image, image.index), p.x_batch), first)
        before = e.mul(image.index, p.in_heights, p.in_row)
        run = Run(e.at(source, storage, at), channels, p.x_channel, 1, 0, count, count)
        emit_scatter(e, v, run, table, e.at(to, compute, before), e.sub(spare, before))


def _emit_margin(
    e: Emitter,
    v: Vectors,
    ways: int,
    run: Run,
    margin: tuple[Int, Int, Value],
    row: Value,
    first_column: Int,
    out: Value,
) -> None:
    """Columns beside the run that a padding mode fills from elsewhere in the row."""
    first, stop, offsets = margin
    begin = e.maximum(first, first_column)
    end = e.minimum(stop, e.add(first_column, run.length))
    with (
        e.loop(begin, end, name="margin") as at,
        e.loop(0, e.minimum(run.channels, ways), settled=True, name="margin_way") as way,
    ):
        source = e.load("i64", offsets, e.sub(at.index, first))
        value = e.load(v.element.storage, row, e.add(source, e.mul(way.index, run.channel)))
        to = e.add(e.mul(e.sub(at.index, first_column), ways), way.index)
        e.store(v.widen(value), v.element.compute, out, to)
