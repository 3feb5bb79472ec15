"""Winograd's algorithm with vectors along channels: a way of the Winograd family, of the same bits.

Its kernel is kernels/winograd_channels.py; plan/winograd.py takes it where it is cheaper.
"""

from __future__ import annotations

from math import prod
from typing import Literal

from convforge.ir.element import ELEMENTS
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.contract_winograd import WINOGRAD_CHANNELS_PARAMETERS, WinogradChannelsKernel
from convforge.plan.boxes import place_values, side_of
from convforge.plan.job import Job
from convforge.plan.kernel_plan import WatchedPlan
from convforge.plan.request import OutputRequest
from convforge.plan.sizes import aligned, element_steps
from convforge.plan.winograd_box import WinogradArray
from convforge.plan.winograd_channels_cut import ChannelsCut, channels_tile, cut_channels, why_too_large
from convforge.plan.winograd_cut import channel_block
from convforge.plan.winograd_weights import WinogradWeights
from convforge.problem.gather import Gather, gather_of
from convforge.schedule import layout_of
from convforge.schedule.winograd import Tiling, rounded_gather, spacings
from convforge.target import Target


def why_illegal(request: OutputRequest, target: Target, tiling: Tiling) -> str | None:
    """The reason why outputs cannot be computed this way, of a request that is legal for the family."""
    gather = gather_of(request.spec)
    if gather.out_channels * ELEMENTS[request.spec.dtype.name].compute_bytes < target.vector_bytes:
        return f"{gather.out_channels} output channels do not fill a vector"
    if _way(gather, element_steps(request.y_strides, request.spec)) is None:
        return "neither columns nor channels of the output lie side by side"
    return why_too_large(gather, tiling, ELEMENTS[request.spec.dtype.name].compute_bytes)


def _way(gather: Gather, y_steps: tuple[int, ...]) -> Literal["unit", "channels"] | None:
    if y_steps[4] == 1 or gather.axes[2].out_size == 1:
        return "unit"
    return "channels" if y_steps[1] == 1 else None


class WinogradChannelsPlan(WatchedPlan[WinogradChannelsKernel]):
    """How one convolution is computed for inputs of one shape and one set of strides."""

    def __init__(self, request: OutputRequest, target: Target, threads: int, tiling: Tiling) -> None:
        spec = request.spec
        self.threads, self.element = threads, ELEMENTS[spec.dtype.name]
        gather, size = gather_of(spec), self.element.compute_bytes
        lanes = target.vector_bytes // size
        tile = channels_tile(gather, tiling, target, lanes)
        self.cut = cut = cut_channels(gather, tiling, tile.nv, target, lanes, size, threads)
        layout = layout_of(rounded_gather(gather, tiling.outputs))
        x_steps, self._y_steps = (
            element_steps(strides, spec) for strides in (request.x_strides, request.y_strides)
        )
        way = _way(gather, self._y_steps)
        assert way is not None
        self._array = array = WinogradArray(
            layout, x_steps, cut.box, lanes, tiling.sizes, tiling.outputs, spacings(gather)
        )
        self._row = -(-gather.in_channels // lanes) * lanes
        self.kernel = WinogradChannelsKernel(
            element=self.element,
            lanes=lanes,
            rows=cut.rows,
            nv=tile.nv,
            fused=target.fused,
            tiling=tiling,
            spacing=spacings(gather),
            point=_point(array.tiles * self._row, lanes),
            side=side_of(x_steps, gather.axes[2].in_size, 1, lanes),
            scatters=array.scatters,
            way=way,
            has_bias=request.has_bias,
            activation=request.activation,
        )
        self._job = Job(self.kernel, target)
        self.weights = WinogradWeights(
            gather, self.element, target, self.kernel.mr, tiling, spec.transposed, spec.rank
        )
        self._fill(gather, cut)

    def _fill(self, gather: Gather, cut: ChannelsCut) -> None:
        kernel, array, size, lanes = self.kernel, self._array, self.element.compute_bytes, self.kernel.lanes
        points, outputs = kernel.tiling.points, prod(kernel.tiling.outputs)
        out_tiles = -(-gather.out_channels // kernel.mr)
        # Register tiles may end beyond the last Winograd tile.
        sums_tile = (array.tiles + kernel.rows) * kernel.mr
        sums_point = cut.out_group * sums_tile + lanes
        at = [HEADER_BYTES]
        for elements in (
            array.panel, points * kernel.point, array.panel, outputs * lanes, points * sums_point,
            (prod(cut.box) + lanes) * lanes, 2 * points * lanes,
        ):  # fmt: skip
            at.append(aligned(at[-1] + elements * size))
        panel, values, magnitudes, windows, sums, leaving, lines, self.workspace_bytes = at
        side = array.record(row=self._row, panel_at=panel, values_at=values, lines_at=lines)
        self.tasks = cut.boxes * gather.groups * cut.out_blocks
        d, h, w = gather.axes
        y = self._y_steps
        # Of one column y[4] may be anything.
        column = 1 if kernel.way == "unit" else y[4]
        rows_follow = cut.box[3] == w.out_size and (h.out_size == 1 or y[3] == w.out_size * column)
        values_of = place_values(array.layout, cut.box) | {
            "groups": gather.groups,
            "channels": gather.in_channels,
            "out_channels": gather.out_channels,
            "out_tiles": out_tiles,
            "task_tiles": cut.task_tiles,
            "out_blocks": cut.out_blocks,
            "out_group": cut.out_group,
            "boxes": cut.boxes,
            "channel_block": channel_block(gather),
            "weights_step": self.weights.step,
            "x_side": side.address,
            "out_depth": d.out_size,
            "out_height": h.out_size,
            "out_width": w.out_size,
            "y_batch": y[0],
            "y_channel": y[1],
            "y_slice": y[2],
            "y_row": y[3],
            "y_column": column,
            "joined": int(rows_follow),
            "sums_point": sums_point,
            "sums_tile": sums_tile,
            "magnitudes_at": magnitudes,
            "windows_at": windows,
            "sums_at": sums,
            "leaving_at": leaving,
            "lines_at": lines,
        }
        self._give(WINOGRAD_CHANNELS_PARAMETERS, values_of)
        self._keep = side


def _point(elements: int, lanes: int) -> int:
    """Elements from the values of a point to the next's: one of few sizes, as it is part of the code.

    A vector more than a power of two, or the points of a tile would fall on the same sets of the cache.
    """
    size = 1024
    while size < elements:
        size *= 2
    return (3 * size // 4 if elements <= 3 * size // 4 else size) + lanes
