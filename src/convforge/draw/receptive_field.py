"""The receptive field through a stack of layers: which inputs one output of the last layer sees.

    layer 2        o             3 taps on the layer below
                 / | \\
    layer 1     o  o  o
              / | \\ / | \\
    input    o  o  o  o  o      5 inputs: two 3-tap layers see what one of 5 taps sees
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from convforge.draw.arrays import place
from convforge.draw.cone import Level, levels_of, scales
from convforge.draw.drawing import Drawing
from convforge.draw.layout import Box, column, line, row, titled
from convforge.draw.shapes import Area, Cell, Label, Line, Shape
from convforge.draw.subject import INPUT, Ints, Subject, subject_of
from convforge.draw.theme import GROUP_STYLES
from convforge.errors import ConvValueError
from convforge.explain.formula import AXES
from convforge.explain.layers import as_layer
from convforge.explain.words import Words
from convforge.problem import ConvLayer

TITLE = Words("Receptive field", "感受野")
_LAYER = Words("layer {n}", "第 {n} 层")
_SPANS = Words("spans {n}", "跨越 {n}")
_AXIS = Words("along {axis}", "沿 {axis} 方向")
_PLANE = Words("on the input, {size}", "在输入上（{size}）")
_ALL = Words(
    "Output {place} of the last layer sees {size} of the input, all of it data.",
    "最后一层的输出 {place} 在输入上的感受野为 {size}，全部是数据。",
)
_SOME = Words(
    "Output {place} of the last layer sees {size} of the input; {real} of these positions are data, the rest "
    "is padding or lies between the taps.",
    "最后一层的输出 {place} 在输入上的感受野为 {size}；其中 {real} 个位置是数据，其余是填充，"
    "或落在采样点之间。",
)
# Cells beside each other that can be told apart; beyond it the pyramid is drawn as bars.
MOST_CELLS = 44
WIDTH, ROW_HEIGHT, CELL_SIDE = 620.0, 74.0, 26.0
DEFAULT = (
    ("Conv2d(1, 1, 3, padding=1)", "Conv2d(1, 1, 3, stride=2, padding=1)", "Conv2d(1, 1, 3, padding=1)"),
    15,
)


def receptive_field(
    layer: Any = None,
    input_size: Ints | None = None,
    *,
    at: Sequence[int] | int | None = None,
    language: str | None = None,
    theme: str = "auto",
    numbers: bool = True,
) -> Drawing:
    """The cone of one output through a stack, along each axis, and of two axes the extents on the input.

    layer: one layer or a list of layers, first to last, or a Sequential of them. at: the output position of
    the last layer, by default the middle. numbers: positions in the cells.

    Raises ValueError where layers do not fit one after the other.
    """
    layers = stack_of(DEFAULT[0] if layer is None else layer)
    size = DEFAULT[1] if layer is None and input_size is None else input_size
    subjects = _subjects(layers, size, language, theme, numbers)
    last = subjects[-1]
    position = _position(last, at)
    rank = last.spec.rank
    cones = [levels_of([s.axes[axis] for s in subjects], position[axis]) for axis in range(rank)]
    panels = [
        titled(_pyramid(subjects, axis, levels), last.say(_AXIS, axis=AXES[rank][axis]), gap=16)
        for axis, levels in enumerate(cones)
        if axis == 0 or levels != cones[0]
    ]
    if rank == 2:
        panels.append(_plane(subjects, cones))
    real = prod(len(levels[0].reached) for levels in cones)
    values = {"place": place(position), "size": "×".join(str(levels[0].span) for levels in cones)}
    complete = real == prod(levels[0].span for levels in cones)
    note = last.say(_ALL, **values) if complete else last.say(_SOME, **values, real=real)
    subtitle = " → ".join(each.text for each in layers)
    return last.drawing(column(*panels, gap=30), TITLE, note, subtitle=subtitle)


def stack_of(layers: Any) -> list[ConvLayer]:
    """The layers of a stack: of one layer, a sequence, or a Sequential; what is no convolution is refused."""
    if isinstance(layers, str | ConvLayer) or hasattr(layers, "kernel_size"):
        return [as_layer(layers)]
    found = [as_layer(each) for each in layers]
    if not found:
        raise ConvValueError("layer (=[]) has no layers: give at least one")
    return found


def _subjects(
    layers: list[ConvLayer], size: Ints | None, language: str | None, theme: str, numbers: bool
) -> list[Subject]:
    found: list[Subject] = []
    for number, each in enumerate(layers):
        if found and each.rank != layers[0].rank:
            raise ConvValueError(
                f"{each.text}, layer {number + 1}, has {each.rank} axes and {layers[0].text} has "
                f"{layers[0].rank}: give layers of one number of axes"
            )
        if found and each.in_channels != layers[number - 1].out_channels:
            raise ConvValueError(
                f"in_channels (={each.in_channels}) of layer {number + 1} must be the "
                f"{layers[number - 1].out_channels} channels that layer {number} makes"
            )
        found.append(
            subject_of(each, size, default=(each.text, 5), language=language, theme=theme, numbers=numbers)
        )
        size = found[-1].spec.output_size
    return found


def _position(last: Subject, at: Sequence[int] | int | None) -> tuple[int, ...]:
    size = last.spec.output_size
    if at is None:
        return tuple(each // 2 for each in size)
    position = (at,) * len(size) if isinstance(at, int) else tuple(at)
    if len(position) != len(size) or not all(0 <= p < n for p, n in zip(position, size, strict=True)):
        raise ConvValueError(
            f"at (={position}) must be a position of the last output, {'x'.join(map(str, size))}: "
            f"use {tuple(each // 2 for each in size)}"
        )
    return position


def _pyramid(subjects: list[Subject], axis: int, levels: list[Level]) -> Box:
    """Rows of cells, the input at the bottom, each cell over the middle of what it sees."""
    scale = scales([s.axes[axis] for s in subjects])
    first, last = _ends(levels, scale)
    pitch = WIDTH / max(last - first + 1, 1)
    narrowest = min(step for _, step in scale)
    shapes: list[Shape] = []
    left = 118.0
    for number, level in enumerate(levels):
        y = (len(levels) - 1 - number) * ROW_HEIGHT
        name = subjects[0].say(INPUT) if number == 0 else subjects[0].say(_LAYER, n=number)
        role = "t-input" if number == 0 else "t-output"
        shapes.append(Label((0.0, y + 8), ((name, role),), 13, "start", True))
        shapes.append(Label((0.0, y + 25), ((subjects[0].say(_SPANS, n=level.span), "muted"),), 11, "start"))
    wide = (last - first + 1) / narrowest > MOST_CELLS
    draw = _bars if wide else _cells
    inner = draw(subjects, axis, levels, scale, first, min(pitch, 46.0), left)
    height = (len(levels) - 1) * ROW_HEIGHT + CELL_SIDE + 8
    right = left + min(pitch, 46.0) * (last - first + 1)
    return Box(right, height, (*shapes, *inner))


def _ends(levels: list[Level], scale: list[tuple[float, float]]) -> tuple[float, float]:
    """The leftmost and rightmost input position that is drawn, two elements beside the cone shown."""
    lows: list[float] = []
    highs: list[float] = []
    for level, (origin, step) in zip(levels, scale, strict=True):
        low, high = _drawn(level)
        lows.append(origin + step * low)
        highs.append(origin + step * high)
    return min(lows), max(highs)


def _drawn(level: Level) -> tuple[int, int]:
    reached = level.reached or {level.first}
    return max(min(reached) - 2, 0), min(max(reached) + 2, level.size - 1)


def _cells(
    subjects: list[Subject],
    axis: int,
    levels: list[Level],
    scale: list[tuple[float, float]],
    first: float,
    pitch: float,
    left: float,
) -> list[Shape]:
    areas: list[dict[int, Area]] = []
    shapes: list[Shape] = []
    labels: list[Shape] = []
    for number, (level, (origin, step)) in enumerate(zip(levels, scale, strict=True)):
        side = min(CELL_SIDE, pitch * step * 0.84)
        y = (len(levels) - 1 - number) * ROW_HEIGHT
        low, high = _drawn(level)
        found: dict[int, Area] = {}
        for at in range(low, high + 1):
            x = left + (origin + step * at - first + 0.5) * pitch
            area = Area(x - side / 2, y + (CELL_SIDE - side) / 2, side, side)
            found[at] = area
            base = "input" if number == 0 else "output"
            role = f"{base} hot" if at in level.reached else base
            name = f"level{axis}-{number}-{at}"
            shapes.append(Cell(area, role, name, radius=0.0 if number == 0 else min(5.0, side / 3)))
            if subjects[0].numbered and side >= 13:
                labels.append(Label(area.center, ((str(at), "text"),), min(11.0, side * 0.5), name=name))
        areas.append(found)
    links: list[Shape] = []
    for number, subject in enumerate(subjects):
        trace = subject.axes[axis]
        for at in sorted(levels[number + 1].reached):
            for contact in trace.contacts(at):
                if contact.source is None:
                    continue
                above, below = areas[number + 1][at], areas[number][contact.source]
                role = f"link-{trace.padding_mode}" if contact.on_padding else "link-input"
                links.append(Line(((above.center[0], above.bottom), (below.center[0], below.y)), role))
    return [*links, *shapes, *labels]


def _bars(
    _: list[Subject],
    axis: int,
    levels: list[Level],
    scale: list[tuple[float, float]],
    first: float,
    pitch: float,
    left: float,
) -> list[Shape]:
    """Where there are too many cells: the span of each level as a bar, with its ends."""
    shapes: list[Shape] = []
    for number, (level, (origin, step)) in enumerate(zip(levels, scale, strict=True)):
        y = (len(levels) - 1 - number) * ROW_HEIGHT
        reached = level.reached or {level.first}
        low, high = min(reached), max(reached)
        x0 = left + (origin + step * (low - 0.5) - first + 0.5) * pitch
        x1 = left + (origin + step * (high + 0.5) - first + 0.5) * pitch
        x0, x1 = max(x0, left), max(x1, x0 + 3.0)
        role = "input hot" if number == 0 else "output hot"
        shapes.append(Cell(Area(x0, y, x1 - x0, 16.0), role, f"level{axis}-{number}", radius=3))
        text = f"{low}" if low == high else f"{low} … {high}"
        shapes.append(Label(((x0 + x1) / 2, y + 26.0), ((text, "muted"),), 11))
        if number:
            below, (o, s) = levels[number - 1].reached or {0}, scale[number - 1]
            b0 = left + (o + s * (min(below) - 0.5) - first + 0.5) * pitch
            b1 = left + (o + s * (max(below) + 0.5) - first + 0.5) * pitch
            for top, bottom in ((x0, b0), (x1, b1)):
                shapes.append(Line(((top, y + 34.0), (max(bottom, left), y + ROW_HEIGHT - 2)), "link"))
    return shapes


def _plane(subjects: list[Subject], cones: list[list[Level]]) -> Box:
    """The input plane, and on it the rectangle that the middle output of each depth of the stack sees."""
    first = subjects[0]
    height, width = first.spec.input_size
    unit = min(300.0 / max(height, width), 20.0)
    centre = [(levels[0].first + levels[0].last) / 2 for levels in cones]
    shapes: list[Shape] = [Cell(Area(0, 0, width * unit, height * unit), "input", "plane")]
    if unit >= 6:
        shapes += [Line(((0, i * unit), (width * unit, i * unit)), "rule") for i in range(1, height)]
        shapes += [Line(((j * unit, 0), (j * unit, height * unit)), "rule") for j in range(1, width)]
    entries: list[Box] = []
    for depth in range(len(subjects), 0, -1):
        spans = [levels_of([s.axes[axis] for s in subjects[:depth]], 0)[0].span for axis in range(2)]
        style = (depth - 1) % GROUP_STYLES
        top, bottom = _clip(centre[0] - spans[0] / 2 + 0.5, spans[0], height)
        start, end = _clip(centre[1] - spans[1] / 2 + 0.5, spans[1], width)
        x0, y0, x1, y1 = start * unit, top * unit, end * unit, bottom * unit
        shapes.append(
            Line(
                ((x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)), f"link-group{style}", name=f"sees-{depth}"
            )
        )
        swatch = Box(22, 12, (Line(((0, 6), (22, 6)), f"link-group{style}"),))
        text = f"{first.say(_LAYER, n=depth)}: {spans[0]}×{spans[1]}"
        entries.append(row(swatch, line((text, "text"), size=13, name=f"sees-{depth}"), gap=8))
    plane = Box(width * unit, height * unit, tuple(shapes))
    size = "×".join(map(str, first.spec.input_size))
    return titled(row(plane, column(*entries[::-1], gap=8), gap=28), first.say(_PLANE, size=size), gap=10)


def _clip(start: float, span: int, size: int) -> tuple[float, float]:
    return max(start, 0.0), min(start + span, float(size))
