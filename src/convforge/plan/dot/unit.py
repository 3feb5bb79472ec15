"""The quantised family on a tile unit (kernels/dot/unit.py): 64 channels of bytes a product."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from convforge.kernels.dot.contract import WAYS, DotTilesKernel
from convforge.kernels.tile_unit.contract import TILE_PARAMETERS, UNIT_WORDS
from convforge.plan.dot.weights import DotWeights
from convforge.plan.job import Job
from convforge.plan.kernel_plan import KernelPlan
from convforge.plan.request import DotRequest
from convforge.plan.tables import column_kind, way_out
from convforge.plan.tile_unit.cost import BYTE_WORK, tile_unit_cycles
from convforge.plan.tile_unit.permission import why_no_unit, why_unusable
from convforge.plan.tile_unit.schedule import tile_unit_schedule
from convforge.plan.tile_unit.tables import tile_unit_tables
from convforge.problem.gather import Gather, gather_of
from convforge.schedule import layout_of
from convforge.schedule.tile_unit import TileUnitSchedule
from convforge.target import Target

NAME = "dot tiles"

_WAYS = WAYS["quads"]
# Fewer channels leave more than half of each product of tiles to zeros.
_FEWEST_CHANNELS = 32


def why_illegal(request: DotRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a request, or None."""
    channels = request.spec.in_channels // request.spec.groups
    few = channels < _FEWEST_CHANNELS
    why_few = f"{channels} input channels a group fill less than half of a tile: {_FEWEST_CHANNELS} do"
    return why_no_unit(target, "bytes") or (why_few if few else why_unusable(target, "bytes"))


def cost_cycles(request: DotRequest, target: Target) -> float:
    """Cycles of one core that the request should take."""
    return tile_unit_cycles(layout_of(_of_words(gather_of(request.spec))), target, BYTE_WORK)


class DotTilesPlan(KernelPlan[DotTilesKernel]):
    """How one convolution of bytes is computed for inputs of one shape and one set of strides."""

    def __init__(
        self, request: DotRequest, target: Target, threads: int, shape: tuple[int, int] | None = None
    ) -> None:
        self.spec, self.threads = request.spec, threads
        whole = gather_of(request.spec)
        layout = layout_of(_of_words(whole))
        self.schedule: TileUnitSchedule = tile_unit_schedule(layout, target, threads, BYTE_WORK, shape)
        x_steps, y_steps = request.x_steps, request.y_steps
        self.kernel = DotTilesKernel(
            signed=request.spec.dtype == np.int8,
            output=request.output,
            lanes=target.vector_bytes // 4,
            rows=self.schedule.rows,
            columns=self.schedule.columns,
            columns_in=column_kind(layout, x_steps[4]),
            way_out=way_out(layout, y_steps),
        )
        self._job = Job(self.kernel, target)
        self.weights = DotWeights(
            request.spec, whole, "quads", self.kernel.mr,
            block=self.schedule.depth, side=UNIT_WORDS,
        )  # fmt: skip
        # Padding counts as the zero point, and the correction for it as all taps.
        made = tile_unit_tables(
            layout, self.schedule, self.kernel, x_steps, y_steps,
            group_channels=whole.in_channels, starts=[4 * start for start in self.weights.starts],
            held_channels=UNIT_WORDS, all_taps=True,
        )  # fmt: skip
        self.tasks, self.workspace_bytes = made.tasks, made.workspace_bytes
        self._keep: tuple[Any, ...] = made.keep
        self._give(TILE_PARAMETERS, made.values)


def _of_words(gather: Gather) -> Gather:
    """The gather whose channels are words of four."""
    return replace(gather, in_channels=-(-gather.in_channels // _WAYS))
