"""Numbers become bytes: q = clamp(round(x * reciprocal + zero)), the product and the sum in one rounding.

A task is a chunk of the array. x: float32, y: bytes, both without gaps; the call's bias: QUANTIZE_SCALES.
"""

from __future__ import annotations

from convforge.ir.element import ELEMENTS
from convforge.ir.emitter import Module
from convforge.ir.vector import Vectors
from convforge.kernels.dot.contract import QUANTIZE_PARAMETERS, QUANTIZE_SCALES, QuantizeKernel
from convforge.kernels.dot.rounding import emit_round
from convforge.kernels.parameters import Parameters


def emit(kernel: QuantizeKernel, module: Module) -> None:
    """Emit the task."""
    e = module.function("task", "pip")
    call, index, _ = e.arguments
    p = Parameters(e, e.load_pointer(call, 0), QUANTIZE_PARAMETERS)
    x, scales, y = (e.load_pointer(call, i) for i in (1, 3, 4))
    v = Vectors(e, ELEMENTS["float32"], kernel.lanes, fused=True)
    out = Vectors(e, ELEMENTS["uint8"], kernel.lanes, fused=True)
    reciprocal, zero, low, high = (v.load_broadcast(scales, i) for i in range(len(QUANTIZE_SCALES)))
    first = e.mul(index, p.chunk)
    stop = e.minimum(e.add(first, p.chunk), p.count)
    with e.loop(first, stop, step=kernel.lanes, name="at") as at:
        mask = v.first(e.sub(stop, at.index))
        value = v.multiply_add(v.load_stored(x, at.index, mask), reciprocal, zero)
        # NaN is not below the upper limit, and so becomes it.
        value = e.b.select(e.b.fcmp_ordered("<", value, high), value, high)
        value = e.b.select(e.b.fcmp_ordered(">", value, low), value, low)
        out.store_stored(emit_round(v, value), y, at.index, mask, mostly_all=True)
    e.done()
