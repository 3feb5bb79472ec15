"""Loops that find out what a processor can do: multiply-adds in registers, and reading memory.

    multiply     acc_i = a * acc_i + a      12 independent sums: more than an FMA's latency needs (4 cycles,
                                            two ports), few enough for 16 registers
    read         acc_i = acc_i + x[...]     8 vectors in turn; a task's chunk, again and again

Results are stored, so that nothing is removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from convforge.ir.element import ELEMENTS

if TYPE_CHECKING:
    from convforge.ir.emitter import Deliver, Module

CHAINS = {"multiply": 12, "read": 8}
PROBE_PARAMETERS = ("rounds", "chunk")


@dataclass(frozen=True, slots=True)
class ProbeKernel:
    """What the machine code of a probe depends on: which one, and the vectors."""

    kind: Literal["multiply", "read"]
    lanes: int
    fused: bool

    @property
    def name(self) -> str:
        """A short name."""
        return f"probe {self.kind}"

    def emit(self, triple: str, deliver: Deliver | None = None) -> str:
        """The IR of this kernel."""
        from convforge.ir.emitter import Module

        module = Module(triple, deliver)
        emit_probe(self, module)
        return str(module)


def emit_probe(kernel: ProbeKernel, module: Module) -> None:
    """Emit the task. rounds: of the loop. chunk: elements of x, whole vectors, that a task reads in a round.

    x: a vector of numbers to multiply, or one chunk for each task. y: CHAINS vectors for each task.
    """
    from convforge.ir.vector import Vectors
    from convforge.kernels.parameters import Parameters

    e = module.function("task", "pip")
    call, index, _ = e.arguments
    p = Parameters(e, e.load_pointer(call, 0), PROBE_PARAMETERS)
    x, y = e.load_pointer(call, 1), e.load_pointer(call, 4)
    v = Vectors(e, ELEMENTS["float32"], kernel.lanes, fused=kernel.fused)
    chains = CHAINS[kernel.kind]
    zeros = [v.zero()] * chains
    with e.loop(0, p.rounds, carried=zeros, name="round") as outer:
        if kernel.kind == "multiply":
            a = v.load(x)
            outer.next += [v.multiply_add(a, acc, a) for acc in outer.carried]
        else:
            begin = e.mul(index, p.chunk)
            stop = e.add(begin, p.chunk)
            step = chains * kernel.lanes
            with e.loop(begin, stop, step=step, carried=outer.carried, name="at") as at:
                for i, acc in enumerate(at.carried):
                    at.next.append(v.add(acc, v.load(x, e.add(at.index, i * kernel.lanes))))
            outer.next += at.results
    target = e.at(y, "f32", e.mul(index, chains * kernel.lanes))
    for i, acc in enumerate(outer.results):
        v.store(acc, target, i * kernel.lanes)
    e.done()
