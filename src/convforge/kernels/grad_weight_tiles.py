"""The gradient of the weights on a tile unit (AMX): products of matrices, by products of bf16 parts.

    gw[g, m, c, tap]  =  sum over n, f of  gy[n, g, m, f] * x[n, g, c, f + distance(tap)]

    A, grad-output      16 channels x 16 words        a row is 16 neighbours of the flat run
    B, x                16 words x 16 channels        turned (turn.py): a row is one position of 16 channels
    C, sums             16 x 16 channels of a tap     fp32

A word holds the parts of two positions, `words` apart in a box of twice as many:

    box     0 1 2 3 … 7 | 8 9 …      A's row    0,8  1,9  2,10  3,11 …
                                     B's rows   0,8 | 1,9 | 2,10 | …        a tap is some rows further on

so every tap reads the same words of x, whole lines of the cache, and x is split once for all of them. The run
is that of the layout (schedule/layout.py), image after image; a table says which positions hold what, and of
grad-output those beside its outputs are zeros.

A task is a block of channels by a block of channels of one group, and a part of the boxes. Parts follow from
the layer alone and are added up by the plan.

    for box of the run                                        the next one is split beside these products
        for chunk of words
            for tiles of grad-output's channels, of taps and of x's channels
                for 16 words                                  sums in tiles
                    for product of parts

As in split_bf16.py, values that are not for this set a flag, and the plan has another family serve.

Scratch: header, progress (grad_weight_steps.py), squares of words, words of both arrays of two boxes, sums.
"""

from __future__ import annotations

from collections.abc import Callable

from convforge.ir.amx import Tiles
from convforge.ir.emitter import TYPES, Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract_grad_weight import (
    GRAD_WEIGHT_TILES_PARAMETERS,
    GRAD_WEIGHT_TILES_SIDE,
    GradWeightTilesKernel,
    RunWay,
)
from convforge.kernels.contract_split import INPUT_RANGE, PRODUCTS, WEIGHT_RANGE
from convforge.kernels.contract_tiles import UNIT_BYTES, UNIT_WORDS
from convforge.kernels.grad_weight_steps import Array, Box, Piece, Steps
from convforge.kernels.parameters import Parameters
from convforge.kernels.turn import SIDE

_TILE_BYTES = SIDE * UNIT_BYTES
_TILE_WORDS = SIDE * UNIT_WORDS


def emit_grad_weight_tiles(kernel: GradWeightTilesKernel, module: Module) -> None:
    """Emit the task; x of the call is the input, bias grad-output, y the parts."""
    _GradWeightTiles(kernel, module.function("task", "pip")).emit()


