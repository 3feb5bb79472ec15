"""What the plans of kernels on a tile unit share (kernels/tile_unit/nest.py): their parameters and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.tile_unit.contract import UNIT_BYTES, TileKernel, product_shapes
from convforge.plan.bands import band_of
from convforge.plan.phase_table import phase_table
from convforge.plan.sizes import aligned
from convforge.plan.tables import input_tables, leaving_values, packing_values
from convforge.schedule import Layout, RunTiles
from convforge.schedule.tile_unit import STEP_POSITIONS, TILE_NUMBERS, TileUnitSchedule


@dataclass(frozen=True, slots=True)
class TileUnitTables:
    """values: of TILE_PARAMETERS; they point at what `keep` holds."""

    values: dict[str, int]
    tasks: int
    workspace_bytes: int
    keep: tuple[Any, ...]


def tile_unit_tables(
    layout: Layout,
    schedule: TileUnitSchedule,
    kernel: TileKernel,
    x_steps: tuple[int, ...],
    y_steps: tuple[int, ...],
    *,
    group_channels: int,
    starts: Sequence[int],
    held_channels: int,
    held_bytes: int = 0,
    all_taps: bool = False,
    fold: NDArray[np.int64] | None = None,
    places: NDArray[np.int32] | None = None,
    fetches: bool = False,
) -> TileUnitTables:
    """All that a kernel reads. layout: of the words' channels, or of words; group_channels: of the array.

    starts: where the weights of each phase begin, in bytes. held_channels: those whose planes packing holds
    before they become units, behind held_bytes of its own. all_taps: whether those that meet only padding
    count too. fold: parameters of the planes from which folded channels are read. places: of
    each position in a channel of the input. fetches: whether lines of
    the output are fetched before they are written.
    """
    gather = layout.gather
    width = gather.axes[2]
    bands = -(-layout.flat // (schedule.band_tiles * kernel.length))
    out_tiles = -(-gather.out_channels // kernel.mr)
    out_blocks = -(-out_tiles // schedule.channel_tiles)
    window = schedule.window_tiles * kernel.length
    band = band_of(layout, window, kernel.lanes, kernel.length)
    if kernel.upright:
        block = schedule.depth
        part = schedule.blocks * block
        unit_lines = -(-window // STEP_POSITIONS) * STEP_POSITIONS // TILE_NUMBERS * schedule.parts * part
    else:
        # The last square that is turned may end beyond the planes.
        block = layout.planes * band.plane + TILE_NUMBERS
        part = schedule.blocks * block
        unit_lines = schedule.parts * part
    tables = None if kernel.upright else input_tables(layout, (x_steps[2], x_steps[3], x_steps[4]))
    phases = phase_table(
        RunTiles(layout, kernel.length),
        y_steps,
        plane=band.plane,
        channel_block=schedule.chain,
        channel_step=block,
        starts=starts,
        row_size=kernel.step_bytes,
        all_taps=all_taps,
    )
    shapes = product_shapes(schedule.rows, schedule.columns, schedule.depth, upright=kernel.upright)
    tile_bytes = kernel.mr * kernel.length * 4 * kernel.interleave
    held_tiles = schedule.channel_tiles * schedule.tile_group if schedule.chain < schedule.blocks else 0
    units = aligned(
        HEADER_BYTES + held_bytes + (held_channels * layout.planes * band.plane + TILE_NUMBERS) * 4
    )
    window_bytes = unit_lines * UNIT_BYTES
    sums = aligned(units + window_bytes * (2 if schedule.beside else 1))
    tile = aligned(sums + held_tiles * tile_bytes)
    values = {
        "groups": gather.groups,
        "group_channels": group_channels,
        "channels": gather.in_channels,
        "blocks": schedule.blocks,
        "depth": schedule.depth,
        "out_channels": gather.out_channels,
        "out_tiles": out_tiles,
        "task_tiles": schedule.channel_tiles,
        "out_blocks": out_blocks,
        "bands": bands,
        "band_tiles": schedule.band_tiles,
        "window_tiles": schedule.window_tiles,
        "repacks": int(schedule.window_tiles < schedule.band_tiles),
        "flat": layout.flat,
        "chain": schedule.chain,
        "tile_group": schedule.tile_group,
        "x_batch": x_steps[0],
        "x_channel": x_steps[1],
        **leaving_values(gather, y_steps),
        **packing_values(layout, band, tables, x_steps[4] * width.in_step),
        "slice_rows": layout.slice_rows,
        "phases": len(phases.records),
        "phase_table": phases.records.ctypes.data,
        "block": block,
        "part": part,
        "units": units,
        "window_bytes": window_bytes,
        "sums": sums,
        "tile": tile,
        "fetched": kernel.mr if fetches else 0,
        "shapes": shapes.ctypes.data,
        "fold": 0 if fold is None else fold.ctypes.data,
        "places": 0 if places is None else places.ctypes.data,
    }
    tasks = gather.batch * gather.groups * bands * out_blocks
    return TileUnitTables(
        values, tasks, aligned(tile + 2 * tile_bytes + 64), (tables, phases, shapes, fold, places)
    )
