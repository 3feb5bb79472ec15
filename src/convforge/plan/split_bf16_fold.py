"""The planes from which folded channels are read (schedule/fold.py): those of the layer as it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convforge.kernels.contract import fill
from convforge.kernels.contract_split import FOLD_PARAMETERS
from convforge.plan.bands import Band, band_of
from convforge.plan.tables import input_tables, packing_values
from convforge.schedule import Layout
from convforge.schedule.fold import fold_sources
from convforge.schedule.tile_unit import STEP_POSITIONS


class FoldedPlanes:
    """Parameters (FOLD_PARAMETERS) of the planes of a band of so many outputs, and the bytes that they take.

    layout: of the layer as it is. x_steps: elements between neighbours of the input.
    """

    values: NDArray[np.int64]

    def __init__(self, layout: Layout, length: int, lanes: int, x_steps: tuple[int, ...]) -> None:
        band = _band(layout, length, lanes)
        tables = input_tables(layout, (x_steps[2], x_steps[3], x_steps[4]))
        sources = fold_sources(layout, band.plane)
        channels, column = layout.gather.in_channels, x_steps[4] * layout.gather.axes[2].in_step
        self._keep = (tables, sources)
        self.values = fill(
            FOLD_PARAMETERS,
            {
                "channels": channels,
                "x_channel": x_steps[1],
                **packing_values(layout, band, tables, column),
                "sources": sources.ctypes.data,
            },
        )
        self.size_bytes = 4 * channels * layout.planes * band.plane


def _band(layout: Layout, length: int, lanes: int) -> Band:
    """What the planes of a band that begins anywhere need; steps read whole, even from its last output on."""
    return band_of(layout, length, lanes, layout.reach_rows * layout.pitch + 2 * STEP_POSITIONS)
