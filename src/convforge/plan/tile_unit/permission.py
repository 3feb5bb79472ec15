"""Whether the tile unit can be used: asked of the system, and tried once, before anything relies on it."""

from __future__ import annotations

from functools import lru_cache

import ml_dtypes
import numpy as np

from convforge.kernels.contract import fill
from convforge.kernels.tile_unit.contract import (
    TILE_CHECK_PARAMETERS,
    TileCheckKernel,
    TileNumbers,
    tile_shapes_bytes,
)
from convforge.plan.job import Job
from convforge.runtime import address_of, why_tiles_refused
from convforge.target import Target

_FEATURES: dict[TileNumbers, str] = {"bf16": "amx-bf16", "bytes": "amx-int8"}


def why_no_unit(target: Target, numbers: TileNumbers) -> str | None:
    """The reason why a target has no unit for such products, or None: a look at its features."""
    missing = [name for name in ("amx-tile", _FEATURES[numbers]) if name not in target.features]
    return f"the processor has no {missing[0]}" if missing else None


def why_unusable(target: Target, numbers: TileNumbers) -> str | None:
    """The reason why this process cannot use a target's tile unit, or None. Asks and tries once."""
    return why_tiles_refused() or _why_wrong(target, numbers)


@lru_cache(maxsize=8)
def _why_wrong(target: Target, numbers: TileNumbers) -> str | None:
    """Compare one product of small whole numbers, exact in all these types, with what it must be.

    A unit that a system offers, but does not save and restore, would spoil results silently.
    """
    if numbers == "bf16":
        ways, of_a, of_b, of_sums = 2, ml_dtypes.bfloat16, ml_dtypes.bfloat16, np.float32
    else:
        ways, of_a, of_b, of_sums = 4, np.uint8, np.int8, np.int32
    row, column, k = np.arange(16)[:, None], np.arange(16), np.arange(16 * ways)
    a = (7 * row + 3 * k) % 13
    b = (5 * k[:, None] + column) % 11 - 5
    x = a.astype(of_a)
    words = b.reshape(16, ways, 16).transpose(0, 2, 1).astype(of_b, order="C")
    y, shapes = np.full((16, 16), -1, of_sums), tile_shapes_bytes([(16, 64)] * 3)
    parameters = fill(TILE_CHECK_PARAMETERS, {"shapes": shapes.ctypes.data})
    job = Job(TileCheckKernel(numbers), target)
    job.run(1, 1, 64, address_of(parameters), address_of(x), address_of(words), 0, address_of(y))
    wrong = int(np.count_nonzero(y != 2 * (a @ b)))
    return f"the tile unit got {wrong} of 256 sums of a known product wrong" if wrong else None
