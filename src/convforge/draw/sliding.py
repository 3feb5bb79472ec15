"""Animations of one layer with its numbers: the kernel over the input, or the input's stamps into the output.

sliding       a window moves over the input; each output is its sum of products
transposed    each input element adds the kernel, times itself, to the output
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy.typing as npt

from convforge.draw.animation import LAST_FRAME_SECONDS, Animation, Scene, animation_of, checked_count
from convforge.draw.grid import CELL, Position, cell_name, cells_area, frame, grid, shown
from convforge.draw.layout import Box, column, line, row, run_lines
from convforge.draw.sample import Sample, number_text, sample_of
from convforge.draw.shapes import Area, Line, Run, Shape
from convforge.errors import ConvValueError
from convforge.explain.formula import size_formula
from convforge.explain.words import Language, Words, language_of

INPUT = Words("input", "输入")
KERNEL = Words("kernel", "卷积核")
OUTPUT = Words("output", "输出")
STAMP = Words("times the input", "乘以输入")
CHANNEL = Words("{what}, channel {channel}", "{what}，通道 {channel}")
BIAS = Words("bias", "偏置")
SLIDING = Words(
    "The kernel slides over the input. Each output is the sum of the products under it.",
    "卷积核在输入上滑动，每个输出是其覆盖位置乘积之和。",
)
TRANSPOSED = Words(
    "Each input element adds the kernel, times itself, to the output. Where stamps overlap they add up.",
    "每个输入元素乘以卷积核后叠加到输出上，重叠处相加。",
)
ADDS_BIAS = Words("At last the bias {bias} is added everywhere.", "最后，每个位置加上偏置 {bias}。")
STARTS = Words("The output starts with zeros.", "输出从全零开始。")
WHOLE = Words("The whole output: {shape}", "完整输出：{shape}")
MOST_TERMS = 27
EQUATION_WIDTH = 560.0
SMALL = 12.0


def sliding(
    layer: Any = "Conv2d(1, 1, 3)",
    input_size: tuple[int, ...] | int | None = None,
    *,
    x: npt.ArrayLike | None = None,
    weight: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    out_channel: int = 0,
    seconds: float = 0.7,
    language: str | None = None,
    theme: str = "auto",
) -> Animation:
    """The kernel slides over the input, and the output fills: one frame an output, with its equation.

    layer: of 1 or 2 axes, plain; a transposed one is given to `transposed`. x, weight, bias: numbers to show
    in place of small made-up ones; a module shows its own.

        0 1 2 3 4 …      0×0.1 + 1×0.2 + 2×0.3 = 0.8
        └─────┘

    Raises ValueError for a layer that there is no room to draw, and what the layer raises.
    """
    sample = sample_of(layer, input_size, x=x, weight=weight, bias=bias, out_channel=out_channel)
    if sample.spec.transposed:
        return transposed(
            layer,
            input_size,
            x=x,
            weight=weight,
            bias=bias,
            out_channel=out_channel,
            seconds=seconds,
            language=language,
            theme=theme,
        )
    said = language_of(language)
    positions = list(product(*map(range, sample.spec.output_size)))
    checked_count(len(positions) + 1, sample.layer.text, "use a smaller input")
    stage = (
        Sliding(sample, out_channel, said) if sample.spec.rank == 2 else SlidingRow(sample, out_channel, said)
    )
    scenes = [
        Scene(stage.body(number), (equation(sample, out_channel, position, said),), seconds)
        for number, position in enumerate(positions)
    ]
    shape = "×".join(map(str, sample.spec.output_size))
    last = line(WHOLE(said, shape=shape), size=15)
    scenes.append(Scene(stage.body(None), (last,), LAST_FRAME_SECONDS))
    return animation_of(
        scenes,
        title=sample.layer.text,
        subtitle=formula_text(sample),
        description=SLIDING(said),
        language=said,
        theme=theme,
    )


def transposed(
    layer: Any = "ConvTranspose2d(1, 1, 3, stride=2)",
    input_size: tuple[int, ...] | int | None = None,
    *,
    x: npt.ArrayLike | None = None,
    weight: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    out_channel: int = 0,
    seconds: float = 1.0,
    language: str | None = None,
    theme: str = "auto",
) -> Animation:
    """The scatter view of a transposed layer: one frame an input element, its stamp added to the output.

    The output is drawn with what padding cuts off, crossed out. Arguments and errors as of `sliding`.
    """
    sample = sample_of(layer, input_size or _small_size(layer, x), x=x, weight=weight, bias=bias)
    if not sample.spec.transposed:
        raise ConvValueError(f"{sample.layer.text}: not a transposed layer: use sliding, or a ConvTranspose")
    if not 0 <= out_channel < sample.layer.out_channels:
        raise ConvValueError(
            f"out_channel (={out_channel}) must be below out_channels (={sample.layer.out_channels})"
        )
    said = language_of(language)
    elements = [
        (channel, *position)
        for channel in sample.inputs_of(out_channel)
        for position in product(*map(range, sample.spec.input_size))
    ]
    checked_count(len(elements) + 2, sample.layer.text, "use a smaller input")
    stage = Scatter(sample, out_channel, said)
    scenes = [Scene(stage.body(None), (line(STARTS(said), size=15),), seconds)]
    for at in elements:
        text = stage.add(at)
        scenes.append(Scene(stage.body(at), (text,), seconds))
    stage.finish()
    shape = "×".join(map(str, sample.spec.output_size))
    words = WHOLE(said, shape=shape)
    if sample.layer.bias:
        separator = "" if said == "zh" else " "
        added = ADDS_BIAS(said, bias=number_text(float(sample.bias[out_channel])))
        words = f"{added}{separator}{words}"
    scenes.append(Scene(stage.body(None), (line(words, size=15),), LAST_FRAME_SECONDS))
    return animation_of(
        scenes,
        title=sample.layer.text,
        subtitle=formula_text(sample),
        description=TRANSPOSED(said),
        language=said,
        theme=theme,
    )


def _small_size(layer: Any, x: npt.ArrayLike | None) -> tuple[int, ...] | int | None:
    """A transposed layer makes its input larger: 3 elements an axis are enough to see it."""
    return None if x is not None else 3


def formula_text(sample: Sample) -> str:
    """The size formula of each axis, its numbers in it."""
    _, *axes = size_formula(sample.spec, sample.layer.stride, sample.layer.dilation)
    return " \u2003 ".join(axes)


def equation(sample: Sample, out_channel: int, position: Position, said: Language) -> Box:
    """`y[0, 1] = 0×0.1 + 1×0.2 + 2×0.3 = 0.8`; sums of channels where the products would be too many."""
    terms = list(sample.trace.terms(out_channel, position))
    where = ", ".join(map(str, (out_channel, *position)))
    pieces: list[tuple[Run, ...]] = [((f"y[{where}] = ", "t-output"),)]
    if len(terms) <= MOST_TERMS:
        for number, term in enumerate(terms):
            plus: Run = (" + " if number else "", "muted")
            weight = float(sample.weight[term.weight])
            value = number_text(sample.value(term))
            shown_weight = number_text(weight) if weight >= 0 else f"({number_text(weight)})"
            if term.source is None:
                pieces.append((plus, (f"0×{shown_weight}", "faint")))
            else:
                pieces.append((plus, (value, "t-input"), ("×", "muted"), (shown_weight, "t-kernel")))
    else:
        for number, channel in enumerate(sample.inputs_of(out_channel)):
            total = sum(
                sample.value(t) * float(sample.weight[t.weight])
                for t in terms
                if t.source is not None and t.source[0] == channel
            )
            plus = (" + " if number else "", "muted")
            pieces.append((plus, (f"({number_text(total)})" if total < 0 else number_text(total), "t-input")))
    if sample.layer.bias:
        value = float(sample.bias[out_channel])
        text = f"({number_text(value)})" if value < 0 else number_text(value)
        pieces.append(((" + ", "muted"), (text, "text"), (f" ({BIAS(said)})", "muted")))
    pieces.append(((" = ", "muted"), (number_text(sample.output(out_channel, position)), "t-output")))
    return run_lines(pieces, EQUATION_WIDTH, size=15, name="equation")


def caption(words: Words, said: Language, channel: int, channels: int) -> str:
    """`input`, or `input, channel 2` where there are several."""
    return words(said) if channels == 1 else CHANNEL(said, what=words(said), channel=channel)


def sign(text: str) -> Box:
    """A sign between grids."""
    return line(text, size=22, role="muted")


class Sliding:
    """Two axes: input channels below each other, the kernel's beside them, then the output."""

    def __init__(self, sample: Sample, out_channel: int, said: Language) -> None:
        self.sample = sample
        self.out_channel = out_channel
        self.said: Language = said
        self.positions = list(product(*map(range, sample.spec.output_size)))
        self.values = [sample.output(out_channel, position) for position in self.positions]
        self.channels = sample.inputs_of(out_channel)
        self.kernels = column(*(self.kernel(channel) for channel in self.channels), gap=18)

    def body(self, number: int | None) -> Box:
        """All grids while output `number` is made, None: when all are."""
        sample = self.sample
        inputs = column(*(self.input(channel, number) for channel in self.channels), gap=18)
        whole = row(inputs, sign("∗"), self.kernels, sign("="), self.output(number), gap=18)
        if number is None:
            return whole
        met = list(sample.trace.contacts(self.positions[number]))
        windows = [
            frame(cells_area(whole, (cell_name("input", (c, *(k.position for k in m))) for m in met)))
            for c in self.channels
        ]
        return whole.with_shapes(windows)

    def input(self, channel: int, number: int | None) -> Box:
        """One channel with its padding, the taps of the present output marked."""
        sample, spec = self.sample, self.sample.spec
        hot = (
            set()
            if number is None
            else {tuple(c.position for c in met) for met in sample.trace.contacts(self.positions[number])}
        )

        def value(position: Position) -> str:
            source = source_of(sample, position)
            return "0" if source is None else number_text(float(sample.x[(channel, *source)]))

        def role(position: Position) -> str:
            inside = all(0 <= at < size for at, size in zip(position, spec.input_size, strict=True))
            base = "input" if inside else spec.padding_mode
            return f"{base} hot" if position in hot else base

        axes = tuple(
            shown(size, before=before, after=after)
            for size, (before, after) in zip(spec.input_size, spec.padding, strict=True)
        )
        cells = grid("input", axes, role=role, label=value, leading=(channel,), text_role=self.padding_text)
        return column(
            line(caption(INPUT, self.said, channel, len(self.channels)), size=SMALL, role="t-input"),
            cells,
            gap=5,
        )

    def padding_text(self, position: Position) -> str:
        """Padding's numbers are quieter."""
        sizes = self.sample.spec.input_size
        inside = all(0 <= at < size for at, size in zip(position, sizes, strict=True))
        return "text" if inside else "muted"

    def kernel(self, channel: int) -> Box:
        """The weights between a channel and the output's."""
        sample = self.sample

        def value(taps: Position) -> str:
            index = sample.weight_index(self.out_channel, channel, taps)
            return number_text(float(sample.weight[index]))

        cells = grid(
            "kernel",
            tuple(map(shown, sample.spec.kernel_size)),
            role=lambda _: "kernel",
            label=value,
            leading=(channel,),
            indices=False,
        )
        text = caption(KERNEL, self.said, channel, len(self.channels))
        return column(line(text, size=SMALL, role="t-kernel"), cells, gap=8)

    def output(self, number: int | None) -> Box:
        """What is made already, the present one marked."""
        sample = self.sample
        done = len(self.positions) if number is None else number

        def index(position: Position) -> int:
            return self.positions.index(position)

        def role(position: Position) -> str:
            at = index(position)
            return "blank" if at > done else "output hot" if at == number else "output"

        cells = grid(
            "output",
            tuple(map(shown, sample.spec.output_size)),
            role=role,
            label=lambda p: "" if index(p) > done else number_text(self.values[index(p)]),
            radius=5,
        )
        text = caption(OUTPUT, self.said, self.out_channel, sample.spec.out_channels)
        return column(line(text, size=SMALL, role="t-output"), cells, gap=5)


