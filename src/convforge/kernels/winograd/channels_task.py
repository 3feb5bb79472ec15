"""What the parts of Winograd's kernel with vectors along channels share."""

from __future__ import annotations

from collections.abc import Sequence

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.parameters import Parameters
from convforge.kernels.winograd.box import WinogradBox
from convforge.kernels.winograd.contract import (
    WINOGRAD_CHANNELS_PARAMETERS,
    WINOGRAD_SIDE_PARAMETERS,
    WinogradChannelsKernel,
)
from convforge.schedule.winograd import transforms


class ChannelsTask:
    """What the parts of the loop nest (channels.py) share."""

    def __init__(self, e: Emitter, kernel: WinogradChannelsKernel, record: Value, scratch: Value) -> None:
        self.e, self.kernel, self.scratch = e, kernel, scratch
        self.p = p = Parameters(e, record, WINOGRAD_CHANNELS_PARAMETERS)
        self.v = Vectors(e, kernel.element, kernel.lanes, fused=kernel.fused)
        matrices = [transforms(m, r) for m, r in zip(kernel.tiling.outputs, kernel.tiling.taps)]
        self.out_matrices = [t.output for t in matrices]
        self.x = WinogradBox(
            e=e,
            v=self.v,
            p=Parameters(e, p.pointer("x_side"), WINOGRAD_SIDE_PARAMETERS),
            scratch=scratch,
            steps=kernel.tiling.outputs,
            spacing=kernel.spacing,
            matrices=[t.data for t in matrices],
            point=kernel.point,
            side=kernel.side,
            scatters=kernel.scatters,
            residues=kernel.residues,
            parts=kernel.parts,
        )

    def part(self, name: str, values: Sequence[Int]) -> tuple[ChannelsTask, list[Value]]:
        """The same task in a function of its own, called here with more values: `Emitter.part`."""
        e, (record, scratch, *given) = self.e.part(name, [self.p.record, self.scratch, *values])
        return ChannelsTask(e, self.kernel, record, scratch), given

    def scratch_at(self, name: str) -> Value:
        """What lies at the parameter `name` of scratch."""
        at: Int = getattr(self.p, name)
        return self.e.at(self.scratch, "i8", at)
