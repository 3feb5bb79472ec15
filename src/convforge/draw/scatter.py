"""The scatter view of a transposed layer as an animation: each input element adds a stamp to the output."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from convforge.draw.animation import LAST_FRAME_SECONDS, Animation, Scene, animation_of, checked_count
from convforge.draw.arrays import ROUND, array_box, input_box, is_padding, kernel_box, padded_axes, plain_axes
from convforge.draw.grid import Position, cell_name, cells_area, frame
from convforge.draw.layout import Box, column, line, row
from convforge.draw.moving import (
    INPUT,
    KERNEL,
    LONGEST_AXIS,
    OUTPUT,
    formula_text,
    moving_subject,
    named,
    sign,
)
from convforge.draw.numbers import short
from convforge.draw.shapes import Run
from convforge.draw.sliding import WHOLE
from convforge.draw.subject import Ints, Subject
from convforge.errors import ConvValueError
from convforge.explain.words import Words

STAMP = Words("kernel × element", "卷积核 × 元素")
TRANSPOSED = Words(
    "Each input element adds the kernel, times itself, to the output. Where stamps overlap they add up.",
    "每个输入元素乘以卷积核后叠加到输出上，重叠处相加。",
)
STARTS = Words("The output starts from zeros.", "输出从全零开始。")
ADDS_BIAS = Words("At last the bias {bias} is added everywhere. ", "最后，每个位置加上偏置 {bias}。")
CUTS = Words("Padding cuts off the crossed cells. ", "padding 裁掉打叉的格子。")
FOLDS = Words("Padding is added back to where it was copied from. ", "padding 处的值加回其来源位置。")


def transposed(
    layer: Any = None,
    input_size: Ints | None = None,
    *,
    x: Any = None,
    out_channel: int = 0,
    seconds: float = 1.0,
    language: str | None = None,
    theme: str = "auto",
) -> Animation:
    """The scatter view of a transposed layer: one frame an input element, its stamp added to the output.

    The output is drawn with what padding cuts off, crossed out. Arguments and errors as of `sliding`.

        1 2      ×  0.1 0.2 0.3   ->   0.1 0.2 0.3  .   .
                                        .   .  0.2 0.4 0.6
    """
    default = ("ConvTranspose2d(1, 1, 3, stride=2, padding=1)", 3)
    subject = moving_subject(layer, input_size, default, x, out_channel, language, theme)
    if not subject.spec.transposed:
        raise ConvValueError(f"{subject.layer.text}: not a transposed layer: animate it with sliding")
    stage = Scatter(subject, out_channel)
    elements = [
        (channel, *position)
        for channel in stage.channels
        for position in product(*map(range, subject.spec.input_size))
    ]
    checked_count(len(elements) + 2, subject.layer.text, "use a smaller input")
    scenes = [Scene(stage.body(None), line(subject.say(STARTS), size=15), seconds)]
    for at in elements:
        words = stage.add(at)
        scenes.append(Scene(stage.body(at), words, seconds))
    stage.finish()
    shape = "×".join(map(str, subject.spec.output_size))
    words = subject.say(WHOLE, shape=shape)
    if subject.numbers.bias is not None and subject.numbers.bias[out_channel]:
        words = subject.say(ADDS_BIAS, bias=short(subject.numbers.bias[out_channel])) + words
    if any(map(any, subject.spec.padding)):
        words = subject.say(CUTS if subject.spec.padding_mode == "zeros" else FOLDS) + words
    scenes.append(Scene(stage.body(None), line(words, size=15), LAST_FRAME_SECONDS))
    return animation_of(subject, scenes, subtitle=formula_text(subject), description=TRANSPOSED)


class Scatter:
    """Input, kernel, the stamp of one element, and the output so far: it is told which elements were added.

    sums: of the output before its padding is cut off; reached: where any stamp has been.
    """

    def __init__(self, subject: Subject, out_channel: int) -> None:
        spec = subject.spec
        self.subject = subject
        self.out_channel = out_channel
        inputs, outputs = spec.in_channels // spec.groups, spec.out_channels // spec.groups
        group, self.second = divmod(out_channel, outputs)
        self.channels = range(group * inputs, (group + 1) * inputs)
        self.before = tuple(before for before, _ in spec.padding)
        sizes = [size + sum(pair) for size, pair in zip(spec.output_size, spec.padding, strict=True)]
        self.sums: npt.NDArray[np.float64] = np.zeros(sizes)
        self.reached: set[Position] = set()
        self.hot: set[Position] = set()
        self.is_done = False

    def add(self, at: Position) -> Box:
        """Adds the stamp of an input element (channel, …); returns the words about it."""
        subject, spec = self.subject, self.subject.spec
        value = subject.numbers.x[at]
        self.hot = set()
        for taps in product(*map(range, spec.kernel_size)):
            lands = tuple(
                i * stride + tap * dilation
                for i, stride, tap, dilation in zip(at[1:], spec.stride, taps, spec.dilation, strict=True)
            )
            self.sums[lands] += value * subject.numbers.weight[(at[0], self.second, *taps)]
            self.hot.add(tuple(p - before for p, before in zip(lands, self.before, strict=True)))
        self.reached |= self.hot
        where = ", ".join(map(str, at))
        spans = ", ".join(
            f"{short(min(p[axis] for p in self.hot))} … {short(max(p[axis] for p in self.hot))}"
            for axis in range(spec.rank)
        )
        runs: tuple[Run, ...] = (
            (f"x[{where}] = {short(value)}", "t-input"),
            ("  ×  ", "muted"),
            (subject.say(KERNEL), "t-kernel"),
            ("  →  ", "muted"),
            (f"y[{self.out_channel}, {spans}]", "t-output"),
        )
        return line(*runs, size=15, name="equation")

    def finish(self) -> None:
        """Cuts off or folds back the padding and adds the bias: what the layer returns."""
        self.hot, self.is_done = set(), True

    def body(self, at: Position | None) -> Box:
        """All grids after the stamp of `at`."""
        subject = self.subject
        inputs = column(*(self.input(channel, at) for channel in self.channels), gap=18)
        channel = self.channels[0] if at is None else at[0]
        kernel = kernel_box(subject, channel, self.second, indices=False)
        kernel = named(subject, kernel, KERNEL, channel, len(self.channels), "t-kernel")
        parts = (inputs, sign("×"), kernel, sign("="), self.stamp(at))
        if subject.spec.rank == 1:
            return column(row(*parts, gap=14), self.output(), gap=20)
        return row(*parts, sign("→"), self.output(), gap=14)

    def input(self, channel: int, at: Position | None) -> Box:
        """One input channel, the present element marked."""
        hot = [at[1:]] if at is not None and at[0] == channel else []
        box = input_box(self.subject, channel, hot=hot, limit=LONGEST_AXIS)
        return named(self.subject, box, INPUT, channel, len(self.channels), "t-input")

    def stamp(self, at: Position | None) -> Box:
        """The kernel times the present element."""
        numbers = self.subject.numbers
        box = array_box(
            self.subject,
            "stamp",
            plain_axes(self.subject.spec.kernel_size, limit=LONGEST_AXIS),
            role=lambda _: "blank" if at is None else "output hot",
            label=lambda p: (
                "" if at is None else short(numbers.x[at] * numbers.weight[(at[0], self.second, *p)])
            ),
            indices=False,
            radius=ROUND,
        )
        return named(self.subject, box, STAMP, 0, 1, "t-output")

    def output(self) -> Box:
        """The sums so far, and around them what padding cuts off or folds back."""
        subject, axes = self.subject, self.subject.axes
        outside = "cut" if subject.spec.padding_mode == "zeros" else subject.spec.padding_mode

        def role(position: Position) -> str:
            if is_padding(axes, position):
                return outside
            if self.is_done:
                return "output"
            reached = "output" if position in self.reached else "blank"
            return "output hot" if position in self.hot else reached

        def label(position: Position) -> str:
            if self.is_done and not is_padding(axes, position):
                return short(subject.numbers.y[(self.out_channel, *position)])
            if position not in self.reached:
                return ""
            return short(
                self.sums[tuple(p + before for p, before in zip(position, self.before, strict=True))]
            )

        box = array_box(
            subject,
            "output",
            padded_axes(subject, limit=LONGEST_AXIS),
            role=role,
            label=label,
            text_role=lambda p: "muted" if is_padding(axes, p) else "text",
            leading=(self.out_channel,),
            radius=ROUND,
        )
        if self.hot:
            names = [cell_name("output", (self.out_channel, *p)) for p in self.hot]
            box = box.with_shapes([frame(cells_area(box, (n for n in names if n in box.anchors)))])
        return named(subject, box, OUTPUT, self.out_channel, subject.spec.out_channels, "t-output")
