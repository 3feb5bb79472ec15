"""The split bf16 family (kernels/split_bf16.py): fp32's accuracy from the tile unit's bf16 products.

At `highest` a value is three bf16 parts, at `high` two, at `medium` one; bfloat16 arrays are one part as they
are.
"""

from __future__ import annotations

from typing import Any

from convforge.ir.element import ELEMENTS
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.contract_split import SPLIT_PARAMETERS, SUM_LIMIT, SplitKernel, product_shapes
from convforge.plan.amx import why_no_unit, why_unusable
from convforge.plan.bands import band_of
from convforge.plan.job import Job
from convforge.plan.kernel_plan import WatchedPlan
from convforge.plan.phase_table import phase_table
from convforge.plan.request import OutputRequest
from convforge.plan.sizes import aligned, element_steps
from convforge.plan.split_bf16_cost import split_candidates, split_cycles, split_schedule
from convforge.plan.split_bf16_weights import SplitWeights
from convforge.plan.tables import column_kind, input_tables, way_out
from convforge.problem.gather import gather_of
from convforge.problem.precision import Precision
from convforge.schedule import Layout, layout_of
from convforge.schedule.split_bf16 import TILE_ROWS, SplitSchedule, images_as_slices
from convforge.target import Target

NAME = "split bf16"

# Parts of a float32 that keep the promise of each precision (docs/performance.md has the errors).
_PARTS: dict[Precision, int] = {"highest": 3, "high": 2, "medium": 1}
_LINE_WORDS = 16
# Images that are slices leave row by row: a part of the cycles that this must save.
_WORTH = 0.05
# Fewer channels leave more than half of each product of tiles to zeros.
_FEWEST_CHANNELS = TILE_ROWS


