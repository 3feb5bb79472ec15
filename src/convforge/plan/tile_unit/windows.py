"""Windows of a band whose input a tile unit's kernel reads step by step: what is split together, and when."""

from __future__ import annotations

from typing import NamedTuple

from convforge.schedule.tile_unit import STEP_POSITIONS
from convforge.target import Target

# Where the next window is split beside products, it has the fewest positions that there are, and units of two
# windows and all weights take at most this part of the second level. Two cores, windows of 64 positions and
# of more: 16 -> 96 at 112x112 160 us and 208, 64 -> 256 at 56x56 186 and 203, 32 -> 192 at 28x28 24 and 28.
# Of 1024 channels, whose weights leave too little room, one core took 232 us woven and not.
_BESIDE_SHARE = 0.75
# Elsewhere: units that stay in the second level, and the fewest positions, below which weights are fetched
# too often. One core, 256 -> 64 at 56x56: windows of a whole band (2.4 MB) took 717 us, of 0.2 to 0.8 MB 595
# to 620.
_WINDOW_BYTES, _WINDOW_POSITIONS = 800_000, 128
# Units of a window, whatever channels there are.
_MOST_BYTES = 12 << 20
# Steps beside a step's 24 products fill the time that these take; more of them are done after.
MOST_BESIDE = 4


def splits_beside(target: Target, position_bytes: int, weight_bytes: int) -> bool:
    """Whether windows are split beside products: where two of them and all weights stay near."""
    units = 2 * STEP_POSITIONS * position_bytes
    return weight_bytes + units <= _BESIDE_SHARE * target.l2_bytes


class Windows(NamedTuple):
    """tiles: of one window. beside: steps of the next one's split for each step of products, or 0."""

    tiles: int
    beside: int


def windows_of(
    target: Target, *, band_tiles: int, length: int, channels: int, position_bytes: int,
    weight_bytes: int, steps: int, shared: bool,
) -> Windows:  # fmt: skip
    """Windows of a band. position_bytes: of units. weight_bytes: of all that a task reads. steps: of products
    for each tile of positions. shared: whether a thread has several tasks of one band.
    """
    # One that is there for all of them.
    if shared and band_tiles * length * position_bytes <= _WINDOW_BYTES:
        return Windows(band_tiles, 0)
    beside = splits_beside(target, position_bytes, weight_bytes)
    large = max(_WINDOW_POSITIONS, _WINDOW_BYTES // position_bytes)
    most = min(STEP_POSITIONS if beside else large, max(length, _MOST_BYTES // position_bytes))
    windows = -(-band_tiles * length // most)
    whole = -(-STEP_POSITIONS // length)
    tiles = min(band_tiles, -(-band_tiles // windows // whole) * whole)
    if not beside or tiles == band_tiles:
        return Windows(tiles, 0)
    split = -(-tiles * length // STEP_POSITIONS) * -(-channels // 2)
    return Windows(tiles, min(MOST_BESIDE, -(-split // (tiles * steps))))
