"""The inner loop of everything: a tile of outputs in registers.

    acc[m][f] += w[k][m] * x[distance[k] + f]        m < mr channels, f < nv vectors of the flat run

    k runs over channels and taps; `w` is packed [k][mr] and read as broadcasts, `x` is a packed plane and
    read as vectors from any element address, `distance` is the plan's table. mr * nv accumulators, nv
    vectors of x and one broadcast must fit the registers: 6x4 + 4 + 1 = 29 of 32 with AVX-512.

Each output is one chain of fused multiply-adds in the order of k. So its bits do not depend on the tile,
the band, the thread or the block of channels that it was computed in.
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
    pixels: Value,
    start: list[Value],
) -> list[Value]:
    """Accumulate `count` steps onto `start` (mr * nv vectors, channel by channel); return the sums."""
    with e.loop(0, count, carried=start, name="k") as k:
        source = e.at(pixels, v.element.compute, e.load("i64", distances, k.index))
        row = e.at(weights, v.element.compute, e.mul(k.index, mr))
        x = [v.load(source, j * v.lanes) for j in range(nv)]
        for m in range(mr):
            w = v.load_broadcast(row, m)
            k.next += [v.multiply_add(w, x[j], k.carried[m * nv + j]) for j in range(nv)]
    return k.results