def source_of(sample: Sample, position: Position) -> tuple[int, ...] | None:
    """The input element that a padded position holds, None for a zero."""
    found = [axis.sources[at + axis.padding[0]] for axis, at in zip(sample.trace.axes, position, strict=True)]
    inside = [at for at in found if at is not None]
    return tuple(inside) if len(inside) == len(found) else None


class SlidingRow(Sliding):
    """One axis: the kernel moves below the input, and each output stands below the middle of its window."""

    def body(self, number: int | None) -> Box:
        """Input, kernel and output rows while output `number` is made."""
        parts: list[Box] = []
        inputs = [self.input(channel, number) for channel in self.channels]
        for channel, box in zip(self.channels, inputs, strict=True):
            parts += [box, self.moving_kernel(channel, number, box)]
        parts.append(self.outputs(number, inputs[0]))
        whole = column(*parts, gap=12)
        if number is None:
            return whole
        target = whole.anchors[cell_name("output", (number,))]
        taps = range(self.sample.spec.kernel_size[0])
        starts = [whole.anchors[cell_name("kernel", (self.channels[-1], tap))] for tap in taps]
        end = (target.center[0], target.y - 3)
        links = [Line(((at.center[0], at.bottom + 2), end), "link-kernel") for at in starts]
        return whole.with_shapes(links, behind=True)

    def outputs(self, number: int | None, above: Box) -> Box:
        """What is made already, each below the middle of the input elements it reads."""
        [axis] = self.sample.trace.axes
        done = len(self.positions) if number is None else number
        cells: list[Box] = []
        for at, value in enumerate(self.values):
            role = "blank" if at > done else "output hot" if at == number else "output"
            met = [
                above.anchors[cell_name("input", (self.channels[0], c.position))] for c in axis.contacts(at)
            ]
            text = "" if at > done else number_text(value)
            cell = one_cell("output", (at,), role, text, radius=5)
            cells.append(cell.moved((met[0].x + met[-1].right - CELL) / 2, 0))
        words = caption(OUTPUT, self.said, self.out_channel, self.sample.spec.out_channels)
        name = line(words, size=SMALL, role="t-output")
        return column(stacked(cells, above.width), name, gap=6)

    def moving_kernel(self, channel: int, number: int | None, above: Box) -> Box:
        """The weights below the input elements that they meet; at rest below the first window."""
        sample = self.sample
        [axis] = sample.trace.axes
        cells: list[Box] = []
        for contact in axis.contacts(number or 0):
            at = above.anchors[cell_name("input", (channel, contact.position))]
            value = float(sample.weight[sample.weight_index(self.out_channel, channel, (contact.tap,))])
            role = "kernel" if number is None else "kernel hot"
            cells.append(one_cell("kernel", (channel, contact.tap), role, number_text(value)).moved(at.x, 0))
        words = caption(KERNEL, self.said, channel, len(self.channels))
        # Below the weights, so that these touch what they meet; room for the lines to the output.
        name = line(words, size=SMALL, role="t-kernel")
        last = channel == self.channels[-1]
        right = max(cell.anchors[name].right for cell in cells for name in cell.anchors)
        beside = name.moved(right + 10, CELL / 2 - 8) if right + 10 + name.width <= above.width else None
        boxes = [*cells, beside] if beside else cells
        return Box(above.width, CELL + (18 if last else 6), *_contents(boxes))


