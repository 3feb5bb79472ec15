"""Contracts of the depthwise kernels; contract.py says what a contract is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from convforge.ir.element import Element
from convforge.kernels.contract import Activation, Columns, Emitted

DEPTHWISE_PARAMETERS = (
    *("groups", "group_block", "group_blocks", "multiplier", "bands", "band_rows"),
    *("x_batch", "x_channel", "y_batch", "y_channel", "y_row", "y_slice", "depth", "height", "width"),
    *("planes", "plane_rows", "total_rows", "row_length", "one_row", "slice_rows"),
    *("row_residues", "column_residues", "row_table", "column_table", "x_column"),
    *("first_real", "stop_real"),
)
DEPTHWISE_MAP_PARAMETERS = (
    *("groups", "group_block", "group_blocks", "multiplier"),
    *("x_batch", "x_channel", "y_batch", "y_channel"),
)
DEPTHWISE_ROWS_PARAMETERS = (
    *("groups", "group_block", "group_blocks", "multiplier"),
    *("bands", "band_rows", "strips", "strip_columns"),
    *("x_batch", "x_channel", "x_slice", "x_row", "y_batch", "y_channel", "y_slice", "y_row"),
    *("in_depth", "in_height", "in_width", "depth", "height", "width", "depth_step", "zero_words"),
)


@dataclass(frozen=True, slots=True)
class DepthwiseKernel(Emitted):
    """What the machine code of the packed depthwise kernel depends on.

    taps: (plane, row, column) that each reads, from its output's own row and column. order: (depth, height,
    width) of each in the input. row_step: input rows from one output row to the next. rows: output rows of a
    tile. held: weights in registers. pitch, plane: elements from row to row, from plane to plane.
    """

    file: ClassVar[str] = "depthwise"
    element: Element
    lanes: int
    rows: int
    held: int
    fused: bool
    taps: tuple[tuple[int, int, int], ...]
    order: tuple[tuple[int, int, int], ...]
    row_step: int
    pitch: int
    plane: int
    columns: Columns
    has_bias: bool
    activation: Activation

    @property
    def tap_count(self) -> int:
        """Taps of a channel."""
        return len(self.taps)

    @property
    def vectors(self) -> int:
        """Vectors of columns of a tile."""
        return 1

    @property
    def name(self) -> str:
        """A short name: depthwise 9 taps, 7 rows, float32."""
        return f"depthwise {len(self.taps)} taps, {self.rows} rows, {self.element.name}"


@dataclass(frozen=True, slots=True)
class DepthwiseMapKernel(Emitted):
    """What the machine code of the small-map depthwise kernel depends on: the whole map.

    taps: (row, column) that each reads, from its output's position times `steps`. held: weights in registers.
    rows, vectors: a tile, in output rows and vectors of columns. x_row, y_row: elements from row to row.
    """

    file: ClassVar[str] = "depthwise_map"
    element: Element
    lanes: int
    rows: int
    vectors: int
    held: int
    fused: bool
    taps: tuple[tuple[int, int], ...]
    steps: tuple[int, int]
    in_size: tuple[int, int]
    out_size: tuple[int, int]
    x_row: int
    y_row: int
    has_bias: bool
    activation: Activation

    @property
    def name(self) -> str:
        """A short name: depthwise map 7x7, 9 taps, float32."""
        size = "x".join(map(str, self.out_size))
        return f"depthwise map {size}, {len(self.taps)} taps, {self.element.name}"


@dataclass(frozen=True, slots=True)
class DepthwiseRowsKernel(Emitted):
    """What the machine code of the depthwise kernel that reads rows in place depends on.

    taps: (depth, row, column) that each reads, from its output's position times the steps. held: weights in
    registers. rows, vectors: a tile, in output rows and vectors of columns. padded: whether a tile may need
    a row that the input lacks.
    """

    file: ClassVar[str] = "depthwise_rows"
    element: Element
    lanes: int
    rows: int
    vectors: int
    held: int
    fused: bool
    taps: tuple[tuple[int, int, int], ...]
    row_step: int
    column_step: int
    padded: bool
    has_bias: bool
    activation: Activation

    @property
    def name(self) -> str:
        """A short name: depthwise rows 7x1, 9 taps, float32."""
        return f"depthwise rows {self.rows}x{self.vectors}, {len(self.taps)} taps, {self.element.name}"


@dataclass(frozen=True, slots=True)
class DepthwiseLargeKernel(Emitted):
    """What the machine code of the depthwise kernel with loops over its taps depends on.

    size: the kernel's (depth, height, width). rows, vectors: a tile, in output rows and vectors of columns.
    pitch, plane: elements from row to row, from plane to plane.
    """

    file: ClassVar[str] = "depthwise_large"
    element: Element
    lanes: int
    rows: int
    vectors: int
    fused: bool
    size: tuple[int, int, int]
    pitch: int
    plane: int
    columns: Columns
    has_bias: bool
    activation: Activation

    @property
    def tap_count(self) -> int:
        """Taps of a channel."""
        return self.size[0] * self.size[1] * self.size[2]

    @property
    def name(self) -> str:
        """A short name: depthwise large 31x31, 8x2 tile, float32."""
        size = "x".join(map(str, self.size[1:] if self.size[0] == 1 else self.size))
        return f"depthwise large {size}, {self.rows}x{self.vectors} tile, {self.element.name}"
