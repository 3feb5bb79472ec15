"""What happens to finished sums: bias, activation, narrowing, and the way into the output array."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import LEAKY_SLOPE, Activation, WayOut
from convforge.kernels.streaming import Store, emit_whole


def emit_activation(v: Vectors, activation: Activation, x: Value) -> Value:
    """Apply an activation to a vector; NaN stays NaN, as in PyTorch."""
    b, zero = v.e.b, v.zero()
    if activation == "none":
        return x
    if activation == "relu":
        return b.select(b.fcmp_ordered("<", x, zero), zero, x)
    if activation == "leaky_relu":
        return b.select(b.fcmp_ordered("<", x, zero), b.fmul(x, v.constant(LEAKY_SLOPE)), x)
    if activation == "relu6":
        return _clamp(v, x, 6.0)
    return b.fmul(x, b.fmul(_clamp(v, b.fadd(x, v.constant(3.0)), 6.0), v.constant(1.0 / 6.0)))


def _clamp(v: Vectors, x: Value, top: float) -> Value:
    b, zero, limit = v.e.b, v.zero(), v.constant(top)
    x = b.select(b.fcmp_ordered("<", x, zero), zero, x)
    return b.select(b.fcmp_ordered(">", x, limit), limit, x)


def emit_write_flat(
    e: Emitter,
    v: Vectors,
    tile: list[Value],
    mr: int,
    nv: int,
    *,
    target: Value,
    channel: Int,
    rows: Int,
    room: Int,
) -> None:
    """Write a tile whose outputs lie side by side: `room` elements from `target` on, `rows` channels."""
    if not v.masks_are_free or v.streams:
        with e.b.if_else(e.no_less(room, nv * v.lanes)) as (whole, part):
            with whole:
                _emit_channels(e, v, tile, mr, nv, target, channel, rows, None)
            with part:
                _emit_channels(e, v, tile, mr, nv, target, channel, rows, room)
    else:
        _emit_channels(e, v, tile, mr, nv, target, channel, rows, room)


def _emit_channels(
    e: Emitter,
    v: Vectors,
    tile: list[Value],
    mr: int,
    nv: int,
    target: Value,
    channel: Int,
    rows: Int,
    room: Int | None,
) -> None:
    """The vectors of a tile, `rows` channels of it; room None: there is room for all of them."""
    tile = v.narrowed(tile)

    def emit_channels(store: Store) -> None:
        for m in range(mr):
            with e.when(e.less(m, rows)):
                for j in range(nv):
                    store(tile[m * nv + j], target, e.add(e.mul(channel, m), j * v.lanes))

    if room is None:
        emit_whole(v, target, emit_channels)
        return
    for j in range(nv):
        mask = v.first(e.sub(room, j * v.lanes))
        for m in range(mr):
            with e.when(e.less(m, rows)):
                v.store_stored(tile[m * nv + j], target, e.add(e.mul(channel, m), j * v.lanes), mask)


@dataclass(frozen=True, slots=True)
class RunPosition:
    """Where a tile begins: the slice, the row of the slice, and the column."""

    depth: Int
    height: Int
    column: Int

    def shifted(self, e: Emitter, columns: int) -> RunPosition:
        """So many columns further on in the row."""
        return replace(self, column=e.add(self.column, columns))


def find_position(e: Emitter, flat: Int, pitch: Int, slice_rows: Int) -> RunPosition:
    """Position `flat` of the run, by two divisions, which take up to 40 cycles each."""
    row = e.div(flat, pitch)
    depth = e.div(row, slice_rows)
    height = e.sub(row, e.mul(depth, slice_rows))
    return RunPosition(depth, height, e.sub(flat, e.mul(row, pitch)))


def emit_write_in_row(
    e: Emitter,
    v: Vectors,
    tile: list[Value],
    mr: int,
    nv: int,
    *,
    even: Value | None,
    target: Value,
    channel: Int,
    rows: Int,
    position: RunPosition,
    row_stride: Int,
    slice_stride: Int,
) -> None:
    """Write a tile that lies within one row, from registers.

    even: a tile of another phase in scratch, [channel][length], whose outputs stand before those of `tile`.
    """
    step = 1 if even is None else 2
    column = e.mul(position.column, step)
    at = e.add(e.mul(position.depth, slice_stride), e.mul(position.height, row_stride), column)
    line = e.at(target, v.element.storage, at)
    if even is None:
        _emit_channels(e, v, tile, mr, nv, line, channel, rows, None)
        return

    def emit_woven(store: Store) -> None:
        for m in range(mr):
            with e.when(e.less(m, rows)):
                for j in range(nv):
                    before = v.load(even, (m * nv + j) * v.lanes)
                    for i, woven in enumerate(v.interleave([before, tile[m * nv + j]])):
                        store(woven, line, e.add(e.mul(channel, m), (2 * j + i) * v.lanes))

    emit_whole(v, line, emit_woven)


def emit_write_rows(
    e: Emitter,
    v: Vectors,
    *,
    tile: Value,
    tile_size: int,
    length: int,
    position: RunPosition,
    rows: Int,
    target: Value,
    channel: Int,
    pitch: Int,
    slice_rows: Int,
    size: tuple[Int, Int, Int],
    row_stride: Int,
    slice_stride: Int,
    step: Int,
    out_width: Int,
    way: WayOut,
) -> None:
    """Write a tile row by row, leaving out the columns and rows of the flat run that are padding.

    tile: [channel][length] in scratch, another one `tile_size` elements behind it for a second phase;
    position: of its first element; size: (depth, height, width) of the phase's outputs; step:
    elements between neighbouring outputs; out_width: width of the whole output.
    """
    depth, height, width = size
    kind, storage = v.element.compute, v.element.storage
    counted = [e.i64(position.depth), e.i64(position.height)]
    with e.loop(e.sub(0, position.column), length, step=pitch, carried=counted, name="out_row") as row:
        origin, (d, h) = row.index, row.carried
        next_h = e.add(h, 1)
        full = e.equal(next_h, slice_rows)
        row.next = [e.select(full, e.add(d, 1), d), e.select(full, 0, next_h)]
        begin = e.maximum(e.sub(0, origin), 0)
        stop = e.minimum(width, e.sub(length, origin))
        inside = e.b.and_(e.less(h, height), e.less(d, depth))
        with e.when(inside):
            at = e.add(e.mul(d, slice_stride), e.mul(h, row_stride), e.mul(begin, step))
            line = e.at(target, storage, at)
            source = e.at(tile, kind, e.add(origin, begin))
            count = e.sub(stop, begin)
            with e.loop(0, rows, name="out_channel") as m:
                to = e.at(line, storage, e.mul(m.index, channel))
                held = e.at(source, kind, e.mul(m.index, length))
                if way == "pair":
                    room = e.minimum(e.mul(count, 2), e.sub(out_width, e.mul(begin, 2)))
                    _emit_pairs(e, v, held, e.at(held, kind, tile_size), to, room)
                elif way == "unit":
                    v.store_run(partial(v.load, held), to, count)
                else:
                    with e.loop(0, count, name="out_column") as j:
                        value = v.narrow(e.load(kind, held, j.index))
                        e.store(value, storage, to, e.mul(j.index, step))


def _emit_pairs(e: Emitter, v: Vectors, even: Value, odd: Value, to: Value, room: Int) -> None:
    """to = even[0], odd[0], even[1], odd[1], … : `room` elements."""
    n = v.lanes

    def woven(at: Int) -> list[Value]:
        half = e.div(at, 2)
        return v.interleave([v.load(even, half), v.load(odd, half)])

    room = e.maximum(room, 0)
    rest = e.rem(room, 2 * n)
    whole = e.sub(room, rest)
    with e.loop(0, whole, step=2 * n, name="out_pair") as j:
        left, right = woven(j.index)
        v.store_stored(left, to, j.index)
        v.store_stored(right, to, e.add(j.index, n))
    with e.when(e.less(0, rest)):
        left, right = woven(whole)
        v.store_stored(left, to, whole, v.first(rest))
        v.store_stored(right, to, e.add(whole, n), v.first(e.sub(rest, n)))
