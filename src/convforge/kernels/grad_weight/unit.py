"""The gradient of the weights on a tile unit (AMX): products of matrices, by products of bf16 parts.

    gw[g, m, c, tap]  =  sum over n, f of  gy[n, g, m, f] * x[n, g, c, f + distance(tap)]

    A, grad-output      16 channels x 16 words        a row is 16 neighbours of the flat run
    B, x                16 words x 16 channels        turned (pack/turn.py): a row is one position of 16
    channels
    C, sums             16 x 16 channels of a tap     fp32

A word holds the parts of two positions, `words` apart in a box of twice as many:

    box     0 1 2 3 … 7 | 8 9 …      A's row    0,8  1,9  2,10  3,11 …
                                     B's rows   0,8 | 1,9 | 2,10 | …        a tap is some rows further on

so every tap reads the same words of x, whole lines of the cache, and x is split once for all of them. Few
channels are read as windows (schedule/windows.py, unit_columns.py). The run is that of the layout
(schedule/layout.py), image after image; a table says which positions hold what, and of grad-output those
beside its outputs are zeros.

X is split box by box, and stays in the second-level cache for all tiles. Grad-output is split unit by unit,
the tiles of channels and the words that are multiplied next, into two places by turns: so its words stay in
the first level, and no store waits for a line of the second.

A task is a block of channels by a block of channels of one group, and a part of the boxes. Parts follow from
the layer alone and are added up by the plan.

    for box of the run                                    the next one's x is split beside these products
        for chunk of words
            for tiles of grad-output's channels           and the next unit
                for tiles of taps and of x's channels
                    for 16 words                          sums in tiles
                        for product of parts

As in split_bf16/products.py, values that are not for this set a flag, and the plan has another family serve.

Scratch: header, progress (unit_steps.py), squares of words, words of two units of grad-output and of
two boxes of x, sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convforge.ir.amx import Tiles
from convforge.ir.emitter import TYPES, Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.grad_weight.contract import (
    GRAD_WEIGHT_TILES_PARAMETERS,
    GRAD_WEIGHT_TILES_SIDE,
    GradWeightTilesKernel,
)
from convforge.kernels.grad_weight.unit_columns import ColumnSteps
from convforge.kernels.grad_weight.unit_steps import (
    GRAD_OUTPUT,
    Array,
    ChannelSteps,
    Piece,
    Steps,
    Stretch,
    X,
)
from convforge.kernels.pack.turn import SIDE
from convforge.kernels.parameters import Parameters
from convforge.kernels.split_bf16.contract import PRODUCTS
from convforge.kernels.tile_unit.contract import UNIT_BYTES

_TILE_BYTES = SIDE * UNIT_BYTES


@dataclass(frozen=True, slots=True)
class _Task:
    """A task being emitted: its arrays, and where its parameters and scratch lie."""

    e: Emitter
    kernel: GradWeightTilesKernel
    record: Value
    scratch: Value
    arrays: tuple[Array, Array]

    @property
    def p(self) -> Parameters:
        """Its parameters."""
        return Parameters(self.e, self.record, GRAD_WEIGHT_TILES_PARAMETERS)

    @property
    def v(self) -> Vectors:
        """Vectors of the arrays, as they are computed with."""
        return Vectors(self.e, self.kernel.element, self.kernel.lanes, fused=False)

    def steps(self) -> list[Steps]:
        """What splits each array."""
        kinds = ChannelSteps, ChannelSteps if self.kernel.windows is None else ColumnSteps
        return [
            kind(self.e, self.v, self.kernel, array, self.p.words, self.scratch)
            for kind, array in zip(kinds, self.arrays)
        ]

    def part(self, name: str, values: Sequence[Int]) -> tuple[_Task, list[Value]]:
        """The same task in a function of its own, called here with more values: `Emitter.part`."""
        own = [self.record, self.scratch]
        for array in self.arrays:
            own += [array.record, array.first, self.e.i64(array.channels), self.e.i64(array.tiles)]
        e, (record, scratch, *given) = self.e.part(name, [*own, *values])
        a, b = (Array(number, *given[4 * number : 4 * number + 4]) for number in (GRAD_OUTPUT, X))
        return _Task(e, self.kernel, record, scratch, (a, b)), given[8:]


def emit(kernel: GradWeightTilesKernel, module: Module) -> None:
    """Emit the task; x of the call is the input, bias grad-output, y the parts."""
    e = module.function("task", "pip")
    call, index, scratch = e.arguments
    record = e.load_pointer(call, 0)
    p = Parameters(e, record, GRAD_WEIGHT_TILES_PARAMETERS)
    x, gradient, y = (e.load_pointer(call, i) for i in (1, 3, 4))
    part, rest = e.rem(index, p.parts), e.div(index, p.parts)
    c_block, rest = e.rem(rest, p.channel_blocks), e.div(rest, p.channel_blocks)
    o_block, group = e.rem(rest, p.out_blocks), e.div(rest, p.out_blocks)
    first_c, first_o = e.mul(c_block, p.channel_block), e.mul(o_block, p.out_block)
    channels = e.minimum(p.channel_block, e.sub(p.channels, first_c))
    outs = e.minimum(p.out_block, e.sub(p.out_channels, first_o))
    at = e.mul(group, p.out_channels)
    a = _array(e, kernel, GRAD_OUTPUT, p.pointer("a_side"), gradient, e.add(at, first_o), outs, kernel.rows)
    b = _array(e, kernel, X, p.pointer("b_side"), x, e.add(e.mul(group, p.channels), first_c), channels, 1)
    task = _Task(e, kernel, record, scratch, (a, b))
    _emit_boxes(task, part)
    at = e.add(e.mul(part, p.y_part), e.mul(e.add(at, first_o), p.w_out), e.mul(first_c, p.positions))
    _emit_write(task, e.at(y, "f32", at))
    e.done()


def _array(
    e: Emitter, kernel: GradWeightTilesKernel, number: int, record: Value, array: Value, first: Int,
    channels: Int, together: int,
) -> Array:  # fmt: skip
    """An array from its channel `first` on; its tiles up to as many as are multiplied together."""
    p = Parameters(e, record, GRAD_WEIGHT_TILES_SIDE)
    tiles = e.mul(e.div(e.add(channels, together * SIDE - 1), together * SIDE), together)
    source = e.at(array, kernel.element.storage, e.mul(first, p.array_channel))
    return Array(number, record, source, channels, tiles)


def _emit_boxes(task: _Task, part: Int) -> None:
    """The sums of a part of the boxes."""
    e, p, v = task.e, task.p, task.v
    of_a, of_x = task.steps()
    tiles, sums = Tiles(e), e.at(task.scratch, "i8", p.sums_at)
    with e.loop(0, e.mul(task.arrays[0].tiles, e.div(p.sums_row, 4)), step=v.lanes, name="clear") as i:
        v.store(v.zero(), sums, i.index)
    tiles.configure(p.pointer("shapes"))
    first = e.mul(part, p.part_steps)
    stop = e.minimum(e.add(first, p.part_steps), p.steps)
    for each in (of_a, of_x):
        each.start()
    of_a.begin(_unit(task, first, 0, 0), 0)
    of_x.begin(_box(task, first), 0)
    with e.loop(first, stop, carried=[e.i64(0), e.i64(0)], name="step") as step:
        here, unit = step.carried
        there, ahead = e.sub(p.box_bytes, here), e.add(step.index, 1)
        _finish(task, X)
        of_x.begin(_box(task, e.minimum(ahead, e.sub(stop, 1))), there)
        with e.when(e.equal(ahead, stop)):
            of_x.stop()
        step.next = [e.i64(there), _emit_products(task, step.index, stop, here, unit)]
    tiles.release()
    for each in (of_a, of_x):
        each.end()


def _finish(task: _Task, number: int) -> None:
    """Do the steps that are left of an array."""
    own, _ = task.part(("finish_grad_output", "finish_x")[number], [])
    own.steps()[number].finish()
    own.e.done()


def _words(task: _Task, step: Int) -> Int:
    """Of the box of a step."""
    e, p = task.e, task.p
    period, band = e.div(step, p.bands), e.rem(step, p.bands)
    images = e.minimum(p.images, e.sub(p.batch, e.mul(period, p.images)))
    return e.minimum(p.words, e.sub(e.mul(images, p.run), e.mul(band, p.words, 2)))


def _box(task: _Task, step: Int) -> Stretch:
    """Of x: all channels of the box of a step."""
    x = task.arrays[X]
    return _stretch(task, step, 0, 0, x.tiles, task.steps()[X].p.blocks)


def _unit(task: _Task, step: Int, chunk: Int, m: Int) -> Stretch:
    """Of grad-output: the tiles of channels from m on that are multiplied at once, of a chunk of words."""
    e, p = task.e, task.p
    words = e.minimum(p.chunk, e.sub(_words(task, step), chunk))
    return _stretch(task, step, chunk, m, task.kernel.rows, e.div(words, SIDE))


def _stretch(task: _Task, step: Int, word: Int, tile: Int, tiles: Int, blocks: Int) -> Stretch:
    """Of the box of a step, from a word on."""
    e, p, lanes = task.e, task.p, task.kernel.lanes
    period, band = e.div(step, p.bands), e.rem(step, p.bands)
    image = e.mul(period, p.images)
    images = e.minimum(p.images, e.sub(p.batch, image))
    # What lies behind the last image of a whole period is in the table.
    limit = e.select(e.less(images, p.images), e.div(e.mul(images, p.run), lanes), 1 << 40)
    first = e.div(e.add(e.mul(band, p.words, 2), word), lanes)
    return Stretch(image, first, limit, blocks, tile, tiles)


def _emit_products(task: _Task, step: Int, stop: Int, here: Value, unit: Value) -> Value:
    """All sums of a box of x that is split, unit by unit of grad-output. unit: where the first one's words
    lie; returned: those of the next box's.
    """
    e, p, kernel, (of_a, of_x) = task.e, task.p, task.kernel, task.steps()
    words, out_tiles = _words(task, step), task.arrays[GRAD_OUTPUT].tiles
    columns = e.mul(task.arrays[X].tiles, p.taps)
    x = e.at(task.scratch, "i8", e.add(of_x.p.at, here))
    with e.loop(0, words, step=p.chunk, carried=[unit], name="chunk") as chunk:
        with e.loop(0, out_tiles, step=kernel.rows, carried=chunk.carried, name="m") as m:
            (own,) = m.carried
            other = e.sub(p.unit_bytes, own)
            _finish(task, GRAD_OUTPUT)
            _begin_next(task, step, stop, words, chunk.index, m.index, other)
            # Words are counted from the box's first.
            at = e.sub(e.add(of_a.p.at, own), e.mul(chunk.index, UNIT_BYTES))
            a = [e.at(task.scratch, "i8", e.add(at, e.mul(of_a.p.tile, i))) for i in range(kernel.rows)]
            end = e.minimum(e.add(chunk.index, p.chunk), words)
            with e.loop(0, columns, step=kernel.columns, name="column") as column:
                table = e.at(p.pointer("column_table"), "i64", column.index)
                b = [e.at(x, "i8", e.load("i64", table, j)) for j in range(kernel.columns)]
                at = e.add(p.sums_at, e.mul(m.index, p.sums_row), e.mul(column.index, _TILE_BYTES))
                _emit_sums(task, a, b, chunk.index, end, e.at(task.scratch, "i8", at))
            m.next = [e.i64(other)]
        chunk.next = m.results
    return chunk.results[0]


def _begin_next(task: _Task, step: Int, stop: Int, words: Int, chunk: Int, m: Int, to: Int) -> None:
    """The next unit of grad-output is to be split: the next tiles', chunk's or box's first."""
    e, p = task.e, task.p
    of_a = task.steps()[GRAD_OUTPUT]
    next_m, next_chunk = e.add(m, task.kernel.rows), e.add(chunk, p.chunk)
    ends_chunk = e.no_less(next_m, task.arrays[GRAD_OUTPUT].tiles)
    ends_box = e.b.and_(ends_chunk, e.no_less(next_chunk, words))
    next_step = e.select(ends_box, e.add(step, 1), step)
    is_last = e.no_less(next_step, stop)
    next_chunk = e.select(ends_box, 0, e.select(ends_chunk, next_chunk, chunk))
    next_m = e.select(ends_chunk, 0, next_m)
    of_a.begin(_unit(task, e.select(is_last, step, next_step), next_chunk, next_m), to)
    with e.when(is_last):
        of_a.stop()


