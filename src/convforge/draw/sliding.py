"""Animations of one layer with its numbers: the kernel over the input, or the input's stamps into the output.

sliding       a window moves over the input; each output is its sum of products
transposed    each input element adds the kernel, times itself, to the output
"""

from __future__ import annotations

from itertools import product
from typing import Any

from convforge.draw.animation import LAST_FRAME_SECONDS, Animation, Scene, animation_of, checked_count
from convforge.draw.arrays import ROUND, array_box, input_box, kernel_box, plain_axes
from convforge.draw.equation import Equation
from convforge.draw.grid import CELL, Position, cell_name, cells_area, frame, grid
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
    stacked,
)
from convforge.draw.numbers import short
from convforge.draw.shapes import Line
from convforge.draw.subject import Ints, Subject
from convforge.errors import ConvValueError
from convforge.explain.words import Words

SLIDING = Words(
    "The kernel slides over the input. Each output is the sum of the products under it.",
    "卷积核在输入上滑动，每个输出是其覆盖位置乘积之和。",
)
WHOLE = Words("The whole output: {shape}", "完整输出：{shape}")
EQUATION_WIDTH = 560.0


def sliding(
    layer: Any = None,
    input_size: Ints | None = None,
    *,
    x: Any = None,
    out_channel: int = 0,
    seconds: float = 0.7,
    language: str | None = None,
    theme: str = "auto",
) -> Animation:
    """The kernel slides over the input, and the output fills: one frame an output, with its equation.

    layer: a plain one of 1 or 2 axes; a module shows its own weights, else they are small. x: numbers of the
    input, (in_channels, …). seconds: a frame.

        0 1 2 3 4 …      0×0.1 + 1×0.2 + 2×0.3 = 0.8
        └─┬─┘

    Raises ValueError for a layer that there is no room to draw, and what the layer raises.
    """
    default = ("Conv2d(1, 1, 3)", 5)
    subject = moving_subject(layer, input_size, default, x, out_channel, language, theme)
    if subject.spec.transposed:
        raise ConvValueError(f"{subject.layer.text}: a transposed layer scatters: animate it with transposed")
    positions = list(product(*map(range, subject.spec.output_size)))
    checked_count(len(positions) + 1, subject.layer.text, "use a smaller input")
    stage = (SlidingRow if subject.spec.rank == 1 else Sliding)(subject, out_channel, positions)
    scenes = [
        Scene(stage.body(number), Equation(subject, out_channel, position).box(EQUATION_WIDTH), seconds)
        for number, position in enumerate(positions)
    ]
    shape = "×".join(map(str, subject.spec.output_size))
    scenes.append(Scene(stage.body(None), line(subject.say(WHOLE, shape=shape), size=15), LAST_FRAME_SECONDS))
    return animation_of(subject, scenes, subtitle=formula_text(subject), description=SLIDING)


class Sliding:
    """Two axes: input channels below each other, the kernel's beside them, then the output."""

    def __init__(self, subject: Subject, out_channel: int, positions: list[Position]) -> None:
        spec = subject.spec
        self.subject = subject
        self.out_channel = out_channel
        self.positions = positions
        self.number = {position: number for number, position in enumerate(positions)}
        inputs, outputs = spec.in_channels // spec.groups, spec.out_channels // spec.groups
        group = out_channel // outputs
        self.channels = range(group * inputs, (group + 1) * inputs)

    def met(self, number: int | None) -> list[Position]:
        """The padded input positions under the kernel while output `number` is made."""
        if number is None:
            return []
        contacts = self.subject.trace.contacts(self.positions[number])
        return [tuple(contact.position for contact in met) for met in contacts]

    def body(self, number: int | None) -> Box:
        """All grids while output `number` is made; None: when all are."""
        met = self.met(number)
        inputs = column(*(self.input(channel, met) for channel in self.channels), gap=18)
        kernels = column(*(self.kernel(channel) for channel in self.channels), gap=18)
        whole = row(inputs, sign("∗"), kernels, sign("="), self.output(number), gap=18)
        if not met:
            return whole
        windows = [
            frame(cells_area(whole, (cell_name("input", (channel, *at)) for at in met)))
            for channel in self.channels
        ]
        return whole.with_shapes(windows)

    def input(self, channel: int, met: list[Position]) -> Box:
        """One channel with its padding, what is met marked."""
        box = input_box(self.subject, channel, hot=met, limit=LONGEST_AXIS)
        return named(self.subject, box, INPUT, channel, len(self.channels), "t-input")

    def kernel(self, channel: int) -> Box:
        """The weights between a channel and the output's."""
        box = kernel_box(self.subject, self.out_channel, channel - self.channels[0], indices=False)
        return named(self.subject, box, KERNEL, channel, len(self.channels), "t-kernel")

    def role(self, number: int | None, position: Position) -> str:
        """How an output looks: still to come, present, or made."""
        at = self.number[position]
        return "output" if number is None or at < number else "output hot" if at == number else "blank"

    def label(self, number: int | None, position: Position) -> str:
        """What is written in an output."""
        if self.role(number, position) == "blank":
            return ""
        return short(self.subject.numbers.y[(self.out_channel, *position)])

    def output(self, number: int | None) -> Box:
        """What is made already, the present one marked."""
        box = array_box(
            self.subject,
            "output",
            plain_axes(self.subject.spec.output_size, limit=LONGEST_AXIS),
            role=lambda p: self.role(number, p),
            label=lambda p: self.label(number, p),
            leading=(self.out_channel,),
            radius=ROUND,
        )
        return named(self.subject, box, OUTPUT, self.out_channel, self.subject.spec.out_channels, "t-output")


