"""The steps of channels that are taps (schedule/fold.py): read from planes that are split before.

    part[of value][plane][position]  =  a bf16 number, in the upper half of a word

The planes of a band are packed as for all kernels (pack.py), and each element is split once, though a tap for
each of 147 channels reads it. A step puts two parts side by side, which takes two operations and not the 26 of
splitting both: at 224x224, 3 channels of 7x7 taps, 64 outputs, two cores.
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.vector import Vectors
from convforge.kernels.bf16_parts import emit_parts, emit_seen, joined
from convforge.kernels.contract_split import FOLD_PARAMETERS, PROGRESS_BYTES, SplitKernel
from convforge.kernels.pack import emit_pack
from convforge.kernels.parameters import Parameters
from convforge.kernels.split_bf16_steps import Steps


class PlaneSteps(Steps):
    """Steps of a task whose channels are taps of x's channels."""

    def __init__(
        self, e: Emitter, v: Vectors, p: Parameters, kernel: SplitKernel, x: Value, scratch: Value
    ) -> None:
        super().__init__(e, v, p, kernel, x, scratch)
        self._planes = Parameters(e, p.pointer("fold"), FOLD_PARAMETERS)
        self._packed = e.at(self.progress, "i8", PROGRESS_BYTES)

    @property
    def _elements(self) -> Int:
        """Elements of all planes."""
        return self.e.mul(self._planes.channels, self._planes.planes, self._planes.plane)

    def pack(self, first: Int) -> None:
        e, v, f, p = self.e, self.v, self._planes, self.p
        columns = self.kernel.columns_in
        assert columns is not None
        one_row = e.differ(f.one_row, 0)
        first_row, first_column = e.select(one_row, 0, e.div(first, p.pitch)), e.select(one_row, first, 0)
        self.set("planes", e.add(e.mul(first_row, p.pitch), first_column))
        # Zeros behind the last row, where the last step reads on.
        rows = e.minimum(f.plane_rows, e.sub(f.total_rows, first_row))
        written = e.add(e.mul(e.sub(rows, 1), f.pitch), f.row_length)
        with (
            e.loop(0, e.mul(f.channels, f.planes), name="plane") as plane,
            e.loop(written, e.sub(f.plane, v.lanes - 1), step=v.lanes, name="behind") as at,
        ):
            v.store(v.zero(), self._packed, e.add(e.mul(plane.index, f.plane), at.index))
        emit_pack(
            e, v, columns, f, source=self.x, target=self._packed, channels=f.channels,
            first_row=first_row, first_column=first_column,
        )  # fmt: skip
        self._split()

    def _split(self) -> None:
        """Split all planes, the first parts into their place."""
        e, v = self.e, self.v
        seen = [v.load_bits(self.seen, i * v.lanes) for i in range(2)]
        with e.loop(0, self._elements, step=v.lanes, carried=seen, name="split") as at:
            value = v.load(self._packed, at.index)
            at.next = emit_seen(v, at.carried, value)
            to = e.at(self._packed, "i32", at.index)
            for bits in emit_parts(v, value, self.kernel.parts):
                v.store_bits(bits, to, 0)
                to = e.at(to, "i32", self._elements)
        for i, value in enumerate(at.results):
            v.store_bits(value, self.seen, i * v.lanes)

    def channel(self, number: Int) -> Value:
        begins = self.e.load("i64", self._planes.pointer("sources"), number)
        return self.e.at(self._packed, "i32", self.e.sub(begins, self.get("planes")))

    def words(self, channels: list[Value], position: Int, seen: list[Value]) -> list[Value]:
        e, v = self.e, self.v
        found: list[Value] = []
        low, high = (e.at(channel, "i32", position) for channel in channels)
        for _ in range(self.kernel.parts):
            found.append(joined(v, v.load_bits(low, 0), v.load_bits(high, 0)))
            low, high = (e.at(each, "i32", self._elements) for each in (low, high))
        return found
