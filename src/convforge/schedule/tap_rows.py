"""Taps as output channels: what a tap adds to each output is a row of its own, at the input's positions.

    3 outputs, 3x3 taps       27 rows of one tap
    output at f               sum of its 9 rows, each at f + distance of the tap (schedule/layout.py)

So a last layer of few output channels, or the gradient of a first layer's input, fills tiles of products. The
phases of a transposed layer share the input's positions: their taps are rows of the same product.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from convforge.problem.gather import Axis, Gather, Phase, Tap
from convforge.schedule.layout import Layout
from convforge.schedule.schedule import Order
from convforge.schedule.tile_unit import WayIn

_POINT = (Tap(0, 0),)


@dataclass(frozen=True, slots=True)
class TapRowsSchedule:
    """Blocking of the product on a tile unit.

    parts: numbers that a value is split into. rows, columns: tiles of sums. blocks, depth: of channels, and
    words of a block. band: outputs of the flat run of one task. way_in: how the input is read. beside: steps
    of the next window's split that are woven into each step.
    """

    parts: int
    rows: int
    columns: int
    blocks: int
    depth: int
    band: int
    way_in: WayIn
    beside: int

    @property
    def order(self) -> Order:
        """The order of an output's sum: neither shapes of tiles nor threads have a say."""
        return ("tap rows", self.parts, self.depth)


def tap_rows(gather: Gather) -> Gather:
    """The gather of the product: one tap, an output channel for each output and tap."""
    axes = tuple(_alone(axis) for axis in gather.axes)
    return replace(
        gather, out_channels=gather.out_channels * gather.kernel_taps, axes=axes,
        taps_by_phase=((_POINT * 3,),),
    )  # fmt: skip


def tap_rows_run(layout: Layout) -> Layout:
    """The layout of the product: the run of the layer's planes, with what its last outputs' taps reach.

    layout: of the layer, whose planes have one residue.
    """
    gather = tap_rows(layout.gather)
    return replace(layout, gather=gather, row_length=layout.pitch, out_rows=layout.total_rows, reach_rows=0)


def first_rows(gather: Gather) -> list[int]:
    """The first row of each phase: rows are phase by phase, tap by tap, output by output."""
    many = [len(taps) * gather.out_channels for taps in gather.taps_by_phase]
    return list(accumulate(many, initial=0))[:-1]


def tap_rows_weight(weight: NDArray[np.generic], gather: Gather, *, transposed: bool) -> NDArray[np.generic]:
    """The weights of the product: (groups * rows, channels of a group)."""
    outputs, channels = gather.out_channels, gather.in_channels
    kernel = (*[1] * (5 - weight.ndim), *weight.shape[2:])
    if transposed:
        whole = weight.reshape(gather.groups, channels, outputs, *kernel).swapaxes(1, 2)
    else:
        whole = weight.reshape(gather.groups, outputs, channels, *kernel)
    taps = np.array([[t.kernel for t in tap] for taps in gather.taps_by_phase for tap in taps], np.intp)
    picked = whole[..., taps[:, 0], taps[:, 1], taps[:, 2]]
    return np.ascontiguousarray(picked.transpose(0, 3, 1, 2)).reshape(-1, channels)


def _alone(axis: Axis) -> Axis:
    """An axis of planes, each position of which is read by its own."""
    count = axis.columns + axis.reach
    return Axis(
        in_size=count,
        out_size=count,
        in_step=1,
        out_step=1,
        phases=(Phase(0, count, _POINT),),
        padding=(0, 0),
        mode="zeros",
    )
