"""The input, the kernel and the output of a subject as grids, of one, two or three axes.

Cells are named by channel and position: input-0-1-2, kernel-0-0-1-1 (as the weight array is indexed),
output-0-1-2; positions on padding, or cut off, are n1, n2 before the start.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from convforge.draw.grid import CELL, Position, Positions, grid, shown, slices
from convforge.draw.layout import Box
from convforge.draw.numbers import Array, short
from convforge.draw.subject import LIMIT, Subject
from convforge.explain.trace import AxisTrace
from convforge.explain.words import Words

SLICE = Words("slice {d}", "第 {d} 片")
_ZERO = Words("{place}: a zero of the padding", "{place}：填充的零")
_COPY = Words("{place}: padding, a copy of {source}", "{place}：填充，复制自 {source}")
_CUT = Words("{place}: cut off by padding", "{place}：被 padding 裁掉")
_FOLD = Words("{place}: added to {source}", "{place}：加回到 {source}")
ROUND = 7.0
# Of each of three axes.
SLICE_LIMIT = 8


def array_box(
    subject: Subject,
    name: str,
    axes: tuple[Positions, ...],
    *,
    role: Callable[[Position], str],
    label: Callable[[Position], str],
    tip: Callable[[Position], str] = lambda _: "",
    text_role: Callable[[Position], str] = lambda _: "text",
    leading: Position = (),
    cell: float | None = None,
    radius: float = 0.0,
    indices: bool = True,
    indices_below: bool = False,
) -> Box:
    """A grid of up to three axes; the first of three as slices beside each other."""
    size = cell_size(axes) if cell is None else cell

    def one(lead: Position, last: tuple[Positions, ...]) -> Box:
        return grid(
            name,
            last,
            role=lambda p: role((*lead, *p)),
            label=lambda p: label((*lead, *p)),
            tip=lambda p: tip((*lead, *p)),
            text_role=lambda p: text_role((*lead, *p)),
            cell=size,
            radius=min(radius, size / 4),
            indices=indices,
            indices_below=indices_below,
            leading=(*leading, *lead),
        )

    return slices(axes, one, caption=lambda lead: subject.say(SLICE, d=str(lead[0]).replace("-", "−")))


def cell_size(axes: tuple[Positions, ...]) -> float:
    """Smaller cells where there are many: 38 pixels up to 9 beside each other, never below 18."""
    columns = len(axes[-1]) * (min(len(axes[0]), 4) if len(axes) == 3 else 1)
    rows = len(axes[-2]) if len(axes) > 1 else 1
    largest = CELL if len(axes) < 3 else 30.0
    return float(round(max(18.0, min(largest, 560.0 / max(columns, 1), 480.0 / max(rows, 1)))))


def padded_axes(
    subject: Subject, keep: Collection[Position] = (), limit: int = LIMIT
) -> tuple[Positions, ...]:
    """The positions of the padded array: the input of a layer, if transposed the output before it is cut."""
    sizes = tuple(axis.output_size if axis.transposed else axis.input_size for axis in subject.axes)
    return plain_axes(sizes, keep, limit, tuple(axis.padding for axis in subject.axes))


def plain_axes(
    sizes: tuple[int, ...],
    keep: Collection[Position] = (),
    limit: int = LIMIT,
    padding: tuple[tuple[int, int], ...] | None = None,
) -> tuple[Positions, ...]:
    """The positions of an array. keep: those that are shown where some are left out; fewer of three axes."""
    slices = len(sizes) == 3
    return tuple(
        shown(
            size,
            before=padding[number][0] if padding else 0,
            after=padding[number][1] if padding else 0,
            keep=[position[number] for position in keep],
            limit=min(limit, SLICE_LIMIT) if slices else limit,
            beside=0 if slices and number == 0 else 1,
        )
        for number, size in enumerate(sizes)
    )


def source_of(axes: tuple[AxisTrace, ...], position: Position) -> Position | None:
    """What stands at a position of the padded array, None for a zero (of an output: for what is cut off)."""
    found = [axis.sources[at + axis.padding[0]] for axis, at in zip(axes, position, strict=True)]
    inside = tuple(at for at in found if at is not None)
    return inside if len(inside) == len(found) else None


def is_padding(axes: tuple[AxisTrace, ...], position: Position) -> bool:
    """Whether a position of the padded array lies outside the array itself."""
    return any(
        not 0 <= at < (axis.output_size if axis.transposed else axis.input_size)
        for axis, at in zip(axes, position, strict=True)
    )


def input_box(
    subject: Subject,
    channel: int = 0,
    *,
    hot: Collection[Position] = (),
    padding: bool = True,
    name: str = "input",
    values: Array | None = None,
    base: str = "input",
    cell: float | None = None,
    limit: int = LIMIT,
) -> Box:
    """One channel of the input; of a plain layer with its padding. hot: positions, on padding too."""
    axes, spec = subject.axes, subject.spec
    plain = spec.transposed or not padding
    positions = plain_axes(spec.input_size, hot, limit) if plain else padded_axes(subject, hot, limit)

    def role(p: Position) -> str:
        kind = spec.padding_mode if not plain and is_padding(axes, p) else base
        return f"{kind} hot" if p in hot else kind

    def label(p: Position) -> str:
        if not subject.numbered:
            return ""
        source = p if plain else source_of(axes, p)
        data = subject.numbers.x if values is None else values
        return "0" if source is None else short(data[(channel, *source)])

    return array_box(
        subject,
        name,
        positions,
        role=role,
        label=label,
        tip=lambda p: "" if plain else padding_tip(subject, p),
        text_role=lambda p: "muted" if not plain and p not in hot and is_padding(axes, p) else "text",
        leading=(channel,),
        cell=cell,
    )


def kernel_box(
    subject: Subject,
    first: int = 0,
    second: int = 0,
    *,
    hot: Collection[Position] = (),
    label: Callable[[Position], str] | None = None,
    name: str = "kernel",
    values: Array | None = None,
    base: str = "kernel",
    cell: float | None = None,
    indices: bool = True,
) -> Box:
    """One kernel of the weight array, weight[first, second]. hot: taps."""

    def number(p: Position) -> str:
        data = subject.numbers.weight if values is None else values
        return short(data[(first, second, *p)]) if subject.numbered else ""

    return array_box(
        subject,
        name,
        plain_axes(subject.spec.kernel_size, hot),
        role=lambda p: f"{base} hot" if p in hot else base,
        label=label or number,
        leading=(first, second),
        cell=cell,
        radius=2,
        indices=indices,
    )


def output_box(
    subject: Subject,
    channel: int = 0,
    *,
    hot: Collection[Position] = (),
    cut: bool = False,
    name: str = "output",
    values: Array | None = None,
    base: str = "output",
    cell: float | None = None,
    limit: int = LIMIT,
    indices_below: bool = False,
) -> Box:
    """One channel of the output; cut: of a transposed layer, with what its padding takes off around it.

    values: (out_channels, …) to show in place of the output; with `cut`, of the array before it is cut.
    """
    axes = subject.axes
    before = tuple(axis.padding[0] if cut else 0 for axis in axes)
    positions = padded_axes(subject, hot, limit) if cut else plain_axes(subject.spec.output_size, hot, limit)

    def role(p: Position) -> str:
        kind = base
        if cut and is_padding(axes, p):
            kind = "cut" if source_of(axes, p) is None else subject.spec.padding_mode
        return f"{kind} hot" if p in hot and kind != "cut" else kind

    def label(p: Position) -> str:
        if not subject.numbered or (cut and values is None and is_padding(axes, p)):
            return ""
        if values is None:
            return short(subject.numbers.y[(channel, *p)])
        return short(values[(channel, *(at + shift for at, shift in zip(p, before, strict=True)))])

    return array_box(
        subject,
        name,
        positions,
        role=role,
        label=label,
        tip=lambda p: padding_tip(subject, p) if cut else "",
        leading=(channel,),
        cell=cell,
        radius=ROUND,
        indices_below=indices_below,
    )


def padding_tip(subject: Subject, position: Position) -> str:
    """What is said of a position on padding: where its value comes from, or goes to."""
    if not is_padding(subject.axes, position):
        return ""
    source = source_of(subject.axes, position)
    transposed = subject.spec.transposed
    if source is None:
        return subject.say(_CUT if transposed else _ZERO, place=place(position))
    return subject.say(_FOLD if transposed else _COPY, place=place(position), source=place(source))


def place(position: Position) -> str:
    """(−1, 2)"""
    return f"({', '.join(map(str, position))})".replace("-", "−")
