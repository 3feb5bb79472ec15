"""Products of spectra: what a convolution is, frequency by frequency, after its input was transformed.

    Y[k][b][f] = sum over c of W[k][c][f] * X[c][b][f]          complex; b counts blocks of the input

A vector is neighbouring frequencies, re im re im … as the transform leaves them, so nothing is transposed:

    w          wr wi     times  re re  ->  wr re   wi re   \\
                         times  im im  ->  wr im   wi im   /  y = first + (-, +) the second with pairs swapped

Both products are added up apart, and put together once a sum. A task is a group and a piece of the
frequencies:

    for vector of frequencies
        pack its X: [channel][block], side by side
        for tile of output channels (its weights stay in the first-level cache)
            for tile of blocks
                for channel: 2 * mr * nb multiply-adds

Packed weights: [group][vector][tile of output channels][channel][mr]. Scratch: header, the packed X of one
vector.
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.fft.contract import SPECTRUM_PARAMETERS, SpectrumKernel
from convforge.kernels.parameters import Parameters


def emit(kernel: SpectrumKernel, module: Module) -> None:
    """Emit the task of a kernel: `task(call, index, scratch)`."""
    e = module.function("task", "pip")
    call, index, scratch = e.arguments
    p = Parameters(e, e.load_pointer(call, 0), SPECTRUM_PARAMETERS)
    x, weights, y = (e.load_pointer(call, i) for i in (1, 2, 4))
    kind = kernel.element.compute
    v = Vectors(e, kernel.element, kernel.lanes, fused=kernel.fused)

    group, cut = e.div(index, p.cuts), e.rem(index, p.cuts)
    first = e.mul(cut, p.task_vectors)
    stop = e.minimum(e.add(first, p.task_vectors), p.vectors)
    blocks, packed = p.blocks, e.at(scratch, "i8", HEADER_BYTES)
    tile_step = e.mul(p.channels, kernel.mr * kernel.lanes)
    group_x = e.at(x, kind, e.mul(group, p.channels, p.x_channel))
    group_y = e.at(y, kind, e.mul(group, p.out_channels, p.y_channel))
    with e.loop(first, stop, name="vector") as vector:
        place = e.mul(vector.index, kernel.lanes)
        _emit_pack(e, v, p, e.at(group_x, kind, place), packed, blocks)
        tiles = e.mul(e.add(e.mul(group, p.vectors), vector.index), p.out_tiles)
        with e.loop(0, p.out_tiles, name="out_tile") as tile:
            w = e.at(weights, kind, e.mul(e.add(tiles, tile.index), tile_step))
            out = e.mul(tile.index, kernel.mr)
            target = e.at(group_y, kind, e.add(e.mul(out, p.y_channel), place))
            room = e.sub(p.out_channels, out)
            with e.loop(0, blocks, step=kernel.nb, name="block") as block:
                from_block = e.at(packed, kind, e.mul(block.index, kernel.lanes))
                sums = _emit_sums(kernel, v, p, w, from_block, blocks)
                to = e.at(target, kind, e.mul(block.index, p.row))
                _emit_store(kernel, v, p, sums, to, room, e.sub(blocks, block.index))
    e.done()


def _emit_pack(e: Emitter, v: Vectors, p: Parameters, x: Value, packed: Value, blocks: Int) -> None:
    """One vector of every row of X, channel by channel."""
    kind = v.element.compute
    with (
        e.loop(0, p.channels, name="channel") as channel,
        e.loop(0, blocks, name="row") as row,
    ):
        source = e.at(x, kind, e.add(e.mul(channel.index, p.x_channel), e.mul(row.index, p.row)))
        to = e.mul(e.add(e.mul(channel.index, blocks), row.index), v.lanes)
        v.store(v.load(source), e.at(packed, kind, to))


def _emit_sums(
    kernel: SpectrumKernel, v: Vectors, p: Parameters, weights: Value, x: Value, blocks: Int
) -> list[list[Value]]:
    """The products of mr output channels and nb blocks, summed over channels: [output][block].

    A tile that ends beyond the last block reads on, into the next channel or behind the last.
    """
    e, mr, nb, lanes = v.e, kernel.mr, kernel.nb, kernel.lanes
    kind = kernel.element.compute
    pairs = range(0, lanes, 2)
    real = [at for lane in pairs for at in (lane, lane)]
    imaginary = [at + 1 for at in real]
    swapped = [at for lane in pairs for at in (lane + 1, lane)]
    # Sums are in the order block, part, output.
    with e.loop(0, p.channels, carried=[v.zero()] * (2 * mr * nb), name="c") as c:
        w_at = e.at(weights, kind, e.mul(c.index, mr * lanes))
        x_at = e.at(x, kind, e.mul(c.index, blocks, lanes))
        w = [v.load(w_at, m * lanes) for m in range(mr)]
        for b in range(nb):
            both = v.load(x_at, b * lanes)
            for picks in (real, imaginary):
                factor = v.shuffle(both, both, picks)
                before = c.carried[len(c.next) :][:mr]
                c.next += [v.multiply_add(w[m], factor, before[m]) for m in range(mr)]
    return [
        [
            _emit_joined(v, c.results[2 * b * mr + m], c.results[(2 * b + 1) * mr + m], swapped)
            for b in range(nb)
        ]
        for m in range(mr)
    ]


def _emit_joined(v: Vectors, with_real: Value, with_imaginary: Value, swapped: list[int]) -> Value:
    """Complex products from those with the real and with the imaginary parts."""
    turned = v.shuffle(with_imaginary, with_imaginary, swapped)
    less, more = v.subtract(with_real, turned), v.add(with_real, turned)
    return v.shuffle(less, more, [n + (v.lanes if n % 2 else 0) for n in range(v.lanes)])


def _emit_store(
    kernel: SpectrumKernel,
    v: Vectors,
    p: Parameters,
    sums: list[list[Value]],
    target: Value,
    channels: Int,
    blocks: Int,
) -> None:
    """As many of the tile's rows as there are: `channels` and `blocks` from the tile's first on."""
    e, kind = v.e, kernel.element.compute
    for m, row in enumerate(sums):
        for b, value in enumerate(row):
            inside = e.b.and_(e.less(m, channels), e.less(b, blocks))
            with e.when(inside):
                v.store(value, e.at(target, kind, e.add(e.mul(p.y_channel, m), e.mul(p.row, b))))
