"""Writes a box of an array so that the channels of a position lie side by side.

    box[tile of channels][residue][image][slice][row][column][ways]  =  x[channel][source row][source column]

A vector of columns is read from each of `ways` channels, and log2(ways) rounds of pairwise interleaving
turn them into vectors of positions: 0.25 shuffles an element at 16 ways. Arrays whose channels already lie
side by side are copied. Channels that a tile has beyond the array's repeat its last one: their sums are
never looked at.

Contract: the box has room for `ways` vectors behind it; input is read only where it exists.
"""

from __future__ import annotations

from dataclasses import dataclass

from convforge.ir.emitter import TYPES, Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import COLUMN_FIELDS, MARGIN_FIELDS, ZERO_ROW, Side
from convforge.kernels.parameters import Parameters

# AVX shuffles within 128 bits in one operation, and across them in as many as eight (vperm2f128 on Zen 1).
_SHUFFLED_BYTES = 16


def interleave(v: Vectors, streams: list[Value]) -> list[Value]:
    """Vectors k[0], k[1], … of a power of two streams -> 0[0], 1[0], 2[0], …, 0[1], 1[1], … in order.

    Three rounds for eight streams; of a vector of 256 bits only the last one crosses its halves.
    """
    n, ways = v.lanes, len(streams)
    # AVX-512 shuffles all of a vector in one operation.
    piece = n // 2 if n * v.element.compute_bytes == 2 * _SHUFFLED_BYTES else n
    low = [start + i // 2 + n * (i % 2) for start in range(0, n, piece) for i in range(piece)]
    high = [lane + piece // 2 for lane in low]
    near = min(ways, piece)
    mixed = [_rounds(v, streams[k : k + near], low, high) for k in range(0, ways, near)]
    if piece == n:
        return [group[j] for j in range(near) for group in mixed]

    def place(at: int) -> tuple[Value, int]:
        """Vector and lane of what stands from `at` on in the result, a piece long."""
        position, stream = divmod(at, ways)
        half, inside = divmod(position, piece)
        return mixed[stream // near][inside * near // piece], half * piece

    result: list[Value] = []
    for at in range(0, n * ways, n):
        (a, first), (b, second) = place(at), place(at + piece)
        lanes = [*range(first, first + piece), *range(n + second, n + second + piece)]
        result.append(v.shuffle(a, b, lanes))
    return result


def _rounds(v: Vectors, streams: list[Value], low: list[int], high: list[int]) -> list[Value]:
    """Rounds of pairwise interleaving, within the pieces that the lanes keep to."""
    runs = [[stream] for stream in streams]
    while len(runs) > 1:
        half = len(runs) // 2
        runs = [
            [v.shuffle(a, b, part) for a, b in zip(runs[k], runs[k + half]) for part in (low, high)]
            for k in range(half)
        ]
    return runs[0]


@dataclass(frozen=True, slots=True)
class Run:
    """Columns of one row of a tile of channels.

    line: column 0 of the tile's first channel. channels: those that exist from there on. Packed positions
    lead … lead + count - 1 hold columns 0, 1, …, `column` elements apart; the others up to `length` zeros.
    """

    line: Value
    channels: Int
    channel: Int
    column: Int
    lead: Int
    count: Int
    length: Int


def emit_run(e: Emitter, v: Vectors, side: Side, ways: int, step: int, run: Run, to: Value) -> None:
    """to[position * step + way] = run; positions are `step` elements apart, `ways` of which are written."""
    if side == "channels":
        _emit_positions(e, v, ways, step, run, to)
    elif side == "strided":
        _emit_elements(e, v, ways, step, run, to)
    else:
        _emit_columns(e, v, side, ways, step, run, to)


def emit_scatter(e: Emitter, v: Vectors, run: Run, table: Value, to: Value, spare: Int) -> None:
    """to[table[n]] … = elements n of as many channels as a vector has lanes, for all n of the run.

    The table has a place for every lane of the last vector. What has a negative one goes to `spare`, from
    `to` on like all: it is never read, but without a branch it has to be written somewhere.
    """
    lines = _lines(e, v, v.lanes, run)
    with e.loop(0, run.length, step=v.lanes, name="scatter") as j:
        for i, value in enumerate(interleave(v, _streams(e, v, "unit", lines, j.index, run.count))):
            at = e.load("i64", table, e.add(j.index, i))
            v.store(value, to, e.select(e.less(at, 0), spare, at))


def _emit_columns(e: Emitter, v: Vectors, side: Side, ways: int, step: int, run: Run, to: Value) -> None:
    lines = _lines(e, v, ways, run)
    with e.loop(0, run.length, step=v.lanes, name="columns") as j:
        out = e.at(to, v.element.compute, e.mul(j.index, step))
        streams = _streams(e, v, side, lines, e.sub(j.index, run.lead), run.count)
        for q, value in enumerate(interleave(v, streams)):
            v.store(value, out, q * (v.lanes // ways) * step)


def _lines(e: Emitter, v: Vectors, ways: int, run: Run) -> list[Value]:
    """Column 0 of each channel of a tile."""
    last = e.sub(run.channels, 1)
    return [
        e.at(run.line, v.element.storage, e.mul(e.minimum(k, last) if k else 0, run.channel))
        for k in range(ways)
    ]


def _streams(e: Emitter, v: Vectors, side: Side, lines: list[Value], first: Int, count: Int) -> list[Value]:
    """A vector of columns first … of each line, zero where they are outside 0 … count - 1."""
    after = e.add(first, v.lanes if side == "unit" else v.lanes + 1)
    inside = e.b.and_(e.no_less(first, 0), e.b.not_(e.less(count, after)))
    # Only loads differ between the middle of a row and its ends: code for the shuffles is long.
    with e.b.if_else(inside) as (whole, partly):
        with whole:
            unmasked, from_whole = [_load(e, v, side, line, first, None) for line in lines], e.b.block
        with partly:
            masked, from_partly = [_load(e, v, side, line, first, count) for line in lines], e.b.block
    streams: list[Value] = []
    for a, b in zip(unmasked, masked):
        stream = e.b.phi(v.type)
        stream.add_incoming(a, from_whole)
        stream.add_incoming(b, from_partly)
        streams.append(stream)
    return streams


def _load(e: Emitter, v: Vectors, side: Side, line: Value, first: Int, count: Int | None) -> Value:
    """Columns first …, zero where they are outside 0 … count - 1; count None: all exist."""
    if side == "unit":
        return v.load_stored(line, first, None if count is None else v.between(first, count))
    # Every second element, the last of a run without its neighbour.
    twice = e.mul(first, 2)
    if count is None:
        halves = [v.load_stored(line, e.add(twice, i * v.lanes)) for i in range(2)]
    else:
        span = e.maximum(e.sub(e.mul(count, 2), 1), 0)
        places = [e.add(twice, i * v.lanes) for i in range(2)]
        halves = [v.load_stored(line, at, v.between(at, span)) for at in places]
    return v.shuffle(halves[0], halves[1], list(range(0, 2 * v.lanes, 2)))


def _emit_positions(e: Emitter, v: Vectors, ways: int, step: int, run: Run, to: Value) -> None:
    """Channels lie side by side: a vector of them for each position."""
    narrow = v if ways == v.lanes else Vectors(e, v.element, ways, fused=v.fused)
    with e.loop(0, run.length, name="position") as j:
        at = e.sub(j.index, run.lead)
        inside = e.below(at, run.count)
        mask = narrow.first(e.select(inside, run.channels, 0))
        value = narrow.load_stored(run.line, e.mul(at, run.column), mask)
        narrow.store(value, to, e.mul(j.index, step))


def _emit_elements(e: Emitter, v: Vectors, ways: int, step: int, run: Run, to: Value) -> None:
    """Nothing lies side by side: one element at a time."""
    kind, last = v.element.compute, e.sub(run.channels, 1)
    begin = e.maximum(run.lead, 0)
    stop = e.minimum(e.add(run.lead, run.count), run.length)
    zero = TYPES[kind](0)
    with e.loop(0, ways, name="way") as way:
        line = e.at(run.line, v.element.storage, e.mul(e.minimum(way.index, last), run.channel))
        out = e.at(to, kind, way.index)
        with e.loop(0, run.length, name="zero") as j:
            e.store(zero, kind, out, e.mul(j.index, step))
        with e.loop(begin, stop, name="element") as j:
            value = e.load(v.element.storage, line, e.mul(e.sub(j.index, run.lead), run.column))
            e.store(v.widen(value), kind, out, e.mul(j.index, step))


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
        e.loop(0, e.minimum(run.channels, ways), name="margin_way") as way,
    ):
        source = e.load("i64", offsets, e.sub(at.index, first))
        value = e.load(v.element.storage, row, e.add(source, e.mul(way.index, run.channel)))
        to = e.add(e.mul(e.sub(at.index, first_column), ways), way.index)
        e.store(v.widen(value), v.element.compute, out, to)
