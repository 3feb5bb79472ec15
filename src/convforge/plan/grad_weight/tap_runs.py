"""Taps that lie side by side in a packed row, gathered into runs that one tile can sum together."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from convforge.schedule import Layout


@dataclass(frozen=True, slots=True)
class TapRuns:
    """Runs of taps.

    runs: positions in `gather.taps_by_phase[0]`. shift: packed positions from a tap of a run to the next.
    step: kernel positions from one to the next.
    """

    runs: tuple[tuple[int, ...], ...]
    shift: int
    step: int


def tap_runs(layout: Layout, most: int) -> TapRuns:
    """Runs of at most `most` taps: of one kernel row, in one plane, equally far apart.

    kernel 7, stride 2, most 4    ->    0 2 4 6,  1 3 5
    """
    width = layout.gather.axes[2]
    taps = layout.gather.taps_by_phase[0]
    rows: dict[tuple[int, int, int], list[int]] = {}
    for i, (d, h, w) in enumerate(taps):
        rows.setdefault((d.kernel, h.kernel, width.split(w)[0]), []).append(i)
    runs = [tuple(row[i : i + most]) for row in rows.values() for i in range(0, len(row), most)]
    offsets = [tap.offset for tap in width.phases[0].taps] if width.phases else []
    dilation = abs(offsets[1] - offsets[0]) if len(offsets) > 1 else 1
    common = gcd(dilation, width.in_step)
    return TapRuns(tuple(runs), dilation // common, width.in_step // common)
