"""Outputs by which of their taps meet data.

Where those that are alike make tiles of their own, no tile reads padding: the input need not be packed with
zeros around it, and no multiply-add is spent on them. A 3x3 kernel of dilation 24 on 33 x 33 meets data with
a quarter of its taps:

    along an axis, outputs 0 … 8 with taps 1 and 2, 9 … 23 with tap 1, 24 … 32 with taps 0 and 1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

import numpy as np
from numpy.typing import NDArray

from convforge.problem.gather import Axis, Gather, Phase, Tap

Int64s = NDArray[np.int64]

# Steps before which a line is fetched, as no prefetcher follows from channel to channel. Two cores of Zen 4:
# strided layers of batch 8 took 0.80 to 1.27 times as long as packed without, 0.73 to 1.03 with 16 or 24;
# dilation 12 of 2048 channels on 33x33 51 ms, with 16 or 24 28.
AHEAD = 16
_OWN = Tap(0, 0)


def meets_or_misses(gather: Gather) -> bool:
    """Whether a tap either meets an element of the array or adds nothing."""
    return all(axis.mode == "zeros" or axis.padding == (0, 0) for axis in gather.axes)


def reads_all(gather: Gather) -> bool:
    """Whether outputs read every element of the array."""
    return all(_reads_all(axis) for axis in gather.axes)


def _reads_all(axis: Axis) -> bool:
    read = np.zeros(axis.in_size, np.bool_)
    for phase in axis.phases:
        for tap in phase.taps:
            at = np.arange(phase.count, dtype=np.int64) * axis.in_step + tap.offset
            read[at[(at >= 0) & (at < axis.in_size)]] = True
    return bool(read.all())


def as_it_is(gather: Gather) -> Gather:
    """The gather whose planes are the input's own rows, without padding."""
    axes = [
        Axis(axis.in_size, axis.in_size, 1, 1, (Phase(0, axis.in_size, (_OWN,)),), (0, 0), "zeros")
        for axis in gather.axes
    ]
    return replace(gather, axes=(axes[0], axes[1], axes[2]), taps_by_phase=(((_OWN, _OWN, _OWN),),))


@dataclass(frozen=True)
class Classes:
    """Outputs of a phase along an axis, in runs that meet the same data.

    starts: the first output of each run. sizes: outputs of each. met: [run, tap].
    """

    starts: Int64s
    sizes: Int64s
    met: NDArray[np.bool_]


@lru_cache(maxsize=256)
def classes_along(axis: Axis, phase: Phase) -> Classes:
    """The runs of a phase's outputs along an axis."""
    offsets = np.array([tap.offset for tap in phase.taps], np.int64)
    first = np.maximum(0, -(offsets // axis.in_step))
    stop = np.minimum(phase.count, (axis.in_size - 1 - offsets) // axis.in_step + 1)
    edges = sorted({0, *first.tolist(), *stop.tolist()})
    starts = np.array([at for at in edges if 0 <= at < phase.count], np.int64)
    met = (first <= starts[:, None]) & (starts[:, None] < stop)
    return Classes(starts, np.diff(np.append(starts, phase.count)), met)


def count_classes(gather: Gather) -> int:
    """Runs of all axes and phases, multiplied out."""
    return sum(
        prod(len(classes_along(*pair).starts) for pair in zip(gather.axes, along))
        for along in gather.phase_triples
    )


@lru_cache(maxsize=256)
def met_tiles(gather: Gather, most: int) -> tuple[tuple[tuple[int, int, int], ...], ...]:
    """For each phase and each number of pixels up to `most`: how many tiles of so many outputs of one class
    there are, the taps of all of them, and about how many of them are runs of neighbours.
    """
    found: list[tuple[tuple[int, int, int], ...]] = []
    for along in gather.phase_triples:
        sizes, taps, widths = np.ones(1, np.int64), np.ones(1, np.int64), np.ones(1, np.int64)
        for pair in zip(gather.axes, along):
            classes = classes_along(*pair)
            widths = np.tile(classes.sizes, len(sizes))
            sizes = np.multiply.outer(sizes, classes.sizes).ravel()
            taps = np.multiply.outer(taps, classes.met.sum(axis=1)).ravel()
        pixels = np.arange(1, most + 1)[:, None]
        tiles = -(-sizes // pixels)
        runs = runs_of(sizes, widths, pixels, along[2].count)
        each = np.stack([tiles.sum(axis=1), tiles @ taps, runs.sum(axis=1)], axis=1)
        found.append(tuple((count, met, run) for count, met, run in each.tolist()))
    return tuple(found)


def runs_of(outputs: Int64s, widths: Int64s, pixels: Int64s, row: int) -> Int64s:
    """About how many tiles of so many pixels lie side by side, of outputs in rows of such widths.

    row: outputs of a whole one; rows that are whole follow each other.
    """
    whole = outputs // pixels
    within = np.where(widths % pixels == 0, whole, whole * np.maximum(0, widths - pixels + 1) // widths)
    return np.where(widths == row, whole, within)


def share_of_taps(gather: Gather) -> float:
    """The share of taps, over all outputs, that meet data."""
    met = sum(phase[0][1] for phase in met_tiles(gather, 1))
    every = sum(phase[0][0] * len(taps) for phase, taps in zip(met_tiles(gather, 1), gather.taps_by_phase))
    return met / max(1, every)


def tiles_of(gather: Gather, phase: int, pixels: int) -> tuple[Int64s, NDArray[np.bool_]]:
    """([tile, pixel]: outputs of a phase, last axis fastest; [tile, tap]: what it meets) of every tile.

    A class's last tile is filled up with its last output, which is computed and written again.
    """
    d, h, w = (classes_along(*pair) for pair in zip(gather.axes, gather.phase_triples[phase]))
    count_h, count_w = len(h.sizes), len(w.sizes)
    of_d, of_h, of_w = (np.repeat(np.arange(len(each.sizes)), each.sizes) for each in (d, h, w))
    alike = ((of_d[:, None] * count_h + of_h)[:, :, None] * count_w + of_w).ravel()
    met = (
        d.met[:, None, None, :, None, None]
        & h.met[None, :, None, None, :, None]
        & w.met[None, None, :, None, None, :]
    ).reshape(len(d.sizes) * count_h * count_w, -1)
    order, sizes = np.argsort(alike, kind="stable"), np.bincount(alike, minlength=len(met))
    found: list[Int64s] = []
    for start, size in zip(np.cumsum(sizes) - sizes, sizes):
        if size:
            found.append(np.pad(order[start : start + size], (0, -size % pixels), mode="edge"))
    outputs = np.concatenate(found).reshape(-1, pixels)
    return outputs, met[alike[outputs[:, 0]]]


def steps_to_taps(gather: Gather, phase: int, steps: Sequence[int]) -> Int64s:
    """From where an output begins to read to each tap of a phase.

    steps: elements from a slice, a row, a column of the input to the next.
    """
    taps = gather.taps_by_phase[phase]
    return np.array([sum(t.offset * s for t, s in zip(tap, steps)) for tap in taps], np.int64)
