"""Windows as channels: what the taps along the last axis read of few channels lies side by side.

    3 channels, 7 taps, stride 2     columns  0 0 0 1 1 1 2 2 2 3 3 3 4 4 4 5 5 5 6 6 6 7 7 7 8 8 8 …
                                     window 0 └─────────── 21 values ───────────┘
                                     window 1             └─────────── 21 values ───────────┘

So the weight gradient of a first layer has as many channels as fill tiles, and a tap for each row of the
kernel; and as a tile's rows may lie anywhere, windows are read where columns are, and never copied. They
begin a constant number of columns apart all along the run (schedule/layout.py), whose rows have gaps behind
them for what their last windows reach.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from convforge.problem.gather import Gather, Tap
from convforge.schedule.layout import Layout, layout_of
from convforge.schedule.tile_unit import TILE_ROWS


@dataclass(frozen=True, slots=True)
class Windows:
    """channels: of a column. step: columns from a window to the next. span: columns of a window."""

    channels: int
    step: int
    span: int

    @property
    def values(self) -> int:
        """Of a window."""
        return self.channels * self.span

    @property
    def tiles(self) -> int:
        """Tiles that a window's values fill."""
        return -(-self.values // TILE_ROWS)

    @property
    def distance(self) -> int:
        """Values from a window to the next."""
        return self.channels * self.step

    def columns(self, windows: int) -> int:
        """That so many windows read."""
        return self.step * (windows - 1) + self.span


def windows_of(gather: Gather) -> Windows | None:
    """The windows of a plain convolution if they fill fewer tiles than its channels do, tap by tap."""
    offsets = [tap.offset for tap in gather.axes[2].phases[0].taps]
    if not offsets or gather.in_channels > TILE_ROWS:
        return None
    span = max(offsets) - min(offsets) + 1
    windows = Windows(gather.in_channels, gather.axes[2].in_step, span)
    return windows if windows.tiles < len(offsets) else None


def columns_layout(gather: Gather) -> Layout:
    """Where the columns of windows lie: a plane for each tap along depth, rather than all slices between."""
    d, h, w = gather.axes
    return layout_of(replace(gather, axes=(replace(d, planes_apart=True), h, w)))


def window_rows(layout: Layout) -> list[tuple[int, int]]:
    """(plane, how far from a window's own position) of each row of the kernel. layout: of columns."""
    d, h, _ = layout.gather.axes
    found: list[tuple[int, int]] = []
    for taps in product(d.phases[0].taps, h.phases[0].taps):
        (rd, sd), (rh, sh) = d.split(taps[0]), h.split(taps[1])
        found.append((rd * len(h.residues) + rh, (sd * layout.slice_rows + sh) * layout.pitch))
    return found


def window_place(layout: Layout, windows: Windows, tap: tuple[Tap, Tap, Tap]) -> tuple[int, int]:
    """(row of the kernel, which value of its window) of a tap's first channel."""
    d, h, w = layout.gather.axes
    row = d.phases[0].taps.index(tap[0]) * len(h.phases[0].taps) + h.phases[0].taps.index(tap[1])
    return row, (tap[2].offset - w.lowest) * windows.channels
