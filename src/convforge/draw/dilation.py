"""Dilation: the same taps further apart, and how much of the axis they span.

dilation 1   x x x          3 taps span 3
dilation 2   x . x . x      3 taps span 5
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

from convforge.draw.arrays import input_box, output_box
from convforge.draw.drawing import Drawing
from convforge.draw.grid import Position, cell_name, cells_area, frame
from convforge.draw.layout import Box, column, flow, line
from convforge.draw.subject import Ints, Subject, subject_of
from convforge.errors import ConvShapeError
from convforge.explain.words import Words

TITLE = Words("Dilation: the same taps, further apart", "膨胀（空洞）卷积：同样多的采样点，间隔更大")
_CAPTION = Words("dilation={d}", "dilation={d}")
_SPAN = Words("{k} taps span {span}", "{k} 个采样点跨越 {span}")
_OUTPUT = Words("output {size}", "输出 {size}")
_NOTE = Words(
    "Span = dilation·(kernel − 1) + 1. Weights and products stay as many: {weights} weights.",
    "跨度 = dilation·(kernel − 1) + 1。权重个数与乘积个数不变：{weights} 个权重。",
)
CELL_SIDE = 30.0
DEFAULT = ("Conv2d(1, 1, 3, dilation=3)", 9)


def dilation(
    layer: Any = None,
    input_size: Ints | None = None,
    *,
    language: str | None = None,
    theme: str = "auto",
    numbers: bool = True,
) -> Drawing:
    """The window of one output (of one input, if transposed) at dilation 1, halfway and the layer's own.

    numbers: whether the values are written in the cells.
    """
    own = subject_of(layer, input_size, default=DEFAULT, language=language, theme=theme, numbers=numbers)
    versions = [_dilated(own, each) for each in _steps(own.layer.dilation)]
    boxes = [_panel(version) for version in versions if version is not None]
    body = column(*boxes, gap=20) if own.spec.rank == 1 else flow(boxes, 1000, gap=32)
    return own.drawing(body, TITLE, own.say(_NOTE, weights=prod(own.spec.kernel_size)))


def _steps(own: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Dilation 1, one in between if there is any, and the layer's own."""
    middle = tuple((d + 1) // 2 for d in own)
    return list(dict.fromkeys([(1,) * len(own), middle, own]))


def _dilated(own: Subject, dilation: tuple[int, ...]) -> Subject | None:
    """The subject at another dilation; None where padding leaves nothing of its smaller output."""
    layer = replace(own.layer, dilation=dilation)
    if layer.transposed:
        # output_padding has to stay below the larger of stride and dilation.
        most = (max(s, d) - 1 for s, d in zip(layer.stride, dilation, strict=True))
        layer = replace(layer, output_padding=tuple(map(min, layer.output_padding, most)))
    try:
        spec = layer.spec(own.spec.input_size)
    except ConvShapeError:
        return None
    return replace(own, layer=layer, spec=spec, source=layer) if min(spec.output_size) > 0 else None


def _panel(subject: Subject) -> Box:
    """The array that the taps lie on, with one window in it."""
    spec, axes = subject.spec, subject.axes
    sizes = spec.input_size if spec.transposed else spec.output_size
    middle = tuple((size - 1) // 2 for size in sizes)
    windows = [axis.window(at) for axis, at in zip(axes, middle, strict=True)]
    hot = _all_positions(windows)
    if spec.transposed:
        box, name = output_box(subject, hot=hot, cut=True, cell=CELL_SIDE), "output"
    else:
        box, name = input_box(subject, hot=hot, cell=CELL_SIDE), "input"
    if spec.rank < 3:
        box = box.with_shapes([frame(cells_area(box, (cell_name(name, (0, *p)) for p in hot)))])
    spans = "×".join(str(window[-1] - window[0] + 1) for window in windows)
    taps = "×".join(map(str, spec.kernel_size))
    value = subject.layer.dilation
    written = str(value[0]) if len(set(value)) == 1 else f"({', '.join(map(str, value))})"
    size = "×".join(map(str, spec.output_size))
    caption = column(
        line((subject.say(_CAPTION, d=written), "text"), size=14, bold=True),
        line(
            (f"{subject.say(_SPAN, k=taps, span=spans)} · {subject.say(_OUTPUT, size=size)}", "muted"),
            size=12,
        ),
        gap=3,
    )
    return column(caption, box, gap=10)


def _all_positions(windows: list[tuple[int, ...]]) -> set[Position]:
    found: set[Position] = {()}
    for window in windows:
        found = {(*lead, at) for lead in found for at in window}
    return found
