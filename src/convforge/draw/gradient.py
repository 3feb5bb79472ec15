"""The two gradients of a convolution, both convolutions themselves.

grad-input    grad-output through the transposed layer with the same weights
grad-weight   the input convolved with grad-output: every window of the input times the grad-output it made
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from convforge.draw.arrays import input_box, kernel_box, output_box
from convforge.draw.drawing import Drawing
from convforge.draw.grid import Position, cell_name, cells_area, frame
from convforge.draw.layout import Box, column, line, row, run_lines, titled
from convforge.draw.numbers import Array, short
from convforge.draw.shapes import Run
from convforge.draw.subject import CHANNEL, INPUT, KERNEL, Ints, Subject, subject_of
from convforge.errors import ConvShapeError
from convforge.explain.words import Words
from convforge.reference import grad_input, grad_weight

TITLE = Words("The gradients are convolutions too", "梯度也是卷积")
_GRAD_OUTPUT = Words("grad-output", "输出的梯度")
_GRAD_INPUT = Words("grad-input", "输入的梯度")
_GRAD_WEIGHT = Words("grad-weight", "权重的梯度")
_FIRST = Words(
    "1 · grad-input: grad-output through the transposed layer, with the same weights",
    "1 · 输入的梯度：输出的梯度经过转置卷积，权重相同",
)
_FIRST_TRANSPOSED = Words(
    "1 · grad-input: grad-output through the plain layer, with the same weights",
    "1 · 输入的梯度：输出的梯度经过普通卷积，权重相同",
)
_SECOND = Words(
    "2 · grad-weight: each weight gets every product of grad-output with the input it met",
    "2 · 权重的梯度：每个权重累加它遇到的输入与对应输出梯度的乘积",
)
_MORE = Words("{n} more products", "还有 {n} 个乘积")
_NOTE = Words(
    "Input {place} was read {readers} times, so its gradient has {readers} products; a weight is used by "
    "every output.",
    "输入 {place} 被读取 {readers} 次，所以它的梯度有 {readers} 个乘积；而每个权重都被所有输出使用。",
)
MOST_TERMS = 24
DEFAULT = ("Conv2d(1, 1, 3, bias=False)", 5)


def gradient(
    layer: Any = None,
    input_size: Ints | None = None,
    *,
    grad_output: Any = None,
    x: Any = None,
    language: str | None = None,
    theme: str = "auto",
    numbers: bool = True,
) -> Drawing:
    """Grad-input and grad-weight with the products of one element of each written out.

    grad_output: (out_channels, …), by default small whole numbers. Of several channels the first are drawn,
    the sums are over all.
    """
    subject = subject_of(
        layer, input_size, default=DEFAULT, language=language, theme=theme, numbers=numbers, x=x
    )
    upstream = _upstream(subject, grad_output)
    at = tuple(size // 2 for size in subject.spec.input_size)
    spec = replace(subject.spec, dtype=np.dtype(np.float64))
    to_input = grad_input(spec, upstream[None], subject.numbers.weight)[0]
    to_weight = grad_weight(spec, subject.numbers.x[None], upstream[None])
    body = column(
        _input_panel(subject, upstream, to_input, at), _weight_panel(subject, upstream, to_weight), gap=36
    )
    note = subject.say(_NOTE, place=f"({', '.join(map(str, at))})", readers=len(input_terms(subject, at)))
    return subject.drawing(body, TITLE, note)


def _upstream(subject: Subject, given: Any) -> Array:
    shape = subject.spec.output_shape[1:]
    if given is None:
        return (np.arange(int(np.prod(shape))).reshape(shape) % 3 + 1.0).astype(np.float64)
    found = np.asarray(given, np.float64)
    if found.shape != shape:
        raise ConvShapeError(f"grad_output of shape {found.shape} must have the output's shape {shape}")
    return found


def input_terms(subject: Subject, at: Position) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """((out_channel, *position), weight index) of the products in the gradient of input channel 0."""
    meeting = list(product(*(axis.readers[i] for axis, i in zip(subject.axes, at, strict=True))))
    found: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for out_channel in range(subject.spec.out_channels // subject.spec.groups):  # of the first group
        first = (0, out_channel) if subject.spec.transposed else (out_channel, 0)
        found += [
            ((out_channel, *(output for output, _ in pairs)), (*first, *(tap for _, tap in pairs)))
            for pairs in meeting
        ]
    return found


def weight_terms(subject: Subject, tap: Position) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """((out_channel, *position), (in_channel, *source)) of the products in weight (0, 0, *tap)'s gradient."""
    found: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for position in np.ndindex(*subject.spec.output_size):
        whole = tuple(map(int, position))
        found += [
            ((0, *whole), term.source)
            for term in subject.trace.terms(0, whole)
            if term.source is not None and term.weight == (0, 0, *tap)
        ]
    return found


