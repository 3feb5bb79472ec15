"""The inner loop of everything: a tile of outputs in registers.

    acc[m][f] += w[row[k]][m] * x[distance[k] + f]        m < mr channels, f < nv vectors of the flat run

    k runs over channels and the taps that this tile needs; `w` is packed [row][mr], read as broadcasts, `x`
    is a packed plane and read as vectors from any element address; `distance` and `row` are the plan's
    tables. mr * nv accumulators, nv vectors of x and one broadcast must fit the registers: 6x4 + 4 + 1 = 29
    of 32 with AVX-512.

Within a block of channels each output is one chain of fused multiply-adds in the order of k, whatever the
tile, the band and the thread. The blocks follow from the layer alone, so its bits do too.
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors


def emit_tile(
    e: Emitter,
    v: Vectors,
    mr: int,
    nv: int,
    *,
    count: Int,
    weights: Value,
    distances: Value,
    rows: Value,
    pixels: Value,
    ahead: int = 0,
    stored: bool = False,
) -> list[Value]:
    """Sum `count` steps up from zero: mr * nv vectors, channel by channel.

    ahead: elements from each vector of x to one that has its line fetched meanwhile; 0 fetches none.
    stored: whether x is the user's array, of the storage type: what is read of it is widened.
    """
    kind = v.element.storage if stored else v.element.compute
    load = v.load_stored if stored else v.load
    zeros = [v.zero()] * (mr * nv)
    with e.loop(0, count, carried=zeros, name="k") as k:
        source = e.at(pixels, kind, e.load("i64", distances, k.index))
        row = e.at(weights, v.element.compute, e.load("i64", rows, k.index))
        x = [load(source, j * v.lanes) for j in range(nv)]
        for j in range(nv if ahead else 0):
            e.prefetch(source, kind, ahead + j * v.lanes)
        for m in range(mr):
            w = v.load_broadcast(row, m)
            k.next += [v.multiply_add(w, x[j], k.carried[m * nv + j]) for j in range(nv)]
    return k.results
