"""How the split bf16 family lays out a gather: as maps, rows, or images that are slices; and how its kernel
reads the input.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import Element
from convforge.kernels.tile_unit.contract import NOWHERE
from convforge.plan.tables import reads_in_place, way_out
from convforge.plan.tile_unit.cost import TileWork, tile_unit_cycles
from convforge.problem.gather import Gather
from convforge.schedule import Layout, layout_of
from convforge.schedule.tile_unit import STEP_POSITIONS, WayIn, images_as_slices, maps_as_rows
from convforge.target import Target

# Images that are slices leave row by row: a part of the cycles that this must save.
_WORTH = 0.05
# Outputs of a map of which a table says where their input is: one of 1 MB.
_MOST_PLACES = 1 << 18


class LaidOut(NamedTuple):
    """A layout, and the steps of input and output from a batch, channel, slice, row, column to the next.

    way_in: how the kernel reads the input. unfolded: the layout of the layer as it is, where taps are
    channels.
    """

    layout: Layout
    x_steps: tuple[int, ...]
    y_steps: tuple[int, ...]
    way_in: WayIn
    unfolded: Layout | None = None

    @property
    def plane_bytes(self) -> int:
        """Bytes of planes for each output of the run, where folded channels are read from them."""
        return 4 * self.unfolded.gather.in_channels * self.unfolded.planes if self.unfolded else 0


def lay_out(
    gather: Gather, element: Element, target: Target, work: TileWork, x_steps: tuple[int, ...],
    y_steps: tuple[int, ...],
) -> LaidOut:  # fmt: skip
    """Each map as one row, where inputs and outputs lie like that; each image on its own, or all of them as
    slices of one volume, where tiles are filled better by it.
    """
    maps, slices = layout_of(gather), images_as_slices(gather)
    row, alone = maps_as_rows(gather), maps
    if row and way_out(maps, y_steps) == "flat" and _lies_in_place(maps, x_steps):
        alone = layout_of(row)
        x_steps, y_steps = ((*s[:2], 0, 0, s[4]) for s in (x_steps, y_steps))
    apart = _found(alone, element, x_steps, y_steps)
    if gather.batch == 1 or slices is None:
        return apart
    joined = _found(
        layout_of(images_as_slices(alone.gather) or slices), element,
        *((0, s[1], s[0], *s[3:]) for s in (x_steps, y_steps)),
    )  # fmt: skip
    cycles = [tile_unit_cycles(each.layout, target, work, each.way_in) for each in (apart, joined)]
    return joined if cycles[1] < (1 - _WORTH) * cycles[0] else apart


def _found(layout: Layout, element: Element, x_steps: tuple[int, ...], y_steps: tuple[int, ...]) -> LaidOut:
    if _lies_in_place(layout, x_steps):
        return LaidOut(layout, x_steps, y_steps, "in place")
    way: WayIn = "gathered" if _can_gather(layout, element, x_steps) else "packed"
    return LaidOut(layout, x_steps, y_steps, way)


def _lies_in_place(layout: Layout, steps: tuple[int, ...]) -> bool:
    """Whether the input is the planes: of half types too, as steps widen what they read."""
    return reads_in_place(layout, steps)


def _can_gather(layout: Layout, element: Element, steps: tuple[int, ...]) -> bool:
    """Whether each position reads one value, whose place in a channel is a number of 32 bits."""
    if element.storage != element.compute or layout.planes > 1 or layout.reach or layout.flat > _MOST_PLACES:
        return False
    if any(len(taps) > 1 for taps in layout.gather.taps_by_phase):
        return False
    rows, columns = _row_places(layout, steps)
    return max(np.abs(each[each != NOWHERE]).max(initial=0) for each in (rows, columns)) < -NOWHERE // 2


def places_of(layout: Layout, steps: tuple[int, ...]) -> NDArray[np.int32]:
    """Where each position's value is in a channel of the input; NOWHERE for a zero, and behind the last one,
    as the last step may begin there.
    """
    rows, columns = _row_places(layout, steps)
    there = (rows != NOWHERE)[:, None] & (columns != NOWHERE)
    found = np.where(there, rows[:, None] + columns, NOWHERE).ravel()[: layout.flat]
    return np.pad(found, (0, STEP_POSITIONS), constant_values=NOWHERE).astype(np.int32)


def _row_places(layout: Layout, steps: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Offsets of each row, and of each column in a row; NOWHERE for zeros."""
    offsets, real = layout.row_sources(steps[2], steps[3])
    columns = layout.gather.axes[2].sources(0, layout.pitch)
    return np.where(real[0], offsets[0], NOWHERE), np.where(columns >= 0, columns * steps[4], NOWHERE)
