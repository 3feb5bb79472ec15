"""The way into a Winograd task: V of its tiles, and a look at the magnitudes of their inputs."""

from __future__ import annotations

from functools import partial
from math import prod

from convforge.ir.emitter import TYPES, Int, Value
from convforge.kernels.contract import HEADER_BYTES, ZERO_ROW
from convforge.kernels.flag import emit_flag
from convforge.kernels.pack.planes import emit_pack
from convforge.kernels.winograd.combine import emit_product
from convforge.kernels.winograd.contract import IN_REGISTERS
from convforge.kernels.winograd.pack_spaced import emit_pack_spaced
from convforge.kernels.winograd.pack_tiles import emit_pack_tiles
from convforge.kernels.winograd.separable import Pass, emit_separable
from convforge.kernels.winograd.spread import emit_uneven, window_passes
from convforge.kernels.winograd.tiles_task import Channels, Task
from convforge.schedule.winograd import transforms


class WinogradValues:
    """Emits V of a task; one channel's planes at a time stay in the cache."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.tiling = task.kernel.tiling

    def emit(self, x: Value, channels: Channels) -> None:
        """V of some channels, of all images; x: the first image's first channel.

        Images follow each other without gaps: an image's last vector reaches into the next one's place, and
        is written before it.
        """
        task, e, p = self.task, self.task.e, self.task.p
        values, spread = e.at(task.scratch, "i8", p.values), e.at(task.scratch, "i8", p.spread)
        compute, storage = task.kernel.element.compute, task.kernel.element.storage
        with e.loop(0, task.images, name="image") as image:
            magnitudes = e.at(spread, compute, e.mul(image.index, p.band_length, prod(self.tiling.outputs)))
            source = e.at(x, storage, e.mul(image.index, p.x_batch))
            target = e.at(values, compute, e.mul(image.index, task.tiles))
            with e.when(e.equal(channels.first, 0)):
                self._emit_clear(magnitudes)
            self._emit_image(source, target, magnitudes, channels)
            with e.when(channels.last):
                self._emit_check(magnitudes)

    def _emit_clear(self, magnitudes: Value) -> None:
        task, e, p = self.task, self.task.e, self.task.p
        size = e.mul(p.band_length, prod(self.tiling.outputs))
        with e.loop(0, size, step=task.kernel.lanes, name="window") as window:
            task.v.clear_bits(magnitudes, window.index)

    def _emit_check(self, magnitudes: Value) -> None:
        """Set the flag where a tile's windows are too uneven."""
        task, e, v, p = self.task, self.task.e, self.task.v, self.task.p
        self._emit_clear_gaps(magnitudes)
        with e.loop(task.first, task.stop, step=task.kernel.lanes, name="some_windows") as tiles:
            at = e.sub(tiles.index, task.first)
            windows = range(prod(self.tiling.outputs))
            largest = [v.load_bits(magnitudes, e.add(e.mul(p.band_length, i), at)) for i in windows]
            emit_flag(e, task.scratch, emit_uneven(v, largest, v.first(e.sub(p.flat, tiles.index))))

    def _emit_clear_gaps(self, magnitudes: Value) -> None:
        """Rows of the run that lie between two slices are no tiles: theirs would be windows of both."""
        task, e, p = self.task, self.task.e, self.task.p
        rows = p.pointer("out_row_table")
        last = e.div(e.sub(task.stop, 1), p.pitch)
        with (
            e.loop(e.div(task.first, p.pitch), e.add(last, 1), name="gap") as row,
            e.when(e.equal(e.load("i64", rows, row.index), ZERO_ROW)),
        ):
            begin = e.maximum(e.mul(row.index, p.pitch), task.first)
            end = e.minimum(e.mul(e.add(row.index, 1), p.pitch), task.stop)
            with (
                e.loop(0, prod(self.tiling.outputs), name="gap_window") as window,
                e.loop(e.sub(begin, task.first), e.sub(end, task.first), name="gap_tile") as i,
            ):
                at = e.add(e.mul(p.band_length, window.index), i.index)
                e.store(TYPES[task.v.bits](0), task.v.bits, magnitudes, at)

    def _emit_image(self, x: Value, values: Value, magnitudes: Value, channels: Channels) -> None:
        """V of one image, whose first tile's place in it is `values`."""
        task, e, v, p, kernel = self.task, self.task.e, self.task.v, self.task.p, self.task.kernel
        planes = e.at(task.scratch, "i8", HEADER_BYTES)
        outputs, inputs = self.tiling.outputs[2], self.tiling.sizes[2]
        one_row = e.differ(p.one_row, 0)
        first_row = e.select(one_row, 0, e.div(task.first, p.pitch))
        first_column = e.select(one_row, task.first, 0)
        base = e.add(e.mul(first_row, p.pitch), first_column)
        before, behind = e.sub(task.first, base), e.sub(e.add(task.stop, p.reach), base)
        with e.loop(channels.first, channels.stop, name="channel") as channel:
            source = e.at(x, kernel.element.storage, e.mul(channel.index, p.x_channel))
            if kernel.spaced:
                emit_pack_spaced(
                    e, v, p, columns=kernel.columns, outputs=outputs, inputs=inputs, source=source,
                    target=planes, first_row=first_row, first_column=first_column, before=before,
                    behind=behind,
                )  # fmt: skip
            elif kernel.columns == "unit":
                emit_pack_tiles(
                    e, v, p, outputs=outputs, columns=inputs, margins=kernel.margins, source=source,
                    target=planes, first_row=first_row, first_column=first_column, before=before,
                    behind=behind,
                )  # fmt: skip
            else:
                emit_pack(
                    e, v, "strided", p, source=source, target=planes, channels=1,
                    first_row=first_row, first_column=first_column,
                )  # fmt: skip
            to = e.at(values, kernel.element.compute, e.mul(e.sub(channel.index, channels.first), p.run))
            with e.loop(task.first, task.stop, step=v.lanes, settled=True, name="some_tiles") as tiles:
                origin = e.at(planes, kernel.element.compute, e.sub(tiles.index, base))
                self._emit_transform(origin, to, magnitudes, e.sub(tiles.index, task.first))

    def _emit_transform(self, origin: Value, values: Value, magnitudes: Value, at: Int) -> None:
        """V of one vector of tiles and one channel, and the largest inputs of its windows so far."""
        e, v, p = self.task.e, self.task.v, self.task.p
        compute = self.task.kernel.element.compute
        sizes, lines = self.tiling.sizes, e.at(self.task.scratch, "i8", p.lines)
        distances = p.pointer("distances")
        values, magnitudes = e.at(values, compute, at), e.at(magnitudes, compute, at)

        def load(place: Int) -> Value:
            return v.load(origin, e.load("i64", distances, place))

        def keep_largest(places: list[Int], found: list[Value]) -> None:
            for place, magnitude in zip(places, found):
                to = e.mul(p.band_length, place)
                v.store_bits(v.larger(magnitude, v.load_bits(magnitudes, to)), magnitudes, to)

        def store(places: list[Int], data: list[Value]) -> None:
            for place, value in zip(places, data):
                v.store(value, values, e.mul(p.point, place))

        held = [load(i) for i in range(self.tiling.points if self.tiling.points <= IN_REGISTERS else 0)]

        def read(place: Int) -> Value:
            return held[place] if held and isinstance(place, int) else load(place)

        windows = window_passes(v, self.tiling.sizes, self.tiling.taps)
        emit_separable(e, v, sizes, windows, read=read, write=keep_largest, scratch=lines)
        matrices = [transforms(m, r).data for m, r in zip(self.tiling.outputs, self.tiling.taps)]
        passes = [
            Pass(axis, sizes[axis], partial(emit_product, v, matrices[axis]))
            for axis in (2, 1, 0)
            if sizes[axis] > 1
        ]
        emit_separable(e, v, sizes, passes, read=read, write=store, scratch=lines)
