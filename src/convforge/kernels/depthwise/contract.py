"""Contracts of the depthwise kernels; contract.py says what a contract is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from convforge.ir.element import Element
from convforge.kernels.contract import Activation, Columns, Emitted

# What copying rows needs to know: the first column, how many, and where in the planes they begin.
COPYING = ("copy_start", "copy_columns", "copy_first", "copy_second")
DEPTHWISE_PARAMETERS = (
    *("groups", "group_block", "group_blocks", "multiplier", "multiplier_block", "multiplier_blocks"),
    *("bands", "band_rows"),
    *("x_batch", "x_channel", "y_batch", "y_channel", "y_row", "y_slice", "depth", "height", "width"),
    *("planes", "plane_rows", "total_rows", "row_length", "one_row", "slice_rows"),
    *("row_residues", "column_residues", "row_table", "column_table", "x_column"),
    *("first_real", "stop_real", "wide_columns"),
    *COPYING,
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
    *("lines", "collected"),
)

# How a row of outputs ends: its last vector begins early; or the row, shorter than a vector, is stored over
# the beginning of the next, all but a band's last one; or under masks.
RowEnds = Literal["early", "over", "masked"]


@dataclass(frozen=True, slots=True)
class RowCopy:
    """How kernels/depthwise/copy_rows.py copies a row: every step-th column, 1 or 2, into a plane of its own,
    `step` vectors of `lanes` at a time, `chunks` times.
    """

    step: int
    lanes: int
    chunks: int


@dataclass(frozen=True, slots=True)
class DepthwiseKernel(Emitted):
    """What the machine code of the packed depthwise kernel depends on.

    taps: (plane, row, column) that each reads, from its output's own row and column. order: (depth, height,
    width) of each in the input. row_step: input rows from one output row to the next. rows, vectors: a tile,
    in output rows and vectors of columns. narrow: whether rows of outputs end with tiles of a vector less.
    held: weights in registers. pitch, plane: elements from row to row, from plane to plane. copy: how rows
    are copied into planes of zeros, if they are not packed by pack/planes.py. streams: whether whole lines of
    the output go past the caches.
    """

    file: ClassVar[str] = "depthwise.planes"
    element: Element
    lanes: int
    rows: int
    vectors: int
    narrow: bool
    ends: RowEnds
    held: int
    fused: bool
    taps: tuple[tuple[int, int, int], ...]
    order: tuple[tuple[int, int, int], ...]
    row_step: int
    pitch: int
    plane: int
    columns: Columns
    copy: RowCopy | None
    has_bias: bool
    activation: Activation
    streams: bool = False

    @property
    def tap_count(self) -> int:
        """Taps of a channel."""
        return len(self.taps)

    @property
    def name(self) -> str:
        """A short name: depthwise 9 taps, 7x1 tile, float32."""
        return f"depthwise {len(self.taps)} taps, {self.rows}x{self.vectors} tile, {self.element.name}"


# How a row of a small map is read: where it lies, under masks; every second column as words of bfloat16; with
# vectors of half types widened once for all taps (these are tile.py's); or copied first, between zeros.
MapReading = Literal["masked", "words", "shifted", "copied"]


@dataclass(frozen=True, slots=True)
class DepthwiseMapKernel(Emitted):
    """What the machine code of the small-map depthwise kernel depends on: the whole map.

    taps: (row, column) that each reads, from its output's position times `steps`. held: weights in registers.
    rows, vectors: a tile, in output rows and vectors of columns. x_row, y_row: elements from row to row.
    """

    file: ClassVar[str] = "depthwise.map"
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
    reading: MapReading = "masked"

    @property
    def stage_lead(self) -> int:
        """Zeros before the first column of a copied row."""
        return max(0, -min(column for _, column in self.taps))

    @property
    def stage_row(self) -> int:
        """Elements of a copied row: all that tiles and copying vectors touch, zeros included."""
        step, span = self.steps[1], self.vectors * self.lanes
        tiles = -(-self.out_size[1] // span) * span
        read = (tiles - 1) * step + max(column for _, column in self.taps) + step + self.lanes
        return self.stage_lead + max(read, -(-self.in_size[1] // self.lanes) * self.lanes)

    @property
    def stage_bytes(self) -> int:
        """What the copied map takes, whole words."""
        size = self.in_size[0] * self.stage_row * self.element.compute_bytes
        return -(-size // 8) * 8 if self.reading == "copied" else 0

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
    a row that the input lacks. staged: whether tiles at the ends of their rows read copies with zeros around
    them, instead of the rows under masks. streams: whether whole lines of the output go past the caches;
    collects: of all rows of a tile together, which lie one behind the other.
    words: whether they are read as words of bfloat16 (tile.py); where columns are neighbours, vectors are
    woven two by two.
    """

    file: ClassVar[str] = "depthwise.rows"
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
    staged: bool = False
    streams: bool = False
    collects: bool = False
    words: bool = False

    @property
    def lines(self) -> tuple[tuple[int, int], ...]:
        """(slice, row) of the input rows that a tile reads, counted from its first output's."""
        places = {(d, r + i * self.row_step) for d, r, _ in self.taps for i in range(self.rows)}
        return tuple(sorted(places))

    @property
    def woven(self) -> bool:
        """Whether the vectors of a tile's row hold the even columns and the odd ones."""
        return self.words and self.column_step == 1

    @property
    def starts(self) -> list[int]:
        """The column of the input where each vector of a tile's row begins, counted from the first's."""
        step = self.lanes * self.column_step
        if self.woven:
            return [j // 2 * 2 * step + j % 2 for j in range(self.vectors)]
        return [j * step for j in range(self.vectors)]

    @property
    def reads(self) -> tuple[int, int]:
        """First column that a tile reads, and the one behind the last, counted from its first output's."""
        columns = [tap[2] for tap in self.taps]
        lowest = min(columns)
        # Every second column is taken out of pairs of vectors, an even number of columns behind the lowest.
        if self.words:
            last = max(columns) + int(self.woven)
            loads = self.vectors // 2 if self.woven else self.vectors
            return lowest, last - (last - lowest) % 2 + 2 * loads * self.lanes
        last = max(at - (at - lowest) % self.column_step for at in columns)
        return lowest, last + self.column_step * self.vectors * self.lanes

    @property
    def stage_elements(self) -> int:
        """Elements of a copied row: whole vectors, and one on either side for what a tile does not read."""
        lowest, stop = self.reads
        return (-(-(stop - lowest) // self.lanes) + 2) * self.lanes

    @property
    def lines_bytes(self) -> int:
        """What staging takes: where each row begins, and where its copy does, and the copies."""
        if not self.staged:
            return 0
        pointers = -(-16 * len(self.lines) // 64) * 64
        return pointers + len(self.lines) * self.stage_elements * self.element.compute_bytes

    @property
    def name(self) -> str:
        """A short name: depthwise rows 7x1, 9 taps, float32."""
        return f"depthwise rows {self.rows}x{self.vectors}, {len(self.taps)} taps, {self.element.name}"


@dataclass(frozen=True, slots=True)
class DepthwisePhasesKernel(Emitted):
    """What the machine code of the depthwise kernel of transposed layers depends on.

    phases: of each (depth, height, width) phase of the output, the width's fastest, the (depth, height,
    width) that its taps read in the planes, from its output's own place in its phase. counts: phases along
    each axis. All else as in DepthwiseKernel; a tile is of both phases of the width.
    """

    file: ClassVar[str] = "depthwise.phases"
    element: Element
    lanes: int
    rows: int
    vectors: int
    held: int
    fused: bool
    phases: tuple[tuple[tuple[int, int, int], ...], ...]
    counts: tuple[int, int, int]
    slice_rows: int
    pitch: int
    plane: int
    columns: Columns
    copy: RowCopy | None
    has_bias: bool
    activation: Activation
    streams: bool = False

    @property
    def name(self) -> str:
        """A short name: depthwise phases 2x2, 9 taps, 2x2 tile, float32."""
        counts = "x".join(map(str, self.counts[1:] if self.counts[0] == 1 else self.counts))
        taps = sum(map(len, self.phases))
        return f"depthwise phases {counts}, {taps} taps, {self.rows}x{self.vectors} tile, {self.element.name}"


@dataclass(frozen=True, slots=True)
class DepthwiseLargeKernel(Emitted):
    """What the machine code of the depthwise kernel with loops over its taps depends on.

    size: the kernel's (depth, height, width). All else as in DepthwiseKernel.
    """

    file: ClassVar[str] = "depthwise.large"
    element: Element
    lanes: int
    rows: int
    vectors: int
    narrow: bool
    ends: RowEnds
    fused: bool
    size: tuple[int, int, int]
    pitch: int
    plane: int
    columns: Columns
    copy: RowCopy | None
    has_bias: bool
    activation: Activation
    streams: bool = False

    @property
    def tap_count(self) -> int:
        """Taps of a channel."""
        return self.size[0] * self.size[1] * self.size[2]

    @property
    def name(self) -> str:
        """A short name: depthwise large 31x31, 8x2 tile, float32."""
        size = "x".join(map(str, self.size[1:] if self.size[0] == 1 else self.size))
        return f"depthwise large {size}, {self.rows}x{self.vectors} tile, {self.element.name}"
