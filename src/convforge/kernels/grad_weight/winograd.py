"""The gradient of the weights by Winograd's algorithm: r taps of m outputs by m + r - 1 products, not m * r.

    V[point][t][c] = B^T x B                      transform of what tile t reads of x
    U[point][t][k] = G gy G^T                     transform of its m outputs of grad-output
    M[point][c][k] = sum over t of V[point][t][c] * U[point][t][k]
    gw[k][c]       = A^T M A                      r taps along each axis

It is F(r, m) of the filtering that the forward kernels use (winograd/tiles.py), grad-output in the place of
the weights. Sums run over all tiles of all images, so the way out is computed once, and a sum has a quarter
of the terms: F(3, 2) has less error than the plain sum.

A step packs a box of outputs with channels side by side (pack/box.py), one vector of channels at a time, and
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

from collections.abc import Sequence
from dataclasses import astuple
from functools import partial
from math import prod

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.flag import emit_flag
from convforge.kernels.grad_weight.contract import (
    GRAD_WEIGHT_WINOGRAD_PARAMETERS,
    WINOGRAD_CHECKED,
    GradWeightWinogradKernel,
)
from convforge.kernels.pack.box import Box, box_of
from convforge.kernels.pack.interleave import emit_turn
from convforge.kernels.parameters import Parameters
from convforge.kernels.winograd.box import Inputs, WinogradBox
from convforge.kernels.winograd.combine import emit_transposed_product
from convforge.kernels.winograd.contract import WINOGRAD_SIDE_PARAMETERS
from convforge.kernels.winograd.separable import Pass, emit_separable
from convforge.schedule.winograd import transforms

# The squared norm of what tiles bring to the products may be this many times that of the result, and as many
# times as a tile has more inputs than taps, which is what it is for normal data (1.8 for F(3x3, 2x2)). Then
# the error is 6 times theirs.
UNEVEN = 32.0
# Squared norms beyond which, or below which, squares and products might have left the range.
_RANGE = {4: 2.0**100, 8: 2.0**800}
# What is checked, vectors of scratch: the sum over tiles of the products of both energies, and the largest
# magnitude of grad-output.
_ENERGY, _LARGEST = range(WINOGRAD_CHECKED)


def emit(kernel: GradWeightWinogradKernel, module: Module) -> None:
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
            _emit_values(inner, which, Box(*bounds), source, channels_here, first)
            inner.e.done()
        tiles = task.sides[0].tiles(box)
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
        x_side, g_side = (
            WinogradBox(
                e=e,
                v=self.v,
                p=Parameters(e, at, WINOGRAD_SIDE_PARAMETERS),
                scratch=scratch,
                steps=kernel.tiling.taps,
                spacing=kernel.spacing,
                matrices=matrix,
                point=kernel.point,
                side=side,
                scatters=by_table,
            )
            for at, matrix, side, by_table in zip(
                records, (x_matrices, g_matrices), (kernel.x_side, kernel.g_side), kernel.scatters
            )
        )
        self.sides = x_side, g_side
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

    def energies(self, which: int) -> Value:
        """The sums of squares of each tile of the input or of grad-output, a vector each."""
        at = self.p.g_energies_at if which else self.p.x_energies_at
        return self.e.at(self.scratch, "i8", at)

    @property
    def sums(self) -> Value:
        """M."""
        return self.e.at(self.scratch, "i8", self.p.sums_at)


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


def _emit_values(task: _Task, which: int, box: Box, source: Value, channels: Int, fresh: Value) -> None:
    """V (0) or U (1) of a box; the sum of squares of each tile; the largest magnitude of grad-output."""
    e, v, lanes = task.e, task.v, task.kernel.lanes
    side, energies = task.sides[which], task.energies(which)

    def on_tile(inputs: Inputs, t: Int, _: tuple[Int, Int, Int]) -> None:
        at = e.mul(t, lanes)
        squares = inputs.fold(
            v.load(energies, at), v.zero(), lambda total, x: v.multiply_add(x, x, total), v.add
        )
        v.store(squares, energies, at)
        if which:
            before = v.load_bits(task.checks, _LARGEST * lanes)
            found = inputs.fold(before, before, lambda most, x: v.larger(most, v.magnitude(x)), v.larger)
            v.store_bits(found, task.checks, _LARGEST * lanes)

    with e.loop(0, side.tiles(box), name="clear_energy") as t:
        v.store(v.zero(), energies, e.mul(t.index, lanes))
    side.emit(box, source, channels, fresh=fresh, on_tile=on_tile)


def _emit_energy(task: _Task, tiles: Int) -> None:
    """Add up, over the tiles of a box, the product of what both arrays have in a tile: sums of squares."""
    e, v, lanes = task.e, task.v, task.kernel.lanes
    x, gradient = task.energies(0), task.energies(1)
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
        with e.loop(0, channels, settled=True, name="w_channel") as c:
            source = e.at(task.sums, compute, e.add(at, e.mul(c.index, nv * lanes)))
            _emit_way_out(task, source, e.at(leaving, compute, e.mul(c.index, task.taps * lanes)))
        with e.loop(0, pairs, carried=first.carried, name="norm") as i:
            value = v.load(leaving, e.mul(i.index, lanes))
            i.next = [v.multiply_add(value, value, i.carried[0])]
        first.next = i.results
        to = e.at(target, compute, e.mul(first.index, p.w_out))
        emit_turn(e, v, leaving, pairs, lanes, to, p.w_out, e.sub(outs, first.index), v.store_computed)
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
