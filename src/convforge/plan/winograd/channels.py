"""Winograd's algorithm with vectors along channels: a way of the Winograd family, of the same bits.

Its kernel is kernels/winograd/channels.py; plan/winograd/tiles.py takes it where it is cheaper.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import ELEMENTS
from convforge.kernels.contract import HEADER_BYTES
from convforge.kernels.tile_unit.contract import UNIT_WORDS, product_shapes
from convforge.kernels.winograd.contract import (
    WINOGRAD_CHANNELS_PARAMETERS,
    WinogradChannelsKernel,
    vectors_together,
)
from convforge.plan.boxes import place_values, side_of
from convforge.plan.element import element_of
from convforge.plan.job import Job
from convforge.plan.kernel_plan import WatchedPlan
from convforge.plan.request import OutputRequest, PackedWeights
from convforge.plan.sizes import aligned, element_steps
from convforge.plan.winograd.box import WinogradArray
from convforge.plan.winograd.channels_cut import (
    ChannelsCut,
    channels_tile,
    cut_channels,
    residue_elements,
    why_too_large,
)
from convforge.plan.winograd.cut import chain_of
from convforge.plan.winograd.weights import WinogradWeights
from convforge.problem.gather import Gather, gather_of
from convforge.schedule import layout_of
from convforge.schedule.polyphase import polyphase
from convforge.schedule.winograd import Tiling, is_plain, residues_of_points, rounded_gather, spacings
from convforge.target import Target

Int64s = NDArray[np.int64]
# Of tiles of a tile unit, all of them whole.
_SHAPES = product_shapes(2, 2, UNIT_WORDS)


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


class TileWeights(PackedWeights, Protocol):
    """Weights of tiles of output channels, one behind the other."""

    @property
    def step(self) -> int:
        """Elements of the compute type from those of a tile to the next one's."""
        ...


@dataclass(frozen=True, slots=True)
class ValueRoom:
    """How values lie in scratch: elements from those of a point, tile, residue, block of channels, part of
    it, to the next's. sum_tiles: tiles that sums have room for; blocks: of channels. fetched: lines of
    weights that are fetched beside a product of tiles.
    """

    point: int
    row: int
    residue: int
    sum_tiles: int
    block: int = 0
    part: int = 0
    blocks: int = 0
    fetched: int = 0


class WinogradChannelsPlan(WatchedPlan[WinogradChannelsKernel]):
    """How one convolution is computed for inputs of one shape and one set of strides."""

    def __init__(self, request: OutputRequest, target: Target, threads: int, tiling: Tiling) -> None:
        spec = request.spec
        self.threads, self.element = threads, element_of(spec, target)
        gather, size = gather_of(spec), self.element.compute_bytes
        lanes = target.vector_bytes // size
        nv, self.cut = self._cut(gather, tiling, target, lanes)
        cut = self.cut
        self._poly = poly = polyphase(gather)
        windows = poly.windows
        layout = layout_of(rounded_gather(windows, tiling.outputs))
        x_steps, self._y_steps = (
            element_steps(strides, spec) for strides in (request.x_strides, request.y_strides)
        )
        self._array = array = WinogradArray(
            layout, x_steps, cut.box, lanes, tiling.sizes, tiling.outputs, spacings(windows)
        )
        self._room = room = self._make_room(gather, array)
        self.kernel = WinogradChannelsKernel(
            element=self.element,
            lanes=lanes,
            rows=cut.rows,
            nv=nv,
            fused=target.fused,
            tiling=tiling,
            spacing=spacings(windows),
            steps=poly.steps,
            windows=poly.shortest,
            point=room.point,
            side=side_of(x_steps, gather.axes[2].in_size, gather.axes[2].in_step, lanes),
            scatters=array.scatters,
            way=_way(gather, self._y_steps),
            has_bias=request.has_bias,
            activation=request.activation,
            parts=self.parts,
            fetched=room.fetched,
        )
        self._job = Job(self.kernel, target)
        self.weights = self._make_weights(request, target)
        self._fill(gather, cut)

    # What a tile unit has otherwise (plan/winograd/unit.py).
    parts = 0

    def _cut(self, gather: Gather, tiling: Tiling, target: Target, lanes: int) -> tuple[int, ChannelsCut]:
        """Vectors of output channels of a tile, and the cut."""
        nv = channels_tile(gather, tiling, target, lanes).nv
        return nv, cut_channels(gather, tiling, nv, target, lanes, self.element.compute_bytes, self.threads)

    def _make_room(self, gather: Gather, array: WinogradArray) -> ValueRoom:
        """How values lie."""
        residue, row = residue_elements(gather, array.lanes)
        tiles = array.tiles + self.cut.rows
        return ValueRoom(
            point_elements(array.tiles * row, array.lanes), row=row, residue=residue, sum_tiles=tiles
        )

    def _make_weights(self, request: OutputRequest, target: Target) -> TileWeights:
        """What transforms and packs weights."""
        return self._transformed(request, target, woven=False)

    def _transformed(self, request: OutputRequest, target: Target, *, woven: bool) -> WinogradWeights:
        spec, kernel = request.spec, self.kernel
        return WinogradWeights(
            gather_of(spec), self.element, target, kernel.mr, kernel.tiling, spec.transposed, spec.rank,
            woven=woven,
        )  # fmt: skip

    def _fill(self, gather: Gather, cut: ChannelsCut) -> None:
        kernel, array, size, lanes = self.kernel, self._array, self.element.compute_bytes, self.kernel.lanes
        points, poly = kernel.tiling.points, self._poly
        out_tiles = -(-gather.out_channels // kernel.mr)
        # Register tiles may end beyond the last Winograd tile.
        room = self._room
        sums_tile = room.sum_tiles * kernel.mr
        sums_point = cut.out_group * sums_tile + lanes
        together = vectors_together(kernel.parts)
        at = [HEADER_BYTES]
        for elements in (
            array.panel * together, points * kernel.point, array.panel,
            prod(kernel.looked_at) * lanes, points * sums_point,
            (prod(cut.box) + lanes) * lanes, 2 * max(points, prod(kernel.looked_at)) * lanes,
            points * lanes * (together - 1),
        ):  # fmt: skip
            at.append(aligned(at[-1] + elements * size))
        panel, values, magnitudes, windows, sums, leaving, lines, kept, self.workspace_bytes = at
        side = array.record(
            row=room.row, residue=room.residue, block=room.block, part=room.part, panel_at=panel,
            values_at=values, lines_at=lines, kept_at=kept,
        )  # fmt: skip
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
        table, blocks = block_tables(gather, kernel.tiling, room.residue)
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
            "in_blocks": room.blocks,
            "shapes": _SHAPES.ctypes.data,
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


def point_elements(elements: int, lanes: int) -> int:
    """Elements from the values of a point to the next's: one of few sizes, as it is part of the code.

    A vector more than a power of two, or the points of a tile would fall on the same sets of the cache.
    """
    size = 1024
    while size < elements:
        size *= 2
    return (3 * size // 4 if elements <= 3 * size // 4 else size) + lanes
