"""Writes a row of an array so that the channels of a position lie side by side.

    row[column][ways]  =  x[channel][column]

A vector of columns is read from each of `ways` channels, and log2(ways) rounds of pairwise interleaving
turn them into vectors of positions: 0.25 shuffles an element at 16 ways. Arrays whose channels already lie
side by side are copied. Channels that a tile has beyond the array's repeat its last one: their sums are
never looked at.

Contract: there is room for `ways` vectors behind what is written; input is read only where it exists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from convforge.ir.emitter import TYPES, Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import Side

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


Store = Callable[[Value, Value, Int, Value | None], None]


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
    with e.loop(0, run.length, step=v.lanes, settled=True, name="scatter") as j:
        here = e.at(table, "i64", j.index)
        for i, value in enumerate(interleave(v, _streams(e, v, "unit", lines, j.index, run.count))):
            at = e.load("i64", here, i)
            v.store(value, to, e.select(e.less(at, 0), spare, at))


def emit_turn(
    e: Emitter,
    v: Vectors,
    source: Value,
    rows: Int,
    step: Int,
    to: Value,
    pitch: Int,
    columns: Int,
    store: Store,
) -> None:
    """to[column * pitch + row] = source[row * step + column]: columns 0 … columns - 1, of a vector's lanes.

    columns: at least 1. A square at a time; what `source` has beyond the last row is read, but not written.
    store(value, pointer, offset, mask): v.store_stored or v.store_computed, the type of `to`. Whole squares
    are stored without a mask, which takes AMD's processors 20 cycles or more with AVX2.
    """
    last = e.sub(columns, 1)
    kind = v.element.storage if store == v.store_stored else v.element.compute
    with e.loop(0, rows, step=v.lanes, settled=True, name="turn") as row:
        here = e.at(source, v.element.compute, e.mul(row.index, step))
        vectors = [v.load(here, e.mul(step, i)) for i in range(v.lanes)]
        square, left = interleave(v, vectors), e.sub(rows, row.index)
        at = e.at(to, kind, row.index)
        with e.b.if_else(e.no_less(left, v.lanes)) as (whole, partly):
            for branch, is_whole in ((whole, True), (partly, False)):
                with branch:
                    mask = None if is_whole else v.first(left)
                    # Those beyond the last column go to its place, and the last column over them: without a
                    # branch for each, a kernel compiles in three quarters of the time.
                    for i, value in reversed(list(enumerate(square))):
                        store(value, at, e.mul(pitch, e.minimum(i, last)), mask)


def _emit_columns(e: Emitter, v: Vectors, side: Side, ways: int, step: int, run: Run, to: Value) -> None:
    lines = _lines(e, v, ways, run)
    with e.loop(0, run.length, step=v.lanes, settled=True, name="columns") as j:
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
