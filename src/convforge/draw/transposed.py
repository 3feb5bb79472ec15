"""A transposed convolution in three ways that give the same numbers.

    scatter          every input stamps its kernel on the output, stamps that overlap are added
    zero insertion   zeros between the inputs and around them, then a plain convolution with the kernel turned
    matrix           the transpose of a plain convolution's matrix, times the input

Source: Dumoulin & Visin, A guide to convolution arithmetic, section 4.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from convforge.draw.arrays import array_box, cell_size, input_box, kernel_box, output_box, plain_axes
from convforge.draw.drawing import Drawing
from convforge.draw.grid import Position, cell_name, cells_area, frame
from convforge.draw.layout import Box, column, flow, line, paragraph, row, titled
from convforge.draw.matrix import MOST, product_box
from convforge.draw.numbers import Array, short, small_input
from convforge.draw.subject import INPUT, KERNEL, Ints, Subject, subject_of
from convforge.draw.three_ways import (
    border_of,
    full_size,
    output_full,
    single_channel,
    spread_input,
    stamps_of,
    three_ways,
    touched_by,
    turned_kernel,
)
from convforge.errors import ConvValueError
from convforge.explain.layers import as_layer
from convforge.explain.words import Words

TITLE = Words("Transposed convolution, three ways", "转置卷积的三种等价算法")
_SCATTER = Words("1 · Scatter: every input stamps its kernel", "1 · 散布：每个输入把整个卷积核盖到输出上")
_SCATTER_NOTE = Words(
    "input × kernel, laid {stride} apart; where stamps overlap they are added",
    "输入 × 卷积核，相邻间隔 {stride}；重叠处相加",
)
_GATHER = Words("2 · Zero insertion: a plain convolution", "2 · 插零：变成普通卷积")
_GATHER_NOTE = Words(
    "zeros between neighbours: {between}, around: {border}; the kernel turned by 180°, stride 1",
    "相邻元素之间插 {between} 个零，四周补 {border} 圈零，卷积核旋转 180°，步幅为 1",
)
_MATRIX = Words("3 · Matrix: the transpose of a convolution's", "3 · 矩阵：普通卷积矩阵的转置")
_LARGE = Words(
    "{rows}×{columns} entries: computed, too many to draw", "{rows}×{columns} 个元素：已计算，太大不画"
)
_CUT = Words("padding cuts off or folds back what lies outside the frame", "padding 把框外的部分裁掉或折回")
_FINAL = Words("output of all three", "三种算法的输出")
_EQUAL = Words(
    "All three give the same output as the layer: the largest difference is {difference}, which is rounding.",
    "三种算法的输出都与该层相同：最大差 {difference}，只是舍入误差。",
)
_STAMP = Words("input {place} × kernel", "输入 {place} × 卷积核")
_SUM = Words("sum", "求和")
# Stamps are one grid for each input.
MOST_STAMPS = 9
ROUNDING = 1e-12
DEFAULT = ("ConvTranspose2d(1, 1, 3, stride=2, padding=1, bias=False)", 2)


def transposed(
    layer: Any = None,
    input_size: Ints | None = None,
    *,
    language: str | None = None,
    theme: str = "auto",
    numbers: bool = True,
) -> Drawing:
    """Scatter, zero insertion and matrix side by side, computed each in its own way and compared.

    layer: a transposed one; of several channels one is drawn, without bias.

    Raises ValueError for a layer that is not transposed, and for inputs of more than 9 elements: each of them
    takes a grid of its own.
    """
    value = as_layer(DEFAULT[0] if layer is None else layer)
    if not value.transposed:
        raise ConvValueError(
            f"{value.text} is not transposed: give a layer such as ConvTranspose2d(1, 1, 3, stride=2)"
        )
    size = DEFAULT[1] if layer is None and input_size is None else input_size
    value = single_channel(value)
    subject = subject_of(value, size, default=DEFAULT, language=language, theme=theme, numbers=numbers)
    # Zeros would stamp nothing to be seen.
    subject = replace(subject, x=small_input(subject.spec.input_shape[1:]) % 9 + 1)
    count = int(np.prod(subject.spec.input_size))
    if count > MOST_STAMPS:
        raise ConvValueError(
            f"input_size (={subject.spec.input_size}) has {count} elements, more than the {MOST_STAMPS} that "
            "are drawn one by one: use a smaller input_size"
        )
    ways = three_ways(subject)
    y = subject.numbers.y
    difference = max(float(np.abs(way - y).max()) for way in ways)
    body = column(
        _scatter_panel(subject),
        _gather_panel(subject),
        row(
            _matrix_panel(subject, ways[2]),
            titled(output_box(subject, values=ways[0], name="final"), subject.say(_FINAL), "t-output"),
            gap=60,
        ),
        gap=34,
    )
    # The last digits are the adding order's, which is a matter of the machine.
    assert difference <= ROUNDING * max(1.0, float(np.abs(y).max())), "the three ways differ"
    return subject.drawing(body, TITLE, subject.say(_EQUAL, difference=f"< {ROUNDING:g}"))


def _heading(subject: Subject, title: Words, note: str) -> Box:
    return column(
        line((subject.say(title), "text"), size=15, bold=True), line((note, "muted"), size=12), gap=3
    )


def _scatter_panel(subject: Subject) -> Box:
    """The input and the kernel, then one stamp for each input, then their sum."""
    stamps = stamps_of(subject)
    axes = plain_axes(full_size(subject))
    cell = min(cell_size(axes), 38.0 if subject.spec.rank == 1 else 28.0)
    boxes: list[Box] = []
    for at, stamp in stamps.items():
        touched = {tuple(at) for at in np.argwhere(touched_by(subject, at)).tolist()}
        written = f"({', '.join(map(str, at))})"
        box = _full_box(subject, f"stamp-{'-'.join(map(str, at))}", stamp, touched, cell)
        boxes.append(titled(box, subject.say(_STAMP, place=written), "t-kernel", gap=4))
    total = _full_box(subject, "sum", sum(stamps.values(), np.zeros((1, *full_size(subject)))), None, cell)
    framed = total.with_shapes(_kept(subject, "sum", total)) if subject.spec.rank < 3 else total
    boxes.append(titled(framed, subject.say(_SUM), "t-output", gap=4))
    stride = subject.layer.stride
    step = str(stride[0]) if len(set(stride)) == 1 else f"({', '.join(map(str, stride))})"
    arrays = row(
        titled(input_box(subject, cell=cell), subject.say(INPUT), "t-input"),
        titled(kernel_box(subject, cell=cell), subject.say(KERNEL), "t-kernel"),
        gap=30,
        align="start",
    )
    body = column(*boxes, gap=12) if subject.spec.rank == 1 else flow(boxes, 830, gap=26)
    parts = [_heading(subject, _SCATTER, subject.say(_SCATTER_NOTE, stride=step)), arrays, body]
    if any(any(pair) for pair in subject.spec.padding):
        parts.append(line((subject.say(_CUT), "muted"), size=12))
    return column(*parts, gap=14)


def _full_box(subject: Subject, name: str, values: Array, touched: set[Position] | None, cell: float) -> Box:
    """An array of the output's size before padding is taken off; touched: its cells that are a stamp's."""
    return array_box(
        subject,
        name,
        plain_axes(full_size(subject)),
        role=lambda p: "output" if touched is None else "kernel" if p in touched else "zero",
        label=lambda p: (
            short(values[(0, *p)]) if subject.numbered and (touched is None or p in touched) else ""
        ),
        cell=cell,
        radius=7.0 if touched is None else 0.0,
        indices=False,
    )


def _kept(subject: Subject, name: str, box: Box) -> list[Any]:
    """The frame around what padding leaves."""
    if not any(any(pair) for pair in subject.spec.padding):
        return []
    corners = (
        tuple(axis.padding[0] for axis in subject.axes),
        tuple(axis.padding[0] + axis.output_size - 1 for axis in subject.axes),
    )
    return [frame(cells_area(box, (cell_name(name, corner) for corner in corners)), out=1)]


def _gather_panel(subject: Subject) -> Box:
    """The spread input with the window of one output, the turned kernel, the same full output."""
    spread, weight = spread_input(subject), subject.numbers.weight
    border, spec = border_of(subject), subject.spec
    middle = tuple(size // 2 for size in full_size(subject))
    window = {
        tuple(int(m + d * t) for m, d, t in zip(middle, spec.dilation, tap, strict=True))
        for tap in np.ndindex(*spec.kernel_size)
    }
    axes = plain_axes(spread.shape[1:])
    cell = min(cell_size(axes), 28.0 if spec.rank > 1 else 34.0)

    def is_data(p: Position) -> bool:
        return all(
            at >= edge and (at - edge) % step == 0 and (at - edge) // step < n
            for at, edge, step, n in zip(p, border, subject.layer.stride, spec.input_size, strict=True)
        )

    def role(p: Position) -> str:
        return ("input" if is_data(p) else "zeros") + (" hot" if p in window else "")

    box = array_box(
        subject,
        "spread",
        axes,
        role=role,
        label=lambda p: short(spread[(0, *p)]) if subject.numbered else "",
        text_role=lambda p: "text" if is_data(p) else "faint",
        cell=cell,
        indices=False,
    )
    turned = kernel_box(subject, values=turned_kernel(weight), name="turned", cell=cell, indices=False)
    values = output_full(subject)
    result = array_box(
        subject,
        "gathered",
        plain_axes(full_size(subject)),
        role=lambda p: "output hot" if p == middle else "output",
        label=lambda p: short(values[(0, *p)]) if subject.numbered else "",
        cell=cell,
        radius=7.0,
        indices=False,
    )
    if spec.rank < 3:
        result = result.with_shapes(_kept(subject, "gathered", result))
    between = "/".join(dict.fromkeys(str(step - 1) for step in subject.layer.stride))
    around = "/".join(dict.fromkeys(map(str, border)))
    heading = _heading(subject, _GATHER, subject.say(_GATHER_NOTE, between=between, border=around))
    signs = [line((sign, "muted"), size=20) for sign in "∗="]
    body = row(box, signs[0], turned, signs[1], result, gap=18)
    if spec.rank != 2:
        body = column(box, row(signs[0], turned, gap=12), row(signs[1], result, gap=12), gap=14)
    return column(heading, body, gap=14)


def _matrix_panel(subject: Subject, values: Array) -> Box:
    rows = int(np.prod(subject.spec.output_size))
    columns = int(np.prod(subject.spec.input_size))
    heading = _heading(subject, _MATRIX, f"{rows}×{columns}")
    if max(rows, columns) > MOST:
        return column(heading, paragraph(subject.say(_LARGE, rows=rows, columns=columns), 600), gap=10)
    return column(heading, product_box(subject, numbers=subject.numbered, values=values), gap=12)
