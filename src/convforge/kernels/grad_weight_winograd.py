"""The gradient of the weights by Winograd's algorithm: r taps of m outputs by m + r - 1 products, not m * r.

    V[point][t][c] = B^T x B                      transform of what tile t reads of x
    U[point][t][k] = G gy G^T                     transform of its m outputs of grad-output
    M[point][c][k] = sum over t of V[point][t][c] * U[point][t][k]
    gw[k][c]       = A^T M A                      r taps along each axis

It is F(r, m) of the filtering that the forward kernels use (winograd.py), grad-output in the place of the
weights. Sums run over all tiles of all images, so the way out is computed once, and a sum has a quarter of
the terms: F(3, 2) has less error than the plain sum.

A step packs a box of outputs with channels side by side (pack_box.py), one vector of channels at a time, and
transforms it from the first-level cache. Vectors are channels, so transforms shuffle nothing. Then for each
point a product of matrices is added to M:

    for point, tile of k, tile of c:   for t:   acc[c][k] += V[point][t][c] * U[point][t][k]

A task is a block of input channels by a block of output channels of one group, and a part of the steps. Parts
follow from the layer alone and are added up by the plan, so bits do not depend on threads.

Values that do harm: where grad-output is zero, an input of 1e9 belongs to no tap's sum, but to its tile's
products. So the norms that tiles bring to the products are summed up, and compared with the result's
(_emit_check): a flag tells the plan to have another family do the work.

Scratch: header, panels of both arrays, V, U, M, energies of tiles, what is checked, weights of one vector of
output channels on their way out, lines of transforms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from functools import partial, reduce
from math import prod

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.combine import emit_product, emit_transposed_product
from convforge.kernels.contract import Side
from convforge.kernels.contract_grad_weight import (
    GRAD_WEIGHT_WINOGRAD_PARAMETERS,
    WINOGRAD_CHECKED,
    WINOGRAD_SIDE_PARAMETERS,
    GradWeightWinogradKernel,
)
from convforge.kernels.contract_winograd import IN_REGISTERS
from convforge.kernels.flag import emit_flag
from convforge.kernels.interleave import emit_turn
from convforge.kernels.pack_box import Box, box_of, emit_pack_box, emit_scatter_box
from convforge.kernels.parameters import Parameters
from convforge.kernels.separable import Pass, emit_separable
from convforge.schedule.winograd import Matrix, transforms

# The squared norm of what tiles bring to the products may be this many times that of the result, and as many
# times as a tile has more inputs than taps, which is what it is for normal data (1.8 for F(3x3, 2x2)). Then
# the error is 6 times theirs.
UNEVEN = 32.0
Fold = Callable[[Value, Value], Value]

# Squared norms beyond which, or below which, squares and products might have left the range.
_RANGE = {4: 2.0**100, 8: 2.0**800}
# What is checked, vectors of scratch: the sum over tiles of the products of both energies, and the largest
# magnitude of grad-output.
_ENERGY, _LARGEST = range(WINOGRAD_CHECKED)


def emit_grad_weight_winograd(kernel: GradWeightWinogradKernel, module: Module) -> None:
    """Emit the task; x of the call is the input, bias grad-output, y the parts in the compute type."""
    e = module.function("task", "pip")
    call, index, scratch = e.arguments
    task = _Task(e, kernel, e.load_pointer(call, 0), scratch)
    p, storage, compute = task.p, kernel.element.storage, kernel.element.compute
    x, gradient, y = e.load_pointer(call, 1), e.load_pointer(call, 3), e.load_pointer(call, 4)

    part, rest = e.rem(index, p.parts), e.div(index, p.parts)
    out_block, rest = e.rem(rest, p.out_blocks), e.div(rest, p.out_blocks)
    channel_block, group = e.rem(rest, p.channel_blocks), e.div(rest, p.channel_blocks)
    first_channel, first_out = e.mul(channel_block, p.channel_block), e.mul(out_block, p.out_block)
    channels = e.minimum(p.channel_block, e.sub(p.channels, first_channel))
    outs = e.minimum(p.out_block, e.sub(p.out_channels, first_out))
    channel = e.add(e.mul(group, p.channels), first_channel)
    out = e.add(e.mul(group, p.out_channels), first_out)
    x_block, g_block = (
        e.at(array, storage, e.mul(first, side.p.x_channel))
        for array, first, side in zip((x, gradient), (channel, out), task.sides)
    )
    _emit_clear(task, channels, outs)
    first_step = e.mul(part, p.part_steps)
    with e.loop(first_step, e.minimum(e.add(first_step, p.part_steps), p.steps), name="step") as step:
        box = box_of(e, p, step.index)
        # Of several boxes of an image each has its padding elsewhere.
        fresh = e.b.or_(e.equal(step.index, first_step), e.less(1, p.height_boxes))
        for which, (block, count) in enumerate(((x_block, channels), (g_block, outs))):
            own = [block, count, e.select(fresh, 1, 0), *astuple(box)]
            inner, (source, channels_here, is_fresh, *bounds) = task.part(f"values{which}", own)
            first = inner.e.differ(is_fresh, 0)
            _emit_values(inner, inner.sides[which], Box(*bounds), source, channels_here, first)
            inner.e.done()
        tiles = _tiles(task, box)
        _emit_energy(task, tiles)
        inner, given = task.part("products", [tiles, channels, outs])
        _emit_products(inner, *given)
        inner.e.done()
    at = e.add(e.mul(part, p.y_part), e.mul(out, p.w_out), e.mul(first_channel, task.taps))
    inner, given = task.part("weights", [channels, outs, e.at(y, compute, at)])
    _emit_check(inner, _emit_weights(inner, *given))
    inner.e.done()
    e.done()


class _Task:
    """What the parts of the loop nest share."""

    def __init__(self, e: Emitter, kernel: GradWeightWinogradKernel, record: Value, scratch: Value) -> None:
        self.e, self.kernel, self.scratch = e, kernel, scratch
        self.p = p = Parameters(e, record, GRAD_WEIGHT_WINOGRAD_PARAMETERS)
        self.v = Vectors(e, kernel.element, kernel.lanes, fused=kernel.fused)
        matrices = [transforms(r, m) for r, m in zip(kernel.tiling.outputs, kernel.tiling.taps)]
        x_matrices, g_matrices = [t.data for t in matrices], [t.weight for t in matrices]
        records = p.pointer("x_side"), p.pointer("g_side")
        x_side, g_side = (Parameters(e, at, WINOGRAD_SIDE_PARAMETERS) for at in records)
        self.sides = (
            _Side(e, x_side, scratch, kernel.x_side, kernel.scatters[0], x_matrices, checked=False),
            _Side(e, g_side, scratch, kernel.g_side, kernel.scatters[1], g_matrices, checked=True),
        )
        self.out_matrices = [t.output for t in matrices]
        self.taps = prod(kernel.tiling.outputs)

    def part(self, name: str, values: Sequence[Int]) -> tuple[_Task, list[Value]]:
        """The same task in a function of its own, called here with more values: `Emitter.part`.

        In one function with all else LLVM spilled the sums of _emit_product: twice the time at `high`.
        """
        e, (record, scratch, *given) = self.e.part(name, [self.p.record, self.scratch, *values])
        return _Task(e, self.kernel, record, scratch), given

    @property
    def checks(self) -> Value:
        """What is checked at the end."""
        return self.e.at(self.scratch, "i8", self.p.checks_at)

    @property
    def sums(self) -> Value:
        """M."""
        return self.e.at(self.scratch, "i8", self.p.sums_at)


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two arrays that are transformed: how it is packed, by which matrices, where its values lie.

    checked: whether its largest magnitude is kept.
    """

    e: Emitter
    p: Parameters
    scratch: Value
    side: Side
    scatters: bool
    matrices: list[Matrix]
    checked: bool

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Elements that a tile reads along each axis."""
        d, h, w = (len(matrix[0]) for matrix in self.matrices)
        return d, h, w

    @property
    def values(self) -> Value:
        """V or U."""
        return self.e.at(self.scratch, "i8", self.p.values_at)

    @property
    def energies(self) -> Value:
        """The sums of squares of each tile, a vector each."""
        return self.e.at(self.scratch, "i8", self.p.energies_at)


def _tile_counts(task: _Task, box: Box) -> list[Int]:
    sizes = zip((box.depths, box.heights, box.widths), task.kernel.tiling.taps)
    return [task.e.div(size, m) for size, m in sizes]


def _tiles(task: _Task, box: Box) -> Int:
    return task.e.mul(box.images, *_tile_counts(task, box))


def _emit_clear(task: _Task, channels: Int, outs: Int) -> None:
    """Zeros for M, for what is checked, and for what register tiles read beyond the last channels."""
    e, v, kernel, lanes = task.e, task.v, task.kernel, task.kernel.lanes
    with e.loop(0, task.p.sums, step=lanes, name="clear") as i:
        v.store(v.zero(), task.sums, i.index)
    for i in range(WINOGRAD_CHECKED):
        v.store(v.zero(), task.checks, i * lanes)
    for side, count in zip(task.sides, (channels, outs)):
        behind = e.mul(e.div(e.add(count, lanes - 1), lanes), lanes)
        with (
            e.loop(0, kernel.tiling.points, name="clear_point") as point,
            e.loop(0, side.p.tiles, name="clear_tile") as t,
            e.loop(behind, side.p.row, step=lanes, name="clear_vector") as vector,
        ):
            at = e.add(e.mul(point.index, kernel.point), e.mul(t.index, side.p.row), vector.index)
            v.store(v.zero(), e.at(side.values, kernel.element.compute, at))


def _emit_values(task: _Task, side: _Side, box: Box, source: Value, channels: Int, fresh: Value) -> None:
    """V or U of a box: pack and transform a vector of channels at a time."""
    e, v, p, compute, lanes = task.e, task.v, side.p, task.kernel.element.compute, task.kernel.lanes
    panel = e.at(task.scratch, "i8", p.panel_at)
    if side.scatters:
        with e.loop(0, e.select(fresh, p.panel, 0), step=lanes, name="zero") as i:
            v.store(v.zero(), panel, i.index)
    with e.loop(0, _tiles(task, box), name="clear_energy") as t:
        v.store(v.zero(), side.energies, e.mul(t.index, lanes))
    with e.loop(0, channels, step=lanes, name="vector") as first:
        here = e.at(source, task.kernel.element.storage, e.mul(first.index, p.x_channel))
        count = e.minimum(e.sub(channels, first.index), lanes)
        if side.scatters:
            # Behind the panel's last element there is room for vectors, whichever image writes there.
            emit_scatter_box(e, v, p, box, here, count, panel, e.sub(p.panel, lanes * lanes))
        else:
            emit_pack_box(e, v, side.side, lanes, p, box, here, count, panel)
        _emit_transforms(task, side, box, panel, e.at(side.values, compute, first.index))


def _emit_transforms(task: _Task, side: _Side, box: Box, panel: Value, values: Value) -> None:
    """Transform all tiles of a vector of channels."""
    e, p, compute, lanes = task.e, side.p, task.kernel.element.compute, task.kernel.lanes
    md, mh, mw = task.kernel.tiling.taps
    depths, heights, widths = _tile_counts(task, box)
    with (
        e.loop(0, box.images, name="image") as n,
        e.loop(0, depths, name="tile_slice") as d,
        e.loop(0, heights, name="tile_row") as h,
    ):
        slice_at = e.add(e.mul(n.index, p.in_depths), e.mul(d.index, md))
        row_at = e.mul(e.add(e.mul(slice_at, p.in_heights), e.mul(h.index, mh)), p.in_row)
        row = e.mul(e.add(e.mul(e.add(e.mul(n.index, depths), d.index), heights), h.index), widths)
        origin, to = e.at(panel, compute, row_at), e.at(values, compute, e.mul(row, p.row))
        energies = e.at(side.energies, compute, e.mul(row, lanes))
        if task.kernel.tiling.points <= IN_REGISTERS:
            # What differs between a tile's inputs are constants, but for the rows: 64x64 blocks 12 % faster.
            rows = [
                e.at(origin, compute, e.mul(e.add(e.mul(p.in_heights, kd), kh), p.in_row))
                for kd in range(side.sizes[0])
                for kh in range(side.sizes[1])
            ]
        else:
            rows = [origin]
        with e.loop(0, widths, name="tile") as w:
            here = [e.at(line, compute, e.mul(w.index, mw * lanes)) for line in rows]
            place = e.settled(to, compute, e.mul(w.index, p.row))
            _emit_transform(task, side, here, place, e.at(energies, compute, e.mul(w.index, lanes)))


def _emit_transform(task: _Task, side: _Side, rows: list[Value], to: Value, energy: Value) -> None:
    """The points of one tile, and its sum of squares so far. rows: of all that it reads, or the first one."""
    e, v, p, sizes = task.e, task.v, side.p, side.sizes
    distances, inputs = p.pointer("distances"), prod(sizes)

    def load(place: Int) -> Value:
        if isinstance(place, int) and len(rows) > 1:
            return v.load(rows[place // sizes[2]], place % sizes[2] * v.lanes)
        return v.load(rows[0], e.load("i64", distances, place))

    def store(places: list[Int], values: list[Value]) -> None:
        for place, value in zip(places, values):
            v.store(value, to, e.mul(task.kernel.point, place))

    held = [load(i) for i in range(inputs if task.kernel.tiling.points <= IN_REGISTERS else 0)]

    def read(place: Int) -> Value:
        return held[place] if held and isinstance(place, int) else load(place)

    def over(start: Value, zero: Value, fold: Fold, join: Fold) -> Value:
        """All inputs folded, in as many chains as a row has: one chain takes longer than all the rest."""
        chains = [start, *[zero] * (sizes[2] - 1)]
        if held:
            return reduce(join, [reduce(fold, held[k :: sizes[2]], chain) for k, chain in enumerate(chains)])
        with e.loop(0, inputs, step=sizes[2], carried=chains, name="fold") as i:
            i.next = [fold(chain, load(e.add(i.index, k))) for k, chain in enumerate(i.carried)]
        return reduce(join, i.results)

    squares = over(v.load(energy), v.zero(), lambda total, x: v.multiply_add(x, x, total), v.add)
    v.store(squares, energy)
    if side.checked:
        at = _LARGEST * v.lanes
        before = v.load_bits(task.checks, at)
        found = over(before, before, lambda most, x: v.larger(most, v.magnitude(x)), v.larger)
        v.store_bits(found, task.checks, at)
    passes = [
        Pass(axis, len(side.matrices[axis]), partial(emit_product, v, side.matrices[axis]))
        for axis in (2, 1, 0)
        if len(side.matrices[axis]) > 1
    ]
    lines = e.at(task.scratch, "i8", task.p.lines_at)
    emit_separable(e, v, sizes, passes, read=read, write=store, scratch=lines)


def _emit_energy(task: _Task, tiles: Int) -> None:
    """Add up, over the tiles of a box, the product of what both arrays have in a tile: sums of squares."""
    e, v, lanes = task.e, task.v, task.kernel.lanes
    x, gradient = (side.energies for side in task.sides)
    with e.loop(0, tiles, carried=[v.load(task.checks, _ENERGY * lanes)], name="energy") as t:
        at = e.mul(t.index, lanes)
        squares = v.broadcast(v.sum(v.load(gradient, at)))
        t.next = [v.multiply_add(v.load(x, at), squares, t.carried[0])]
    v.store(t.results[0], task.checks, _ENERGY * lanes)


def _emit_products(task: _Task, tiles: Int, channels: Int, outs: Int) -> None:
    """M of all points and channels, over the tiles of a box."""
    e, p, kernel = task.e, task.p, task.kernel
    compute, rows, mr = kernel.element.compute, kernel.rows, kernel.nv * kernel.lanes
    x, g = task.sides
    with (
        e.loop(0, kernel.tiling.points, name="point") as point,
        e.loop(0, e.div(e.add(outs, mr - 1), mr), name="out_tile") as m,
        e.loop(0, e.div(e.add(channels, rows - 1), rows), name="tile") as c,
    ):
        at = e.add(e.mul(point.index, kernel.point), e.mul(c.index, rows))
        g_at = e.add(e.mul(point.index, kernel.point), e.mul(m.index, mr))
        held = e.add(e.mul(point.index, p.sums_point), e.mul(m.index, p.sums_tile), e.mul(c.index, rows * mr))
        _emit_product(
            task,
            tiles,
            e.at(x.values, compute, at),
            e.at(g.values, compute, g_at),
            e.at(task.sums, compute, held),
        )


def _emit_product(task: _Task, tiles: Int, x: Value, gradient: Value, sums: Value) -> None:
    """rows x nv sums over the tiles, added to those held."""
    e, v, kernel = task.e, task.v, task.kernel
    compute, rows, nv = kernel.element.compute, kernel.rows, kernel.nv
    zeros = [v.zero()] * (rows * nv)
    x_row, g_row = (side.p.row for side in task.sides)
    with e.loop(0, tiles, carried=[x, gradient, *zeros], name="t") as t:
        inputs, vectors, *acc = t.carried
        t.next = [e.at(inputs, compute, x_row), e.at(vectors, compute, g_row)]
        loaded = [v.load(vectors, j * v.lanes) for j in range(nv)]
        for i in range(rows):
            value = v.load_broadcast(inputs, i)
            t.next += [v.multiply_add(value, loaded[j], acc[i * nv + j]) for j in range(nv)]
    for i, value in enumerate(t.results[2:]):
        v.store(v.add(v.load(sums, i * v.lanes), value), sums, i * v.lanes)


def _emit_weights(task: _Task, channels: Int, outs: Int, target: Value) -> Value:
    """M transformed and written; the sum of the results' squares in each lane."""
    e, v, p, kernel = task.e, task.v, task.p, task.kernel
    compute, nv, lanes = kernel.element.compute, kernel.nv, kernel.lanes
    leaving = e.at(task.scratch, "i8", p.leaving_at)
    pairs = e.mul(channels, task.taps)
    with e.loop(0, outs, step=lanes, carried=[v.zero()], name="w_vector") as first:
        vector = e.div(first.index, lanes)
        at = e.add(e.mul(e.div(vector, nv), p.sums_tile), e.mul(e.rem(vector, nv), lanes))
        with e.loop(0, channels, name="w_channel") as c:
            source = e.settled(task.sums, compute, e.add(at, e.mul(c.index, nv * lanes)))
            _emit_way_out(task, source, e.settled(leaving, compute, e.mul(c.index, task.taps * lanes)))
        with e.loop(0, pairs, carried=first.carried, name="norm") as i:
            value = v.load(leaving, e.mul(i.index, lanes))
            i.next = [v.multiply_add(value, value, i.carried[0])]
        first.next = i.results
        to = e.at(target, compute, e.mul(first.index, p.w_out))
        emit_turn(e, v, leaving, pairs, lanes, to, p.w_out, e.sub(outs, first.index))
    return first.results[0]


