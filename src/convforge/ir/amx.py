"""Intel's tile unit (AMX): eight tiles of up to 16 rows of 64 bytes, and their products.

    tiles.configure(shapes)                 rows and bytes of a row of every tile
    tiles.zero(0)
    tiles.load(4, pixels, 64)               row r comes from pixels + r * 64
    tiles.load(6, weights, 64)
    tiles.multiply_bf16(0, 4, 6)            tile 0 += tile 4 * tile 6
    tiles.store(0, sums, 64)
    tiles.release()

Tiles are named by number in the instruction: LLVM allocates none of them, so none is ever spilled. Only this
file knows the intrinsics.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18; volume 2.
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Int
from convforge.ir.text import I8, I64, POINTER, VOID, Type, Value

_IMMEDIATE = Type("i8 immarg")


class Tiles:
    """Emits instructions on tiles into one function. A task configures first, and releases at its end."""

    def __init__(self, emitter: Emitter) -> None:
        self._e = emitter

    def configure(self, shapes: Value) -> None:
        """Set the tiles' shapes from 64 bytes (kernels/tile_unit/contract.py makes them), all tiles to
        zero.
        """
        self._call("ldtilecfg", [POINTER], [shapes])

    def release(self) -> None:
        """Let go of all tiles: a thread that sleeps with tiles in use costs 8 KB at every switch."""
        self._call("tilerelease", [], [])

    def zero(self, tile: int) -> None:
        """Set a tile to zero."""
        self._call("tilezero", [_IMMEDIATE], [I8(tile)])

    def load(self, tile: int, pointer: Value, stride_bytes: Int) -> None:
        """Load a tile whose rows are so many bytes apart."""
        arguments = [I8(tile), pointer, self._e.i64(stride_bytes)]
        self._call("tileloadd64", [_IMMEDIATE, POINTER, I64], arguments)

    def store(self, tile: int, pointer: Value, stride_bytes: Int) -> None:
        """Store a tile."""
        arguments = [I8(tile), pointer, self._e.i64(stride_bytes)]
        self._call("tilestored64", [_IMMEDIATE, POINTER, I64], arguments)

    def multiply_bf16(self, sums: int, a: int, b: int) -> None:
        """sums[m][n] += sum over k, i of a[m][2k + i] * b[k][2n + i]: bf16 factors, fp32 sums."""
        self._call("tdpbf16ps", [_IMMEDIATE] * 3, [I8(sums), I8(a), I8(b)])

    def multiply_bytes(self, sums: int, a: int, b: int) -> None:
        """sums[m][n] += sum over k, i of a[m][4k + i] * b[k][4n + i]: unsigned a, signed b, int32 sums."""
        self._call("tdpbusd", [_IMMEDIATE] * 3, [I8(sums), I8(a), I8(b)])

    def _call(self, name: str, kinds: list[Type], arguments: list[Value]) -> None:
        function = self._e.module.declare(f"llvm.x86.{name}", VOID, kinds)
        self._e.b.call(function, arguments)