def one_cell(name: str, position: Position, role: str, text: str, radius: float = 0.0) -> Box:
    """A single cell, its name as a grid would give it."""
    return grid(
        name,
        ((position[-1],),),
        role=lambda _: role,
        label=lambda _: text,
        leading=position[:-1],
        indices=False,
        radius=radius,
    )


def stacked(boxes: list[Box], width: float) -> Box:
    """Boxes where they were moved to, as one."""
    return Box(width, max(box.height for box in boxes), *_contents(boxes))


def _contents(boxes: list[Box]) -> tuple[tuple[Shape, ...], dict[str, Area]]:
    shapes = tuple(shape for box in boxes for shape in box.shapes)
    return shapes, {name: area for box in boxes for name, area in box.anchors.items()}


class Scatter:
    """A transposed layer of one or two axes: input, kernel, the stamp of one element, and the output so far."""

    def __init__(self, sample: Sample, out_channel: int, said: Language) -> None:
        self.sample = sample
        self.out_channel = out_channel
        self.said: Language = said
        self.channels = sample.inputs_of(out_channel)
        self.sums: dict[Position, float] = {}
        self.hot: set[Position] = set()
        self.total: dict[Position, float] | None = None

    def landings(self, at: tuple[int, ...]) -> list[tuple[Position, Position]]:
        """(taps, position before padding is cut off) of every product of an input element (channel, *i)."""
        axes = self.sample.trace.axes
        along = [
            [
                (tap, i * axis.stride + tap * axis.dilation - axis.padding[0])
                for tap in range(axis.kernel_size)
            ]
            for axis, i in zip(axes, at[1:], strict=True)
        ]
        return [(tuple(t for t, _ in met), tuple(p for _, p in met)) for met in product(*along)]

    def add(self, at: tuple[int, ...]) -> Box:
        """Adds the stamp of an input element; returns the words about it."""
        sample = self.sample
        value = float(sample.x[at])
        self.hot = set()
        for taps, position in self.landings(at):
            weight = float(sample.weight[sample.weight_index(self.out_channel, at[0], taps)])
            self.sums[position] = self.sums.get(position, 0.0) + value * weight
            self.hot.add(position)
        where = ", ".join(map(str, at))
        spans = " × ".join(
            f"{number_text(min(p[axis] for p in self.hot))}…{number_text(max(p[axis] for p in self.hot))}"
            for axis in range(sample.spec.rank)
        )
        runs: tuple[Run, ...] = (
            (f"x[{where}] = {number_text(value)}", "t-input"),
            (" × ", "muted"),
            (KERNEL(self.said), "t-kernel"),
            ("  →  ", "muted"),
            (f"y[{spans}]", "t-output"),
        )
        return line(*runs, size=15, name="equation")

    def finish(self) -> None:
        """Folds or cuts off the padding and adds the bias: what the layer returns."""
        self.hot = set()
        size = self.sample.spec.output_size
        self.total = {
            position: self.sample.output(self.out_channel, position)
            for position in product(*map(range, size))
        }

    def body(self, at: tuple[int, ...] | None) -> Box:
        """All grids after the stamp of `at`."""
        inputs = column(*(self.input(channel, at) for channel in self.channels), gap=18)
        shown_channel = self.channels[0] if at is None else at[0]
        kernel = self.small_grid("kernel", KERNEL, "kernel", "t-kernel", shown_channel, 1.0)
        factor = None if at is None else float(self.sample.x[at])
        stamp = self.small_grid("stamp", STAMP, "output hot", "t-output", shown_channel, factor)
        if self.sample.spec.rank == 1:
            return column(
                row(inputs, sign("×"), kernel, sign("="), stamp, gap=14),
                self.output(),
                gap=20,
            )
        return row(inputs, sign("×"), kernel, sign("="), stamp, sign("→"), self.output(), gap=14)

    def input(self, channel: int, at: tuple[int, ...] | None) -> Box:
        """One input channel, the present element marked."""
        sample = self.sample
        cells = grid(
            "input",
            tuple(map(shown, sample.spec.input_size)),
            role=lambda p: "input hot" if at == (channel, *p) else "input",
            label=lambda p: number_text(float(sample.x[(channel, *p)])),
            leading=(channel,),
        )
        text = caption(INPUT, self.said, channel, len(self.channels))
        return column(line(text, size=SMALL, role="t-input"), cells, gap=5)

    def small_grid(
        self, name: str, words: Words, role: str, text: str, channel: int, factor: float | None
    ) -> Box:
        """The kernel times a factor, empty for None."""
        sample = self.sample

        def label(taps: Position) -> str:
            if factor is None:
                return ""
            weight = float(sample.weight[sample.weight_index(self.out_channel, channel, taps)])
            return number_text(factor * weight)

        cells = grid(
            name,
            tuple(map(shown, sample.spec.kernel_size)),
            role=lambda _: "blank" if factor is None else role,
            label=label,
            indices=False,
            radius=5 if name == "stamp" else 0,
        )
        several = len(self.channels) > 1 and name == "kernel"
        said = caption(words, self.said, channel, len(self.channels)) if several else words(self.said)
        return column(line(said, size=SMALL, role=text), cells, gap=8)

    def output(self) -> Box:
        """The sums so far, and around them what padding cuts off."""
        spec, axes = self.sample.spec, self.sample.trace.axes
        cut = "cut" if spec.padding_mode == "zeros" else spec.padding_mode

        def inside(position: Position) -> bool:
            return all(0 <= at < size for at, size in zip(position, spec.output_size, strict=True))

        def role(position: Position) -> str:
            if not inside(position):
                return cut
            if self.total is not None:
                return "output"
            return "output hot" if position in self.hot else "output" if position in self.sums else "blank"

        def label(position: Position) -> str:
            if self.total is not None and inside(position):
                return number_text(self.total[position])
            return number_text(self.sums[position]) if position in self.sums else ""

        cells = grid(
            "output",
            tuple(
                shown(size, before=axis.padding[0], after=max(axis.padding[1], 0))
                for size, axis in zip(spec.output_size, axes, strict=True)
            ),
            role=role,
            label=label,
            text_role=lambda p: "text" if inside(p) else "t-cut" if cut == "cut" else "muted",
            radius=5,
        )
        if self.hot:
            names = [cell_name("output", p) for p in self.hot]
            cells = cells.with_shapes([frame(cells_area(cells, (n for n in names if n in cells.anchors)))])
        text = caption(OUTPUT, self.said, self.out_channel, spec.out_channels)
        return column(line(text, size=SMALL, role="t-output"), cells, gap=5)
