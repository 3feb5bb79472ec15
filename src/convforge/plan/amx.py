"""Whether the tile unit can be used: asked of the system, and tried once, before anything relies on it."""

from __future__ import annotations

from functools import lru_cache

import ml_dtypes
import numpy as np

from convforge.kernels.contract import fill
from convforge.kernels.contract_split import TILE_CHECK_PARAMETERS, TileCheckKernel, tile_shapes_bytes
from convforge.plan.job import Job
from convforge.runtime import address_of, why_tiles_refused
from convforge.target import Target

_FEATURES = ("amx-tile", "amx-bf16")


def why_no_unit(target: Target) -> str | None:
    """The reason why a target has no tile unit, or None: a look at its features."""
    missing = [name for name in _FEATURES if name not in target.features]
    return f"the processor has no {missing[0]}" if missing else None


def why_unusable(target: Target) -> str | None:
    """The reason why this process cannot use a target's tile unit, or None. Asks and tries once."""
    return why_tiles_refused() or _why_wrong(target)


@lru_cache(maxsize=8)
def _why_wrong(target: Target) -> str | None:
    """Compare one product of small whole numbers, exact in bf16 and in fp32, with what it must be.

    A unit that a system offers, but does not save and restore, would spoil results silently.
    """
    row, column, k = np.arange(16)[:, None], np.arange(16), np.arange(32)
    a = (7 * row + 3 * k) % 11 - 5
    b = (5 * k[:, None] + column) % 13 - 6
    x = a.astype(ml_dtypes.bfloat16)
    pairs = b.reshape(16, 2, 16).transpose(0, 2, 1).astype(ml_dtypes.bfloat16, order="C")
    y, shapes = np.full((16, 16), np.nan, np.float32), tile_shapes_bytes([(16, 64)] * 3)
    parameters = fill(TILE_CHECK_PARAMETERS, {"shapes": shapes.ctypes.data})
    job = Job(TileCheckKernel(), target)
    job.run(1, 1, 64, address_of(parameters), address_of(x), address_of(pairs), 0, address_of(y))
    wrong = int(np.count_nonzero(y != 2 * (a @ b)))
    return f"the tile unit got {wrong} of 256 sums of a known product wrong" if wrong else None
