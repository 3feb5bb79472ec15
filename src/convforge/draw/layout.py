"""Boxes that hold shapes, set beside and below each other with gaps: so nothing overlaps by construction.

    row(left, arrow, right, gap=24)      three boxes beside each other, middles level
    column(title, grid, note, gap=12)    below each other, left sides level

A box knows where its named parts are (`anchors`), wherever it was moved to: so lines can be drawn between
parts of different boxes once these are laid out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from convforge.draw.measure import text_width, wrapped
from convforge.draw.shapes import Area, Label, Run, Shape

Align = Literal["start", "middle", "end"]
_SHARE = {"start": 0.0, "middle": 0.5, "end": 1.0}


@dataclass(frozen=True)
class Box:
    """Shapes in a rectangle from (0, 0) to (width, height), and where its named parts are."""

    width: float
    height: float
    shapes: tuple[Shape, ...] = ()
    anchors: Mapping[str, Area] = field(default_factory=dict[str, Area])

    def moved(self, dx: float, dy: float) -> Box:
        """The contents moved; the size stays."""
        if dx == dy == 0:
            return self
        return replace(
            self,
            shapes=tuple(shape.moved(dx, dy) for shape in self.shapes),
            anchors={name: area.moved(dx, dy) for name, area in self.anchors.items()},
        )

    def with_shapes(self, shapes: Iterable[Shape], *, behind: bool = False) -> Box:
        """More shapes, over the others or behind them, within the same rectangle."""
        new = tuple(shapes)
        return replace(self, shapes=(*new, *self.shapes) if behind else (*self.shapes, *new))

    def anchored(self, name: str) -> Box:
        """The same with the whole of it as a named part."""
        return replace(self, anchors={**self.anchors, name: Area(0, 0, self.width, self.height)})


def row(*boxes: Box, gap: float = 24.0, align: Align = "middle") -> Box:
    """Boxes beside each other."""
    height = max((box.height for box in boxes), default=0.0)
    x, parts = 0.0, list[Box]()
    for box in boxes:
        parts.append(box.moved(x, (height - box.height) * _SHARE[align]))
        x += box.width + gap
    return _joined(parts, max(x - gap, 0.0), height)


def column(*boxes: Box, gap: float = 16.0, align: Align = "start") -> Box:
    """Boxes below each other."""
    width = max((box.width for box in boxes), default=0.0)
    y, parts = 0.0, list[Box]()
    for box in boxes:
        parts.append(box.moved((width - box.width) * _SHARE[align], y))
        y += box.height + gap
    return _joined(parts, width, max(y - gap, 0.0))


def flow(boxes: Iterable[Box], width: float, *, gap: float = 24.0, line_gap: float = 20.0) -> Box:
    """Boxes beside each other in as many rows as `width` asks for."""
    rows: list[list[Box]] = []
    used = 0.0
    for box in boxes:
        if rows and used + gap + box.width <= width:
            rows[-1].append(box)
            used += gap + box.width
        else:
            rows.append([box])
            used = box.width
    return column(*(row(*line, gap=gap, align="start") for line in rows), gap=line_gap)


def padded(box: Box, left: float, top: float, right: float, bottom: float) -> Box:
    """The box with room around it."""
    moved = box.moved(left, top)
    return replace(moved, width=box.width + left + right, height=box.height + top + bottom)


def space(width: float = 0.0, height: float = 0.0) -> Box:
    """Nothing, of a size."""
    return Box(width, height)


def line(*runs: Run | str, size: float = 13.0, bold: bool = False, role: str = "text", name: str = "") -> Box:
    """One line of text."""
    parts = tuple((run, role) if isinstance(run, str) else run for run in runs)
    label = Label((0.0, size * 0.65), parts, size, "start", bold, name)
    return Box(label.width, size * 1.3, (label,))


def titled(box: Box, title: str, role: str = "text", *, gap: float = 6.0) -> Box:
    """A box with its name over it."""
    return column(line((title, role), size=13, bold=True), box, gap=gap)


def paragraph(text: str, width: float, *, size: float = 13.0, role: str = "muted") -> Box:
    """A text in lines of at most `width` pixels."""
    lines = wrapped(text, size, width)
    return column(*(line(each, size=size, role=role) for each in lines), gap=size * 0.25)


def run_lines(pieces: Iterable[tuple[Run, ...]], width: float, *, size: float = 15.0, name: str = "") -> Box:
    """Pieces of coloured text that are not broken themselves, in lines of at most `width` pixels.

    pieces: such as the products of an equation, each its runs.
    """
    lines: list[list[Run]] = [[]]
    used = 0.0
    for piece in pieces:
        wide = sum(text_width(text, size) for text, _ in piece)
        if lines[-1] and used + wide > width:
            lines.append([])
            used = 0.0
        lines[-1] += piece
        used += wide
    found = [
        line(*runs, size=size, name=f"{name}-{i}" if name and i else name)
        for i, runs in enumerate(lines)
        if runs
    ]
    return column(*found, gap=size * 0.4)


def _joined(parts: list[Box], width: float, height: float) -> Box:
    anchors: dict[str, Area] = {}
    for part in parts:
        anchors.update(part.anchors)
    return Box(width, height, tuple(shape for part in parts for shape in part.shapes), anchors)
