"""Winograd's algorithm with vectors along channels: a way of the Winograd family, of the same bits.

Its kernel is kernels/winograd_channels.py; plan/winograd.py takes it where it is cheaper.
"""

from __future__ import annotations

from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import ELEMENTS
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.contract_winograd import WINOGRAD_CHANNELS_PARAMETERS, WinogradChannelsKernel
from convforge.plan.boxes import place_values, side_of
from convforge.plan.job import Job
from convforge.plan.kernel_plan import WatchedPlan
from convforge.plan.request import OutputRequest
from convforge.plan.sizes import aligned, element_steps
from convforge.plan.winograd_box import WinogradArray
from convforge.plan.winograd_channels_cut import (
    ChannelsCut,
    channels_tile,
    cut_channels,
    residue_elements,
    why_too_large,
)
from convforge.plan.winograd_cut import chain_of
from convforge.plan.winograd_weights import WinogradWeights
from convforge.problem.gather import Gather, gather_of
from convforge.schedule import layout_of
from convforge.schedule.polyphase import polyphase
from convforge.schedule.winograd import Tiling, is_plain, residues_of_points, rounded_gather, spacings
from convforge.target import Target

Int64s = NDArray[np.int64]


def why_illegal(request: OutputRequest, target: Target, tiling: Tiling) -> str | None:
    """The reason why outputs cannot be computed this way, of a request that is legal for the family."""
    gather = gather_of(request.spec)
    if gather.out_channels * ELEMENTS[request.spec.dtype.name].compute_bytes < target.vector_bytes:
        return f"{gather.out_channels} output channels do not fill a vector"
    if is_plain(gather) and _way(gather, element_steps(request.y_strides, request.spec)) == "strided":
        return "neither columns nor channels of the output lie side by side"
    return why_too_large(gather, tiling, ELEMENTS[request.spec.dtype.name].compute_bytes)


def _way(gather: Gather, y_steps: tuple[int, ...]) -> Literal["unit", "channels", "strided"]:
    """What lies side by side of the outputs of a phase."""
    w = gather.axes[2]
    if y_steps[4] * w.out_step == 1 or w.out_size == 1:
        return "unit"
    return "channels" if y_steps[1] == 1 else "strided"


