"""The phase table of kernels that gather: for each phase its outputs, and the taps that each tile needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.kernels.direct.contract import PHASE_FIELDS
from convforge.plan.selections import Selections, select_taps
from convforge.plan.tables import along_channels, distances, weight_rows
from convforge.schedule import RunTiles

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PhaseTable:
    """One record of PHASE_FIELDS for each phase: addresses are those of the arrays in `keep`."""

    records: Int64s
    keep: tuple[Any, ...]


def phase_table(
    tiles: RunTiles,
    y_steps: tuple[int, ...],
    *,
    plane: int,
    channel_block: int,
    channel_step: int,
    starts: Sequence[int],
    row_size: int,
    all_taps: bool = False,
    exact: bool = False,
    first: int = 0,
) -> PhaseTable:
    """The table for these tiles, and blocks of channels that are channel_step apart.

    starts: where the packed weights of each phase begin; row_size: elements of those of a channel and a tap.
    all_taps: whether tiles also need taps that meet only padding; exact: whether none of them have one.
    first: elements from where channels begin to their planes.
    """
    layout = tiles.layout
    keep: list[Any] = []
    phases: list[list[int]] = []
    for phase, (d, h, w) in enumerate(layout.gather.phase_triples):
        taps = len(layout.gather.taps_by_phase[phase])
        each = first + distances(layout, phase, plane)
        every = Selections((np.arange(taps),), np.zeros(1, np.int64))
        selections = every if all_taps else select_taps(tiles, phase, exact=exact)
        chosen: list[list[int]] = []
        for some in selections.taps:
            reach = along_channels(each[some], channel_block, channel_step)
            rows = weight_rows(taps, channel_block, some, row_size)
            keep += [reach, rows]
            chosen.append([len(some), reach.ctypes.data, rows.ctypes.data])
        table = np.array(chosen, np.int64)
        keep += [selections.tiles, table]
        values = {
            "taps": taps,
            "weights": starts[phase],
            "selections": table.ctypes.data,
            "tile_selection": selections.tiles.ctypes.data,
            "tile_step": int(len(selections.tiles) > 1),
            "y_offset": d.first * y_steps[2] + h.first * y_steps[3] + w.first * y_steps[4],
            "depth": d.count,
            "height": h.count,
            "width": w.count,
        }
        phases.append([values[name] for name in PHASE_FIELDS])
    return PhaseTable(np.array(phases, np.int64), tuple(keep))
