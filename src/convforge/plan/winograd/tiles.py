"""The Winograd family (kernels/winograd/tiles.py): fewer products, where a kernel's taps are neighbours.

At `highest` it computes two outputs a tile along each axis, F(2, 3), whose transforms are additions: its
error is below that of one chain of fp32 multiply-adds (docs/performance.md). At `high` tiles of four and six.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import ELEMENTS
from convforge.kernels.contract import HEADER_BYTES, ZERO_ROW, WayOut
from convforge.kernels.winograd.contract import (
    WINOGRAD_PARAMETERS,
    WinogradKernel,
)
from convforge.plan.bands import Band, band_of
from convforge.plan.cut import ROW_CYCLES
from convforge.plan.element import element_of
from convforge.plan.job import Job
from convforge.plan.kernel_plan import WatchedPlan
from convforge.plan.request import OutputRequest
from convforge.plan.sizes import aligned, element_steps
from convforge.plan.tables import input_tables, packing_values
from convforge.plan.tiles import tiled_length
from convforge.plan.winograd import channels as winograd_channels
from convforge.plan.winograd.channels import WinogradChannelsPlan
from convforge.plan.winograd.channels_cut import (
    channels_cycles,
    far_cycles,
    fetch_cycles,
    streamed_cycles,
    why_too_large,
)
from convforge.plan.winograd.cut import channel_block, cut_tasks
from convforge.plan.winograd.weights import WinogradWeights
from convforge.problem.gather import Gather, gather_of
from convforge.problem.precision import Precision
from convforge.schedule import Layout, layout_of, why_tile_illegal
from convforge.schedule.polyphase import polyphase
from convforge.schedule.winograd import Tiling, is_plain, output_rows, tile_gather, why_no_tiles
from convforge.target import Target

Array = NDArray[Any]
Int64s = NDArray[np.int64]

NAME = "winograd"

# Outputs of a tile along one axis that keep the promise of each precision, by the number of taps. More lose
# too much: F(4, 3) has 4 times the error of F(2, 3), F(6, 3) 8 times. F(3, 2) has no more error than F(2, 2),
# and took 9 % less time in WaveNet; but an output whose inputs are all zeros would come out as the rounding
# of its neighbours. By F(2, 2) and F(2, 3) it is exactly zero (of 3 taps at stride 2: where rows or columns
# of zeros end).
_OUTPUTS: dict[Precision, dict[int, tuple[int, ...]]] = {
    "highest": {1: (1,), 2: (2,), 3: (2,)},
    "high": {1: (1,), 2: (2, 3), 3: (2, 4, 6), 4: (2, 3), 5: (2,)},
    "medium": {1: (1,), 2: (2, 3), 3: (2, 4, 6), 4: (2, 3), 5: (2,)},
}
# Products of a tile: F(4x4x4, 3x3x3) has 216, whose sums take a quarter of the second-level cache.
_POINT_LIMIT = 216

# Tiles along the depth alone take so much longer, where slices come from the last-level cache: kernels of
# 3x1x1 on two cores of Zen 4, by them and by the direct kernel that reads whole rows, 144 -> 64 channels at
# 16x56x56 7490 and 5990 us, 288 -> 128 at 8x28x28 6200 and 5760, 192 -> 192 at 16x28x28 11.0 and 12.3 ms; 576
# -> 256 at 4x14x14, 1.8 MB, 2330 and 2780 us.
_SLICES_TIMES, _FAR_SLICES = 1.18, 4

# Cycles to transform a vector of tiles of one channel: for each point, and at least. Tiles along one axis
# have few points, yet are packed and leave as others: 16 to 48 channels of a signal took up to 1.6 times
# the direct kernel's time where that had no cost.
_POINT_CYCLES, _VECTOR_CYCLES = 3.0, 30.0
# With 16 registers transforms along two axes leave them: cycles for each point by a tile's longest side,
# fitted on 13 layers of 3 to 512 channels in all tilings of `high` (AVX2). With 3.0 for all, the tiling or
# family chosen took 18 % longer than the best in the mean, F(6x6) for VGG's first layer a third longer than
# the direct kernel; so 3 %, and at `highest` 0 instead of 2.
_NARROW_POINT_CYCLES = ((4, 5.0), (6, 7.0), (8, 10.0))
# With 32 registers and 512 bits (Granite Rapids): with 3.0 for all, VGG's first layer at `high` took 1.8
# times the direct kernel's time. Transforms along three axes take six times as long: C3D's second layer ran
# 44.9 ms along tiles and 34.0 along channels, and was run along tiles with 2.0.
_WIDE_POINT_CYCLES = ((4, 3.0), (6, 7.0), (8, 9.0))
_THREE_AXES = 6.0
# All else along three axes behind a mesh, beside other families: 256 -> 512 channels at 4x14x14 8.3 ms
# along tiles, 6.6 by split bf16.
_VOLUME_TIMES = 1.1
# Where values of one tile's vectors, all channels, are more than the near cache: 2048 channels of dilation
# 18 on 33x33 (Granite Rapids) took 1.8 times as long as by split bf16.
_FAR_TIMES = 1.6


def why_illegal(request: OutputRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a request, or None."""
    if request.plain:
        return "the input or the weights are such that transforms overflow"
    element = ELEMENTS[request.spec.dtype.name]
    if not element.is_float:
        return f"{element.name} is not a floating-point type"
    lanes = target.vector_bytes // element.compute_bytes
    gather = gather_of(request.spec)
    reason = why_no_tiles(gather)
    if reason is None and not tilings(gather, request.precision):
        reason = f"no tile of {gather.kernel_taps} taps keeps precision {request.precision!r}"
    if reason is None and not is_plain(gather):
        reason = winograd_channels.why_illegal(
            request, target, _best_tiling(gather, request.precision, target, lanes)
        )
    return reason


