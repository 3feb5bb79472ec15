"""A convolution as one matrix: y = M·x with the arrays written out as columns.

    Conv2d(1, 1, 3) on 4x4: M has 4 rows (outputs) and 16 columns (inputs), nine weights in every row.
    The transposed layer has the transposed matrix, 16x4, with weights of its own.

Source: Dumoulin & Visin, A guide to convolution arithmetic, section 4.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convforge.draw.arrays import kernel_box, place
from convforge.draw.drawing import Drawing
from convforge.draw.equation import BIAS
from convforge.draw.grid import Position, grid, shown
from convforge.draw.layout import Box, column, line, padded, row, titled
from convforge.draw.numbers import Array, short
from convforge.draw.shapes import Label
from convforge.draw.subject import INPUT, KERNEL, OUTPUT, Ints, Subject, subject_of
from convforge.errors import ConvValueError
from convforge.explain.words import Words

TITLE = Words("The convolution as a matrix", "把卷积写成矩阵")
_M = Words("M, {rows}×{columns}", "M，{rows}×{columns}")
_MT = Words("Mᵀ, {columns}×{rows}", "Mᵀ，{columns}×{rows}")
_NOTE = Words(
    "Each row makes one output, each column belongs to one input: {weights} of {all} entries are weights, "
    "the rest is zero. The matrix of the transposed layer is Mᵀ: it undoes the shape, not the values.",
    "每一行得到一个输出，每一列对应一个输入：{all} 个元素中有 {weights} 个是权重，其余为零。"
    "转置卷积的矩阵是 Mᵀ：它还原的只是形状，不是数值。",
)
MOST, MOST_KERNELS = 64, 4
DEFAULT = ("Conv2d(1, 1, 3, bias=False)", 4)


def matrix(
    layer: Any = None,
    input_size: Ints | None = None,
    *,
    x: Any = None,
    language: str | None = None,
    theme: str = "auto",
    numbers: bool = True,
) -> Drawing:
    """The matrix of the layer with its weights between input and output, the kernel, and the transpose.

    numbers: values in the cells; without, weights are called by their tap, and zeros are empty.

    Raises ValueError where the matrix has more than 64 rows or columns.
    """
    subject = subject_of(
        layer, input_size, default=DEFAULT, language=language, theme=theme, numbers=numbers, x=x
    )
    product = titled(product_box(subject, numbers=numbers), subject.say(_M, **_size(subject)), "t-kernel")
    kernel = _kernels(subject, numbers=numbers)
    transpose = titled(
        matrix_box(subject, numbers=numbers, transposed=True), subject.say(_MT, **_size(subject)), "t-kernel"
    )
    entries = entries_of(subject)
    body = column(product, row(kernel, transpose, gap=60, align="start"), gap=26)
    size = _size(subject)
    note = subject.say(_NOTE, weights=len(entries), all=size["rows"] * size["columns"])
    return subject.drawing(body, TITLE, note)


def _kernels(subject: Subject, *, numbers: bool) -> Box:
    """The first kernels, each called by its place in the weight array where there are several."""
    rows, columns = subject.spec.weight_shape[:2]
    places = list(np.ndindex(rows, columns))
    boxes: list[Box] = []
    for first, second in places[:MOST_KERNELS]:
        box = kernel_box(subject, first, second, label=None if numbers else _tap_label)
        name = subject.say(KERNEL)
        boxes.append(titled(box, f"{name} {place((first, second))}" if len(places) > 1 else name, "t-kernel"))
    return column(*boxes, gap=14)


Entries = dict[tuple[int, int], list[tuple[int, ...]]]


def entries_of(subject: Subject, *, bounded: bool = True) -> Entries:
    """(row, column) -> the weights that are added up there; where there are none, the entry is zero.

    Rows are output elements, columns input elements, both channels first and the last axis fastest. A padding
    mode brings several weights to one entry.

    bounded: refuse what is not drawn.

    Raises ValueError where the matrix has more than 64 rows or columns.
    """
    spec = subject.spec
    outputs, inputs = spec.output_shape[1:], spec.input_shape[1:]
    size = _size(subject)
    for name, shape, count in (
        ("outputs", outputs, size["rows"]),
        ("inputs", inputs, size["columns"]),
    ):
        if bounded and count > MOST:
            raise ConvValueError(
                f"{name} (={'x'.join(map(str, shape))}) make {count:,} rows or columns of the matrix, more "
                f"than the {MOST} that are drawn: use a smaller input_size or fewer channels"
            )
    found: Entries = {}
    for number, (channel, *position) in enumerate(np.ndindex(*outputs)):
        for term in subject.trace.terms(channel, tuple(position)):
            if term.source is not None:
                column_number = int(np.ravel_multi_index(term.source, inputs))
                found.setdefault((number, column_number), []).append(term.weight)
    return found


def matrix_box(
    subject: Subject, *, numbers: bool, transposed: bool = False, cell: float | None = None
) -> Box:
    """The matrix as cells: weights in the kernel's colour, zeros faint."""
    entries = entries_of(subject)
    size = _size(subject)
    shape = (size["columns"], size["rows"]) if transposed else (size["rows"], size["columns"])
    side = cell or _side(max(shape))

    def turned(p: Position) -> tuple[int, int]:
        return (p[1], p[0]) if transposed else (p[0], p[1])

    def label(p: Position) -> str:
        weights = entries.get(turned(p))
        if weights is None:
            return "0" if numbers and side >= 18 else ""
        if numbers:
            return short(sum(float(subject.numbers.weight[index]) for index in weights))
        return "+".join(_tap(index) for index in weights)

    return grid(
        "transpose" if transposed else "matrix",
        (shown(shape[0]), shown(shape[1])),
        role=lambda p: "kernel" if turned(p) in entries else "zero",
        label=label,
        tip=lambda p: " + ".join(f"weight{place(index)}" for index in entries.get(turned(p), ())),
        text_role=lambda p: "text" if turned(p) in entries else "faint",
        cell=side,
        indices=False,
    )