def why_illegal(request: OutputRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a request, or None."""
    return why_no_unit(target) or _why_unfit(request) or why_unusable(target)


def _why_unfit(request: OutputRequest) -> str | None:
    """The reason why a request is not for any tile unit, or None."""
    if request.plain:
        return "the input or the weights hold values whose parts are not exact"
    if request.spec.dtype.name not in ("float32", "bfloat16"):
        return f"{request.spec.dtype.name} is neither float32 nor bfloat16"
    channels = request.spec.in_channels // request.spec.groups
    if channels < _FEWEST_CHANNELS:
        return f"{channels} input channels a group fill less than half of a tile: {_FEWEST_CHANNELS} do"
    products = channels * max((len(taps) for taps in gather_of(request.spec).taps_by_phase), default=0)
    if products > SUM_LIMIT:
        return f"sums of {products} products may leave fp32's range, those of {SUM_LIMIT} do not"
    return None


def cost_cycles(request: OutputRequest, target: Target) -> float:
    """Cycles of one core that the request should take."""
    return split_cycles(layout_of(gather_of(request.spec)), target, _parts(request))


def candidates(request: OutputRequest, target: Target, threads: int) -> list[SplitSchedule]:
    """Schedules worth trying, the one that `plan` takes by itself first."""
    return split_candidates(_layout(request, target), target, threads, _parts(request))


def plan(
    request: OutputRequest, target: Target, threads: int, schedule: SplitSchedule | None = None
) -> SplitPlan:
    """Schedule a request, or take a schedule of `candidates`, and prepare all that its kernel reads."""
    return SplitPlan(request, target, threads, schedule)


class SplitPlan(WatchedPlan[SplitKernel]):
    """How one convolution is computed for inputs of one shape and one set of strides."""

    def __init__(
        self, request: OutputRequest, target: Target, threads: int, schedule: SplitSchedule | None = None
    ) -> None:
        spec = request.spec
        self.threads = threads
        layout, element = _layout(request, target), ELEMENTS[spec.dtype.name]
        self.schedule = schedule or split_schedule(layout, target, threads, _parts(request))
        x_steps = element_steps(request.x_strides, spec)
        y_steps = element_steps(request.y_strides, spec)
        if layout.gather.batch < spec.batch:
            x_steps, y_steps = ((0, s[1], s[0], *s[3:]) for s in (x_steps, y_steps))
        self.kernel = SplitKernel(
            element=element,
            lanes=target.vector_bytes // element.compute_bytes,
            parts=self.schedule.parts,
            rows=self.schedule.rows,
            columns=self.schedule.columns,
            columns_in=column_kind(layout, x_steps[4]),
            way_out=way_out(layout, y_steps),
            has_bias=request.has_bias,
            activation=request.activation,
        )
        self._job = Job(self.kernel, target)
        self.weights = SplitWeights(
            layout, element, target, self.schedule, transposed=spec.transposed, rank=spec.rank
        )
        self._fill(layout, x_steps, y_steps)

    def _fill(self, layout: Layout, x_steps: tuple[int, ...], y_steps: tuple[int, ...]) -> None:
        gather, schedule, kernel = layout.gather, self.schedule, self.kernel
        d, h, w = gather.axes
        bands = -(-layout.flat // (schedule.band_tiles * kernel.length))
        out_tiles = -(-gather.out_channels // kernel.mr)
        out_blocks = -(-out_tiles // schedule.channel_tiles)
        blocks = -(-gather.in_channels // (2 * schedule.pairs))
        band = band_of(layout, schedule.band_tiles * kernel.length, kernel.lanes, kernel.length)
        # An odd number of lines: the 16 rows of a tile lie in different sets of the cache.
        pair_words = _LINE_WORDS * (-(-layout.planes * band.plane // _LINE_WORDS) | 1)
        part = blocks * schedule.pairs * pair_words
        tables = input_tables(layout, (x_steps[2], x_steps[3], x_steps[4]))
        phases = phase_table(
            layout,
            y_steps,
            plane=band.plane,
            tile_length=kernel.length,
            channel_block=schedule.chain,
            channel_step=schedule.pairs * pair_words,
            starts=self.weights.starts,
            row_size=kernel.step_bytes,
        )
        shapes = product_shapes(schedule.rows, schedule.columns, schedule.pairs)
        tile_bytes = kernel.mr * kernel.length * 4 * kernel.interleave
        held_tiles = schedule.channel_tiles * schedule.tile_group if schedule.chain < blocks else 0
        words = aligned(HEADER_BYTES + 2 * layout.planes * band.plane * 4)
        sums = aligned(words + schedule.parts * part * 4)
        tile = aligned(sums + held_tiles * tile_bytes)
        self.workspace_bytes = aligned(tile + tile_bytes + 64)
        self.tasks = gather.batch * gather.groups * bands * out_blocks
        values = {
            "groups": gather.groups,
            "channels": gather.in_channels,
            "blocks": blocks,
            "pairs": schedule.pairs,
            "out_channels": gather.out_channels,
            "out_tiles": out_tiles,
            "task_tiles": schedule.channel_tiles,
            "out_blocks": out_blocks,
            "bands": bands,
            "band_tiles": schedule.band_tiles,
            "flat": layout.flat,
            "chain": schedule.chain,
            "tile_group": schedule.tile_group,
            "x_batch": x_steps[0],
            "x_channel": x_steps[1],
            "y_batch": y_steps[0],
            "y_channel": y_steps[1],
            "y_step": y_steps[4] * w.out_step,
            "y_row": y_steps[3] * h.out_step,
            "y_slice": y_steps[2] * d.out_step,
            "out_width": w.out_size,
            "pitch": layout.pitch,
            "plane": band.plane,
            "planes": layout.planes,
            "plane_rows": band.rows,
            "total_rows": layout.total_rows,
            "row_length": band.row_length,
            "one_row": int(layout.is_one_row),
            "row_residues": layout.row_residues,
            "column_residues": len(w.residues),
            "row_table": tables.rows.ctypes.data,
            "column_table": tables.columns.ctypes.data,
            "x_column": x_steps[4] * w.in_step,
            "slice_rows": layout.slice_rows,
            "phases": len(phases.records),
            "phase_table": phases.records.ctypes.data,
            "pair": pair_words,
            "part": part,
            "words": words,
            "sums": sums,
            "tile": tile,
            "shapes": shapes.ctypes.data,
        }
        self._give(SPLIT_PARAMETERS, values)
        self._keep: tuple[Any, ...] = (tables, phases, shapes)


def _layout(request: OutputRequest, target: Target) -> Layout:
    """Each image on its own, or all of them as slices of one volume, where tiles are filled better by it."""
    gather, parts = gather_of(request.spec), _parts(request)
    alone, joined = layout_of(gather), images_as_slices(gather)
    if gather.batch == 1 or joined is None:
        return alone
    together = layout_of(joined)
    saved = 1 - split_cycles(together, target, parts) / split_cycles(alone, target, parts)
    return together if saved > _WORTH else alone


def _parts(request: OutputRequest) -> int:
    return 1 if request.spec.dtype.name == "bfloat16" else _PARTS[request.precision]
