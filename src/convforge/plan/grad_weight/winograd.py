"""The plan of a weight gradient by Winograd's algorithm (kernels/grad_weight/winograd.py)."""

from __future__ import annotations

from math import prod

from convforge.ir.element import ELEMENTS
from convforge.kernels.contract import HEADER_BYTES, fill
from convforge.kernels.grad_weight.contract import (
    GRAD_WEIGHT_WINOGRAD_PARAMETERS,
    WINOGRAD_CHECKED,
    GradWeightWinogradKernel,
)
from convforge.plan.grad_weight.boxes import GradWeightArrays, run_parts, step_values, steps_of
from convforge.plan.grad_weight.winograd_blocks import (
    Room,
    gradient_tilings,
    rounded_layouts,
    winograd_schedule,
)
from convforge.plan.job import Job
from convforge.plan.request import Array, GradWeightRequest
from convforge.plan.sizes import aligned
from convforge.plan.winograd.box import WinogradArray
from convforge.problem.gather import gather_of
from convforge.schedule import GradWeightWinogradSchedule
from convforge.schedule.winograd import spacings, why_no_tiles, why_strided
from convforge.target import Target

NAME = "winograd"


def why_illegal(request: GradWeightRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a plain convolution, or None."""
    spec = request.spec
    if request.plain:
        return "the arrays are such that transforms overflow or drown what is small"
    element, gather = ELEMENTS[spec.dtype.name], gather_of(spec)
    if not element.is_float:
        return f"{element.name} is not a floating-point type"
    if len(gather.taps_by_phase[0]) < prod(spec.kernel_size):
        return "taps that never meet the input"
    reason = why_strided(gather) or why_no_tiles(gather)
    if reason is None and not gradient_tilings(gather, request.precision):
        reason = f"no tile of {gather.kernel_taps} taps keeps precision {request.precision!r}"
    if reason is None and winograd_schedule(spec, request.precision, target) is None:
        reason = f"a block of neighbouring tiles at dilation {spec.dilation} does not fit the caches"
    return reason


def cost_cycles(request: GradWeightRequest, target: Target) -> float:
    """Cycles of one core that the gradient should take."""
    return _schedule(request, target)[0]


def _schedule(request: GradWeightRequest, target: Target) -> tuple[float, GradWeightWinogradSchedule]:
    found = winograd_schedule(request.spec, request.precision, target)
    assert found is not None, "a request that is not legal"
    return found


def plan(request: GradWeightRequest, target: Target, threads: int) -> GradWeightWinogradPlan:
    """Schedule a request and prepare all that its kernel reads."""
    return GradWeightWinogradPlan(request, target, threads)


class GradWeightWinogradPlan:
    """How the weight gradient of one plain convolution is computed for arrays of these strides (bytes)."""

    def __init__(self, request: GradWeightRequest, target: Target, threads: int) -> None:
        self.spec, self.threads = request.spec, threads
        self._arrays = arrays = GradWeightArrays(request)
        self.schedule = schedule = _schedule(request, target)[1]
        self._layouts = layouts = rounded_layouts(arrays.layout.gather, schedule.tiling)
        lanes, tiling, spacing = schedule.lanes, schedule.tiling, spacings(arrays.layout.gather)
        self._sides = [
            WinogradArray(layout, strides, schedule.box, lanes, sizes, tiling.taps, spacing)
            for layout, strides, sizes in zip(
                layouts, (arrays.x_steps, arrays.g_steps), (tiling.sizes, tiling.taps)
            )
        ]
        x_side, g_side = arrays.sides(lanes, lanes)
        self.kernel = GradWeightWinogradKernel(
            element=arrays.element,
            lanes=lanes,
            rows=schedule.rows,
            nv=schedule.nv,
            fused=target.fused,
            tiling=schedule.tiling,
            spacing=spacing,
            point=schedule.point,
            x_side=x_side,
            g_side=g_side,
            scatters=(self._sides[0].scatters, self._sides[1].scatters),
        )
        self._job = Job(self.kernel, target)
        self._fill()

    def _fill(self) -> None:
        arrays, schedule, size = self._arrays, self.schedule, self._arrays.element.compute_bytes
        gather, tiling = arrays.layout.gather, schedule.tiling
        steps = steps_of(self._layouts[0], schedule.box, schedule.parts)
        self.parts = steps.parts
        room = Room(self._layouts, schedule)
        panels, energies = room.panels, room.tiles * schedule.lanes
        at = [HEADER_BYTES]
        for elements in (
            *panels, *[tiling.points * schedule.point] * 2, tiling.points * room.sums_point, energies,
            energies, WINOGRAD_CHECKED * schedule.lanes, room.leaving, room.lines,
        ):  # fmt: skip
            at.append(aligned(at[-1] + elements * size))
        x_panel, g_panel, x_values, g_values, sums, x_energy, g_energy, checks, leaving, lines, end = at
        self.scratch_bytes = end
        sides = [
            array.record(row=row, panel_at=panel, values_at=values, lines_at=lines)
            for array, row, panel, values in zip(
                self._sides, room.rows, (x_panel, g_panel), (x_values, g_values)
            )
        ]
        channel_blocks = -(-gather.in_channels // schedule.channel_block)
        out_blocks = -(-gather.out_channels // schedule.output_block)
        self._total = gather.groups * channel_blocks * out_blocks * steps.parts
        taps = prod(self.spec.kernel_size)
        values = step_values(self._layouts[0], schedule.box, steps) | {
            "channels": gather.in_channels,
            "out_channels": gather.out_channels,
            "channel_block": schedule.channel_block,
            "channel_blocks": channel_blocks,
            "out_block": schedule.output_block,
            "out_blocks": out_blocks,
            "x_side": sides[0].address,
            "g_side": sides[1].address,
            "w_out": gather.in_channels * taps,
            "y_part": gather.groups * gather.out_channels * gather.in_channels * taps,
            "sums_at": sums,
            "sums_point": room.sums_point,
            "sums_tile": room.sums_tile,
            "sums": tiling.points * room.sums_point,
            "x_energies_at": x_energy,
            "g_energies_at": g_energy,
            "checks_at": checks,
            "leaving_at": leaving,
            "lines_at": lines,
        }
        self._parameters = fill(GRAD_WEIGHT_WINOGRAD_PARAMETERS, values)
        self._keep = sides

    def __call__(self, x: Array, grad_output: Array, grad_weight: Array) -> bool:
        """Fill grad_weight, which is contiguous; False where another family must, and what it holds is not
        of use.
        """
        return run_parts(
            self._arrays, self._job, self._total, self.threads, self.scratch_bytes, self.parts,
            self._parameters, x, grad_output, grad_weight,
        )  # fmt: skip