def _emit_sums(task: _Task, a: list[Value], b: list[Value], first: Int, stop: Int, sums: Value) -> None:
    """rows x columns tiles of sums, over the words first … stop - 1."""
    e, p, tiles, kernel = task.e, task.p, Tiles(task.e), task.kernel
    held = [
        (i * kernel.columns + j, e.at(sums, "i8", e.add(e.mul(p.sums_row, i), j * _TILE_BYTES)))
        for i in range(kernel.rows)
        for j in range(kernel.columns)
    ]
    for tile, at in held:
        tiles.load(tile, at, UNIT_BYTES)

    def emit_steps(name: str, number: int | None) -> None:
        """Beside them the steps of an array."""
        own, (begin, end, *pointers) = task.part(name, [first, stop, *a, *b])
        steps = own.steps()
        with own.e.loop(begin, end, step=SIDE, name="k") as k:
            beside = [] if number is None else steps[number].pieces()
            _emit_step(own, pointers, [each.p.part for each in steps], k.index, beside)
        own.e.done()

    of_a, of_b = (each.left() for each in task.steps())
    with e.b.if_else(of_a) as (beside_a, others):
        with beside_a:
            emit_steps("beside_grad_output", GRAD_OUTPUT)
        with others, e.b.if_else(of_b) as (beside_b, alone):
            with beside_b:
                emit_steps("beside_x", X)
            with alone:
                emit_steps("alone", None)
    for tile, at in held:
        tiles.store(tile, at, UNIT_BYTES)


