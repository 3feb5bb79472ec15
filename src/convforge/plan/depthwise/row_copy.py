"""Whether and how kernels/depthwise/copy_rows.py copies the rows of an input."""

from __future__ import annotations

from dataclasses import dataclass, field

from convforge.kernels.depthwise.contract import COPYING, RowCopy
from convforge.plan.tables import InputTables
from convforge.problem.gather import Axis
from convforge.schedule import Layout


@dataclass(frozen=True, slots=True)
class CopiedRows:
    """how: for the code; None where kernels/pack/planes.py packs. values: its parameters."""

    how: RowCopy | None
    values: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COPYING, 0))


def can_copy(width: Axis) -> bool:
    """Whether rows of neighbouring columns can be copied, if they fill a few lanes."""
    return width.mode == "zeros" and width.in_step <= 2 and len(width.residues) == width.in_step


def copied_rows(layout: Layout, tables: InputTables, x_column: int, plane: int, lanes: int) -> CopiedRows:
    """How to copy an input whose columns are x_column elements apart into planes of `plane` elements."""
    width = layout.gather.axes[2]
    step, records = width.in_step, tables.columns[:, :3].tolist()
    if not can_copy(width) or x_column != 1:
        return CopiedRows(None)
    # (first column, zeros before it, columns, where their plane begins), in the order of the input.
    runs = sorted((start, lead, count, at * plane) for at, (lead, count, start) in enumerate(records))
    columns = sum(count for _, _, count, _ in runs)
    by_turns = step == 1 or (runs[1][0] == runs[0][0] + 1 and 0 <= runs[0][2] - runs[1][2] <= 1)
    while lanes > 2 and columns // step < lanes:
        lanes //= 2
    if not by_turns or columns // step < lanes:
        return CopiedRows(None)
    chunks = -(-(columns // step) // lanes)
    targets = [lead + at for _, lead, _, at in runs]
    values = (runs[0][0], columns, targets[0], targets[-1])
    return CopiedRows(RowCopy(step, lanes, chunks), dict(zip(COPYING, values, strict=True)))
