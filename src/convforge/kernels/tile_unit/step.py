"""One step of products of tiles: a block of words, all pairs of parts, rows x columns tiles of sums.

B0 B1          inputs: 16 positions each        a part's tiles stay loaded from one pair to the next
C0 C1   A0     weights: 16 output channels each
C2 C3   A1
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from convforge.ir.amx import Tiles
from convforge.ir.emitter import Emitter, Int, Value
from convforge.kernels.tile_unit.contract import UNIT_BYTES
from convforge.schedule.tile_unit import TILE_ROWS

_WEIGHT_TILE_BYTES = TILE_ROWS * UNIT_BYTES


@dataclass(frozen=True, slots=True)
class TileStep:
    """Tiles of sums come first, then those of weights, then those of inputs (contract.product_shapes).

    products: (weights' part, inputs' part) of each pair. upright: whether weights are the first factor.
    """

    rows: int
    columns: int
    products: tuple[tuple[int, int], ...]
    upright: bool = False

    def emit(
        self,
        e: Emitter,
        tiles: Tiles,
        multiply: Callable[[int, int, int], None],
        weights: Value,
        inputs: Sequence[Value],
        part: Int,
        beside: Sequence[Callable[[], None]] = (),
    ) -> None:
        """Load and multiply. inputs: of each column; part: words from one part of them to the next. beside:
        pieces of other work, spread over the products.
        """
        rows, columns = self.rows, self.columns
        of_rows = [rows * columns + i for i in range(rows)]
        of_columns = [rows * columns + rows + j for j in range(columns)]
        products, done, emitted = rows * columns * len(self.products), 0, 0
        loaded: tuple[int | None, int | None] = None, None
        for of_weights, of_input in self.products:
            if loaded[0] != of_weights:
                for i, tile in enumerate(of_rows):
                    at = (of_weights * rows + i) * _WEIGHT_TILE_BYTES
                    tiles.load(tile, e.at(weights, "i8", at), UNIT_BYTES)
            if loaded[1] != of_input:
                for pointer, tile in zip(inputs, of_columns):
                    tiles.load(tile, e.at(pointer, "i32", e.mul(part, of_input)), UNIT_BYTES)
            loaded = of_weights, of_input
            for i in range(rows):
                for j in range(columns):
                    factors = (of_columns[j], of_rows[i])
                    multiply(i * columns + j, *(factors[::-1] if self.upright else factors))
                    done += 1
                    while emitted < len(beside) * done // products:
                        beside[emitted]()
                        emitted += 1
