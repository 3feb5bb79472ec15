"""Where weights lie in an array of any strides, as kernels that pack them are told; kept for the last few
ways in which one lay: to work it out took 20 us of a call that packs anew, between kernels that have thrown
the interpreter's own memory out of the caches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.kernels.contract import fill
from convforge.kernels.pack.contract import WEIGHT_PHASE_FIELDS, WeightSide
from convforge.plan.tables import tap_offsets
from convforge.schedule import Layout

Array = NDArray[Any]
Int64s = NDArray[np.int64]

# Packed by one thread: to wake another takes longer (12 thousand weights, 74 KB: 57 us, by two threads 94).
FEW_BYTES = 1 << 18
# Elements between neighbours that offsets of 32 bits reach over 16 of them (kernels/pack/number_loading.py).
FAR = 1 << 27
# Ways in which an array lies that are kept: a layer's weight has one.
_KEPT = 8


def within_reach(weight: Array) -> Array:
    """The array itself, or a contiguous copy where its numbers lie too far apart for 32 bits."""
    near = max(map(abs, weight.strides)) < FAR * weight.itemsize
    return weight if near else np.ascontiguousarray(weight)


class WeightPlaces:
    """The parameters of a kernel that packs weights.

    starts: where those of each phase go, in the packed array's elements. names: of the parameters, with what
    this class finds out beside `values`.
    """

    def __init__(
        self,
        layout: Layout,
        starts: Sequence[int],
        names: Sequence[str],
        values: Mapping[str, int],
        *,
        transposed: bool,
    ) -> None:
        self._layout, self._starts, self._transposed = layout, starts, transposed
        self._names, self._values = names, values
        self._kept: dict[tuple[int, ...], tuple[Int64s, tuple[Any, ...]]] = {}

    def parameters(self, weight: Array) -> Int64s:
        """For this array."""
        found = self._kept.get(weight.strides)
        if found is None:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            found = self._kept[weight.strides] = self._work_out(weight)
        return found[0]

    def side(self, weight: Array) -> WeightSide:
        """What of this array lies side by side."""
        first, second, *spatial = (stride // weight.itemsize for stride in weight.strides)
        out, channel = (second, first) if self._transposed else (first, second)
        if out == 1:
            return "outs"
        if len(self._starts) > 1:
            return "numbers"
        d, h, w = [0] * (3 - len(spatial)) + spatial
        offsets = tap_offsets(self._layout, 0, (d, h, w))
        in_order = channel == len(offsets) and np.array_equal(offsets, np.arange(len(offsets)))
        return "taps" if in_order else "numbers"

    def _work_out(self, weight: Array) -> tuple[Int64s, tuple[Any, ...]]:
        """The parameters, and what they point at."""
        gather = self._layout.gather
        first, second, *spatial = (stride // weight.itemsize for stride in weight.strides)
        d, h, w = [0] * (3 - len(spatial)) + spatial
        phases = range(len(gather.taps_by_phase))
        offsets = [tap_offsets(self._layout, phase, (d, h, w)) for phase in phases]
        fields = {
            "taps": [len(taps) for taps in gather.taps_by_phase],
            "weights": self._starts,
            "offsets": [offset.ctypes.data for offset in offsets],
        }
        records = np.array([fields[name] for name in WEIGHT_PHASE_FIELDS], np.int64).T.copy()
        values = {
            "groups": gather.groups,
            "channels": gather.in_channels,
            "out_channels": gather.out_channels,
            "w_group": first * (gather.in_channels if self._transposed else gather.out_channels),
            "w_out": second if self._transposed else first,
            "w_channel": first if self._transposed else second,
            "phases": len(phases),
            "phase_table": records.ctypes.data,
        }
        return fill(self._names, {**values, **self._values}), (records, offsets)
