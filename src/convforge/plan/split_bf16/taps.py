"""The family of few output channels on a tile unit, tap by tap (kernels/split_bf16/taps.py): last layers of
images, and the gradients of first layers' inputs.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod

from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.split_bf16.contract import (
    PROGRESS_BYTES,
    SUM_LIMIT,
    TAPS_PARAMETERS,
    SplitTapsKernel,
)
from convforge.kernels.tile_unit.contract import UNIT_BYTES, product_shapes
from convforge.plan.element import element_of
from convforge.plan.job import Job
from convforge.plan.kernel_plan import WatchedPlan
from convforge.plan.phase_table import phase_table
from convforge.plan.request import OutputRequest
from convforge.plan.run_positions import RunPositions, RunTable
from convforge.plan.sizes import aligned, element_steps
from convforge.plan.split_bf16.fold import TapPlanes
from convforge.plan.split_bf16.products import why_no_parts, work_of
from convforge.plan.split_bf16.weights import SplitWeights, TapRowsWeights
from convforge.plan.tables import leaving_values, packed_columns, way_out
from convforge.plan.tile_unit.cost import TileWork, block_cycles
from convforge.plan.tile_unit.permission import why_no_unit, why_unusable
from convforge.plan.tile_unit.windows import MOST_BESIDE
from convforge.problem.gather import gather_of
from convforge.schedule import Layout, RunTiles, layout_of
from convforge.schedule.tap_rows import TapRowsSchedule, first_rows, tap_rows_run
from convforge.schedule.tile_unit import STEP_POSITIONS, TILE_NUMBERS, TILE_ROWS, channel_blocks, tile_shapes
from convforge.target import Target

NAME = "split bf16 taps"

# Fewer channels leave more than half of each product of tiles to zeros; more would be several chains of sums.
_FEWEST_CHANNELS, _MOST_CHANNELS = TILE_ROWS, 2048
# From here on output channels fill half of a tile by themselves (plan/split_bf16/products.py).
_OUTPUTS_LIMIT = TILE_ROWS // 2
# Rows of all rings: of volumes these are as long as taps reach through slices.
_MOST_BYTES = 13 << 20
# Positions of which a table says what they hold.
_MOST_POSITIONS = 1 << 20
# Fitted to 19 layers on one core, 16 % off in the mean square. The part of a step's cycles, and of those of
# packing a vector of a channel; of the shorter of both, which are not all hidden; to store a tile into the
# rings; to add a vector of a row to its output; for a vector of outputs on its way out.
_STEP_SHARE, _SPLIT_SHARE, _SEEN_SHARE = 0.8, 0.6, 0.8
_STORE_CYCLES, _ADD_CYCLES, _LEAVE_CYCLES = 20.0, 2.0, 10.0


def why_illegal(request: OutputRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a request, or None."""
    return why_no_unit(target, "bf16") or _why_unfit(request) or why_unusable(target, "bf16")


def _why_unfit(request: OutputRequest) -> str | None:
    """The reason why a request is not for any tile unit, or None."""
    reason = why_no_parts(request)
    if reason is not None:
        return reason
    gather = gather_of(request.spec)
    if not _FEWEST_CHANNELS <= gather.in_channels <= _MOST_CHANNELS:
        return f"{gather.in_channels} input channels a group, not {_FEWEST_CHANNELS} to {_MOST_CHANNELS}"
    if gather.out_channels >= _OUTPUTS_LIMIT:
        return f"{gather.out_channels} output channels a group: so many fill tiles by themselves"
    if gather.kernel_taps < 2:
        return "one tap at most reaches the input"
    layout = layout_of(gather)
    if layout.planes > 1:
        return "a stride: taps read from planes of their own"
    if gather.in_channels * gather.kernel_taps > SUM_LIMIT:
        return f"sums of more than {SUM_LIMIT} products may leave fp32's range"
    size = rows_bytes(layout, TILE_ROWS)
    if size > _MOST_BYTES:
        return f"rows of {size} bytes until all taps are there, not up to {_MOST_BYTES}"
    return None


