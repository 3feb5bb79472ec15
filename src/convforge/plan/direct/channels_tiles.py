"""Tiles of the small-map family (channels.py), without a clock: pixels by vectors of output channels."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Literal

import numpy as np

from convforge.plan.direct.met_taps import classes_along, met_tiles, runs_of
from convforge.plan.tiles import loads_add, mesh_step, step_overhead
from convforge.problem.gather import Axis, Gather, Phase
from convforge.schedule import Layout, layout_of, why_tile_illegal
from convforge.target import Target

# How the input comes: packed into planes with their padding; from where it lies, if that is such a plane; by
# tiles whose outputs meet the same data (met_taps.py), from where it lies or packed as it is.
Reading = Literal["packed", "dense", "met", "compact"]
BY_MET_TAPS: tuple[Reading, ...] = ("met", "compact")
IN_PLACE: tuple[Reading, ...] = ("dense", "met")

# Addresses of more pixels would leave the integer registers: 13x2 ran 21 % slower than its multiply-adds say.
PIXEL_LIMIT = 9
# Weights of so many times what is near are fetched ahead behind a mesh, and where addresses leave registers
# for it (two cores of Granite Rapids): 512 channels of 3x3x3 at 2x7x7, 28 MB, 3.3 -> 2.9 ms, on one core 7.7
# -> 5.5; of 3x3 at 7x7 819 -> 770 us, 512 -> 2048 of 1x1, 4 MB, 347 -> 337; 256 of 3x3 at 14x14, 2.4 MB, 724
# -> 744. With AVX2 512 of 3x3 at 7x7 1130 -> 1403.
_FAR_WEIGHTS = 1.5
# Addresses of more pixels, beside three vectors, and of what is fetched leave the registers: 8x3 took 1.6
# times as long as 7x3.
_FETCHING_PIXELS, _HELD_ADDRESSES = 7, 3

# With 512 bits and a near last level a step of all tiles of 1x1 and 3x3 layers took a cycle more than its
# multiply-adds, or 2.2 for each line of weights from the second level and 1.8 (one core of Zen 4; costs count
# two multiply-adds a cycle): 2x4 tiles 11 cycles and not 8. The factor leaves tiles of 16 as they were beside
# other families.
_WIDE_STEP = 0.94

# Output channels for whose sake the input is copied: 512 -> 2048 of 1x1 at 7x7 1522 -> 1433 us (two cores of
# Zen 1), 768 patches of 16x16 3470 -> 3330, 1024 -> 256 at 14x14 as long as before, 192 -> 64 a tenth longer.
_COPIED_CHANNELS = 512
# Cycles of a vector that leaves, for each of its lanes: one by one, and where a tile's outputs are side by
# side. 96 -> 576 of 1x1 at 14x14 (two cores of Zen 4) 127 and 110 us, of bfloat16 88 and 67; 512 -> 2048 at
# 7x7 465 and 457.
_LANE_CYCLES, _RUN_LANE_CYCLES = 1.2, 0.35
# Steps up to which sums are short beside other families, with 512 bits; with less it was not tried.
_SHORT_STEPS = 150


def fetches_ahead(gather: Gather, weight_bytes: int, target: Target) -> bool:
    """Whether weights come from so far that the next block's are fetched meanwhile."""
    weights = gather.groups * gather.in_channels * gather.out_channels * gather.kernel_taps
    is_far = target.l3_is_far and weights * weight_bytes > _FAR_WEIGHTS * target.near_bytes
    return is_far and target.vector_registers > 16


