"""Outputs by which of their taps meet data.

Where those that are alike make tiles of their own, no tile reads padding: the input need not be packed with
zeros around it, and no multiply-add is spent on them. A 3x3 kernel of dilation 24 on 33 x 33 meets data with
a quarter of its taps:

    along an axis, outputs 0 … 8 with taps 1 and 2, 9 … 23 with tap 1, 24 … 32 with taps 0 and 1
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import Element
from convforge.problem.gather import Axis, Gather, Phase

Int64s = NDArray[np.int64]

# Steps before which a line is fetched, as no prefetcher follows from channel to channel. Two cores of Zen 4:
# strided layers of batch 8 took 0.80 to 1.27 times as long as packed without, 0.73 to 1.03 with 16 or 24;
# dilation 12 of 2048 channels on 33x33 51 ms, with 16 or 24 28.
AHEAD = 16


def reads_where_met(gather: Gather, element: Element) -> bool:
    """Whether taps either meet an element of the array or nothing, and elements are read as they are."""
    plain = all(axis.mode == "zeros" or axis.padding == (0, 0) for axis in gather.axes)
    return plain and element.storage == element.compute


@dataclass(frozen=True)
class Classes:
    """Outputs of a phase along an axis, by which of its taps meet data.

    of: the class of each output. met: [class, tap]. sizes: outputs of each class.
    """

    of: Int64s
    met: NDArray[np.bool_]
    sizes: Int64s


@lru_cache(maxsize=256)
def classes_along(axis: Axis, phase: Phase) -> Classes:
    """The classes of a phase's outputs along an axis."""
    offsets = np.array([tap.offset for tap in phase.taps], np.int64)
    at = np.arange(phase.count, dtype=np.int64)[:, None] * axis.in_step + offsets
    met = (at >= 0) & (at < axis.in_size)
    found, of, sizes = np.unique(met, axis=0, return_inverse=True, return_counts=True)
    return Classes(of.reshape(-1).astype(np.int64), found, sizes.astype(np.int64))


@lru_cache(maxsize=256)
def tiled(gather: Gather, phase: int, pixels: int) -> tuple[int, int]:
    """(tiles of so many pixels, taps of all of them) of a phase, each of outputs of one class."""
    sizes, taps = np.ones(1, np.int64), np.ones(1, np.int64)
    for axis, along in zip(gather.axes, gather.phase_triples[phase]):
        classes = classes_along(axis, along)
        sizes = np.multiply.outer(sizes, classes.sizes).ravel()
        taps = np.multiply.outer(taps, classes.met.sum(axis=1)).ravel()
    tiles = -(-sizes // pixels)
    return int(tiles.sum()), int((tiles * taps).sum())


def tiles_of(gather: Gather, phase: int, pixels: int) -> tuple[Int64s, NDArray[np.bool_]]:
    """([tile, pixel]: outputs of a phase, last axis fastest; [tile, tap]: what it meets) of every tile.

    A class's last tile is filled up with its last output, which is computed and written again.
    """
    d, h, w = (classes_along(*pair) for pair in zip(gather.axes, gather.phase_triples[phase]))
    count_h, count_w = len(h.sizes), len(w.sizes)
    alike = ((d.of[:, None] * count_h + h.of)[:, :, None] * count_w + w.of).ravel()
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


def steps_to_taps(
    gather: Gather, phase: int, x_steps: tuple[int, ...], channels: int, chosen: tuple[int, ...]
) -> Int64s:
    """From where an output begins to read to every (channel, chosen tap) of a phase, channels slowest; and to
    `AHEAD` more of them, for what is fetched.
    """
    taps = [gather.taps_by_phase[phase][t] for t in chosen]
    one = np.array([sum(t.offset * s for t, s in zip(tap, x_steps[2:])) for tap in taps], np.int64)
    every = channels + -(-AHEAD // max(1, len(chosen)))
    return (np.arange(every, dtype=np.int64)[:, None] * x_steps[1] + one).ravel()
