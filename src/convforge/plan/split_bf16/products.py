"""The split bf16 family (kernels/split_bf16/products.py): fp32's accuracy from the tile unit's bf16 products.

At `highest` a value is three bf16 parts, at `high` two, at `medium` one; bfloat16 arrays are one part as they
are, float16 ones two.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from convforge.ir.element import ELEMENTS
from convforge.kernels.split_bf16.contract import PROGRESS_BYTES, SUM_LIMIT, SplitKernel, square_bytes
from convforge.kernels.tile_unit.contract import TILE_PARAMETERS
from convforge.plan.element import element_of
from convforge.plan.job import Job
from convforge.plan.kernel_plan import WatchedPlan
from convforge.plan.request import OutputRequest
from convforge.plan.sizes import element_steps
from convforge.plan.split_bf16.fold import FoldedPlanes
from convforge.plan.split_bf16.layout import LaidOut, lay_out, places_of
from convforge.plan.split_bf16.weights import FoldedWeights, SplitWeights
from convforge.plan.tables import packed_columns, way_out
from convforge.plan.tile_unit.cost import PLANE_CYCLES, TileWork, bf16_work, tile_unit_cycles
from convforge.plan.tile_unit.permission import why_no_unit, why_unusable
from convforge.plan.tile_unit.schedule import tile_unit_candidates, tile_unit_schedule
from convforge.plan.tile_unit.tables import tile_unit_tables
from convforge.problem.gather import gather_of
from convforge.problem.precision import Precision
from convforge.schedule import layout_of
from convforge.schedule.fold import fold_axes, folded, folded_whole
from convforge.schedule.tile_unit import TILE_ROWS, TileUnitSchedule, usual_way_in
from convforge.target import Target

NAME = "split bf16"

# Parts of a float32 that keep the promise of each precision (docs/performance.md has the errors).
_PARTS: dict[Precision, int] = {"highest": 3, "high": 2, "medium": 1}
# Parts of half types, at every precision: bfloat16 numbers are one, the 11 bits of float16 are two exactly,
# whose three products lose 2^-18 where outputs are rounded to 2^-11.
_HALF_PARTS = {"bfloat16": 1, "float16": 2}
# Fewer channels leave more than half of each product of tiles to zeros: their taps are folded into channels.
_FEWEST_CHANNELS = TILE_ROWS
# Fewer output channels leave as much.
_FEWEST_OUTPUTS = TILE_ROWS // 2
# Parts of values whose products are so many that channels that are taps are best split step by step, and as
# many channels, whose units would not stay near: on two cores ResNet's first layer, 147 channels, `highest`
# 715 -> 553 us, `high` 407 and 408; VGG's, 27, `high` 530 and 631; AlexNet's, 363, `high` 256 -> 205.
_STEPS_PARTS, _STEPS_CHANNELS = 3, 192
# For a row of the planes from which folded channels are read.
_PLANE_ROW_CYCLES = 15.0
# For a byte of an output beyond the cache that is near, where sums are short: C3D's first layer, 51 MB, took
# 1.1 to 1.2 times as long as the direct kernel's.
_FAR_OUT_CYCLES = 0.2


def parts_of(dtype: str, precision: Precision) -> int | None:
    """Numbers that each value of a type is split into; None for types that are not."""
    return _PARTS[precision] if dtype == "float32" else _HALF_PARTS.get(dtype)


def why_no_parts(request: OutputRequest) -> str | None:
    """The reason why a request's values are no sums of bf16 parts, or None."""
    if request.plain:
        return "the input or the weights hold values whose parts are not exact"
    name = request.spec.dtype.name
    if parts_of(name, request.precision) is None:
        return f"{name} is neither float32 nor {' nor '.join(_HALF_PARTS)}"
    return None


def work_of(request: OutputRequest) -> TileWork:
    """What a step of its products is."""
    parts = parts_of(request.spec.dtype.name, request.precision)
    assert parts is not None
    return bf16_work(parts)