class _GradWeightTiles:
    """The loop nest, its kernel's choices at hand."""

    def __init__(self, kernel: GradWeightTilesKernel, e: Emitter) -> None:
        self.kernel, self.e = kernel, e
        call, self.index, self.scratch = e.arguments
        self.p = p = Parameters(e, e.load_pointer(call, 0), GRAD_WEIGHT_TILES_PARAMETERS)
        self.x, self.gradient, self.y = (e.load_pointer(call, i) for i in (1, 3, 4))
        self.v = Vectors(e, kernel.element, kernel.lanes, fused=False)
        self.tiles, self.products = Tiles(e), PRODUCTS[kernel.parts]
        self.sums = e.at(self.scratch, "i8", p.sums_at)

    def emit(self) -> None:
        """Emit `task(call, index, scratch)`."""
        e, p, v, kernel = self.e, self.p, self.v, self.kernel
        part, rest = e.rem(self.index, p.parts), e.div(self.index, p.parts)
        c_block, rest = e.rem(rest, p.channel_blocks), e.div(rest, p.channel_blocks)
        o_block, group = e.rem(rest, p.out_blocks), e.div(rest, p.out_blocks)
        first_c, first_o = e.mul(c_block, p.channel_block), e.mul(o_block, p.out_block)
        channels = e.minimum(p.channel_block, e.sub(p.channels, first_c))
        outs = e.minimum(p.out_block, e.sub(p.out_channels, first_o))
        o_tiles, c_tiles = self._tiles_of(outs, kernel.rows), self._tiles_of(channels, 1)

        arrays = (
            self._array(
                "a_side", kernel.a_way, self.gradient, e.mul(group, p.out_channels), first_o, outs, o_tiles
            ),
            self._array("b_side", kernel.b_way, self.x, e.mul(group, p.channels), first_c, channels, c_tiles),
        )
        both = [Steps(e, v, kernel.parts, array, p.words, self.scratch) for array in arrays]
        with e.loop(0, e.mul(o_tiles, e.div(p.sums_row, 4)), step=v.lanes, name="clear") as i:
            v.store(v.zero(), self.sums, i.index)
        self.tiles.configure(p.pointer("shapes"))
        first = e.mul(part, p.part_steps)
        stop = e.minimum(e.add(first, p.part_steps), p.steps)
        for each in both:
            each.start()
            each.begin(self._box(first)[0], 0)
        with e.loop(first, stop, carried=[e.i64(0)], name="step") as step:
            (here,) = step.carried
            there, ahead = e.sub(p.box_bytes, here), e.add(step.index, 1)
            words = self._box(step.index)[1]
            for each in both:
                each.finish()
                each.begin(self._box(e.minimum(ahead, e.sub(stop, 1)))[0], there)
            with e.when(e.equal(ahead, stop)):
                for each in both:
                    each.stop()
            self._emit_products(both, here, o_tiles, e.mul(c_tiles, p.taps), words)
            step.next = [e.i64(there)]
        self.tiles.release()
        for each in both:
            each.end()
        at = e.add(e.mul(part, p.y_part), e.mul(e.add(e.mul(group, p.out_channels), first_o), p.w_out))
        self._emit_write(outs, channels, e.at(self.y, "f32", e.add(at, e.mul(first_c, p.positions))))
        e.done()

    def _array(
        self, side: str, way: RunWay, array: Value, group: Int, first: Int, channels: Int, tiles: Int
    ) -> Array:
        """Of a task: grad-output's, or x's."""
        e = self.e
        p = Parameters(e, self.p.pointer(side), GRAD_WEIGHT_TILES_SIDE)
        at = e.at(array, self.kernel.element.storage, e.mul(e.add(group, first), p.array_channel))
        if side == "a_side":
            return Array(p, 0, way, at, channels, tiles, INPUT_RANGE, is_turned=False)
        return Array(p, 1, way, at, channels, tiles, WEIGHT_RANGE, is_turned=True)

    def _box(self, step: Int) -> tuple[Box, Int]:
        """The box of a step, and its words."""
        e, p, lanes = self.e, self.p, self.kernel.lanes
        period, band = e.div(step, p.bands), e.rem(step, p.bands)
        image = e.mul(period, p.images)
        images = e.minimum(p.images, e.sub(p.batch, image))
        begins, ends = e.mul(band, p.words, 2), e.mul(images, p.run)
        # What lies behind the last image of a whole period is in the table.
        limit = e.select(e.less(images, p.images), e.div(ends, lanes), 1 << 40)
        words = e.minimum(p.words, e.sub(ends, begins))
        return Box(lambda batch: e.mul(image, batch), e.div(begins, lanes), limit), words

    def _tiles_of(self, channels: Int, together: int) -> Int:
        """Tiles of so many channels, up to as many as are multiplied together."""
        many = together * SIDE
        return self.e.mul(self.e.div(self.e.add(channels, many - 1), many), together)

    def _emit_products(self, both: list[Steps], here: Value, rows: Int, columns: Int, words: Int) -> None:
        """All sums of a box that is split."""
        e, p, kernel = self.e, self.p, self.kernel
        of_a, of_b = (e.at(self.scratch, "i8", e.add(each.p.at, here)) for each in both)
        with (
            e.loop(0, words, step=p.chunk, name="chunk") as chunk,
            e.loop(0, rows, step=kernel.rows, name="m") as m,
            e.loop(0, columns, step=kernel.columns, name="column") as column,
        ):
            stop = e.minimum(e.add(chunk.index, p.chunk), words)
            a = [e.at(of_a, "i8", e.mul(e.add(m.index, i), both[0].p.tile)) for i in range(kernel.rows)]
            table = e.at(p.pointer("column_table"), "i64", column.index)
            b = [e.at(of_b, "i8", e.load("i64", table, j)) for j in range(kernel.columns)]
            at = e.add(e.mul(m.index, p.sums_row), e.mul(column.index, _TILE_BYTES))
            self._emit_sums(both, a, b, chunk.index, stop, e.at(self.sums, "i8", at))

    def _emit_sums(
        self, both: list[Steps], a: list[Value], b: list[Value], first: Int, stop: Int, sums: Value
    ) -> None:
        """rows x columns tiles of sums, over the words first … stop - 1."""
        e, p, tiles, kernel = self.e, self.p, self.tiles, self.kernel
        held = [
            (i * kernel.columns + j, e.at(sums, "i8", e.add(e.mul(p.sums_row, i), j * _TILE_BYTES)))
            for i in range(kernel.rows)
            for j in range(kernel.columns)
        ]
        for tile, at in held:
            tiles.load(tile, at, UNIT_BYTES)

        def emit_steps(beside: Callable[[], list[Piece]]) -> None:
            with e.loop(first, stop, step=SIDE, name="k") as k:
                self._emit_step(a, b, [each.p.part for each in both], k.index, beside())

        with e.b.if_else(both[0].left()) as (of_rows, others):
            with of_rows:
                emit_steps(both[0].pieces)
            with others, e.b.if_else(both[1].left()) as (of_columns, alone):
                with of_columns:
                    emit_steps(both[1].pieces)
                with alone:
                    emit_steps(list)
        for tile, at in held:
            tiles.store(tile, at, UNIT_BYTES)

    def _emit_step(
        self, a: list[Value], b: list[Value], part: list[Int], word: Int, beside: list[Piece]
    ) -> None:
        """The products of 16 words, and other work spread over them. part: bytes of a part of each array."""
        e, tiles, kernel = self.e, self.tiles, self.kernel
        of_a = [kernel.rows * kernel.columns + i for i in range(kernel.rows)]
        of_b = [kernel.rows * kernel.columns + kernel.rows + j for j in range(kernel.columns)]
        products, done, emitted = kernel.rows * kernel.columns * len(self.products), 0, 0
        loaded: tuple[int | None, int | None] = None, None
        for part_a, part_b in self.products:
            for number, before, numbers, arrays, apart in (
                (part_a, loaded[0], of_a, a, part[0]),
                (part_b, loaded[1], of_b, b, part[1]),
            ):
                if number != before:
                    at = e.add(e.mul(word, UNIT_BYTES), e.mul(apart, number))
                    for tile, array in zip(numbers, arrays):
                        tiles.load(tile, e.at(array, "i8", at), UNIT_BYTES)
            loaded = part_a, part_b
            for i in range(kernel.rows):
                for j in range(kernel.columns):
                    tiles.multiply_bf16(i * kernel.columns + j, of_a[i], of_b[j])
                    done += 1
                    while emitted < len(beside) * done // products:
                        beside[emitted]()
                        emitted += 1

    def _emit_write(self, outs: Int, channels: Int, target: Value) -> None:
        """sums[tile of m][tile of c][tap][m][c] -> target[m][c][position], zeros where there is no tap."""
        e, p = self.e, self.p
        table = p.pointer("position_table")
        with e.loop(0, outs, name="w_row") as m, e.loop(0, channels, name="w_channel") as c:
            at = e.add(
                e.mul(e.div(m.index, SIDE), e.div(p.sums_row, 4)),
                e.mul(e.div(c.index, SIDE), p.taps, _TILE_WORDS),
                e.mul(e.rem(m.index, SIDE), SIDE),
                e.rem(c.index, SIDE),
            )
            line = e.at(self.sums, "f32", at)
            to = e.at(target, "f32", e.add(e.mul(m.index, p.w_out), e.mul(c.index, p.positions)))
            with e.loop(0, p.positions, name="w_position") as position:
                tap = e.load("i64", table, position.index)
                is_there = e.no_less(tap, 0)
                value = e.load("f32", line, e.mul(e.select(is_there, tap, 0), _TILE_WORDS))
                e.store(e.b.select(is_there, value, TYPES["f32"](0.0)), "f32", to, position.index)