def _panel(title: Box, boxes: list[Box], equation: Box, rank: int) -> Box:
    signs = [line((sign, "muted"), size=20) for sign in ("∗", "=")]
    if rank == 3:
        body = column(*boxes, gap=16)
    else:
        body = row(boxes[0], signs[0], boxes[1], signs[1], boxes[2], gap=18)
        if body.width > 900:
            body = column(*boxes, gap=16)
    return column(title, body, equation, gap=14)


def _equation(
    subject: Subject,
    products: list[tuple[float, float]],
    roles: tuple[str, str],
    value: float,
    width: float,
    name: str,
) -> Box:
    """The products of one element, written out."""
    if not subject.numbered:
        return Box(0, 0)
    pieces: list[tuple[Run, ...]] = []
    for i, (a, b) in enumerate(products[:MOST_TERMS]):
        lead: tuple[Run, ...] = ((" + ", "muted"),) if i else ()
        second = short(b)
        pieces.append(
            (
                *lead,
                (short(a), roles[0]),
                ("×", "muted"),
                (f"({second})" if "−" in second else second, roles[1]),
            )
        )
    if len(products) > MOST_TERMS:
        pieces.append(((f" + … {subject.say(_MORE, n=len(products) - MOST_TERMS)}", "muted"),))
    pieces.append(((" = ", "muted"), (short(value), "t-gradient")))
    return run_lines(pieces, max(width, 420.0), name=name)


def _input_panel(subject: Subject, upstream: Array, to_input: Array, at: Position) -> Box:
    terms = input_terms(subject, at)
    spec = subject.spec
    shown_out = terms[0][0][0] if terms else 0
    hot = {position[1:] for position, _ in terms if position[0] == shown_out}
    taps = {weight[2:] for position, weight in terms if position[0] == shown_out}
    first = (0, 0) if not terms else terms[0][1][:2]
    outputs = output_box(subject, shown_out, hot=hot, values=upstream, base="gradient", name="grad-output")
    if hot and spec.rank < 3:
        outputs = outputs.with_shapes(
            [frame(cells_area(outputs, (cell_name("grad-output", (shown_out, *p)) for p in hot)))]
        )
    kernel = kernel_box(subject, *first, hot=taps)
    result = input_box(
        subject, 0, hot={at}, padding=False, values=to_input, base="gradient", name="grad-input"
    )
    boxes = [
        titled(outputs, _named(subject, _GRAD_OUTPUT, shown_out, spec.out_channels), "t-gradient"),
        titled(kernel, subject.say(KERNEL), "t-kernel"),
        titled(result, _named(subject, _GRAD_INPUT, 0, spec.in_channels), "t-gradient"),
    ]
    products = [
        (float(upstream[position]), float(subject.numbers.weight[weight])) for position, weight in terms
    ]
    heading = line(
        (subject.say(_FIRST_TRANSPOSED if spec.transposed else _FIRST), "text"), size=15, bold=True
    )
    width = sum(box.width for box in boxes)
    equation = _equation(
        subject, products, ("t-gradient", "t-kernel"), float(to_input[(0, *at)]), width, "grad-input"
    )
    return _panel(heading, boxes, equation, spec.rank)


def _weight_panel(subject: Subject, upstream: Array, to_weight: Array) -> Box:
    spec = subject.spec
    tap = (0,) * spec.rank
    terms = weight_terms(subject, tap)
    hot = {source[1:] for _, source in terms}
    used = {position[1:] for position, _ in terms}
    inputs = input_box(subject, 0, hot=hot, padding=False)
    outputs = output_box(subject, 0, hot=used, values=upstream, base="gradient", name="grad-output2")
    result = kernel_box(subject, 0, 0, hot={tap}, values=to_weight, base="gradient", name="grad-weight")
    boxes = [
        titled(inputs, _named(subject, INPUT, 0, spec.in_channels), "t-input"),
        titled(outputs, _named(subject, _GRAD_OUTPUT, 0, spec.out_channels), "t-gradient"),
        titled(result, subject.say(_GRAD_WEIGHT), "t-gradient"),
    ]
    products = [(float(subject.numbers.x[source]), float(upstream[position])) for position, source in terms]
    heading = line((subject.say(_SECOND), "text"), size=15, bold=True)
    width = sum(box.width for box in boxes)
    value = float(to_weight[(0, 0, *tap)])
    equation = _equation(subject, products, ("t-input", "t-gradient"), value, width, "grad-weight")
    return _panel(heading, boxes, equation, spec.rank)


def _named(subject: Subject, words: Words, channel: int, count: int) -> str:
    name = subject.say(words)
    return f"{name} · {subject.say(CHANNEL, c=channel)}" if count > 1 else name
