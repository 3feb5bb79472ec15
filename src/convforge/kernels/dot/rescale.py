"""Exact sums of bytes become outputs: scaled by channel, rounded and clamped where they leave as bytes.

    y[m]  =  clamp(round((acc[m] + bias[m]) * multiplier[m])) + y_zero            uint8 or int8
             clamp((acc[m] + bias[m]) * multiplier[m])                            float32

The call has for a bias a DOT_HEADER, then a DOT_RECORD of each phase and output channel (contract.py).
"""

from __future__ import annotations

from convforge.ir.element import ELEMENTS
from convforge.ir.emitter import Emitter, Int
from convforge.ir.text import FLOAT, Value, vector
from convforge.ir.vector import Vectors
from convforge.kernels.dot.contract import DOT_HEADER, DOT_RECORD, Products, QuantizedOutput
from convforge.kernels.dot.rounding import emit_round
from convforge.kernels.parameters import Parameters
from convforge.kernels.phases import Phase


def find_records(e: Emitter, p: Parameters, bias: Value, group: Int, phase: Phase) -> Value:
    """The records of a group's output channels in a phase."""
    number = e.add(e.mul(phase.number, e.mul(p.groups, p.out_channels)), e.mul(group, p.out_channels))
    return e.at(bias, "i32", e.add(e.mul(number, len(DOT_RECORD)), len(DOT_HEADER)))


class Rescaler:
    """Emits it for vectors of sums. v: of the sums; bias: what the call has for a bias."""

    def __init__(self, v: Vectors, products: Products, output: QuantizedOutput, bias: Value) -> None:
        self._e, self._v, self._products, self._output = v.e, v, products, output
        self._floats = Vectors(v.e, ELEMENTS["float32"], v.lanes, fused=False)
        self._zero, self._low, self._high = (
            self._floats.broadcast(v.e.load(kind, bias, DOT_HEADER.index(name)))
            for name, kind in (("y_zero", "i32"), ("low", "f32"), ("high", "f32"))
        )

    def emit(self, records: Value, channel: Int, totals: list[Value]) -> list[Value]:
        """The outputs of some vectors of a channel's sums."""
        e, b, floats = self._e, self._e.b, self._floats
        record = e.at(records, "i32", e.mul(channel, len(DOT_RECORD)))
        correction = self._v.broadcast(e.load("i32", record, DOT_RECORD.index("correction")))
        shift = floats.load_broadcast(record, DOT_RECORD.index("bias"))
        multiplier = floats.load_broadcast(record, DOT_RECORD.index("multiplier"))
        done: list[Value] = []
        for total in totals:
            scaled = b.fmul(b.fadd(self._as_float(total, correction), shift), multiplier)
            scaled = b.select(b.fcmp_ordered("<", scaled, self._low), self._low, scaled)
            scaled = b.select(b.fcmp_ordered(">", scaled, self._high), self._high, scaled)
            whole = self._output != "float32"
            done.append(b.add(emit_round(floats, scaled), self._zero) if whole else scaled)
        return done

    def _as_float(self, total: Value, correction: Value) -> Value:
        """A finished sum, without the zero point that quads have kept."""
        if self._products == "floats":
            return total
        if self._products == "quads":
            total = self._v.add(total, correction)
        return self._e.b.sitofp(total, vector(FLOAT, self._v.lanes))
