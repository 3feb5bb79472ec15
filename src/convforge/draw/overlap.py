"""How many products each output cell of a transposed layer gets: even, or in a pattern like a chessboard.

    kernel 3, stride 2    1 1 2 1 2 1 2 1 1     uneven: the kernel is no multiple of the stride
    kernel 4, stride 2    1 1 2 2 2 2 2 1 1     even inside

Source: Odena, Dumoulin & Olah, Deconvolution and checkerboard artifacts, Distill, 2016.
"""

from __future__ import annotations

from math import prod
from typing import Any

from convforge.draw.arrays import array_box, plain_axes
from convforge.draw.drawing import Drawing
from convforge.draw.grid import Position
from convforge.draw.layout import Box, column, line, row
from convforge.draw.shapes import Area, Cell, Label, Shape
from convforge.draw.subject import Ints, Subject, subject_of
from convforge.draw.theme import SCALE_STEPS
from convforge.explain.formula import AXES
from convforge.explain.words import Words

TITLE = Words("Overlap: products per output cell", "重叠：每个输出元素得到几个乘积")
_COUNT = Words("products per output cell, of one channel", "单个通道中每个输出元素的乘积个数")
_PROFILE = Words("along {axis}: {counts}", "沿 {axis} 方向：{counts}")
_EVEN = Words(
    "Even away from the border: every cell there gets {n}. kernel_size ({kernel}) is a multiple of the "
    "stride ({stride}).",
    "除边缘外分布均匀：内部每个元素都得到 {n} 个乘积。kernel_size（{kernel}）是 stride（{stride}）的整数倍。",
)
_UNEVEN = Words(
    "Uneven: cells away from the border get {low} to {high} products, a pattern that the output shows. A "
    "kernel_size ({kernel}) that is a multiple of the stride ({stride}) would be even.",
    "分布不均匀：内部元素得到 {low} 到 {high} 个乘积，输出里会出现棋盘格。"
    "让 kernel_size（{kernel}）取 stride（{stride}）的整数倍即可均匀。",
)
_PLAIN = Words(
    "Of a plain layer every output gets {high} products, fewer only where taps lie on zeros: down to {low}.",
    "普通卷积的每个输出有 {high} 个乘积，只有碰到填充的零时才少，最少 {low} 个。",
)
DEFAULT = ("ConvTranspose2d(1, 1, 3, stride=2)", 4)


def overlap(
    layer: Any = None,
    input_size: Ints | None = None,
    *,
    language: str | None = None,
    theme: str = "auto",
    numbers: bool = True,
) -> Drawing:
    """The number of products of every output cell, darker for more, with the profile along each axis.

    numbers: whether the counts are written in the cells.
    """
    subject = subject_of(layer, input_size, default=DEFAULT, language=language, theme=theme, numbers=numbers)
    counts = [_counts(subject, axis) for axis in range(subject.spec.rank)]
    most = prod(max(each) for each in counts)

    def count(p: Position) -> int:
        return prod(axis[at] for axis, at in zip(counts, p, strict=True))

    box = array_box(
        subject,
        "output",
        plain_axes(subject.spec.output_size, limit=18),
        role=lambda p: _scale(count(p), most),
        label=lambda p: str(count(p)) if subject.numbered else "",
        text_role=lambda p: "text" if _step(count(p), most) < 4 else "on-dark",
        leading=(0,),
    )
    profiles = [_profile(subject, number, each) for number, each in enumerate(counts)]
    map_box = column(line((subject.say(_COUNT), "muted"), size=13), box, _legend(most), gap=10)
    body = row(map_box, column(*profiles, gap=22), gap=44, align="start")
    if subject.spec.rank != 2:
        body = column(map_box, *profiles, gap=26)
    return subject.drawing(body, TITLE, _note(subject, counts))


def _counts(subject: Subject, axis: int) -> list[int]:
    """Products along one axis that read data, for each output position."""
    trace = subject.axes[axis]
    return [
        sum(contact.source is not None for contact in trace.contacts(at)) for at in range(trace.output_size)
    ]


def inner_counts(subject: Subject, axis: int, counts: list[int]) -> list[int]:
    """The counts of the positions that inputs on both sides reach: those away from the border."""
    trace = subject.axes[axis]
    span = trace.dilation * (trace.kernel_size - 1)
    reach = (trace.input_size - 1) * trace.stride - trace.padding[0]
    inside = [n for at, n in enumerate(counts) if span - trace.padding[0] <= at <= reach]
    return inside or counts


def _note(subject: Subject, counts: list[list[int]]) -> str:
    spec = subject.spec
    if not spec.transposed:
        low, high = (prod(pick(each) for each in counts) for pick in (min, max))
        return subject.say(_PLAIN, low=low, high=high)
    inner = [inner_counts(subject, axis, each) for axis, each in enumerate(counts)]
    low, high = (prod(pick(each) for each in inner) for pick in (min, max))
    kernel, stride = ("×".join(map(str, each)) for each in (spec.kernel_size, subject.layer.stride))
    if low == high:
        return subject.say(_EVEN, n=low, kernel=kernel, stride=stride)
    return subject.say(_UNEVEN, low=low, high=high, kernel=kernel, stride=stride)


def _step(count: int, most: int) -> int:
    """0 for none, then evenly up to the darkest for the most."""
    if count == 0 or most == 0:
        return 0
    return max(1, round(count / most * (SCALE_STEPS - 1)))


def _scale(count: int, most: int) -> str:
    return f"scale{_step(count, most)}"


def _legend(most: int) -> Box:
    """The scale with its ends."""
    shapes: list[Shape] = []
    side = 16.0
    start = Label((8.0, side / 2), (("0", "muted"),), 11)
    shapes += [Cell(Area(20.0 + step * side, 0, side, side), f"scale{step}") for step in range(SCALE_STEPS)]
    end = Label((26.0 + SCALE_STEPS * side, side / 2), ((str(most), "muted"),), 11, "start")
    return Box(30.0 + SCALE_STEPS * side + end.width, side, (start, *shapes, end))


def _profile(subject: Subject, number: int, counts: list[int]) -> Box:
    """Bars, one for each output position of an axis; the middle is left out where there are many."""
    (positions,) = plain_axes((len(counts),), limit=24)
    width, unit = 16.0, min(16.0, 64.0 / max(*counts, 1))
    height = unit * max(*counts, 1)
    shapes: list[Shape] = []
    x = 0.0
    for at in positions:
        if at is None:
            shapes.append(Label((x + width / 2, height / 2), (("⋯", "muted"),), 12))
        else:
            bar = unit * counts[at]
            area = Area(x + 1.5, height - bar, width - 3, bar)
            shapes.append(Cell(area, "bar", f"profile{number}-{at}", f"{at}: {counts[at]}", 2))
            if counts[at] < 100:
                shapes.append(Label((x + width / 2, height + 8), ((str(counts[at]), "muted"),), 10))
        x += width
    name = AXES[subject.spec.rank][number]
    title = line((subject.say(_PROFILE, axis=name, counts=_pattern(counts)), "muted"), size=12)
    return column(title, Box(x, height + 16, tuple(shapes)), gap=10)


def _pattern(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low}–{high}"
