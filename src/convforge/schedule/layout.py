"""Where a packed input lies: planes in which every tap is a constant distance.

One plane holds, for one channel and one residue (d, h, w positions modulo the stride), the padded rows
one after the other, `pitch` elements apart:

    kernel 3, padding 1, width 4:   0 a b c d 0 e f g h 0 …    pitch 5: the zero that ends a row
                                    └─ row 0 ┘└─ row 1 ┘          is the zero that begins the next

    output f = row * pitch + column      reads      plane[f + distance of the tap]

so all outputs are one flat run, and narrow maps fill whole vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convforge.problem.gather import Axis, Gather, Tap


@dataclass(frozen=True, slots=True)
class Layout:
    """Packed planes of a gather.

    pitch: elements from a row to the next. slice_rows: rows from a depth slice to the next.
    row_length: elements of a row that must be written, the shared zeros included.
    total_rows: rows of the whole padded volume. out_rows: rows with outputs in them.
    reach_rows: rows beyond an output's that its taps read.
    """

    gather: Gather
    pitch: int
    slice_rows: int
    row_length: int
    total_rows: int
    out_rows: int
    reach_rows: int

    @property
    def is_one_row(self) -> bool:
        """Whether the whole input is one row (1-d): then a band packs a window of it, not all of it."""
        return self.total_rows == 1

    @property
    def is_the_input(self) -> bool:
        """Whether planes are the input's own maps: one tap, no padding, every position read."""
        axes = self.gather.axes
        whole = all(a.in_step == 1 and a.in_size == a.columns and a.reach == a.lowest == 0 for a in axes)
        one_tap = all(len(taps) <= 1 for taps in self.gather.taps_by_phase) and self.planes == 1
        return whole and one_tap and self.pitch == axes[2].in_size

    @property
    def row_residues(self) -> int:
        """Residues of depth and height together."""
        d, h, _ = self.gather.axes
        return len(d.residues) * len(h.residues)

    @property
    def planes(self) -> int:
        """Planes of one channel."""
        return self.row_residues * len(self.gather.axes[2].residues)

    @property
    def flat(self) -> int:
        """Length of the run of outputs."""
        return (self.out_rows - 1) * self.pitch + self.gather.axes[2].columns

    @property
    def reach(self) -> int:
        """Elements beyond an output's own position that its taps read, in its plane."""
        return self.reach_rows * self.pitch + self.gather.axes[2].reach

    def distance(self, tap: tuple[Tap, Tap, Tap], plane_size: int) -> int:
        """How far from an output's position a tap reads, planes being `plane_size` elements apart."""
        (rd, sd), (rh, sh), (rw, sw) = (axis.split(t) for axis, t in zip(self.gather.axes, tap))
        _, h, w = self.gather.axes
        plane = (rd * len(h.residues) + rh) * len(w.residues) + rw
        return plane * plane_size + (sd * self.slice_rows + sh) * self.pitch + sw

    def row_sources(
        self, depth_stride: int, height_stride: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(element offsets, whether a row is real) of every residue and row: [row_residues, total_rows]."""
        d, h, _ = self.gather.axes
        rows = np.arange(self.total_rows, dtype=np.int64)
        slices = d.columns + d.reach
        depth = np.minimum(rows // max(self.slice_rows, 1), slices - 1)
        height = rows - depth * self.slice_rows
        offsets: list[NDArray[np.int64]] = []
        real: list[NDArray[np.bool_]] = []
        for rd in range(len(d.residues)):
            depths = d.sources(rd, slices)[depth]
            for rh in range(len(h.residues)):
                heights = h.sources(rh, h.columns + h.reach)[height]
                offsets.append(depths * depth_stride + heights * height_stride)
                real.append((depths >= 0) & (heights >= 0))
        return np.stack(offsets), np.stack(real)


def layout_of(gather: Gather, pitch_multiple: int = 1) -> Layout:
    """Lay out a gather's input; the pitch is rounded up to a multiple where a kernel wants whole vectors."""
    d, h, w = gather.axes
    width, height = w.columns + w.reach, h.columns + h.reach
    pitch = width - _shared(w)
    pitch = -(-pitch // pitch_multiple) * pitch_multiple
    slices = d.columns + d.reach
    slice_rows = height - _shared(h) if slices > 1 else height
    return Layout(
        gather,
        pitch=pitch,
        slice_rows=slice_rows,
        row_length=max(width, pitch),
        total_rows=(slices - 1) * slice_rows + height,
        out_rows=(d.columns - 1) * slice_rows + h.columns,
        reach_rows=d.reach * slice_rows + h.reach,
    )


def _shared(axis: Axis) -> int:
    """Zeros that can serve as the end of one row and the beginning of the next."""
    if axis.mode != "zeros" or len(axis.residues) > 1 or axis.in_step > 1:
        return 0
    length = axis.columns + axis.reach
    lead = min(max(0, -axis.lowest), length)
    trail = min(max(0, axis.lowest + length - axis.in_size), length)
    return min(lead, trail, axis.reach)
