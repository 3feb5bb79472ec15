"""One product of tiles, added to itself: y = 2 * x * w.

Contract: x, 16 rows of 32 bf16 numbers; w, 16 rows of 16 pairs; y, 16 rows of 16 fp32 numbers. Or x, 16 rows
of 64 unsigned bytes; w, 16 rows of 16 quads of signed ones; y, 16 rows of 16 int32 numbers.
"""

from __future__ import annotations

from convforge.ir.amx import Tiles
from convforge.ir.emitter import Module
from convforge.kernels.parameters import Parameters
from convforge.kernels.tile_unit.contract import TILE_CHECK_PARAMETERS, TileCheckKernel


def emit(kernel: TileCheckKernel, module: Module) -> None:
    """Emit the task."""
    e = module.function("task", "pip")
    call, _, _ = e.arguments
    p = Parameters(e, e.load_pointer(call, 0), TILE_CHECK_PARAMETERS)
    x, w, y = (e.load_pointer(call, i) for i in (1, 2, 4))
    tiles = Tiles(e)
    tiles.configure(p.pointer("shapes"))
    tiles.zero(0)
    tiles.load(1, x, 64)
    tiles.load(2, w, 64)
    multiply = tiles.multiply_bf16 if kernel.numbers == "bf16" else tiles.multiply_bytes
    multiply(0, 1, 2)
    multiply(0, 1, 2)
    tiles.store(0, y, 64)
    tiles.release()
    e.done()