def why_illegal(request: OutputRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a request, or None."""
    return why_no_unit(target, "bf16") or _why_unfit(request) or why_unusable(target, "bf16")


def _why_unfit(request: OutputRequest) -> str | None:
    """The reason why a request is not for any tile unit, or None."""
    reason = why_no_parts(request)
    if reason is not None:
        return reason
    channels = request.spec.in_channels // request.spec.groups
    if channels < _FEWEST_CHANNELS and not _folds(request):
        return f"{channels} input channels a group fill less than half of a tile: {_FEWEST_CHANNELS} do"
    products = channels * max((len(taps) for taps in gather_of(request.spec).taps_by_phase), default=0)
    if products > SUM_LIMIT:
        return f"sums of {products} products may leave fp32's range, those of {SUM_LIMIT} do not"
    return None


def _folds(request: OutputRequest) -> list[int]:
    """Numbers of last axes whose taps may be folded into channels."""
    spec = request.spec
    few = spec.in_channels // spec.groups < _FEWEST_CHANNELS
    if spec.transposed or not few or spec.out_channels // spec.groups < _FEWEST_OUTPUTS:
        return []
    return fold_axes(gather_of(spec))


def _reads_planes(request: OutputRequest, axes: int) -> bool:
    """Whether folded channels are read step by step: of one tap, where products are many for each of them,
    or they are many.
    """
    if not axes == max(_folds(request), default=0) > 0:
        return False
    parts, channels = work_of(request).parts, folded(gather_of(request.spec), axes).in_channels
    return parts == _STEPS_PARTS or (parts > 1 and channels >= _STEPS_CHANNELS)


def cost_cycles(request: OutputRequest, target: Target) -> float:
    """Cycles of one core that the request should take."""
    return min(_cycles(request, target, axes) for axes in _folds(request) or [0])


def _cycles(request: OutputRequest, target: Target, axes: int) -> float:
    gather, work = gather_of(request.spec), work_of(request)
    layout = layout_of(gather)
    if not axes:
        return tile_unit_cycles(layout, target, work, usual_way_in(gather))
    rows = layout.total_rows * layout.row_residues * gather.in_channels * gather.batch * gather.groups
    vectors = -(-layout.pitch * 4 // target.vector_bytes) * len(gather.axes[2].residues)
    packing = rows * (_PLANE_ROW_CYCLES + vectors * PLANE_CYCLES)
    one = prod(request.spec.output_shape) // gather.batch * ELEMENTS[request.spec.dtype.name].storage_bytes
    written = _FAR_OUT_CYCLES * max(0, one - target.near_bytes) * gather.batch
    if _reads_planes(request, axes):
        return packing + written + tile_unit_cycles(folded_whole(layout), target, work, "planes")
    return packing + written + tile_unit_cycles(layout_of(folded(gather, axes)), target, work)


def candidates(request: OutputRequest, target: Target, threads: int) -> list[TileUnitSchedule]:
    """Schedules worth trying, the one that `plan` takes by itself first."""
    axes = _fold(request, target)
    laid = _lay_out(request, target, axes)
    found = tile_unit_candidates(
        laid.layout, target, threads, work_of(request), laid.way_in, laid.plane_bytes
    )
    return [replace(each, fold=axes) for each in found]


def plan(
    request: OutputRequest, target: Target, threads: int, schedule: TileUnitSchedule | None = None
) -> SplitPlan:
    """Schedule a request, or take a schedule of `candidates`, and prepare all that its kernel reads."""
    return SplitPlan(request, target, threads, schedule)


class SplitPlan(WatchedPlan[SplitKernel]):
    """How one convolution is computed for inputs of one shape and one set of strides."""

    def __init__(
        self, request: OutputRequest, target: Target, threads: int, schedule: TileUnitSchedule | None = None
    ) -> None:
        spec = request.spec
        self.threads = threads
        element = element_of(spec, target)
        axes = _fold(request, target) if schedule is None else schedule.fold
        laid = _lay_out(request, target, axes)
        layout, x_steps, y_steps, way_in = laid.layout, laid.x_steps, laid.y_steps, laid.way_in
        own = schedule or tile_unit_schedule(
            layout, target, threads, work_of(request), way_in=way_in, plane_bytes=laid.plane_bytes
        )
        self.schedule = replace(own, fold=axes)
        packs = laid.unfolded or (layout if way_in == "packed" else None)
        self.kernel = SplitKernel(
            element=element,
            lanes=target.vector_bytes // element.compute_bytes,
            parts=self.schedule.parts,
            rows=self.schedule.rows,
            columns=self.schedule.columns,
            columns_in=packed_columns(packs, x_steps, target) if packs else None,
            way_out=way_out(layout, y_steps),
            has_bias=request.has_bias,
            activation=request.activation,
            way_in=way_in,
            folded=axes > 0,
            woven=self.schedule.beside,
        )
        self.reads_in_place = packs is None
        self._job = Job(self.kernel, target)
        # Read from planes, the layer's one tap is all of the kernel's: along other axes too it may be another
        # than the first, where that meets only padding.
        whole = 3 if way_in == "planes" else axes
        self.weights = SplitWeights(
            layout, element, target, self.schedule, transposed=spec.transposed, upright=self.kernel.upright,
            arranged=FoldedWeights(laid.unfolded.gather, whole) if laid.unfolded else None,
        )  # fmt: skip
        planes = None
        if laid.unfolded:
            planes = FoldedPlanes(laid.unfolded, layout, self.schedule, self.kernel, x_steps)
        made = tile_unit_tables(
            layout, self.schedule, self.kernel, x_steps, y_steps,
            group_channels=spec.in_channels // spec.groups, starts=self.weights.starts,
            held_channels=0 if axes or self.kernel.upright else 2 * self.schedule.depth,
            held_bytes=_held_bytes(self.kernel, planes),
            fold=planes.values if planes else None,
            places=places_of(layout, x_steps) if way_in == "gathered" else None,
            fetches=prod(spec.output_shape) * element.storage_bytes > target.near_bytes,
        )  # fmt: skip
        self.tasks, self.workspace_bytes = made.tasks, made.workspace_bytes
        self._keep = (made.keep, planes)
        self._give(TILE_PARAMETERS, made.values)


def _fold(request: OutputRequest, target: Target) -> int:
    """How many axes are folded: by sizes alone, as an output's bits depend on it."""
    return min(_folds(request) or [0], key=lambda axes: _cycles(request, target, axes))


def _held_bytes(kernel: SplitKernel, planes: FoldedPlanes | None) -> int:
    """Scratch of packing, before the units."""
    own = PROGRESS_BYTES if kernel.upright else square_bytes(kernel.parts)
    return own + (planes.size_bytes if planes else 0)


def _lay_out(request: OutputRequest, target: Target, axes: int) -> LaidOut:
    spec, gather = request.spec, gather_of(request.spec)
    x_steps, y_steps = (element_steps(strides, spec) for strides in (request.x_strides, request.y_strides))
    if not axes:
        return lay_out(gather, ELEMENTS[spec.dtype.name], target, work_of(request), x_steps, y_steps)
    layout = layout_of(gather)
    if _reads_planes(request, axes):
        return LaidOut(folded_whole(layout), x_steps, y_steps, "planes", unfolded=layout)
    return LaidOut(layout_of(folded(gather, axes)), x_steps, y_steps, "packed", unfolded=layout)
