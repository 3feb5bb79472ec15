"""Winograd's weights for a tile unit: transformed in fp32's own accuracy (plan/winograd/weights.py), then
split into bf16 parts as the split bf16 family's are, points in the place of groups.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import ELEMENTS
from convforge.kernels.contract import FLAG_BYTES, fill
from convforge.kernels.pack.contract import WEIGHT_PHASE_FIELDS
from convforge.kernels.split_bf16.contract import SPLIT_WEIGHT_PARAMETERS, SplitWeightPacker
from convforge.kernels.tile_unit.contract import UNIT_WORDS
from convforge.memory import on_lines
from convforge.plan.job import Job
from convforge.plan.split_bf16.weights import NAN
from convforge.plan.winograd.weights import WinogradWeights
from convforge.runtime import address_of
from convforge.schedule.tile_unit import TILE_ROWS
from convforge.target import Target

Array = NDArray[Any]


class WinogradTileWeights:
    """Splits what another packer has transformed: `tiles` tiles of mr output channels, `blocks` blocks of 32
    input channels at each of `points` points.
    """

    def __init__(
        self,
        inner: WinogradWeights,
        target: Target,
        *,
        parts: int,
        mr: int,
        points: int,
        blocks: int,
        tiles: int,
    ) -> None:
        self._inner, self._parts, self._mr = inner, parts, mr
        self._points, self._blocks, self._tiles = points, blocks, tiles
        self.step = parts * mr * UNIT_WORDS * points * blocks
        lanes = target.vector_bytes // 4
        self._packer = SplitWeightPacker(ELEMENTS["float32"], lanes, parts, mr // TILE_ROWS, False)
        self._job = Job(self._packer, target)

    @property
    def signature(self) -> Hashable:
        """All that the packed memory depends on beside the values."""
        return (self._inner.signature, self._parts)

    def pack(self, weight: Array, threads: int) -> Array:
        """Packed weights of a weight array of any strides; NaN in front where they must not be used."""
        transformed = self._inner.pack(weight, threads)
        packed = on_lines((self._tiles * self.step * 2,), np.uint16)
        packed[:2] = 0
        channels = self._blocks * 2 * UNIT_WORDS
        offsets = np.zeros(1, np.int64)
        fields = {"taps": 1, "weights": 0, "offsets": offsets.ctypes.data}
        phases = np.array([fields[name] for name in WEIGHT_PHASE_FIELDS], np.int64)
        values = {
            # Points of tiles lie apart, as groups do.
            "groups": self._tiles * self._points,
            "channels": channels,
            "blocks": self._blocks,
            "pairs": UNIT_WORDS,
            "out_channels": self._mr,
            "out_tiles": 1,
            "w_group": channels * self._mr,
            "w_out": 1,
            "w_channel": self._mr,
            "phases": 1,
            "phase_table": phases.ctypes.data,
        }
        parameters = fill(SPLIT_WEIGHT_PARAMETERS, values)
        exact = not np.isnan(transformed[0]) and self._job.run_watched(
            FLAG_BYTES,
            self._tiles * self._points,
            threads,
            self._packer.scratch_bytes,
            address_of(parameters),
            address_of(transformed),
            0,
            0,
            address_of(packed),
        )
        if not exact:
            packed[:2] = NAN
        return packed

    def pack_bias(self, bias: Array) -> Array:
        """The bias in fp32, with room for the tile that ends beyond it."""
        return self._inner.pack_bias(bias)