def product_box(subject: Subject, *, numbers: bool, values: Array | None = None) -> Box:
    """The matrix with the input over its columns and the output beside its rows: each output is the sum of
    its row's weights times the inputs above.

    values: (out_channels, …) to show in place of the output.
    """
    size = _size(subject)
    side = _side(max(size.values()))
    outputs = subject.numbers.y if numbers and values is None else values
    inner = matrix_box(subject, numbers=numbers, cell=side)
    above = _flat(
        subject, "input", subject.numbers.x if numbers else None, size["columns"], side, across=True
    )
    beside = _flat(subject, "output", outputs if numbers else None, size["rows"], side, across=False)
    name_in = line((subject.say(INPUT), "t-input"), size=12)
    name_out = line((subject.say(OUTPUT), "t-output"), size=12)
    left = max(beside.width, name_in.width, name_out.width) + 26.0
    equals = Label((left - 13.0, inner.height / 2), (("=", "muted"),), 16)
    sides = beside.moved(left - 26.0 - beside.width, 0)
    lower = padded(inner, left, 0, 0, 0).with_shapes([equals, *sides.shapes])
    upper = row(Box(left - 12.0, name_in.height, name_in.shapes), above, gap=12)
    found = column(upper, lower, name_out, gap=6)
    bias = subject.numbers.bias if numbers else None
    if bias is None or not bias.any():
        return found
    text = short(float(bias[0])) if len(bias) == 1 else f"({', '.join(short(float(b)) for b in bias[:4])})"
    return column(found, line((f"+ {text} ({subject.say(BIAS)})", "muted"), size=14), gap=4)


def _flat(subject: Subject, which: str, data: Array | None, count: int, side: float, *, across: bool) -> Box:
    """An array as one row or one column, last axis fastest."""
    flat = [] if data is None else [short(float(value)) for value in data.ravel()]
    positions = (shown(1), shown(count)) if across else (shown(count), shown(1))
    return grid(
        f"{which}-flat",
        positions,
        role=lambda _: which,
        label=lambda p: flat[max(p)] if flat else "",
        tip=lambda p: place(_unravelled(subject, which, max(p))),
        cell=side,
        width=side if across else max(side, 34.0),
        radius=5.0 if which == "output" else 0.0,
        indices=False,
    )


def _unravelled(subject: Subject, which: str, number: int) -> Position:
    shape = subject.spec.input_shape[1:] if which == "input" else subject.spec.output_shape[1:]
    return tuple(int(at) for at in np.unravel_index(number, shape))


def _side(count: int) -> float:
    return float(round(max(13.0, min(30.0, 560.0 / count))))


def _size(subject: Subject) -> dict[str, int]:
    rows, columns = 1, 1
    for size in subject.spec.output_shape[1:]:
        rows *= size
    for size in subject.spec.input_shape[1:]:
        columns *= size
    return {"rows": rows, "columns": columns}


def _tap(index: tuple[int, ...]) -> str:
    """(0, 0, 0, 1) -> w01."""
    return "w" + "".join(map(str, index[2:]))


def _tap_label(position: tuple[int, ...]) -> str:
    return "w" + "".join(map(str, position))
