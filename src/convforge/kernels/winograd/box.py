"""Winograd's values with vectors along channels: a box of an array, packed and transformed.

    V[point][t][c] = B^T d B       d: what tile t reads of channel c

One vector of channels at a time is packed with its channels side by side (pack/box.py), and transformed from
the first-level cache. A lane is a channel, so transforms shuffle nothing, and narrow maps waste no lane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from math import prod

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.bf16_parts import emit_words
from convforge.kernels.contract import Side
from convforge.kernels.pack.box import Box, emit_pack_box, emit_scatter_box
from convforge.kernels.parameters import Parameters
from convforge.kernels.winograd.combine import emit_product
from convforge.kernels.winograd.contract import IN_REGISTERS, vectors_together
from convforge.kernels.winograd.separable import Pass, emit_separable
from convforge.schedule.winograd import Matrix

Fold = Callable[[Value, Value], Value]
Sizes = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one tile reads of a vector of channels; `held` in registers, or to be loaded one by one.

    beside: gives what it reads of a panel that lies so many elements further on.
    """

    e: Emitter
    sizes: tuple[int, int, int]
    held: Sequence[Value]
    load: Callable[[Int], Value]
    beside: Callable[[Int], Inputs]

    def read(self, place: Int) -> Value:
        """One of them."""
        return self.held[place] if self.held and isinstance(place, int) else self.load(place)

    def fold(self, start: Value, zero: Value, fold: Fold, join: Fold) -> Value:
        """All folded, in as many chains as a row has: one chain takes longer than all the rest."""
        width = self.sizes[2]
        chains = [start, *[zero] * (width - 1)]
        if self.held:
            folded = [reduce(fold, self.held[k::width], chain) for k, chain in enumerate(chains)]
            return reduce(join, folded)
        with self.e.loop(0, prod(self.sizes), step=width, carried=chains, name="fold") as i:
            i.next = [fold(chain, self.load(self.e.add(i.index, k))) for k, chain in enumerate(i.carried)]
        return reduce(join, i.results)


# What a tile reads, its number, and its first output (depth, height, width) in the box.
Visit = Callable[[Inputs, Int, tuple[Int, Int, Int]], None]


@dataclass(frozen=True, slots=True)
class Reads:
    """What tiles read of something packed like a panel. sizes: elements of a tile along each axis. scale: of
    its positions for one of a panel's. distances: a table of how far each lies from a tile's first.
    """

    sizes: Sizes
    scale: Sizes
    distances: Value


