"""The way out of a Winograd task: from M to the output array."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from convforge.ir.emitter import Int, Value
from convforge.kernels.epilogue import emit_activation
from convforge.kernels.flag import emit_flag
from convforge.kernels.winograd.combine import emit_transposed_product
from convforge.kernels.winograd.separable import Pass, emit_separable
from convforge.kernels.winograd.spread import emit_largest, emit_unfit
from convforge.kernels.winograd.tiles_task import Task
from convforge.kernels.winograd.write_tiles import emit_write_tiles
from convforge.schedule.winograd import transforms


@dataclass(frozen=True, slots=True)
class Leaving:
    """Where a group's first channel goes to in the first image, its bias, and how many channels are left."""

    target: Value
    bias: Value | None
    channels: Int


class WinogradOutputs:
    """Emits transforms of sums, bias, activation; columns put in turn; image by image, row by row."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.tiling = task.kernel.tiling

    def emit(self, leaving: Leaving, outs: Int, first: Int, stop: Int) -> None:
        """The outputs of `outs` tiles of channels and of the elements first … stop - 1 of the run."""
        e, p, kernel = self.task.e, self.task.p, self.task.kernel
        with (
            e.loop(0, outs, name="leaving_out") as out,
            e.loop(first, stop, step=kernel.length, name="leaving_tile") as tile,
        ):
            at = e.add(e.mul(out.index, p.tile_group), e.sub(tile.index, first))
            sums = e.at(e.at(self.task.scratch, "i8", p.sums), kernel.element.compute, e.mul(at, kernel.mr))
            channel = e.mul(out.index, kernel.mr)
            one = Leaving(
                target=e.at(leaving.target, kernel.element.storage, e.mul(channel, p.y_channel)),
                bias=None if leaving.bias is None else e.at(leaving.bias, kernel.element.compute, channel),
                channels=e.minimum(e.sub(leaving.channels, channel), kernel.mr),
            )
            self._emit_transforms(one, sums, tile.index)
            self._emit_images(one, tile.index)

    def _emit_transforms(self, leaving: Leaving, sums: Value, tile: Int) -> None:
        """From one tile's sums to its outputs, in scratch; sets the flag where these are not finite."""
        task, e, v, p, kernel = self.task, self.task.e, self.task.v, self.task.p, self.task.kernel
        length, mw = kernel.length, self.tiling.outputs[2]
        lines, watched = e.at(task.scratch, "i8", p.lines), e.at(task.scratch, "i8", p.spread)
        matrices = [transforms(m, r).output for m, r in zip(self.tiling.outputs, self.tiling.taps)]
        passes = [
            Pass(axis, results, partial(emit_transposed_product, v, matrices[axis]))
            for axis, results in enumerate(self.tiling.outputs)
            if self.tiling.sizes[axis] > 1 or axis == 2
        ]
        v.clear_bits(watched, 0)
        with (
            e.loop(0, leaving.channels, name="channel_out") as m,
            e.loop(0, kernel.nv, settled=True, name="vector_out") as j,
        ):
            added = None if leaving.bias is None else v.load_broadcast(leaving.bias, m.index)
            at = e.add(e.mul(m.index, length), e.mul(j.index, v.lanes))
            held = e.at(sums, kernel.element.compute, at)
            real = v.first(e.sub(task.run, e.add(tile, e.mul(j.index, v.lanes))))

            def load(point: Int) -> Value:
                return v.load(held, e.mul(point, p.sums_point))

            def finish(places: list[Int], row: list[Value]) -> None:
                if added is not None:
                    row = [v.add(value, added) for value in row]
                v.store_bits(emit_largest(v, v.load_bits(watched, 0), row, real), watched, 0)
                row = [emit_activation(v, kernel.activation, value) for value in row]
                to, apart = e.mul(places[0], kernel.mr * length), v.lanes
                if kernel.spaced:
                    to, apart = e.add(to, e.mul(m.index, length * mw), e.mul(j.index, v.lanes)), length
                else:
                    to, row = e.add(to, e.mul(at, mw)), v.interleave(row)
                for k, value in enumerate(row):
                    v.store(value, e.at(task.scratch, "i8", p.leaving), e.add(to, k * apart))

            emit_separable(e, v, self.tiling.sizes, passes, read=load, write=finish, scratch=lines)
        emit_flag(e, task.scratch, emit_unfit(v, v.load_bits(watched, 0)))

    def _emit_images(self, leaving: Leaving, tile: Int) -> None:
        """Write the outputs in scratch, of kernel.length tiles from `tile` on, to the images they are of."""
        task, e, p, kernel = self.task, self.task.e, self.task.p, self.task.kernel
        behind = e.minimum(task.run, e.add(tile, kernel.length))
        images = e.div(e.add(behind, task.tiles, -1), task.tiles)
        with e.loop(e.div(tile, task.tiles), images, name="image_out") as image:
            begins = e.mul(image.index, task.tiles)
            low = e.maximum(begins, tile)
            high = e.minimum(e.add(begins, task.tiles), behind)
            emit_write_tiles(
                e,
                task.v,
                p,
                kernel,
                leaving=e.at(task.scratch, "i8", p.leaving),
                skipped=e.sub(low, tile),
                tile=e.add(task.first, e.sub(low, begins)),
                tiles=e.sub(high, low),
                target=e.at(leaving.target, kernel.element.storage, e.mul(image.index, p.y_batch)),
                rows=leaving.channels,
            )
