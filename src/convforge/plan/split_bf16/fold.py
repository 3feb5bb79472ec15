"""The planes from which folded channels are read (schedule/fold.py): those of the layer as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.kernels.contract import fill
from convforge.kernels.split_bf16.contract import FOLD_PARAMETERS, SplitKernel
from convforge.plan.bands import Band, band_of
from convforge.plan.tables import input_tables, packing_values
from convforge.schedule import Layout
from convforge.schedule.fold import fold_reach, fold_rows, fold_sources
from convforge.schedule.tap_rows import TapRowsSchedule
from convforge.schedule.tile_unit import STEP_POSITIONS, TILE_NUMBERS, TileUnitSchedule


class FoldedPlanes:
    """Parameters (FOLD_PARAMETERS) of a band's planes, and the bytes that they take.

    layout: of the layer as it is; run: of the folded one. x_steps: elements between neighbours of the input.
    """

    values: NDArray[np.int64]

    def __init__(
        self,
        layout: Layout,
        run: Layout,
        schedule: TileUnitSchedule,
        kernel: SplitKernel,
        x_steps: tuple[int, ...],
    ) -> None:
        rows = fold_rows(layout, run)
        if kernel.upright:
            # Steps read whole, even from the last output on.
            overrun = layout.reach_rows * layout.pitch + 2 * STEP_POSITIONS
            band = band_of(layout, schedule.band_tiles * kernel.length, kernel.lanes, overrun)
        else:
            band = _band(layout, run, rows, schedule, kernel)
        channels = 2 * schedule.depth * schedule.blocks
        sources = np.ascontiguousarray(fold_sources(layout, schedule.fold, band.plane, channels))
        self.values, self._keep = _planes(layout, band, x_steps, sources, rows)
        # One plane more holds the zeros of channels beyond the last.
        self.size_bytes = 4 * (layout.gather.in_channels * layout.planes + 1) * band.plane


def _band(
    layout: Layout, run: Layout, rows: NDArray[np.int64], schedule: TileUnitSchedule, kernel: SplitKernel
) -> Band:
    """What the layer's planes need for any band of a run of another pitch."""
    length = schedule.band_tiles * kernel.length
    mine = band_of(run, length, kernel.lanes, kernel.length)
    reach = layout.gather.axes[2].reach
    if run.is_one_row and layout.is_one_row:
        count, row_length = 1, min(mine.row_length + reach, layout.row_length)
    else:
        last = np.minimum(np.arange(len(rows)) + mine.rows, len(rows)) - 1
        count = int((rows[last] - rows).max()) + 1 + fold_reach(layout, schedule.fold)
        count, row_length = min(count, layout.total_rows), layout.row_length
    # The last square may be read, and the last row written, beyond the rows.
    size = (count - 1) * layout.pitch + row_length + reach + 2 * TILE_NUMBERS
    return Band(count, row_length, -(-size // TILE_NUMBERS) * TILE_NUMBERS)


class TapPlanes:
    """The same of a layer whose taps are rows (schedule/tap_rows.py): one plane for each channel.

    values, size_bytes: as those of FoldedPlanes.
    """

    values: NDArray[np.int64]

    def __init__(
        self, layout: Layout, schedule: TapRowsSchedule, lanes: int, x_steps: tuple[int, ...]
    ) -> None:
        band = band_of(layout, schedule.band, lanes, layout.reach_rows * layout.pitch + 3 * STEP_POSITIONS)
        channels = layout.gather.in_channels
        sources = np.arange(channels + 1, dtype=np.int64) * band.plane
        self.values, self._keep = _planes(layout, band, x_steps, sources)
        self.size_bytes = 4 * channels * band.plane


def _planes(
    layout: Layout,
    band: Band,
    x_steps: tuple[int, ...],
    sources: NDArray[np.int64],
    rows: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], tuple[Any, ...]]:
    """(FOLD_PARAMETERS, what they point at). sources: where each channel of the run begins. rows: of these
    planes for each of the run's, where a kernel asks for them.
    """
    tables = input_tables(layout, (x_steps[2], x_steps[3], x_steps[4]))
    width = layout.gather.axes[2]
    values = {
        "channels": layout.gather.in_channels,
        "x_channel": x_steps[1],
        **packing_values(layout, band, tables, x_steps[4] * width.in_step),
        "row_sources": 0 if rows is None else rows.ctypes.data,
        "sources": sources.ctypes.data,
    }
    return fill(FOLD_PARAMETERS, values), (tables, sources, rows)
