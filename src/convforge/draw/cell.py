"""One output cell: the inputs and weights that make it, and the sum written out.

input  0 1 2 3 4        taps under the window     0×0.1 + 1×0.2 + 2×0.3 = 0.8
       └─┬─┘
       0.1 0.2 0.3      kernel
         │
output   0.8 …
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convforge.draw.arrays import input_box, kernel_box, output_box, place
from convforge.draw.drawing import Drawing
from convforge.draw.equation import Equation, in_channel
from convforge.draw.grid import Position, cell_name, cells_area, connector, frame
from convforge.draw.layout import Box, column, line, padded, row, space, titled
from convforge.draw.shapes import Shape
from convforge.draw.subject import CHANNEL, INPUT, KERNEL, LIMIT, OUTPUT, Ints, Subject, subject_of
from convforge.errors import ConvValueError
from convforge.explain.trace import Term
from convforge.explain.words import Words

TITLE = Words("One output cell", "一个输出元素是怎么算出来的")
_NOTE = Words(
    "Output {place} of channel {channel}: {data} products with data and {zeros} with zeros of the padding.",
    "输出通道 {channel} 的 {place}：{data} 个乘积用到数据，{zeros} 个乘积碰到填充的零。",
)
_NOTE_PLAIN = Words(
    "Output {place} of channel {channel}: {data} products.",
    "输出通道 {channel} 的 {place}：共 {data} 个乘积。",
)
_MORE = Words("… {n} more channels", "…还有 {n} 个通道")
# Channels whose arrays are drawn; the equation still has all.
MOST_CHANNELS = 3
DEFAULT = ("Conv1d(1, 1, 3, bias=False)", 8)


def cell(
    layer: Any = None,
    input_size: Ints | None = None,
    *,
    at: Sequence[int] | int | None = None,
    out_channel: int = 0,
    x: Any = None,
    language: str | None = None,
    theme: str = "auto",
    numbers: bool = True,
) -> Drawing:
    """One output cell with its taps on the input, the kernel, and the equation with its numbers.

    layer: a module (its weights are taken), its spelling, or a ConvLayer. at: the output position, by default
    one in the middle. out_channel: its channel. x: input values, (in_channels, …), else small whole numbers.

    Raises ValueError for a position or channel outside the output, and what the layer raises.
    """
    subject = subject_of(
        layer, input_size, default=DEFAULT, language=language, theme=theme, numbers=numbers, x=x
    )
    position = checked_position(subject, at, first=layer is None)
    if not 0 <= out_channel < subject.spec.out_channels:
        raise ConvValueError(
            f"out_channel (={out_channel}) must be one of the {subject.spec.out_channels}: use 0 to "
            f"{subject.spec.out_channels - 1}"
        )
    equation = Equation(subject, out_channel, position)
    terms = equation.terms
    arrays = (_stacked if subject.spec.rank == 1 else _beside)(subject, equation)
    parts = [arrays]
    if numbers:
        parts.append(equation.box(max(arrays.width, 460.0)))
    zeros = sum(term.source is None for term in terms)
    words = _NOTE if zeros else _NOTE_PLAIN
    values = {"place": place(position), "channel": out_channel, "data": len(terms) - zeros}
    note = subject.say(words, **values, **({"zeros": zeros} if zeros else {}))
    return subject.drawing(column(*parts, gap=24), TITLE, note)


def checked_position(subject: Subject, at: Sequence[int] | int | None, *, first: bool = False) -> Position:
    """An output position: the one asked for, else the middle, or the first for the example of the notes."""
    size = subject.spec.output_size
    if at is None:
        return tuple(0 if first else each // 2 for each in size)
    position = (at,) * subject.spec.rank if isinstance(at, int) else tuple(at)
    if len(position) != len(size) or not all(0 <= p < n for p, n in zip(position, size, strict=True)):
        raise ConvValueError(
            f"at (={place(position)}) must be a position of the output, {'x'.join(map(str, size))}: "
            f"use {place(tuple(n // 2 for n in size))}"
        )
    return position


def channels_of(subject: Subject, out_channel: int) -> list[int]:
    """The input channels that an output channel is made from: those of its group."""
    spec = subject.spec
    inputs, outputs = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    group = out_channel // outputs
    return list(range(group * inputs, (group + 1) * inputs))


def _weight_index(subject: Subject, channel: int, out_channel: int) -> tuple[int, int]:
    """The first two indices of the kernel between an input and an output channel."""
    spec = subject.spec
    if spec.transposed:
        return channel, out_channel % (spec.out_channels // spec.groups)
    return out_channel, channel % (spec.in_channels // spec.groups)


def _hot(subject: Subject, terms: list[Term]) -> set[Position]:
    """Where the taps lie on the (padded) input: the same in every channel."""
    if subject.spec.transposed:
        return {term.source[1:] for term in terms if term.source is not None}
    return {term.positions for term in terms}


def _boxes(subject: Subject, equation: Equation) -> tuple[list[tuple[int, Box, Box]], Box, int]:
    """(channel, input, kernel) of the channels that are drawn, the output, and how many are left out."""
    terms = equation.terms
    channels = channels_of(subject, equation.out_channel)
    hot, taps = _hot(subject, terms), {term.weight[2:] for term in terms}
    line_up = subject.spec.rank == 1
    limit = LIMIT if line_up or len(channels) == 1 else 9
    pairs: list[tuple[int, Box, Box]] = []
    for channel in channels[:MOST_CHANNELS]:
        first, second = _weight_index(subject, channel, equation.out_channel)
        kernel = kernel_box(subject, first, second, hot=taps, indices=not line_up)
        pairs.append((channel, input_box(subject, channel, hot=hot, limit=limit), kernel))
    result = output_box(
        subject, equation.out_channel, hot={equation.position}, limit=limit, indices_below=line_up
    )
    return pairs, result, len(channels) - len(pairs)


def _name(subject: Subject, words: Words, channel: int, count: int) -> str:
    """`input`, or `input · channel 1` where there are several."""
    name = subject.say(words)
    return f"{name} · {subject.say(CHANNEL, c=channel)}" if count > 1 else name


def _stacked(subject: Subject, equation: Equation) -> Box:
    """One axis: input, kernel and output below each other with names in front, the kernel under its taps."""
    pairs, result, more = _boxes(subject, equation)
    spec = subject.spec
    rows: list[tuple[Box, Box]] = []
    for channel, inputs, kernel in pairs:
        name = line((_name(subject, INPUT, channel, spec.in_channels), "t-input"), size=13, bold=True)
        rows.append((name, inputs))
        rows.append(
            (
                line((subject.say(KERNEL), "t-kernel"), size=13, bold=True),
                _under_taps(subject, equation, channel, inputs, kernel),
            )
        )
    if more:
        rows.append((space(), line((subject.say(_MORE, n=more), "muted"))))
    name = _name(subject, OUTPUT, equation.out_channel, spec.out_channels)
    rows.append((line((name, "t-output"), size=13, bold=True), result))
    widest = max(name.width for name, _ in rows)
    boxes = [row(Box(widest, name.height, name.shapes), box, gap=18, align="middle") for name, box in rows]
    return _linked_down(subject, equation, pairs, column(*boxes, gap=34))


def _under_taps(subject: Subject, equation: Equation, channel: int, inputs: Box, kernel: Box) -> Box:
    """The kernel moved so that its middle is under the middle of its taps."""
    hot = _hot(subject, equation.terms)
    if not hot:
        return kernel
    window = cells_area(inputs, (cell_name("input", (channel, *p)) for p in hot))
    shift = max(window.center[0] - kernel.width / 2, 0.0)
    return padded(kernel, shift, 0, 0, 0)


def _linked_down(subject: Subject, equation: Equation, pairs: list[tuple[int, Box, Box]], whole: Box) -> Box:
    """Lines from every input through its weight to the output."""
    shapes: list[Shape] = []
    drawn = {channel for channel, _, _ in pairs}
    target = whole.anchors[cell_name("output", (equation.out_channel, *equation.position))]
    for term in equation.terms:
        channel = in_channel(subject, term, equation.out_channel)
        at = _place_of(subject, term)
        if channel not in drawn or at is None:
            continue
        tap = whole.anchors.get(cell_name("kernel", term.weight))
        start = whole.anchors.get(cell_name("input", (channel, *at)))
        if tap is None or start is None:
            continue  # left out of the middle
        role = "link-zeros" if term.source is None else "link-input"
        shapes.append(connector((start.center[0], start.bottom), (tap.center[0], tap.y), role, arrow=False))
        if channel == pairs[-1][0]:
            end = (target.center[0], target.y)
            shapes.append(connector((tap.center[0], tap.bottom), end, "link-kernel", arrow=True))
    return whole.with_shapes(shapes, behind=True)


def _place_of(subject: Subject, term: Term) -> Position | None:
    """Where a term lies on the drawn input."""
    if not subject.spec.transposed:
        return term.positions
    return None if term.source is None else term.source[1:]


def _beside(subject: Subject, equation: Equation) -> Box:
    """Two axes and more: input × kernel for each channel below each other, the output beside them."""
    pairs, result, more = _boxes(subject, equation)
    spec = subject.spec
    rows: list[Box] = []
    for channel, inputs, kernel in pairs:
        named = titled(inputs, _name(subject, INPUT, channel, spec.in_channels), "t-input")
        kernels = titled(kernel, subject.say(KERNEL), "t-kernel")
        if spec.rank == 3:
            rows.append(column(named, kernels, gap=16))
        else:
            rows.append(row(named, line(("×", "muted"), size=20), kernels, gap=20))
    if more:
        rows.append(line((subject.say(_MORE, n=more), "muted")))
    left = column(*rows, gap=20)
    right = titled(result, _name(subject, OUTPUT, equation.out_channel, spec.out_channels), "t-output")
    if spec.rank == 3:
        return column(left, right, gap=20)
    return _framed(subject, equation, pairs, row(left, line(("=", "muted"), size=20), right, gap=20))


def _framed(subject: Subject, equation: Equation, pairs: list[tuple[int, Box, Box]], whole: Box) -> Box:
    """A frame around each window."""
    hot = _hot(subject, equation.terms)
    if not hot:
        return whole
    return whole.with_shapes(
        frame(cells_area(whole, (cell_name("input", (channel, *p)) for p in hot))) for channel, _, _ in pairs
    )
