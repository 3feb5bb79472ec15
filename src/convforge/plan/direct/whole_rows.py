"""Kernels whose taps lie whole rows apart: read where the input lies, each tile of outputs within a row.

    3x1, padding 1      row 0: taps   1 2 of rows 0 1
                        row 1: taps 0 1 2 of rows 0 1 2      last row: taps 0 1

What a tap reads for a tile is all data or all padding, and that is left out: nothing is packed. Where a slice
is such a row, as for kernels of 3x1x1, its rows are taken for one.

R(2+1)D's 3x1x1, 144 -> 64 channels at 16x56x56, has planes of 7 MB: 7940 us from them, 6130 in place (two
cores of Zen 4).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from convforge.problem.gather import Axis, Gather, Phase


@dataclass(frozen=True, slots=True)
class WholeRows:
    """A gather so seen, with the steps of its input and its output: batch, channel, depth, height, width.

    first: elements from the input's first row to the one that a tap of the least offset reads for row 0.
    """

    gather: Gather
    x_steps: tuple[int, ...]
    y_steps: tuple[int, ...]
    first: int


def whole_rows(gather: Gather, x_steps: tuple[int, ...], y_steps: tuple[int, ...]) -> WholeRows | None:
    """A gather seen as one of whole rows, if it is that and its rows lie side by side."""
    d, h, w = gather.axes
    if x_steps[4] != 1 or y_steps[4] != 1 or not _stays(w):
        return None
    if d.in_size == 1 == d.out_size and _stays(d) and _moves(h) and x_steps[3] == w.in_size:
        return WholeRows(gather, x_steps, y_steps, h.lowest * w.in_size)
    one_run = x_steps[3] == w.in_size == y_steps[3] or h.in_size == 1
    row = h.in_size * w.in_size
    if not (_moves(d) and _stays(h) and one_run and x_steps[2] == row):
        return None
    height, width = (
        replace(h, in_size=1, out_size=1, phases=_of(h, 1)),
        replace(w, in_size=row, out_size=row, phases=_of(w, row)),
    )
    x, y = ((*steps[:3], 0, 1) for steps in (x_steps, y_steps))
    return WholeRows(replace(gather, axes=(d, height, width)), x, y, d.lowest * row)


def _stays(axis: Axis) -> bool:
    """Whether every output reads the input at its own position, by one tap."""
    alone = len(axis.phases) == 1 and len(axis.phases[0].taps) == 1 and axis.lowest == 0
    return alone and axis.in_step == axis.out_step == 1 and axis.in_size == axis.out_size


def _moves(axis: Axis) -> bool:
    """Whether outputs read by several taps, a position further from one to the next."""
    several = len(axis.phases) == 1 and len(axis.phases[0].taps) > 1
    return several and axis.in_step == axis.out_step == 1 and axis.mode == "zeros"


def _of(axis: Axis, count: int) -> tuple[Phase, ...]:
    """The only phase of an axis that stays, of so many outputs."""
    return (replace(axis.phases[0], count=count),)
