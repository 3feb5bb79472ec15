"""Writes a band of bytes into planes of packed elements: `ways` channels side by side, zero point dealt with.

    ways 2    packed[group][residue][row][column] = x[2 group][…] - zero | x[2 group + 1][…] - zero
                                                    └──── 16 bits ─────┘
    ways 4    four bytes, as unsigned ones: int8 has 128 added, and so has its zero point
    ways 1    x[group][…] - zero as float32

Rows and columns are those of pack/planes.py. Padding counts as the zero point, so that it adds nothing: 0
where that is taken off, the zero point itself in every byte where it is not. Channels beyond the last have
weights of 0, and so hold any others.

A row is padding first, and then its run of the input: whole vectors, one that ends with the run, and where
the run is shorter than a vector, one element after the other. LLVM has no masked load of bytes below AVX-512,
and makes a branch for each.

Contract: as pack/planes.py.
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Int, Value
from convforge.ir.text import I8, I32, splat, vector
from convforge.ir.vector import Vectors
from convforge.kernels.contract import COLUMN_FIELDS, MARGIN_FIELDS, ZERO_ROW
from convforge.kernels.dot.contract import BytePacking
from convforge.kernels.parameters import Parameters


def emit_pack_dot(
    e: Emitter,
    v: Vectors,
    packing: BytePacking,
    p: Parameters,
    *,
    zero: Value,
    source: Value,
    target: Value,
    first: Int,
    count: Int,
    channel_step: Int,
    first_row: Int,
    first_column: Int,
    rows: Int,
) -> None:
    """Pack elements first … first + count - 1 of a group: `rows` rows from first_row on, of all planes.

    zero: the zero point, an i32 between 0 and 255 where bytes are kept unsigned. channel_step: from the
    planes of a packed element to those of the next.
    """
    pack = _Pack(e, v, packing, p, zero)
    rows = e.minimum(rows, e.sub(p.total_rows, first_row))
    row_table, column_table = p.pointer("row_table"), p.pointer("column_table")
    last = e.sub(p.group_channels, 1)
    with (
        e.loop(0, count, name="pack_channels") as some,
        e.loop(0, p.row_residues, name="row_residue") as row_residue,
        e.loop(0, p.column_residues, name="col_residue") as residue,
    ):
        channel = e.mul(e.add(first, some.index), packing.ways)
        numbers = [e.minimum(e.add(channel, i), last) for i in range(packing.ways)]
        sources = [e.at(source, "i8", e.mul(number, p.x_channel)) for number in numbers]
        index = e.add(e.mul(row_residue.index, p.column_residues), residue.index)
        at = e.add(e.mul(some.index, channel_step), e.mul(index, p.plane))
        plane = e.at(target, v.element.compute, at)
        offsets = e.at(row_table, "i64", e.add(e.mul(row_residue.index, p.total_rows), first_row))
        record = e.at(column_table, "i64", e.mul(residue.index, len(COLUMN_FIELDS)))
        lead, count, start = (e.load("i64", record, i) for i in range(3))
        with e.loop(0, rows, name="pack_row") as row:
            offset = e.load("i64", offsets, row.index)
            to = e.at(plane, v.element.compute, e.mul(row.index, p.pitch))
            pack.emit_padding(to)
            with e.when(e.differ(offset, ZERO_ROW)):
                lines = [e.at(x, "i8", offset) for x in sources]
                # The run may begin before the window and end behind it.
                begin = e.maximum(e.sub(lead, first_column), 0)
                stop = e.minimum(e.sub(e.add(lead, count), first_column), p.row_length)
                at = e.add(start, e.mul(e.add(e.sub(begin, lead), first_column), p.x_column))
                pack.emit_run([e.at(line, "i8", at) for line in lines], to, begin, e.sub(stop, begin))
                pack.emit_margins(lines, to, record, first_column)


class _Pack:
    """How the bytes of some channels become packed elements; works on scalars and vectors alike."""

    def __init__(self, e: Emitter, v: Vectors, packing: BytePacking, p: Parameters, zero: Value) -> None:
        self.e, self.v, self.packing, self.p, self.zero = e, v, packing, p, zero

    def emit_padding(self, to: Value) -> None:
        """A row, and up to a vector more, of inputs that count as zero."""
        v = self.v
        padding = v.zero()
        if self.packing.products == "quads":
            padding = v.broadcast(self.e.b.mul(self.zero, I32(0x01010101)))
        with self.e.loop(0, self.p.row_length, step=v.lanes, name="padding") as j:
            v.store(padding, to, j.index)

    def emit_run(self, lines: list[Value], to: Value, begin: Int, count: Int) -> None:
        """to[begin + j] = packed element j of the lines, for j < count."""
        e, lanes = self.e, self.v.lanes
        to = e.at(to, self.v.element.compute, begin)
        whole = 0 if self.packing.columns == "strided" else e.sub(count, self._read_columns - 1)
        with e.loop(0, whole, step=lanes, name="column") as j:
            self._emit_vector(lines, to, j.index)
        # What is left is shorter than a vector, if there was one: the last vector of the run has it too.
        left = e.mul(e.div(e.add(e.maximum(whole, 0), lanes - 1), lanes), lanes)
        with e.b.if_else(e.less(0, whole)) as (long, short):
            with long, e.when(e.less(left, count)):
                self._emit_last(lines, to, count, left)
            with short, e.loop(0, count, name="element") as j:
                self._emit_element(lines, e.mul(j.index, self.p.x_column), to, j.index)

    def emit_margins(self, lines: list[Value], to: Value, record: Value, first_column: Int) -> None:
        """Fill what a padding mode fills of one row, as far as it lies in the window."""
        e = self.e
        for side in ("left", "right"):
            first, stop, offsets = (
                e.load("i64", record, COLUMN_FIELDS.index(f"{side}_{field}")) for field in MARGIN_FIELDS
            )
            table = e.b.inttoptr(offsets, to.type)
            begin = e.maximum(first, first_column)
            end = e.minimum(stop, e.add(first_column, self.p.row_length))
            with e.loop(begin, end, name="margin") as at:
                source = e.load("i64", table, e.sub(at.index, first))
                self._emit_element(lines, source, to, e.sub(at.index, first_column))

    @property
    def _read_columns(self) -> int:
        """Columns of the run that must be there for a vector to be read whole."""
        # Of every second column twice as many bytes are read: one more than the last that is kept.
        return self.v.lanes + 1 if self.packing.columns == "pair" else self.v.lanes

    def _emit_last(self, lines: list[Value], to: Value, count: Int, left: Int) -> None:
        if self.packing.columns == "pair":
            # The vector that ends with the run would read a byte beyond it.
            with self.e.loop(left, count, name="element") as j:
                self._emit_element(lines, self.e.mul(j.index, 2), to, j.index)
        else:
            self._emit_vector(lines, to, self.e.sub(count, self.v.lanes))

    def _emit_vector(self, lines: list[Value], to: Value, at: Int) -> None:
        e, v = self.e, self.v
        step = 2 if self.packing.columns == "pair" else 1
        kind = vector(I8, step * v.lanes)
        loaded: list[Value] = []
        for line in lines:
            value = e.b.load(e.at(line, "i8", e.mul(at, step)), typ=kind, align=1)
            loaded.append(value if step == 1 else v.shuffle(value, value, range(0, 2 * v.lanes, 2)))
        v.store(self._packed(loaded), to, at)

    def _emit_element(self, lines: list[Value], source: Int, to: Value, at: Int) -> None:
        loaded = [self.e.load("i8", line, source) for line in lines]
        self.e.store(self._packed(loaded), self.v.element.compute, to, at)

    def _packed(self, channels: list[Value]) -> Value:
        """One packed element, or vector of them, of bytes of each of its channels."""
        b = self.e.b
        kind = vector(I32, self.v.lanes) if channels[0].type.is_vector else I32
        zero = self.v.broadcast(self.zero) if kind.is_vector else self.zero
        wide = b.sext if self.packing.signed else b.zext
        values = [wide(value, kind) for value in channels]
        if self.packing.products == "quads":
            if self.packing.signed:
                values = [b.add(value, splat(kind, 128)) for value in values]
        else:
            values = [b.sub(value, zero) for value in values]
        if self.packing.products == "floats":
            return b.sitofp(values[0], self.v.type if kind.is_vector else self.v.scalar)
        bits = 32 // self.packing.ways
        *low, packed = values
        packed = b.shl(packed, splat(kind, bits * len(low)))
        for i, value in enumerate(low):
            kept = b.and_(value, splat(kind, (1 << bits) - 1))
            packed = b.or_(packed, b.shl(kept, splat(kind, bits * i)) if i else kept)
        return packed