@dataclass(frozen=True, slots=True)
class WinogradBox:
    """How an array is packed, by which matrices it is transformed, and where its values lie.

    p: WINOGRAD_SIDE_PARAMETERS. steps: outputs of a tile along each axis. spacing: from one element that a
    tile reads to the next; so many neighbours are a block of tiles (schedule/winograd.py, tile_gather).
    point: elements from the values of a point to the next's. side, scatters: how it is packed. residues: of
    the array, one after the other in the panel and in a tile's values (schedule/polyphase.py). parts: bf16
    numbers that values are split into, for a tile unit; of one residue then:

        V[point][block of 32 channels][part][t][16 words]     word i: channels i and 16 + i
    """

    e: Emitter
    v: Vectors
    p: Parameters
    scratch: Value
    steps: tuple[int, int, int]
    spacing: tuple[int, int, int]
    matrices: Sequence[Matrix]
    point: int
    side: Side
    scatters: bool
    residues: int = 1
    parts: int = 0

    @property
    def vectors(self) -> int:
        """Vectors of channels that are packed and transformed together."""
        return vectors_together(self.parts)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Elements that a tile reads along each axis."""
        d, h, w = (len(matrix[0]) for matrix in self.matrices)
        return d, h, w

    @property
    def points(self) -> int:
        """Values of a tile."""
        return prod(map(len, self.matrices))

    @property
    def values(self) -> Value:
        """V."""
        return self.e.at(self.scratch, "i8", self.p.values_at)

    def tile_counts(self, box: Box) -> tuple[Int, Int, Int]:
        """Tiles of a box along each axis."""
        d, h, w = (self.e.div(n, m) for n, m in zip((box.depths, box.heights, box.widths), self.steps))
        return d, h, w

    def tiles(self, box: Box) -> Int:
        """Tiles of a box."""
        return self.e.mul(box.images, *self.tile_counts(box))

    def first_output(self, axis: int, tile: Int) -> Int:
        """Where along an axis of a box the first output of its tile lies."""
        e, spacing, step = self.e, self.spacing[axis], self.steps[axis]
        if spacing == 1:
            return e.mul(tile, step)
        return e.add(e.mul(e.div(tile, spacing), spacing * step), e.rem(tile, spacing))

    def emit(
        self,
        box: Box,
        source: Value,
        channels: Int,
        *,
        fresh: Value | None = None,
        on_panel: Callable[[Value, Int], None] | None = None,
        on_tile: Visit | None = None,
    ) -> None:
        """V of a box of `channels` channels from `source` on.

        fresh: whether the box has its padding elsewhere than the one before; None: it has. on_panel: is shown
        each residue of a vector of channels, packed, and its number; on_tile: what `emit_over_tiles` shows.
        """
        e, v, p, lanes = self.e, self.v, self.p, self.v.lanes
        compute = v.element.compute
        panel = e.at(self.scratch, "i8", p.panel_at)
        if self.scatters:
            every = e.mul(p.panel, self.vectors)
            with e.loop(
                0, every if fresh is None else e.select(fresh, every, 0), step=lanes, name="zero"
            ) as i:
                v.store(v.zero(), panel, i.index)
        with e.loop(0, channels, step=lanes * self.vectors, name="vector") as first:
            panels = [e.at(panel, compute, e.mul(p.panel, k)) for k in range(self.vectors)]
            for k, each in enumerate(panels):
                self._emit_panel(box, source, e.add(first.index, k * lanes), channels, each)
            with e.loop(0, self.residues, name="residue") as residue:
                planes = [e.at(each, compute, e.mul(residue.index, p.plane)) for each in panels]
                if on_panel is not None:
                    for plane in planes:
                        on_panel(plane, residue.index)
                at = e.add(first.index, e.mul(residue.index, p.residue))
                if self.parts:
                    at = e.mul(e.div(first.index, lanes * self.vectors), p.block)
                self._emit_transforms(box, planes[0], e.at(self.values, compute, at), on_tile)

    def _emit_panel(self, box: Box, source: Value, first: Int, channels: Int, panel: Value) -> None:
        """Pack a vector of channels, those that there are from the first one on."""
        e, v, p, lanes = self.e, self.v, self.p, self.v.lanes
        here = e.at(source, v.element.storage, e.mul(first, p.x_channel))
        count = e.minimum(e.sub(channels, first), lanes)
        if not self.parts:
            self._emit_channels(box, here, count, panel)
            return
        # Beyond the last channel lies what the block before had there: its weights are zeros.
        with e.when(e.less(0, count)):
            self._emit_channels(box, here, count, panel)

    def _emit_channels(self, box: Box, here: Value, count: Int, panel: Value) -> None:
        e, v, p, lanes = self.e, self.v, self.p, self.v.lanes
        if self.scatters:
            # Behind the panel's last element there is room for vectors, whichever image writes there.
            emit_scatter_box(e, v, p, box, here, count, panel, e.sub(p.panel, lanes * lanes))
        else:
            emit_pack_box(e, v, self.side, lanes, p, box, here, count, panel)

    def emit_over_tiles(self, box: Box, panel: Value, visit: Visit, reads: Reads | None = None) -> None:
        """Show what each tile of the box reads of a panel, its number, and where its first output lies."""
        e, p, lanes = self.e, self.p, self.v.lanes
        compute = self.v.element.compute
        most = self.points if reads is None else prod(reads.sizes)
        reads = reads or Reads(self.sizes, (1, 1, 1), p.pointer("distances"))
        td, th, tw = reads.scale
        in_heights, in_row = e.mul(p.in_heights, th), e.mul(p.in_row, tw)
        sd, sh, _ = self.spacing
        depths, heights, widths = self.tile_counts(box)
        with (
            e.loop(0, box.images, name="image") as n,
            e.loop(0, depths, name="tile_slice") as d,
            e.loop(0, heights, name="tile_row") as h,
        ):
            slice_at = e.mul(e.add(e.mul(n.index, p.in_depths), self.first_output(0, d.index)), td)
            row_at = e.mul(
                e.add(e.mul(slice_at, in_heights), e.mul(self.first_output(1, h.index), th)), in_row
            )
            row = e.mul(e.add(e.mul(e.add(e.mul(n.index, depths), d.index), heights), h.index), widths)
            origin, rows = e.at(panel, compute, row_at), list[Value]()
            if most <= IN_REGISTERS:
                # What differs between a tile's inputs are constants, but for the rows: 12 % of a layer.
                rows = [
                    e.at(origin, compute, e.mul(e.add(e.mul(in_heights, kd * sd), kh * sh), in_row))
                    for kd in range(reads.sizes[0])
                    for kh in range(reads.sizes[1])
                ]
            with e.loop(0, widths, settled=True, name="tile") as w:
                column = self.first_output(2, w.index)
                along = e.mul(column, tw * lanes)
                here = [e.at(line, compute, along) for line in rows]
                first = (self.first_output(0, d.index), self.first_output(1, h.index), column)
                visit(self._inputs(reads, e.at(origin, compute, along), here), e.add(row, w.index), first)

    def _inputs(self, reads: Reads, origin: Value, rows: Sequence[Value]) -> Inputs:
        e, v, sizes = self.e, self.v, reads.sizes

        def load(place: Int) -> Value:
            return v.load(origin, e.load("i64", reads.distances, place))

        apart = self.spacing[2] * v.lanes
        held = [v.load(row, k * apart) for row in rows for k in range(sizes[2])]

        def beside(elements: Int) -> Inputs:
            compute = v.element.compute
            there = [e.at(row, compute, elements) for row in rows]
            return self._inputs(reads, e.at(origin, compute, elements), there)

        return Inputs(e, sizes, held, load, beside)

    def _emit_transforms(self, box: Box, panel: Value, values: Value, on_tile: Visit | None) -> None:
        e, v, p = self.e, self.v, self.p
        passes = [
            Pass(axis, len(self.matrices[axis]), partial(emit_product, v, self.matrices[axis]))
            for axis in (2, 1, 0)
            if len(self.matrices[axis]) > 1
        ]
        lines = e.at(self.scratch, "i8", p.lines_at)

        def transform(inputs: Inputs, t: Int, first: tuple[Int, Int, Int]) -> None:
            to = e.at(values, v.element.compute, e.mul(t, p.row))

            def store(places: list[Int], data: list[Value]) -> None:
                for place, value in zip(places, data):
                    v.store(value, to, e.mul(self.point, place))

            if on_tile is not None:
                on_tile(inputs, t, first)
            if self.parts:
                self._emit_words(inputs, passes, lines, to)
            else:
                emit_separable(e, v, self.sizes, passes, read=inputs.read, write=store, scratch=lines)

        self.emit_over_tiles(box, panel, transform)

    def _emit_words(self, inputs: Inputs, passes: Sequence[Pass], lines: Value, to: Value) -> None:
        """Two vectors of channels as words of bf16 parts: whole lines of V, and no part to be narrowed."""
        e, v, p = self.e, self.v, self.p
        kept = e.at(self.scratch, "i8", p.kept_at)

        def keep(places: list[Int], data: list[Value]) -> None:
            for place, value in zip(places, data):
                v.store(value, kept, e.mul(place, v.lanes))

        def weave(places: list[Int], data: list[Value]) -> None:
            for place, high in zip(places, data):
                low = v.load(kept, e.mul(place, v.lanes))
                at = e.at(to, "i32", e.mul(self.point, place))
                for part, word in enumerate(emit_words(v, low, high, self.parts)):
                    v.store_bits(word, at, e.mul(p.part, part))

        emit_separable(e, v, self.sizes, passes, read=inputs.read, write=keep, scratch=lines)
        other = inputs.beside(p.panel)
        emit_separable(e, v, self.sizes, passes, read=other.read, write=weave, scratch=lines)
