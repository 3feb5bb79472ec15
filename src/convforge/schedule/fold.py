"""Taps as channels: what taps along the last axes read becomes channels, at the output's position.

    3 channels, 7x7 taps, folded along the last axis     21 channels, 7x1 taps
    channel of c and tap t at (row, column)              x[c][row][stride * column + offset of t]

So a first layer of few channels has as many as a tile of products takes. Only layers whose outputs all have
the same taps can be folded: no transposed ones with a stride. Along all axes with several taps, one tap is
left, and the run of outputs may have the pitch of the planes (`folded_whole`).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from convforge.problem.gather import Axis, Gather, Phase, Tap
from convforge.schedule.layout import Layout

Int64s = NDArray[np.int64]


def fold_axes(gather: Gather) -> list[int]:
    """How many of the last axes can be folded: none of a layer with several phases, or whose taps all meet
    padding.
    """
    if len(gather.taps_by_phase) != 1 or not gather.taps_by_phase[0]:
        return []
    counts = [len(axis.phases[0].taps) for axis in gather.axes]
    return [n for n in (1, 2, 3) if counts[3 - n] > 1]


def folded(gather: Gather, axes: int) -> Gather:
    """The gather of a layer folded along its last `axes` axes."""
    kept = gather.axes[: 3 - axes]
    d, h, w = (*kept, *(_alone(axis) for axis in gather.axes[3 - axes :]))
    taps = tuple(product(d.phases[0].taps, h.phases[0].taps, w.phases[0].taps))
    channels = gather.in_channels * _folded_taps(gather, axes)
    return replace(gather, in_channels=channels, axes=(d, h, w), taps_by_phase=(taps,))


def folded_whole(layout: Layout) -> Layout:
    """The layout of the layer folded along all axes, whose channels are read from the planes of the layer as
    it is, each a constant distance on. layout: as it is.
    """
    gather = folded(layout.gather, 3)
    d, h, _ = gather.axes
    rows = (d.columns - 1) * layout.slice_rows + h.columns
    return replace(
        layout, gather=gather, row_length=layout.pitch, total_rows=rows, out_rows=rows, reach_rows=0
    )


def fold_weight(weight: NDArray[np.generic], gather: Gather, axes: int) -> NDArray[np.generic]:
    """The weights of the folded layer: (out_channels, channels of a group, depth, height, width)."""
    out_channels, channels, *kernel = weight.shape
    whole = weight.reshape(out_channels, channels, *[1] * (3 - len(kernel)), *kernel)
    for i in range(3 - axes, 3):
        whole = whole.take([tap.kernel for tap in gather.axes[i].phases[0].taps], axis=2 + i)
    order = [0, 1, *range(5 - axes, 5), *range(2, 5 - axes)]
    moved = whole.transpose(order)
    rest = moved.shape[2 + axes :]
    return np.ascontiguousarray(moved).reshape(out_channels, -1, *rest, *[1] * axes)


def fold_sources(layout: Layout, axes: int, plane: int, channels: int) -> Int64s:
    """Where each of so many folded channels begins in packed planes `plane` elements apart:
    [residues along the axes that are left, channels]. Those beyond the last one begin behind all planes.

    layout: of the layer as it is.
    """
    gather = layout.gather
    left = [range(len(axis.residues)) for axis in gather.axes[: 3 - axes]]
    along = [[axis.split(tap) for tap in axis.phases[0].taps] for axis in gather.axes[3 - axes :]]
    taps, counts = list(product(*along)), [len(axis.residues) for axis in gather.axes]
    behind = gather.in_channels * layout.planes * plane
    table = np.full((prod(map(len, left)), channels), behind, np.int64)
    for i, residues in enumerate(product(*left)):
        for t, splits in enumerate(taps):
            rd, rh, rw = (*residues, *(residue for residue, _ in splits))
            sd, sh, sw = (*[0] * (3 - axes), *(steps for _, steps in splits))
            at = ((rd * counts[1] + rh) * counts[2] + rw) * plane
            at += (sd * layout.slice_rows + sh) * layout.pitch + sw
            mine = np.arange(gather.in_channels, dtype=np.int64)
            table[i, t : gather.in_channels * len(taps) : len(taps)] = mine * layout.planes * plane + at
    return table


def fold_rows(layout: Layout, run: Layout) -> Int64s:
    """The row of the layer's planes from which each row of the folded layer's planes reads on."""
    rows = np.arange(run.total_rows, dtype=np.int64)
    return rows // run.slice_rows * layout.slice_rows + rows % run.slice_rows


def fold_reach(layout: Layout, axes: int) -> int:
    """Rows beyond that one that its taps read."""
    d, h, _ = layout.gather.axes
    return (d.reach * layout.slice_rows if axes > 2 else 0) + (h.reach if axes > 1 else 0)


def _folded_taps(gather: Gather, axes: int) -> int:
    return prod(len(axis.phases[0].taps) for axis in gather.axes[3 - axes :])


def _alone(axis: Axis) -> Axis:
    """An axis whose outputs read one position each, their own."""
    (phase,) = axis.phases
    return Axis(
        in_size=phase.count,
        out_size=axis.out_size,
        in_step=1,
        out_step=axis.out_step,
        phases=(Phase(phase.first, phase.count, (Tap(0, 0),)),),
        padding=(0, 0),
        mode="zeros",
    )
