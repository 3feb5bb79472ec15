"""Small maps on pairs of bf16 numbers, as gather.py has larger ones.

    acc[i][m] += x0[i] * w0[m] + x1[i] * w1[m]        a word of inputs, broadcast, and a vector of words

The loop nest of direct/channels.py, on words that hold two channels.
"""

from __future__ import annotations

from typing import ClassVar

from convforge.ir.emitter import Emitter, Int, Module, Value
from convforge.ir.vector import Vectors
from convforge.kernels.direct.channels import ChannelsNest
from convforge.kernels.pairs.contract import (
    CHANNELS_PAIRS_PARAMETERS,
    ChannelsPairsKernel,
    PairInstruction,
)
from convforge.kernels.pairs.pack import PairVectors, emit_pack_pairs
from convforge.kernels.parameters import Parameters


def emit(kernel: ChannelsPairsKernel, module: Module) -> None:
    """Emit the task of a kernel."""
    _ChannelsPairs(kernel).emit(module)


class _ChannelsPairs(ChannelsNest):
    """The small-map kernel's loop nest with words."""

    parameters: ClassVar[tuple[str, ...]] = CHANNELS_PAIRS_PARAMETERS

    def __init__(self, kernel: ChannelsPairsKernel) -> None:
        super().__init__(kernel)
        self.instruction: PairInstruction = kernel.instruction

    def _vectors(self, e: Emitter) -> Vectors:
        return PairVectors(e, self.element, self.lanes, self.instruction, fused=self.kernel.fused)

    def _group_channels(self, p: Parameters) -> Int:
        return p.group_channels

    def _emit_pack(
        self, e: Emitter, v: Vectors, p: Parameters, source: Value, scratch: Value, target: Value
    ) -> None:
        assert self.kernel.columns is not None
        emit_pack_pairs(
            e, v, self.kernel.columns, p, source=source, scratch=scratch, target=target,
            first_row=0, first_column=0, rows=p.plane_rows,
        )  # fmt: skip