def _emit_step(task: _Task, pointers: list[Value], part: list[Int], word: Int, beside: list[Piece]) -> None:
    """The products of 16 words, and other work spread over them. pointers: of the rows' tiles, then of the
    columns'; part: bytes of a part of each array.
    """
    e, tiles, kernel = task.e, Tiles(task.e), task.kernel
    sums = kernel.rows * kernel.columns
    of_a, of_b = range(sums, sums + kernel.rows), range(sums + kernel.rows, sums + len(pointers))
    products = PRODUCTS[kernel.parts]
    b_bytes = UNIT_BYTES if kernel.windows is None else 4 * kernel.windows.distance
    done, emitted = 0, 0
    loaded: tuple[int | None, int | None] = None, None
    for part_a, part_b in products:
        for number, before, numbers, apart, row in (
            (part_a, loaded[0], of_a, part[0], UNIT_BYTES),
            (part_b, loaded[1], of_b, part[1], b_bytes),
        ):
            if number != before:
                at = e.add(e.mul(word, row), e.mul(apart, number))
                for tile in numbers:
                    tiles.load(tile, e.at(pointers[tile - sums], "i8", at), row)
        loaded = part_a, part_b
        for i, a in enumerate(of_a):
            for j, b in enumerate(of_b):
                tiles.multiply_bf16(i * kernel.columns + j, a, b)
                done += 1
                while emitted < len(beside) * done // (sums * len(products)):
                    beside[emitted]()
                    emitted += 1


def _emit_write(task: _Task, target: Value) -> None:
    """sums[tile of m][column tile][m][column] -> target[m][c][position], zeros where there is no tap."""
    e, p = task.e, task.p
    table, sums = p.pointer("sum_table"), e.at(task.scratch, "i8", p.sums_at)
    outs, channels = (array.channels for array in task.arrays)
    with e.loop(0, outs, name="w_row") as m:
        at = e.add(e.mul(e.div(m.index, SIDE), e.div(p.sums_row, 4)), e.mul(e.rem(m.index, SIDE), SIDE))
        row, to = e.at(sums, "f32", at), e.at(target, "f32", e.mul(m.index, p.w_out))
        with e.loop(0, e.mul(channels, p.positions), name="w") as w:
            place = e.load("i64", table, w.index)
            is_there = e.no_less(place, 0)
            value = e.load("f32", row, e.select(is_there, place, 0))
            e.store(e.b.select(is_there, value, TYPES["f32"](0.0)), "f32", to, w.index)
