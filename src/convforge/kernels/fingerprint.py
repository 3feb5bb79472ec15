"""A fingerprint of memory: whether weights that anyone may have written to are still the packed ones.

    state = state * odd + word        for each of 8 vectors of 32-bit lanes, words dealt out in turn
    state = state ^ (state >> 15)

Multiplication carries bits upwards only: without the shift two flipped signs cancel, and -w looks like w.
Each step is invertible, so one changed word always changes the fingerprint; several go unnoticed with a
chance of 2^-32 at most. Eight chains hide the multiplication's latency: it reads at the speed of memory.
"""

from __future__ import annotations

from convforge.ir.element import ELEMENTS
from convforge.ir.emitter import Module
from convforge.ir.vector import Vectors
from convforge.kernels.contract import FINGERPRINT_CHAINS, FINGERPRINT_PARAMETERS, FingerprintKernel
from convforge.kernels.parameters import Parameters

# Knuth's multiplicative constant, 2^32 divided by the golden ratio, made odd.
_ODD = 2654435761
_SHIFT = 15


def emit(kernel: FingerprintKernel, module: Module) -> None:
    """Emit the task: chunk `index` of x, `words` 32-bit words long in all, to its place in y."""
    e = module.function("task", "pip")
    call, index, _ = e.arguments
    p = Parameters(e, e.load_pointer(call, 0), FINGERPRINT_PARAMETERS)
    x, y = e.load_pointer(call, 1), e.load_pointer(call, 4)
    v = Vectors(e, ELEMENTS["int32"], kernel.lanes, fused=False)
    round_words = FINGERPRINT_CHAINS * kernel.lanes
    begin = e.mul(index, p.chunk)
    stop = e.minimum(e.add(begin, p.chunk), p.words)
    odd = v.constant(_ODD)
    zeros = [v.zero()] * FINGERPRINT_CHAINS
    with e.loop(begin, stop, step=round_words, carried=zeros, name="word") as word:
        for i in range(FINGERPRINT_CHAINS):
            at = e.add(word.index, i * kernel.lanes)
            read = v.load_stored(x, at, v.first(e.sub(stop, at)))
            word.next.append(v.stir(v.multiply_add(word.carried[i], odd, read), _SHIFT))
    target = e.at(y, "i32", e.mul(index, round_words))
    for i, state in enumerate(word.results):
        v.store(state, target, i * kernel.lanes)
    e.done()