def behind(layout: Layout) -> int:
    """Positions after which all taps of an output are there, in whole windows."""
    return -(-layout.reach // STEP_POSITIONS) * STEP_POSITIONS


def ring_positions(layout: Layout) -> int:
    """Positions that are kept: a power of two."""
    return 1 << (behind(layout) + STEP_POSITIONS - 1).bit_length()


def rows_bytes(layout: Layout, rows: int) -> int:
    """Of the rings of all rows, in tiles of so many."""
    many = layout.gather.out_channels * layout.gather.kernel_taps
    return -(-many // rows) * rows * (ring_positions(layout) + STEP_POSITIONS) * 4


def cost_cycles(request: OutputRequest, target: Target) -> float:
    """Cycles of one core that the request should take."""
    gather = gather_of(request.spec)
    layout, work = layout_of(gather), work_of(request)
    return best_shape(layout, target, work)[0] * gather.batch * gather.groups


@lru_cache(maxsize=256)
def best_shape(layout: Layout, target: Target, work: TileWork) -> tuple[float, tuple[int, int]]:
    """(cycles of an image and a group, the cheapest shape of tiles of sums)."""
    columns = STEP_POSITIONS // TILE_NUMBERS
    shapes = [shape for shape in tile_shapes() if columns % shape[1] == 0]
    return min((_cycles(layout, target, work, shape), shape) for shape in shapes)


def _cycles(layout: Layout, target: Target, work: TileWork, shape: tuple[int, int]) -> float:
    gather, lanes = layout.gather, target.vector_bytes // 4
    rows, columns = shape
    many = gather.out_channels * gather.kernel_taps
    positions = layout.flat + layout.reach
    blocks, _ = channel_blocks(gather.in_channels, work.ways)
    tiles = -(-many // (rows * TILE_ROWS)) * positions / (columns * TILE_NUMBERS)
    products = tiles * (_STEP_SHARE * blocks * block_cycles(work, shape) + rows * columns * _STORE_CYCLES)
    split = gather.in_channels * positions / lanes * work.pack_cycles * _SPLIT_SHARE
    added = many * positions / lanes * _ADD_CYCLES
    outputs = prod(axis.out_size for axis in gather.axes) * gather.out_channels
    multiplied = max(products, split) + _SEEN_SHARE * min(products, split)
    return multiplied + added + outputs / lanes * _LEAVE_CYCLES


def _schedule(
    layout: Layout, target: Target, threads: int, work: TileWork, table: RunTable | None
) -> TapRowsSchedule:
    gather = layout.gather
    rows, columns = best_shape(layout, target, work)[1]
    blocks, depth = channel_blocks(gather.in_channels, work.ways)
    many, pairs = gather.out_channels * gather.kernel_taps, -(-gather.in_channels // 2)
    steps = -(-many // (rows * TILE_ROWS)) * blocks * (STEP_POSITIONS // TILE_NUMBERS // columns)
    return TapRowsSchedule(
        parts=work.parts,
        rows=rows,
        columns=columns,
        blocks=blocks,
        depth=depth,
        band=_band(layout, threads),
        way_in=table.way if table else "planes",
        beside=min(MOST_BESIDE, -(-pairs // steps)),
    )


def _band(layout: Layout, threads: int) -> int:
    """Outputs of a task, such that the thread that is done last is done soonest: each task computes what its
    taps reach beyond it.
    """
    windows, more = -(-layout.flat // STEP_POSITIONS), behind(layout) // STEP_POSITIONS
    times = layout.gather.batch * layout.gather.groups

    def last(bands: int) -> int:
        return -(-bands * times // threads) * (-(-windows // bands) + more)

    bands = min(range(1, min(windows, 4 * threads) + 1), key=last)
    return -(-windows // bands) * STEP_POSITIONS


def plan(request: OutputRequest, target: Target, threads: int) -> SplitTapsPlan:
    """Schedule a request and prepare all that its kernel reads."""
    return SplitTapsPlan(request, target, threads)


class SplitTapsPlan(WatchedPlan[SplitTapsKernel]):
    """How one convolution is computed for inputs of one shape and one set of strides."""

    def __init__(self, request: OutputRequest, target: Target, threads: int) -> None:
        spec = request.spec
        self.threads = threads
        element, gather = element_of(spec, target), gather_of(spec)
        layout = layout_of(gather)
        x_steps, y_steps = (element_steps(s, spec) for s in (request.x_strides, request.y_strides))
        lanes = target.vector_bytes // element.compute_bytes
        table = _table(layout, x_steps, lanes)
        self.schedule = own = _schedule(layout, target, threads, work_of(request), table)
        self.kernel = SplitTapsKernel(
            element=element,
            lanes=lanes,
            parts=own.parts,
            rows=own.rows,
            columns=own.columns,
            outputs=gather.out_channels,
            columns_in=None if table else packed_columns(layout, x_steps, target),
            way_out=way_out(layout, y_steps),
            has_bias=request.has_bias,
            activation=request.activation,
            way_in=own.way_in,
            woven=own.beside,
        )
        self.reads_in_place = table is not None
        self._job = Job(self.kernel, target)
        self.weights = SplitWeights(
            tap_rows_run(layout), element, target, own, transposed=spec.transposed, upright=True,
            arranged=TapRowsWeights(gather, spec.transposed),
        )  # fmt: skip
        planes = None if table else TapPlanes(layout, own, lanes, x_steps)
        self._give(TAPS_PARAMETERS, self._values(layout, x_steps, y_steps, table, planes))
        self._keep += (table, planes)

    def _values(
        self, layout: Layout, x_steps: tuple[int, ...], y_steps: tuple[int, ...], table: RunTable | None,
        planes: TapPlanes | None,
    ) -> dict[str, int]:  # fmt: skip
        """All that the kernel reads; tasks and memory follow."""
        own, kernel, gather = self.schedule, self.kernel, layout.gather
        bands = -(-layout.flat // own.band)
        row_tiles = -(-gather.out_channels * gather.kernel_taps // kernel.tile_rows)
        ring = ring_positions(layout)
        pitch = ring + STEP_POSITIONS
        phases = phase_table(
            RunTiles(layout, STEP_POSITIONS),
            y_steps,
            plane=0,
            channel_block=1,
            channel_step=0,
            starts=[first * pitch for first in first_rows(gather)],
            row_size=gather.out_channels * pitch,
        )
        shapes = product_shapes(own.rows, own.columns, own.depth, upright=True)
        part = own.blocks * own.depth
        window_bytes = STEP_POSITIONS // TILE_NUMBERS * own.parts * part * UNIT_BYTES
        units = aligned(HEADER_BYTES + PROGRESS_BYTES + (planes.size_bytes if planes else 0))
        rows = aligned(units + 2 * window_bytes)
        tile = aligned(rows + row_tiles * kernel.tile_rows * pitch * 4)
        tile_bytes = kernel.interleave * kernel.mr * kernel.length * 4
        self.tasks = gather.batch * gather.groups * bands
        self.workspace_bytes = aligned(tile + 2 * tile_bytes + 64)
        self._keep = (phases, shapes)
        return {
            "groups": gather.groups,
            "group_channels": gather.in_channels,
            "channels": gather.in_channels,
            "blocks": own.blocks,
            "depth": own.depth,
            "part": part,
            "out_channels": gather.out_channels,
            "bands": bands,
            "band": own.band,
            "behind": behind(layout),
            "flat": layout.flat,
            "row_tiles": row_tiles,
            "ring": ring,
            "ring_pitch": pitch,
            "x_batch": x_steps[0],
            "x_channel": x_steps[1],
            **leaving_values(gather, y_steps),
            "pitch": layout.pitch,
            "slice_rows": layout.slice_rows,
            "phases": len(phases.records),
            "phase_table": phases.records.ctypes.data,
            "units": units,
            "window_bytes": window_bytes,
            "rows": rows,
            "tile": tile,
            "shapes": shapes.ctypes.data,
            "fold": planes.values.ctypes.data if planes else 0,
            "places": table.table.ctypes.data if table else 0,
        }


def _table(layout: Layout, x_steps: tuple[int, ...], lanes: int) -> RunTable | None:
    """What tells the kernel where the run's positions lie in the input. None where it packs planes first:
    neighbours of the run are none of the input, or a table would be large.
    """
    positions = layout.flat + STEP_POSITIONS + behind(layout)
    if positions > _MOST_POSITIONS:
        return None
    table = RunPositions.of_input(layout, x_steps).table(1, positions, positions, lanes)
    return None if table.way == "gathered" else table