def cost_cycles(request: OutputRequest, target: Target) -> float:
    """Cycles of one core: products, and the transforms of inputs and outputs.

    Those of weights are left out, for a layer keeps them; a function pays them in each call, but must not
    choose another family, or it would give other bits than a layer.
    """
    gather = gather_of(request.spec)
    lanes = target.vector_bytes // ELEMENTS[request.spec.dtype.name].compute_bytes
    tiling = _best_tiling(gather, request.precision, target, lanes)
    times = _SLICES_TIMES if _is_of_far_slices(gather, tiling, target, lanes) else 1.0
    return times * _least_cycles(gather, tiling, target, lanes)


def _is_of_far_slices(gather: Gather, tiling: Tiling, target: Target, lanes: int) -> bool:
    """Whether tiles lie along the depth alone of a volume that only a near last level holds."""
    size = gather.in_channels * prod(axis.in_size for axis in gather.axes) * target.vector_bytes // lanes
    wide = target.vector_registers > 16 and not target.l3_is_far
    return wide and 1 < tiling.points == tiling.sizes[0] and size > _FAR_SLICES * target.l2_bytes


def plan(request: OutputRequest, target: Target, threads: int) -> WinogradPlan | WinogradChannelsPlan:
    """Schedule a request and prepare all that its kernel reads: with vectors along tiles or along channels.

    Both have the same bits, so that may depend on batch and strides.
    """
    gather = gather_of(request.spec)
    lanes = target.vector_bytes // ELEMENTS[request.spec.dtype.name].compute_bytes
    tiling = _best_tiling(gather, request.precision, target, lanes)
    legal = winograd_channels.why_illegal(request, target, tiling) is None
    if not is_plain(gather) or (legal and channels_are_cheaper(gather, tiling, target, lanes)):
        return WinogradChannelsPlan(request, target, threads, tiling)
    return WinogradPlan(request, target, threads, tiling)


def channels_are_cheaper(gather: Gather, tiling: Tiling, target: Target, lanes: int) -> bool:
    """Whether vectors along channels take less time than along tiles."""
    along_channels = channels_cycles(gather, tiling, target, lanes) + fetch_cycles(
        gather, tiling, target, lanes
    )
    return along_channels < _cycles(gather, tiling, target, lanes)


