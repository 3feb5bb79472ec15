"""The size formula as a picture: windows laid on the axis, numbers in the formula, what the floor drops.

5 + padding 1, kernel 3, stride 2

0 a b c d e        ⌊(5 + (1 + 0) − 1·(3 − 1) − 1) / 2⌋ + 1 = 2
───                output 0
    ───            output 1
          ✕        dropped: no third window fits
"""

from __future__ import annotations

from typing import Any

from convforge.draw.drawing import Drawing
from convforge.draw.grid import Position, cell_name, grid, shown
from convforge.draw.layout import Box, column, line, padded, titled
from convforge.draw.shapes import Area, Cell, Label, Line, Shape
from convforge.draw.subject import INPUT, OUTPUT, Ints, Subject, subject_of
from convforge.explain.formula import AXES, size_formula as formula_lines
from convforge.explain.trace import AxisTrace
from convforge.explain.words import Words

TITLE = Words("The output size, counted", "输出尺寸是怎么数出来的")
_AXIS = Words("axis {axis}", "{axis} 方向")
_WINDOW = Words("output {i}", "输出 {i}")
_STAMP = Words("input {i}", "输入 {i}")
_BETWEEN = Words("{n} more", "还有 {n} 个")
_DROPPED = Words(
    "{axis}: ⌊ ⌋ drops {n} at the end: no further window fits.",
    "{axis}：⌊ ⌋ 舍去末尾 {n} 个元素：放不下下一个窗口。",
)
_FITS = Words("{axis}: the last window ends exactly at the end.", "{axis}：最后一个窗口恰好到达末尾。")
_SKIPPED = Words(
    "{axis}: {n} inputs lie between the taps and are never read.",
    "{axis}：{n} 个输入落在采样点之间，从未被读到。",
)
_CUT = Words(
    "{axis}: the windows span {full}; padding cuts {before} before and {after} after.",
    "{axis}：所有窗口共覆盖 {full} 个位置；padding 在前裁掉 {before} 个、后裁掉 {after} 个。",
)
_ADDED = Words("{axis}: output_padding adds {n} at the end.", "{axis}：output_padding 在末尾补 {n} 个。")
# Positions of an axis, and windows over it, that are drawn before some are left out.
MOST_POSITIONS, MOST_WINDOWS = 24, 12
ROW = 17.0
DEFAULT = ("Conv2d(1, 1, 3, stride=2, padding=1)", (6, 7))


def size_formula(
    layer: Any = None,
    input_size: Ints | None = None,
    *,
    language: str | None = None,
    theme: str = "auto",
    numbers: bool = True,
) -> Drawing:
    """Every axis with its windows, the formula with its numbers, and what is dropped or cut off.

    numbers: whether positions are written in the cells.
    """
    subject = subject_of(layer, input_size, default=DEFAULT, language=language, theme=theme, numbers=numbers)
    words, *lines = formula_lines(subject.spec, subject.layer.stride, subject.layer.dilation)
    panels = [
        column(
            titled(_axis_box(subject, number), subject.say(_AXIS, axis=AXES[subject.spec.rank][number])),
            line((lines[number], "text"), size=16, name=f"formula-{number}"),
            gap=12,
        )
        for number in range(subject.spec.rank)
    ]
    body = column(line((words, "muted"), size=14), *panels, gap=26)
    return subject.drawing(body, TITLE, "\n".join(_notes(subject)))


def dropped(axis: AxisTrace) -> int:
    """Positions at the end of the padded axis that no window reaches: what the floor drops."""
    if axis.transposed:
        return 0
    return axis.input_size + axis.padding[1] - 1 - axis.window(axis.output_size - 1)[-1]


