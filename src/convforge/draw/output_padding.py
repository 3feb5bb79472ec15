"""output_padding: which of several sizes a transposed layer returns to.

stride 2, kernel 3, padding 1:  a convolution makes 3 of 5, and 3 of 6 as well

5 a b c d e           6 a b c d e f
  ─── ─── ───           ─── ─── ───       the same three windows
so from 3 back: output_padding 0 gives 5, output_padding 1 gives 6
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from convforge.draw.drawing import Drawing
from convforge.draw.grid import Position, cell_name, connector, grid, shown
from convforge.draw.layout import Box, column, line, padded
from convforge.draw.shapes import Area, Cell, Label, Line, Shape
from convforge.draw.subject import INPUT, OUTPUT, Ints, Subject, subject_of
from convforge.draw.three_ways import single_channel
from convforge.errors import ConvShapeError, ConvValueError
from convforge.explain.formula import AXES
from convforge.explain.layers import as_layer
from convforge.explain.trace import AxisTrace
from convforge.explain.words import Words

TITLE = Words("output_padding: which size to return to", "output_padding：恢复成哪个尺寸")
_BACK = Words("output_padding={n}  →  {size}", "output_padding={n}  →  {size}")
_NOTE = Words(
    "Along {axis}: a convolution with stride {stride} makes {small} of any of the sizes {sizes}. The "
    "transposed layer sees only {small}; output_padding says which of them to return to. It adds room, not "
    "data: the added cells get the products that reach them, and the bias.",
    "沿 {axis} 方向：步幅为 {stride} 的卷积把尺寸 {sizes} 都变成 {small}。转置卷积只看到 {small}，"
    "output_padding 说明要恢复成哪一个。它只增加位置，不增加数据："
    "补上的位置只得到能到达它的乘积和偏置。",
)
MOST_SIZES, MOST_POSITIONS = 6, 26
REACH = 70.0
DEFAULT = ("ConvTranspose1d(1, 1, 3, stride=2, padding=1)", 3)


def output_padding(
    layer: Any = None,
    input_size: Ints | None = None,
    *,
    axis: int | None = None,
    language: str | None = None,
    theme: str = "auto",
    numbers: bool = True,
) -> Drawing:
    """The sizes that a convolution maps to the transposed layer's input, and the output_padding of each.

    axis: the spatial axis, by default the first whose stride is above 1. numbers: positions in the cells.

    Raises ValueError for a layer that is not transposed, and for an axis whose stride is 1.
    """
    value = as_layer(DEFAULT[0] if layer is None else layer)
    if not value.transposed:
        raise ConvValueError(
            f"{value.text} is not transposed: only transposed layers have output_padding, give one such as "
            "ConvTranspose2d(1, 1, 3, stride=2)"
        )
    size = DEFAULT[1] if layer is None and input_size is None else input_size
    value = single_channel(value)
    subject = subject_of(value, size, default=DEFAULT, language=language, theme=theme, numbers=numbers)
    number = _checked_axis(subject, axis)
    versions = _versions(subject, number)
    body = column(*(_panel(subject, version, number) for version in versions), gap=26)
    trace = versions[0].axes[number]
    note = subject.say(
        _NOTE,
        axis=AXES[value.rank][number],
        stride=trace.stride,
        small=trace.input_size,
        sizes=", ".join(str(version.axes[number].output_size) for version in versions),
    )
    return subject.drawing(body, TITLE, note)


def _checked_axis(subject: Subject, axis: int | None) -> int:
    stride, rank = subject.layer.stride, subject.spec.rank
    if axis is None:
        found = [number for number, step in enumerate(stride) if step > 1]
        if not found:
            raise ConvValueError(
                f"stride (={stride}) is 1 along every axis: output_padding is only 0 there, use stride=2"
            )
        return found[0]
    if not 0 <= axis < rank:
        raise ConvValueError(f"axis (={axis}) must be a spatial axis: use 0 to {rank - 1}")
    if stride[axis] == 1:
        raise ConvValueError(f"stride (={stride}) is 1 along axis {axis}: output_padding is only 0 there")
    return axis


def _versions(subject: Subject, number: int) -> list[Subject]:
    """The layer with every output_padding along an axis below the stride, at most six, and its own."""
    own = subject.layer.output_padding
    found: list[Subject] = []
    for extra in sorted({*range(min(subject.layer.stride[number], MOST_SIZES)), own[number]}):
        layer = replace(subject.layer, output_padding=(*own[:number], extra, *own[number + 1 :]))
        try:
            spec = layer.spec(subject.spec.input_size)
        except ConvShapeError:
            continue  # a padding mode that needs more than this size has
        if spec.output_size[number] > 0:
            found.append(replace(subject, layer=layer, spec=spec, source=layer))
    return found


def _panel(subject: Subject, version: Subject, number: int) -> Box:
    """One large size above, its windows, and the same small size below."""
    trace = version.axes[number]
    extra = trace.output_padding
    first_extra = trace.output_size - extra
    positions = shown(
        trace.output_size, before=trace.padding[0], after=trace.padding[1], limit=MOST_POSITIONS
    )
    cell = max(min(38.0, 640.0 / len(positions)), 20.0)
    large = f"large{extra}"

    def role(p: Position) -> str:
        if not 0 <= p[0] < trace.output_size:
            return "zeros"
        return "output hot" if p[0] >= first_extra else "output"

    strip = grid(
        large,
        (positions,),
        role=role,
        label=lambda p: str(p[0]).replace("-", "−") if subject.numbered else "",
        text_role=lambda p: "text" if 0 <= p[0] < trace.output_size else "faint",
        cell=cell,
        radius=6.0,
        indices=False,
    )
    names = [
        line((subject.say(words), role), size=13, bold=True)
        for words, role in ((OUTPUT, "t-output"), (INPUT, "t-input"))
    ]
    left = max(name.width for name in names) + 18.0
    arrays = padded(_windows(trace, strip, large, cell, extra), left, 0, 0, 0)
    labels = [
        names[0].moved(0, cell / 2 - names[0].height / 2),
        names[1].moved(0, cell + REACH + cell / 2 - names[1].height / 2),
    ]
    return column(
        line((subject.say(_BACK, n=extra, size=trace.output_size), "text"), size=15, bold=True),
        arrays.with_shapes(shape for label in labels for shape in label.shapes),
        gap=8,
    )


def _windows(trace: AxisTrace, strip: Box, large: str, cell: float, extra: int) -> Box:
    """The windows under the strip, each leading to its cell of the small size."""
    shapes: list[Shape] = []
    labels: list[Shape] = []
    anchors = dict(strip.anchors)
    drawn = [
        i
        for i in range(trace.input_size)
        if all(cell_name(large, (at,)) in strip.anchors for at in trace.window(i))
    ]
    for lane, i in enumerate(drawn):
        cells = [strip.anchors[cell_name(large, (at,))] for at in trace.window(i)]
        # Windows that overlap take turns in height.
        y = cell + 12.0 + 13.0 * (lane % 3)
        left, right = cells[0].x + 3, cells[-1].right - 3
        middle = (left + right) / 2
        side = min(cell, trace.stride * cell - 4.0)
        area = Area(middle - side / 2, cell + REACH, side, cell)
        name = cell_name(f"small{extra}", (i,))
        anchors[name] = area
        shapes.append(Line(((left, y - 5), (left, y), (right, y), (right, y - 5)), "link-kernel"))
        shapes.append(connector((middle, y), (middle, area.y), "link"))
        shapes.append(Cell(area, "input", name))
        labels.append(Label(area.center, ((str(i), "text"),), 13, name=name))
    return Box(strip.width, 2 * cell + REACH, (*strip.shapes, *shapes, *labels), anchors)