class SlidingRow(Sliding):
    """One axis: the kernel moves below the input, and each output stands below the middle of its window."""

    def body(self, number: int | None) -> Box:
        """Input, kernel and output rows while output `number` is made."""
        met = self.met(number)
        parts: list[Box] = []
        inputs = [self.input(channel, met) for channel in self.channels]
        for channel, box in zip(self.channels, inputs, strict=True):
            parts += [box, self.moving_kernel(channel, number, box)]
        parts.append(self.outputs(number, inputs[0]))
        whole = column(*parts, gap=12)
        if number is None:
            return whole
        target = whole.anchors[cell_name("output", (self.out_channel, number))]
        end = (target.center[0], target.y - 3)
        last = (self.out_channel, self.channels[-1] - self.channels[0])
        starts = [
            whole.anchors[cell_name("kernel", (*last, tap))]
            for tap in range(self.subject.spec.kernel_size[0])
        ]
        links = [Line(((at.center[0], at.bottom + 2), end), "link-kernel") for at in starts]
        return whole.with_shapes(links, behind=True)

    def outputs(self, number: int | None, above: Box) -> Box:
        """What is made already, each below the middle of the input elements it reads."""
        cells: list[Box] = []
        for position in self.positions:
            met = self.met(self.number[position])
            under = [above.anchors[cell_name("input", (self.channels[0], *at))] for at in met]
            cell = grid(
                "output",
                ((position[0],),),
                role=lambda p: self.role(number, p),
                label=lambda p: self.label(number, p),
                leading=(self.out_channel,),
                indices=False,
                radius=ROUND,
            )
            cells.append(cell.moved((under[0].x + under[-1].right - CELL) / 2, 0))
        return named(
            self.subject, stacked(cells, above.width, CELL), OUTPUT, self.out_channel,
            self.subject.spec.out_channels, "t-output", below=True,
        )  # fmt: skip

    def moving_kernel(self, channel: int, number: int | None, above: Box) -> Box:
        """The weights below the input elements that they meet; at rest below the first window."""
        subject = self.subject
        [axis] = subject.axes
        cells: list[Box] = []
        first = (self.out_channel, channel - self.channels[0])
        for contact in axis.contacts(number or 0):
            at = above.anchors[cell_name("input", (channel, contact.position))]
            cell = grid(
                "kernel",
                ((contact.tap,),),
                role=lambda _: "kernel" if number is None else "kernel hot",
                label=lambda p: short(subject.numbers.weight[(*first, *p)]),
                leading=first,
                indices=False,
            )
            cells.append(cell.moved(at.x, 0))
        words = KERNEL if len(self.channels) == 1 else None
        right = max(at.right for cell in cells for at in cell.anchors.values()) + 10
        if words is not None:
            name = line(subject.say(words), size=12, role="t-kernel")
            if right + name.width <= above.width + 60:
                cells.append(name.moved(right, CELL / 2 - 8))
        room = 18 if channel == self.channels[-1] else 6
        return stacked(cells, above.width, CELL + room)