def _notes(subject: Subject) -> list[str]:
    notes: list[str] = []
    for number, axis in enumerate(subject.axes):
        name = AXES[subject.spec.rank][number]
        if axis.transposed:
            before, after = axis.padding
            full = axis.window(axis.input_size - 1)[-1] + before + 1
            notes.append(subject.say(_CUT, axis=name, full=full, before=before, after=after))
            if axis.output_padding:
                notes.append(subject.say(_ADDED, axis=name, n=axis.output_padding))
            continue
        n = dropped(axis)
        notes.append(subject.say(_DROPPED, axis=name, n=n) if n else subject.say(_FITS, axis=name))
        last = axis.window(axis.output_size - 1)[-1]
        skipped = sum(at < last for at in axis.unread)
        if skipped:
            notes.append(subject.say(_SKIPPED, axis=name, n=skipped))
    return notes


def _axis_box(subject: Subject, number: int) -> Box:
    """The padded axis (the output's if transposed) and below it the windows, one a row."""
    axis = subject.axes[number]
    inner = axis.output_size if axis.transposed else axis.input_size
    positions = shown(inner, before=axis.padding[0], after=axis.padding[1], limit=MOST_POSITIONS)
    cell = max(min(38.0, 640.0 / len(positions)), 20.0)
    name = f"axis{number}"
    end = inner + axis.padding[1] - dropped(axis)
    unread = set(axis.unread)

    def role(p: Position) -> str:
        (at,) = p
        if axis.transposed:
            if at < 0 or at >= inner:
                return "cut" if axis.sources[at + axis.padding[0]] is None else axis.padding_mode
            return "output"
        if at >= end or at in unread:
            return "unread"
        return axis.padding_mode if at < 0 or at >= inner else "input"

    strip = grid(
        name,
        (positions,),
        role=role,
        label=lambda p: str(p[0]).replace("-", "−") if subject.numbered else "",
        text_role=lambda p: "text" if 0 <= p[0] < inner else "muted",
        cell=cell,
        radius=6.0 if axis.transposed else 0.0,
        indices=False,
    )
    name_of_strip = subject.say(OUTPUT if axis.transposed else INPUT)
    left = 84.0
    label = Label(
        (0.0, cell / 2), ((name_of_strip, "t-output" if axis.transposed else "t-input"),), 13, "start"
    )
    strip = padded(strip, left, 0, 0, 0)
    shapes, height = _windows(subject, number, strip, name, cell)
    return Box(strip.width, height, (*strip.shapes, label, *shapes), strip.anchors)


def _windows(subject: Subject, number: int, strip: Box, name: str, cell: float) -> tuple[list[Shape], float]:
    axis = subject.axes[number]
    count = axis.input_size if axis.transposed else axis.output_size
    whole = [i for i in range(count) if all(cell_name(name, (at,)) in strip.anchors for at in axis.window(i))]
    if len(whole) > MOST_WINDOWS:
        whole = [*whole[: MOST_WINDOWS // 2], *whole[-(MOST_WINDOWS // 2) :]]
    shapes: list[Shape] = []
    y, before = cell + 8.0, -1
    for i in [*whole, count]:
        if i - before > 1:
            text = subject.say(_BETWEEN, n=i - before - 1)
            shapes.append(Label((0.0, y + ROW / 2), ((f"… {text}", "faint"),), 11, "start"))
            y += ROW
        if i < count:
            shapes += _window(
                subject, number, i, [strip.anchors[cell_name(name, (at,))] for at in axis.window(i)], y
            )
            y += ROW
        before = i
    return shapes, y


def _window(subject: Subject, number: int, index: int, cells: list[Area], y: float) -> list[Shape]:
    """One window: its taps as small blocks on a line."""
    transposed = subject.spec.transposed
    words, role = (_STAMP, "t-input") if transposed else (_WINDOW, "t-output")
    middle = y + ROW / 2
    shapes: list[Shape] = [
        Label((0.0, middle), ((subject.say(words, i=index), role),), 11, "start"),
        Line(((cells[0].center[0], middle), (cells[-1].center[0], middle)), "link-kernel"),
    ]
    for tap, area in enumerate(cells):
        width = area.width * 0.62
        block = Area(area.center[0] - width / 2, middle - 5, width, 10)
        shapes.append(Cell(block, "kernel", cell_name(f"window{number}", (index, tap)), radius=2))
    return shapes