def _emit_way_out(task: _Task, source: Value, to: Value) -> None:
    """The taps of one input channel and a vector of output channels."""
    e, v, p, tiling = task.e, task.v, task.p, task.kernel.tiling

    def read(point: Int) -> Value:
        return v.load(source, e.mul(p.sums_point, point))

    def write(taps: list[Int], values: list[Value]) -> None:
        for tap, value in zip(taps, values):
            v.store(value, to, e.mul(tap, v.lanes))

    passes = [
        Pass(axis, tiling.outputs[axis], partial(emit_transposed_product, v, task.out_matrices[axis]))
        for axis in (2, 1, 0)
        if tiling.sizes[axis] > 1
    ]
    lines = e.at(task.scratch, "i8", p.lines_at)
    emit_separable(e, v, tiling.sizes, passes, read=read, write=write, scratch=lines)


def _emit_check(task: _Task, norms: Value) -> None:
    """Set the flag where the result is small beside what its rounding errors may be.

    Were all products of a tile rounded alike, the square of the error of M would be that of a rounding, times
    the sum over tiles of |x|^2 |gy|^2. Where grad-output is zero everywhere, so is the result.
    """
    e, v, kernel = task.e, task.v, task.kernel
    b, far = e.b, _RANGE[kernel.element.compute_bytes]
    energy = v.broadcast(v.sum(v.load(task.checks, _ENERGY * v.lanes)))
    norm = v.broadcast(v.sum(norms))
    largest = v.load_bits(task.checks, _LARGEST * v.lanes)
    factor = UNEVEN * prod(kernel.tiling.sizes) / task.taps
    even = b.fcmp_ordered("<=", energy, v.scale(norm, factor))
    even = b.and_(even, b.fcmp_ordered("<", energy, v.constant(far)))
    even = b.and_(even, b.fcmp_ordered(">", energy, v.constant(1 / far)))
    something = b.or_(
        b.icmp_unsigned(">", largest, v.bits_constant(0)), b.fcmp_unordered("une", energy, v.zero())
    )
    emit_flag(e, task.scratch, b.and_(v.any(b.not_(even)), v.any(something)))
