"""Taps as channels: what each tap reads becomes a channel of its own, read at the output's position.

    3 channels, 7x7 taps       147 channels, one tap
    channel of c and tap t     at position f of the packed planes: x[c] as t reads it, a constant distance on

So a first layer of few channels has as many as a tile of products takes. The planes are those of the layer as
it is (layout.py), and the run of outputs has their pitch. Only layers whose outputs all have the same taps
can be folded: no transposed ones with a stride.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from convforge.problem.gather import Axis, Gather, Phase, Tap
from convforge.schedule.layout import Layout

Int64s = NDArray[np.int64]


def can_fold(gather: Gather) -> bool:
    """Whether taps can be channels: not of a layer with several phases, or whose taps all meet padding."""
    return len(gather.taps_by_phase) == 1 and len(gather.taps_by_phase[0]) > 1


def folded(layout: Layout) -> Layout:
    """The layout of the folded layer, whose tap reads where the output is. layout: of the layer as it is."""
    gather = layout.gather
    d, h, w = (_alone(axis) for axis in gather.axes)
    taps = ((d.phases[0].taps[0], h.phases[0].taps[0], w.phases[0].taps[0]),)
    channels = gather.in_channels * len(gather.taps_by_phase[0])
    rows = (d.columns - 1) * layout.slice_rows + h.columns
    return Layout(
        replace(gather, in_channels=channels, axes=(d, h, w), taps_by_phase=(taps,)),
        pitch=layout.pitch,
        slice_rows=layout.slice_rows,
        row_length=layout.pitch,
        total_rows=rows,
        out_rows=rows,
        reach_rows=0,
    )


def fold_weight(weight: NDArray[np.generic], gather: Gather) -> NDArray[np.generic]:
    """The weights of the folded layer: (out_channels, channels of a group, 1, 1, 1). gather: as it is."""
    out_channels, channels, *kernel = weight.shape
    whole = weight.reshape(out_channels, channels, *[1] * (3 - len(kernel)), *kernel)
    d, h, w = np.array([[tap.kernel for tap in taps] for taps in gather.taps_by_phase[0]]).T
    return np.ascontiguousarray(whole[:, :, d, h, w]).reshape(out_channels, -1, 1, 1, 1)


def fold_sources(layout: Layout, plane: int) -> Int64s:
    """Where each folded channel begins in packed planes `plane` elements apart. layout: as it is."""
    taps = np.array([layout.distance(tap, plane) for tap in layout.gather.taps_by_phase[0]], np.int64)
    channels = np.arange(layout.gather.in_channels, dtype=np.int64) * (layout.planes * plane)
    return (channels[:, None] + taps).ravel()


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