class WinogradPlan(WatchedPlan[WinogradKernel]):
    """How one convolution is computed for inputs of one shape and one set of strides."""

    def __init__(self, request: OutputRequest, target: Target, threads: int, tiling: Tiling) -> None:
        spec = request.spec
        self.threads = threads
        self.element = element = element_of(spec, target)
        gather, lanes = gather_of(spec), target.vector_bytes // element.compute_bytes
        layout = layout_of(tile_gather(gather, tiling))
        mr, nv = _tile(gather, layout, target, lanes)
        x_steps = element_steps(request.x_strides, spec)
        y_steps = element_steps(request.y_strides, spec)
        way_out: WayOut = "unit" if y_steps[4] == 1 or gather.axes[2].out_size == 1 else "strided"
        self.kernel = WinogradKernel(
            element=element,
            lanes=lanes,
            mr=mr,
            nv=nv,
            fused=target.fused,
            tiling=tiling,
            columns="unit" if x_steps[4] == 1 or gather.axes[2].in_size == 1 else "strided",
            margins=gather.axes[2].mode != "zeros",
            spaced=layout.gather.axes[2].spacing > 1,
            way_out=way_out,
            has_bias=request.has_bias,
            activation=request.activation,
        )
        self._job = Job(self.kernel, target)
        self.weights = WinogradWeights(gather, element, target, mr, tiling, spec.transposed, spec.rank)
        self._fill(gather, layout, target, x_steps, y_steps)

    def _fill(
        self,
        gather: Gather,
        layout: Layout,
        target: Target,
        x_steps: tuple[int, ...],
        y_steps: tuple[int, ...],
    ) -> None:
        kernel, size = self.kernel, self.element.compute_bytes
        points, length = kernel.tiling.points, kernel.length
        out_tiles = -(-gather.out_channels // kernel.mr)
        cut = cut_tasks(gather, layout, kernel, target, self.threads, channel_block(gather))
        self.tasks = cut.tasks
        band: Band = band_of(layout, cut.band_length, kernel.lanes, kernel.lanes)
        tables = input_tables(layout, (x_steps[2], x_steps[3], x_steps[4]))
        out_rows = output_rows(gather, layout, kernel.tiling, (y_steps[2], y_steps[3]), ZERO_ROW)
        taps = layout.gather.taps_by_phase[0]
        distances = np.array([layout.distance(tap, band.plane) for tap in taps], np.int64)
        # A line more than whole channels, or the points of a tile would fall on the same sets of the cache.
        point = cut.value_block * cut.run + kernel.lanes
        sums_point = kernel.mr * cut.out_group * cut.tile_group + kernel.lanes
        values = aligned(HEADER_BYTES + layout.planes * band.plane * size)
        spread = aligned(values + points * point * size)
        sums = aligned(spread + cut.images * prod(kernel.tiling.outputs) * cut.band_length * size)
        leaving = aligned(sums + points * sums_point * size)
        lines = aligned(leaving + prod(kernel.tiling.outputs) * kernel.mr * length * size + 64)
        self.workspace_bytes = aligned(lines + 2 * points * kernel.lanes * size)
        width = layout.gather.axes[2]
        parameters = {
            "batch": gather.batch,
            "groups": gather.groups,
            "channels": gather.in_channels,
            "out_channels": gather.out_channels,
            "out_tiles": out_tiles,
            "task_tiles": cut.task_tiles,
            "out_blocks": cut.out_blocks,
            "channel_block": channel_block(gather),
            "weights_step": self.weights.step,
            "images": cut.images,
            "bands": cut.bands,
            "band_length": cut.band_length,
            "flat": layout.flat,
            "run": cut.run,
            "value_block": cut.value_block,
            "out_group": cut.out_group,
            "tile_group": cut.tile_group,
            "distances": distances.ctypes.data,
            "values": values,
            "point": point,
            "spread": spread,
            "sums": sums,
            "sums_point": sums_point,
            "leaving": leaving,
            "lines": lines,
            "x_batch": x_steps[0],
            "x_channel": x_steps[1],
            "y_batch": y_steps[0],
            "y_channel": y_steps[1],
            "y_step": y_steps[4],
            "width": gather.axes[2].out_size,
            "out_rows": layout.out_rows,
            "out_row_table": out_rows.ctypes.data,
            **packing_values(layout, band, tables, x_steps[4] * (1 if kernel.spaced else width.in_step)),
            "lowest": width.lowest,
            "in_width": width.in_size,
            "spacing": width.spacing,
            "reach": layout.reach,
        }
        self._give(WINOGRAD_PARAMETERS, parameters)
        self._keep = (tables, out_rows, distances)


def tilings(gather: Gather, precision: Precision) -> list[Tiling]:
    """The ways to cut a gather into tiles that keep a precision and save products."""
    poly = polyphase(gather)
    d, h, w = poly.size
    allowed = _OUTPUTS[precision]
    if precision == "highest" and any(poly.is_partial(axis) and poly.size[axis] > 2 for axis in range(3)):
        # Of two taps in a window of three, an output without inputs would not be exactly zero either.
        return []
    choices = product(allowed.get(d, ()), allowed.get(h, ()), allowed.get(w, ()))
    found = [Tiling(outputs, (d, h, w)) for outputs in choices]
    return [tiling for tiling in found if d * h * w > 1 and tiling.points <= _POINT_LIMIT]


@lru_cache(maxsize=64)
def _best_tiling(gather: Gather, precision: Precision, target: Target, lanes: int) -> Tiling:
    return min(tilings(gather, precision), key=lambda t: _least_cycles(gather, t, target, lanes))


@lru_cache(maxsize=4)
def _legal_tiles(target: Target) -> list[tuple[int, int]]:
    """All (mr, nv) whose vectors fit the registers."""
    sizes = product(range(1, 9), range(1, 27))
    return [(mr, nv) for nv, mr in sizes if why_tile_illegal(target, mr * nv, nv + 1) is None]


def _tile(gather: Gather, layout: Layout, target: Target, lanes: int) -> tuple[int, int]:
    """(mr, nv): output channels and vectors of tiles that are multiplied together."""
    legal = (tile for tile in _legal_tiles(target) if tile[0] <= gather.out_channels)
    flat = tiled_length(layout)
    return min(legal, key=lambda tile: _product_cycles(gather, flat, *tile, lanes))


def _product_cycles(gather: Gather, flat: int, mr: int, nv: int, lanes: int) -> float:
    """Cycles of one point of all tiles: multiply-adds at two a cycle, loads at two, all at five.

    Values come from the second-level cache, where a line takes two cycles: 13x2 ran 10 % faster than 4x5.
    """
    step = max(mr * nv / 2, 2.0 * nv, (2 * nv + mr) / 2, (mr * nv + nv + mr + 4) / 5, 4.0) + 0.2 * nv
    tile = gather.in_channels * step + 12 + 1.5 * mr * nv
    return -(-flat // (nv * lanes)) * -(-gather.out_channels // mr) * tile


def _point_cycles(tiling: Tiling, target: Target) -> float:
    longest = max(tiling.sizes)
    if longest == tiling.points:
        return _POINT_CYCLES
    wide = target.vector_registers > 16
    cycles = next(c for most, c in (_WIDE_POINT_CYCLES if wide else _NARROW_POINT_CYCLES) if longest <= most)
    return cycles * _THREE_AXES if wide and min(tiling.sizes) > 1 else cycles


def _least_cycles(gather: Gather, tiling: Tiling, target: Target, lanes: int) -> float:
    """Those of the cheaper way: what is chosen by them may not depend on batch or strides."""
    found = _cycles(gather, tiling, target, lanes) if is_plain(gather) else float("inf")
    too_large = why_too_large(gather, tiling, target.vector_bytes // lanes) is not None
    if not is_plain(gather) or (gather.out_channels >= lanes and not too_large):
        found = min(found, channels_cycles(gather, tiling, target, lanes))
    if target.vector_registers > 16 and not target.l3_is_far:
        return max(found, streamed_cycles(gather, tiling, target, lanes))
    return found + far_cycles(gather, tiling, target, lanes)


def _cycles(gather: Gather, tiling: Tiling, target: Target, lanes: int) -> float:
    layout = layout_of(tile_gather(gather, tiling))
    mr, nv = _tile(gather, layout, target, lanes)
    vectors = -(-layout.flat // lanes)
    products = tiling.points * _product_cycles(gather, layout.flat, mr, nv, lanes)
    held = tiling.points * gather.in_channels * nv * target.vector_bytes
    if target.l3_is_far and held > target.near_bytes:
        products *= _FAR_TIMES
    rows_in = layout.total_rows * layout.planes * gather.in_channels
    rows_out = layout.out_rows * tiling.outputs[0] * tiling.outputs[1] * gather.out_channels
    transform = max(_point_cycles(tiling, target) * tiling.points, _VECTOR_CYCLES)
    transforms = transform * vectors * (gather.in_channels + gather.out_channels)
    total = products + transforms + ROW_CYCLES * (rows_in + rows_out)
    if target.vector_registers > 16 and target.l3_is_far and min(tiling.sizes) > 1:
        total *= _VOLUME_TIMES
    return total * gather.batch * gather.groups
