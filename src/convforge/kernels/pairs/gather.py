"""The direct kernel on pairs of bf16 numbers: two multiply-adds in the time of one.

    acc[m][f] += w0[m] * x0[f] + w1[m] * x1[f]        a word of weights, broadcast, and a vector of words

The loop nest of direct/gather.py, on words that hold two channels. For layers that may be computed in bf16:
bfloat16 arrays, and float32 at `medium`.
"""

from __future__ import annotations

from typing import ClassVar

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.direct.gather import GatherNest
from convforge.kernels.pairs.contract import PAIRS_PARAMETERS, PairInstruction, PairsKernel
from convforge.kernels.pairs.pack import PairVectors, emit_pack_pairs
from convforge.kernels.parameters import Parameters


def emit(kernel: PairsKernel, module: Module) -> None:
    """Emit the task of a kernel."""
    _Pairs(kernel).emit(module)


class _Pairs(GatherNest):
    """The direct kernel's loop nest with words."""

    parameters: ClassVar[tuple[str, ...]] = PAIRS_PARAMETERS

    def __init__(self, kernel: PairsKernel) -> None:
        super().__init__(kernel)
        self.instruction: PairInstruction = kernel.instruction

    def _vectors(self, e: Emitter) -> tuple[Vectors, Vectors]:
        _, out = super()._vectors(e)
        return PairVectors(e, self.element, self.lanes, self.instruction, fused=self.kernel.fused), out

    def _group_channels(self, p: Parameters) -> Int:
        return p.group_channels

    def _emit_pack(
        self,
        e: Emitter,
        v: Vectors,
        p: Parameters,
        bias: Value,
        source: Value,
        scratch: Value,
        target: Value,
        first_row: Int,
        first_column: Int,
        rows: Int,
    ) -> None:
        del bias
        assert self.columns is not None
        emit_pack_pairs(
            e, v, self.columns, p, source=source, scratch=scratch, target=target,
            first_row=first_row, first_column=first_column, rows=rows,
        )  # fmt: skip