def legal_tiles(gather: Gather, target: Target, lanes: int) -> list[tuple[int, int]]:
    """(pixels, vectors of channels) of all tiles whose sums and addresses fit into registers."""
    fetches = fetches_ahead(gather, target.vector_bytes // lanes, target)
    return [
        (pixels, nv)
        for nv in range(1, 7)
        for pixels in range(1, PIXEL_LIMIT + 1)
        if why_tile_illegal(target, pixels * nv, nv + 1) is None
        and not (nv > 2 and pixels > _FETCHING_PIXELS and fetches)
    ]


def phases_cycles(
    gather: Gather, target: Target, lanes: int, reading: Reading, *, beside_others: bool = False
) -> Callable[[int, int], float]:
    """Cycles of all phases, as a function of the pixels and the vectors of channels of a tile.

    beside_others: as the direct kernel's costs were fitted to: short sums, and all of 1x1 layers, in runs
    only where they are copied. It is thought to take longer for these than it does; with all runs counted
    ResNet's first layer came along channels, 1045 -> 1111 us, Inception's 215 -> 236, MobileNetV3's 63 -> 71,
    and 16 images of 1x1 512 -> 128 at 28x28 7.7 -> 8.7 ms.
    """
    phases = range(len(gather.taps_by_phase))
    # Looked up here, once for all tiles: gathers are long keys.
    met = met_tiles(gather, PIXEL_LIMIT) if reading in BY_MET_TAPS else None
    copies = met is None and copies_tiles(layout_of(gather))
    dense = reading == "dense" and gather.groups == 1
    short_steps = _SHORT_STEPS if target.vector_bytes == 64 else inf
    packed_runs = [_packed_runs(gather, phase) for phase in phases] if met is None else []

    def cycles(pixels: int, nv: int) -> float:
        step, total = _step_cycles(gather, target, pixels, nv, lanes), 0.0
        for phase in phases:
            d, h, w = gather.phase_triples[phase]
            outputs = d.count * h.count * w.count
            if not gather.taps_by_phase[phase]:
                total += outputs * nv
                continue
            if met is None:
                tiles = -(-outputs // pixels)
                taps = tiles * len(gather.taps_by_phase[phase]) * _share_left(gather, phase, pixels)
                runs = packed_runs[phase][pixels - 1]
            else:
                tiles, taps, runs = met[phase][pixels - 1]
            fitted = dense or gather.in_channels * len(gather.taps_by_phase[phase]) <= short_steps
            in_runs = copies if beside_others and fitted else gather.axes[2].out_step == 1
            runs = runs if in_runs and 1 < pixels <= lanes else 0
            leaving = runs * _RUN_LANE_CYCLES + (tiles - runs) * _LANE_CYCLES
            products = gather.in_channels * taps * step
            total += products + 20 * tiles + pixels * nv * (2 * tiles + leaving * lanes)
        return total * -(-gather.out_channels // (nv * lanes))

    return cycles


def _packed_runs(gather: Gather, phase: int) -> list[int]:
    """About how many tiles of 1, 2, … pixels lie side by side, of columns with the same taps on padding."""
    d, h, w = gather.phase_triples[phase]
    columns, pixels = classes_along(gather.axes[2], w).sizes, np.arange(1, PIXEL_LIMIT + 1)[:, None]
    runs: list[int] = runs_of(d.count * h.count * columns, columns, pixels, w.count).sum(axis=1).tolist()
    return runs


def _step_cycles(gather: Gather, target: Target, pixels: int, nv: int, lanes: int) -> float:
    """Of one channel and tap."""
    if loads_add(target):
        # Fetching takes the registers of all addresses but some.
        fetches = fetches_ahead(gather, target.vector_bytes // lanes, target)
        reloaded = max(0, pixels - _HELD_ADDRESSES) if fetches else 0
        step = mesh_step(pixels * nv, nv, pixels + reloaded)
    elif target.vector_bytes == 64:
        step = _WIDE_STEP * max(pixels * nv / 2 + 0.5, 1.1 * nv + 0.9)
    else:
        step = max(pixels * nv / 2, (pixels + nv + 2) / 2, (pixels * nv + pixels + nv + 5) / 5, 4.0)
    return step + step_overhead(target)


def _share_left(gather: Gather, phase: int, pixels: int) -> float:
    """The share of taps that are not left out, for they meet only padding in a tile of neighbours."""
    d, h, w = gather.phase_triples[phase]
    rows = -(-(pixels - 1) // max(1, w.count)) + 1
    met = share_met(gather.axes[1], h, rows) * share_met(gather.axes[2], w, 1)
    # So many tiles lie in two slices: 9 pixels of 7x7, a sixth of them.
    crossing = min(1.0, (pixels - 1) / max(1, h.count * w.count))
    return met * sum(
        share * share_met(gather.axes[0], d, n) for n, share in ((1, 1 - crossing), (2, crossing))
    )


def copies_tiles(layout: Layout) -> bool:
    """Whether the pixels of a tile are copied side by side: tiles of output channels then read one stream,
    and not a line for each channel and tap.

    They must be neighbours, and need all taps: kernels of 1x1, and patches, which do not overlap.
    """
    gather = layout.gather
    d, h, w = gather.axes
    neighbours = layout.pitch == w.columns and (d.columns == 1 or layout.slice_rows == h.columns)
    whole = all(axis.padding == (0, 0) and axis.reach == 0 and axis.out_step == 1 for axis in gather.axes)
    return neighbours and whole and gather.out_channels >= _COPIED_CHANNELS


def is_copied(layout: Layout, pixels: int) -> bool:
    """Whether tiles of so many pixels are copied: where there are as many."""
    d, h, w = layout.gather.axes
    return d.columns * h.columns * w.columns >= pixels and copies_tiles(layout)


def share_met(axis: Axis, phase: Phase, together: int) -> float:
    """The share of a phase's taps along an axis for which one of so many neighbours has an input."""
    if axis.mode != "zeros" or not phase.taps or not phase.count:
        return 1.0
    met = 0
    for tap in phase.taps:
        first = max(0, -(tap.offset // axis.in_step))
        last = min(phase.count - 1, (axis.in_size - 1 - tap.offset) // axis.in_step)
        met += last // together - first // together + 1 if first <= last else 0
    return met / (-(-phase.count // together) * len(phase.taps))