class WinogradChannelsPlan(WatchedPlan[WinogradChannelsKernel]):
    """How one convolution is computed for inputs of one shape and one set of strides."""

    def __init__(self, request: OutputRequest, target: Target, threads: int, tiling: Tiling) -> None:
        spec = request.spec
        self.threads, self.element = threads, ELEMENTS[spec.dtype.name]
        gather, size = gather_of(spec), self.element.compute_bytes
        lanes = target.vector_bytes // size
        tile = channels_tile(gather, tiling, target, lanes)
        self.cut = cut = cut_channels(gather, tiling, tile.nv, target, lanes, size, threads)
        self._poly = poly = polyphase(gather)
        windows = poly.windows
        layout = layout_of(rounded_gather(windows, tiling.outputs))
        x_steps, self._y_steps = (
            element_steps(strides, spec) for strides in (request.x_strides, request.y_strides)
        )
        self._array = array = WinogradArray(
            layout, x_steps, cut.box, lanes, tiling.sizes, tiling.outputs, spacings(windows)
        )
        self._residue, self._row = residue_elements(gather, lanes)
        self.kernel = WinogradChannelsKernel(
            element=self.element,
            lanes=lanes,
            rows=cut.rows,
            nv=tile.nv,
            fused=target.fused,
            tiling=tiling,
            spacing=spacings(windows),
            steps=poly.steps,
            windows=poly.shortest,
            point=_point(array.tiles * self._row, lanes),
            side=side_of(x_steps, gather.axes[2].in_size, gather.axes[2].in_step, lanes),
            scatters=array.scatters,
            way=_way(gather, self._y_steps),
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
        points, poly = kernel.tiling.points, self._poly
        out_tiles = -(-gather.out_channels // kernel.mr)
        # Register tiles may end beyond the last Winograd tile.
        sums_tile = (array.tiles + kernel.rows) * kernel.mr
        sums_point = cut.out_group * sums_tile + lanes
        at = [HEADER_BYTES]
        for elements in (
            array.panel, points * kernel.point, array.panel,
            prod(kernel.looked_at) * lanes, points * sums_point,
            (prod(cut.box) + lanes) * lanes, 2 * max(points, prod(kernel.looked_at)) * lanes,
        ):  # fmt: skip
            at.append(aligned(at[-1] + elements * size))
        panel, values, magnitudes, windows, sums, leaving, lines, self.workspace_bytes = at
        side = array.record(
            row=self._row, residue=self._residue, panel_at=panel, values_at=values, lines_at=lines
        )
        self.tasks = cut.boxes * gather.groups * cut.out_blocks
        d, h, w = gather.axes
        y = self._y_steps
        # Of one column y[4] may be anything.
        column = 1 if kernel.way == "unit" else y[4] * w.out_step
        plain = is_plain(gather)
        rows_follow = cut.box[3] == w.out_size and (h.out_size == 1 or y[3] == w.out_size * column)
        phases = np.array(
            [
                (sum(a * b for a, b in zip(phase.first, y[2:])), *phase.begin, *phase.count)
                for phase in poly.phases
            ],
            np.int64,
        )
        table, blocks = block_tables(gather, kernel.tiling, self._residue)
        distances = array.distances(kernel.looked_at, kernel.steps)
        values_of = place_values(array.layout, cut.box) | {
            "groups": gather.groups,
            "channels": gather.in_channels,
            "out_channels": gather.out_channels,
            "out_tiles": out_tiles,
            "task_tiles": cut.task_tiles,
            "out_blocks": cut.out_blocks,
            "out_group": cut.out_group,
            "boxes": cut.boxes,
            "phases": len(phases),
            "phase_table": phases.ctypes.data,
            "block_table": table.ctypes.data,
            "blocks": blocks.ctypes.data,
            "point_rows": gather.in_channels * poly.residues,
            "weights_step": self.weights.step,
            "x_side": side.address,
            "y_batch": y[0],
            "y_channel": y[1],
            "y_slice": y[2] * d.out_step,
            "y_row": y[3] * h.out_step,
            "y_column": column,
            "joined": int(plain and rows_follow),
            "window_distances": distances.ctypes.data,
            "sums_point": sums_point,
            "sums_tile": sums_tile,
            "magnitudes_at": magnitudes,
            "windows_at": windows,
            "sums_at": sums,
            "leaving_at": leaving,
            "lines_at": lines,
        }
        self._give(WINOGRAD_CHANNELS_PARAMETERS, values_of)
        self._keep = (side, phases, table, blocks, distances)


def block_tables(gather: Gather, tiling: Tiling, residue: int) -> tuple[Int64s, Int64s]:
    """(where the blocks of each phase and point begin, WINOGRAD_BLOCK_FIELDS of each).

    residue: elements from one's values to the next's. Residues without a gap between their values are one run
    of channels. A point that no residue has weights at has a block of none.
    """
    channels, starts = gather.in_channels, [0]
    records: list[tuple[int, int, int]] = []
    for points in residues_of_points(polyphase(gather), tiling):
        for residues in points:
            runs: list[tuple[int, int]] = []  # (first residue, residues)
            for number in residues:
                first, count = runs[-1] if runs else (0, 0)
                if runs and first + count == number and residue == channels:
                    runs[-1] = (first, count + 1)
                else:
                    runs.append((number, 1))
            for first, count in runs or [(0, 0)]:
                length = count * channels
                block = chain_of(length)
                records += [
                    (first * residue + at, first * channels + at, min(block, length - at))
                    for at in range(0, max(length, 1), max(block, 1))
                ]
            starts.append(len(records))
    return np.array(starts, np.int64), np.array(records, np.int64)


def _point(elements: int, lanes: int) -> int:
    """Elements from the values of a point to the next's: one of few sizes, as it is part of the code.

    A vector more than a power of two, or the points of a tile would fall on the same sets of the cache.
    """
    size = 1024
    while size < elements:
        size *= 2
    return (3 * size // 4 if elements <= 3 * size // 4 else size) + lanes
