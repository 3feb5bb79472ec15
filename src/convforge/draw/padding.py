"""Padding, every mode, with the source of each padded cell.

input  a b c d        zeros      0 0 a b c d 0 0
                      reflect    c b a b c d c b
                      replicate  a a a b c d d d
                      circular   c d a b c d a b
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any, get_args

import numpy as np

from convforge.draw.arrays import array_box, cell_size, is_padding, padded_axes, padding_tip, place, source_of
from convforge.draw.drawing import Drawing
from convforge.draw.grid import Position, cell_name, cells_area, frame
from convforge.draw.layout import Box, column, flow, line, padded
from convforge.draw.numbers import short
from convforge.draw.shapes import Label, Line, Shape
from convforge.draw.subject import LIMIT, Ints, Subject, subject_of
from convforge.explain.layers import as_layer
from convforge.explain.words import Words
from convforge.problem import PaddingMode
from convforge.problem.checks import checked_padding_mode

TITLE = Words("Padding: where every padded cell comes from", "填充：每个填充元素从哪里来")
TITLE_FOLD = Words(
    "Padding of a transposed layer: what is cut off, what is added back",
    "转置卷积的 padding：裁掉什么，加回什么",
)
_MODES: dict[PaddingMode, Words] = {
    "zeros": Words("zeros are put around the input", "四周补零"),
    "reflect": Words("mirrored at the edge, which is not repeated", "以边缘为镜面反射，边缘本身不重复"),
    "replicate": Words("the edge is repeated", "重复边缘的值"),
    "circular": Words("the input goes on from its other side", "首尾相接，从另一侧绕回"),
}
_FOLDS: dict[PaddingMode, Words] = {
    "zeros": Words("cut off", "直接裁掉"),
    "reflect": Words("added back, mirrored at the edge", "以边缘为镜面加回"),
    "replicate": Words("added to the edge", "加到边缘上"),
    "circular": Words("added on the other side", "加到另一侧"),
}
_NOTE = Words(
    "Each padded cell shows its value and, below it, the input position it is copied from.",
    "每个填充格上面是它的值，下面是它所复制的输入位置。",
)
_NOTE_FOLD = Words(
    "Each cell outside the frame shows the output position that it is added to; a cross: it is cut off.",
    "框外每一格写着它加回到的输出位置；打叉的格子被裁掉。",
)
DEFAULT = ("Conv2d(1, 1, 3, padding=2)", 5)


def padding(
    layer: Any = None,
    input_size: Ints | None = None,
    *,
    mode: str | None = None,
    x: Any = None,
    language: str | None = None,
    theme: str = "auto",
    numbers: bool = True,
) -> Drawing:
    """The padded input with the source of each cell; of a transposed layer, where each cut-off cell goes.

    mode: in place of the layer's own padding_mode; without a layer and without a mode all four are drawn.
    """
    value = as_layer(DEFAULT[0] if layer is None else layer)
    modes = [checked_padding_mode(mode)] if mode is not None else [value.padding_mode]
    if mode is None and layer is None:
        modes = list(get_args(PaddingMode))
    subjects = [
        subject_of(
            replace(value, padding_mode=each),
            DEFAULT[1] if input_size is None and layer is None else input_size,
            default=DEFAULT,
            language=language,
            theme=theme,
            numbers=numbers,
            x=x,
            unique=True,
        )
        for each in modes
    ]
    first = subjects[0]
    fold = first.spec.transposed
    boxes = [_mode_box(subject) for subject in subjects]
    body = boxes[0] if len(boxes) == 1 else flow(boxes, 2 * boxes[0].width + 40, gap=40, line_gap=28)
    note = "" if not fold and modes == ["zeros"] else first.say(_NOTE_FOLD if fold else _NOTE)
    return first.drawing(body, TITLE_FOLD if fold else TITLE, note)


def _mode_box(subject: Subject) -> Box:
    mode = subject.spec.padding_mode
    words = (_FOLDS if subject.spec.transposed else _MODES)[mode]
    caption = column(
        line((f"padding_mode='{mode}'", "text"), size=13, bold=True),
        line((subject.say(words), "muted"), size=12),
        gap=2,
    )
    return column(caption, _array(subject), gap=10)


def _array(subject: Subject) -> Box:
    """The padded array; sources stand in the padded cells, and along one axis arrows come from them."""
    axes, spec = subject.axes, subject.spec
    fold = spec.transposed
    positions = padded_axes(subject, limit=LIMIT)
    cell = max(cell_size(positions), 42.0 if spec.rank == 2 else 38.0)
    inside = "output" if fold else "input"

    def role(p: Position) -> str:
        if not is_padding(axes, p):
            return inside
        return "cut" if fold and source_of(axes, p) is None else spec.padding_mode

    def label(p: Position) -> str:
        if is_padding(axes, p) and (fold or source_of(axes, p) is not None):
            return ""  # written in two lines below
        if not subject.numbered:
            return ""
        if fold:
            return short(subject.numbers.y[(0, *p)])
        source = source_of(axes, p)
        return "0" if source is None else short(subject.numbers.x[(0, *source)])

    box = array_box(
        subject,
        inside,
        positions,
        role=role,
        label=label,
        tip=lambda p: padding_tip(subject, p),
        text_role=lambda p: "muted" if is_padding(axes, p) else "text",
        leading=(0,),
        cell=cell,
    )
    shapes = _sources(subject, box)
    if spec.rank < 3:
        names = (
            cell_name(inside, (0, *at)) for at in np.ndindex(spec.output_size if fold else spec.input_size)
        )
        shapes.append(frame(cells_area(box, (name for name in names if name in box.anchors)), out=0))
    if spec.rank > 1:
        return box.with_shapes(shapes)
    arcs = _arcs(subject, box)
    room = max((-shape.bounds.y for shape in arcs), default=0.0)
    return padded(box.with_shapes([*shapes, *arcs]), 0, max(room + 4, 0.0), 0, 0)


def _padded_cells(subject: Subject) -> list[tuple[str, Position, Position]]:
    """(name, position, source) of the drawn cells on padding that have a source."""
    found: list[tuple[str, Position, Position]] = []
    inside = "output" if subject.spec.transposed else "input"
    for position in product(*padded_axes(subject, limit=LIMIT)):
        if any(at is None for at in position):
            continue
        whole = tuple(at for at in position if at is not None)
        source = source_of(subject.axes, whole)
        if source is not None and is_padding(subject.axes, whole):
            found.append((cell_name(inside, (0, *whole)), whole, source))
    return found


def _sources(subject: Subject, box: Box) -> list[Shape]:
    """Value and source position in each padded cell."""
    shapes: list[Shape] = []
    for name, _, source in _padded_cells(subject):
        area = box.anchors[name]
        x, y = area.center
        written = place(source)[1:-1]
        arrow = "→" if subject.spec.transposed else ""
        valued = subject.numbered and not subject.spec.transposed
        if valued:
            shapes.append(
                Label(
                    (x, y - area.height * 0.16),
                    ((short(subject.numbers.x[(0, *source)]), "text"),),
                    13,
                    name=name,
                )
            )
        shapes.append(
            Label(
                (x, y + (area.height * 0.27 if valued else 0.0)),
                ((arrow + written.replace(" ", ""), "muted"),),
                9.5,
                name=f"source-{name}",
            )
        )
    return shapes


def _arcs(subject: Subject, box: Box) -> list[Shape]:
    """Along one axis: an arc from every source to its padded cell, or back if transposed."""
    shapes: list[Shape] = []
    for name, _, source in _padded_cells(subject):
        inside = name.split("-")[0]
        if cell_name(inside, (0, *source)) not in box.anchors:
            continue
        start, end = box.anchors[cell_name(inside, (0, *source))], box.anchors[name]
        if subject.spec.transposed:
            start, end = end, start
        (x0, _), (x1, _) = start.center, end.center
        top = start.y - 14.0  # above the indices
        height = min(10.0 + 0.16 * abs(x1 - x0), 44.0)
        shapes.append(
            Line(
                ((x0, top), (x0, top - height), (x1, top - height), (x1, top)),
                f"link-{subject.spec.padding_mode}",
                True,
                True,
                name,
            )
        )
    return shapes
