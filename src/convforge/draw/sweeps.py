"""Animations in which one parameter of a layer goes through its values: dilation, groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import gcd, prod
from typing import Any

from convforge.draw.animation import Animation, Scene, framed
from convforge.draw.arrays import ROUND, array_box, input_box, is_padding, padded_axes, plain_axes
from convforge.draw.grid import Position, cell_name, cells_area, frame, grid, shown
from convforge.draw.layout import Box, column, line, padded, paragraph, row, space
from convforge.draw.moving import INPUT, LONGEST_AXIS, OUTPUT, formula_text, named, sign
from convforge.draw.shapes import Area, Cell, Line
from convforge.draw.subject import Ints, Subject, subject_of
from convforge.draw.theme import GROUP_STYLES, checked_theme
from convforge.errors import ConvValueError
from convforge.explain.costs import Costs, costs_of
from convforge.explain.layers import as_layer
from convforge.explain.words import Language, Words, language_of
from convforge.problem import ConvLayer

SPANS = Words(
    "{taps} taps, {gaps} apart, span {dilation}·({taps} − 1) + 1 = {span}. Still {weights} weights.",
    "{taps} 个采样点，间距 {gaps}，跨度 {dilation}·({taps} − 1) + 1 = {span}，权重仍是 {weights} 个。",
)
DILATION = Words(
    "Dilation spreads the taps of a kernel: it sees more and has no more weights.",
    "膨胀（空洞）让卷积核的采样点分散开：看得更广，权重不增加。",
)
GROUPS = Words(
    "Groups split the channels: an output channel reads only the input channels of its group.",
    "分组把通道分开：每个输出通道只读取本组的输入通道。",
)
READS = Words(
    "Each output channel reads {read} of {channels} input channels.",
    "每个输出通道读取 {channels} 个输入通道中的 {read} 个。",
)
DENSE = Words("groups=1: every output reads every input", "groups=1：每个输出通道读取全部输入通道")
DEPTHWISE = Words(
    "groups={groups}: depthwise, each channel by itself", "groups={groups}：逐通道（depthwise）卷积"
)
SHARE = Words("{count}, 1/{share} of groups=1", "{count}，是 groups=1 的 1/{share}")
GROUPED = Words("groups={groups}", "groups={groups}")
IN_CHANNELS, OUT_CHANNELS = Words("in_channels", "输入通道"), Words("out_channels", "输出通道")
PARAMETERS = Words("parameters", "参数量")
MULTIPLY_ADDS = Words("multiply-adds", "乘加次数")
WEIGHT = Words("weight", "权重形状")
MOST_GROUP_CHANNELS = 16
SMALL_CELL = 26.0
LANE, NODE, BAR = 150.0, 24.0, 240.0


def dilation_sweep(
    layer: Any = None,
    input_size: Ints | None = None,
    *,
    dilations: Sequence[int] = (1, 2, 3, 4),
    seconds: float = 1.4,
    language: str | None = None,
    theme: str = "auto",
) -> Animation:
    """One layer at several dilations: the taps of its middle output, what they span, the size formula.

    Of a transposed layer, where the middle input element's products land. Dilations whose span is longer than
    the padded input are left out.

        dilation 1   x x x         dilation 2   x . x . x

    Raises ValueError where none fits, and what the layer raises.
    """
    value = as_layer("Conv2d(1, 1, 3)" if layer is None else layer)
    if value.rank == 3:
        raise ConvValueError(f"{value.text}: animated are layers of 1 or 2 axes: use {value.name[:-2]}2d")
    if not dilations:
        raise ConvValueError("dilations (=()) has none: use dilations=(1, 2, 3)")
    widest = max(dilations)
    default = tuple(3 if value.transposed else widest * (k - 1) + 1 + (k == 1) * 4 for k in value.kernel_size)
    size = default if input_size is None else input_size
    subjects: list[Subject] = []
    for dilation in dilations:
        dilated = replace(value, dilation=(dilation,) * value.rank)
        try:
            subjects.append(_plain_subject(dilated, size, language, theme))
        except (ValueError, RuntimeError):
            # The first says why no dilation fits; later ones only end the sweep.
            if not subjects:
                raise
            break
    scenes = [Scene(_dilated(subject), _span_words(subject), seconds) for subject in subjects]
    scenes[-1] = replace(scenes[-1], seconds=seconds + 1)
    return framed(
        scenes,
        title=value.text,
        subtitle=subjects[0].say(DILATION),
        description=subjects[0].say(DILATION),
        language=subjects[0].language,
        theme=subjects[0].theme,
    )


def _plain_subject(layer: ConvLayer, size: Ints, language: str | None, theme: str) -> Subject:
    subject = subject_of(layer, size, default=("", 1), language=language, theme=theme, numbers=False)
    inner = subject.spec.output_size if layer.transposed else subject.spec.input_size
    longest = max(n + sum(pair) for n, pair in zip(inner, subject.spec.padding, strict=True))
    if longest > LONGEST_AXIS:
        raise ConvValueError(
            f"{layer.text}: {longest} elements along an axis, and an animation draws up to {LONGEST_AXIS}: "
            "use a smaller input or dilation"
        )
    return subject


def _dilated(subject: Subject) -> Box:
    """The input and the output, with the taps that belong to the middle of one of them."""
    spec = subject.spec
    if spec.transposed:
        middle = tuple(size // 2 for size in spec.input_size)
        lands = _lands(subject, middle)
        inputs = input_box(subject, hot=[middle], cell=SMALL_CELL, limit=LONGEST_AXIS)
        outputs = _whole_output(subject, lands)
        names = [cell_name("output", (0, *p)) for p in lands]
    else:
        middle = tuple((size - 1) // 2 for size in spec.output_size)
        lands = [tuple(c.position for c in met) for met in subject.trace.contacts(middle)]
        inputs = input_box(subject, hot=lands, cell=SMALL_CELL, limit=LONGEST_AXIS)
        outputs = array_box(
            subject,
            "output",
            plain_axes(spec.output_size, limit=LONGEST_AXIS),
            role=lambda p: "output hot" if p == middle else "output",
            label=lambda _: "",
            leading=(0,),
            cell=SMALL_CELL,
            radius=ROUND,
        )
        names = [cell_name("input", (0, *p)) for p in lands]
    inputs = named(subject, inputs, INPUT, 0, 1, "t-input")
    outputs = named(subject, outputs, OUTPUT, 0, 1, "t-output")
    if spec.rank == 1:
        body = column(inputs, outputs, gap=22)
    else:
        body = row(inputs, padded(sign("→"), 0, 70, 0, 0), outputs, gap=22, align="start")
    return body.with_shapes([frame(cells_area(body, (n for n in names if n in body.anchors)))])


def _lands(subject: Subject, element: Position) -> list[Position]:
    """Where the products of an input element of a transposed layer go, padding not yet cut off."""
    spec = subject.spec
    found: list[Position] = [()]
    for axis, i in enumerate(element):
        start = i * spec.stride[axis] - spec.padding[axis][0]
        along = [start + tap * spec.dilation[axis] for tap in range(spec.kernel_size[axis])]
        found = [(*head, at) for head in found for at in along]
    return found


def _whole_output(subject: Subject, hot: list[Position]) -> Box:
    axes = subject.axes
    outside = "cut" if subject.spec.padding_mode == "zeros" else subject.spec.padding_mode

    def role(position: Position) -> str:
        if is_padding(axes, position):
            return outside
        return "output hot" if position in hot else "output"

    return array_box(
        subject,
        "output",
        padded_axes(subject, limit=LONGEST_AXIS),
        role=role,
        label=lambda _: "",
        leading=(0,),
        cell=SMALL_CELL,
        radius=ROUND,
    )


def _span_words(subject: Subject) -> Box:
    spec = subject.spec
    # Of the axis with the most taps.
    dilation, taps = subject.layer.dilation[0], max(spec.kernel_size)
    words = subject.say(
        SPANS,
        taps=taps,
        gaps=dilation,
        dilation=dilation,
        span=dilation * (taps - 1) + 1,
        weights=prod(spec.weight_shape),
    )
    return column(
        line((f"dilation={dilation}", "t-kernel"), size=16, bold=True, name="dilation"),
        line(words, size=14, name="span"),
        paragraph(formula_text(subject), 560.0),
        gap=7,
    )


def groups_sweep(
    layer: Any = None,
    input_size: Ints | None = None,
    *,
    seconds: float = 1.6,
    language: str | None = None,
    theme: str = "auto",
) -> Animation:
    """One layer at every number of groups, from dense to depthwise: who reads whom, and what it costs.

    layer: its channels and kernel are taken, its own groups are not. input_size: for the multiply-adds, 16
    along each axis if not given.

    Raises ValueError for channels that there is no room to draw, and what the layer raises.
    """
    value = as_layer("Conv2d(8, 8, 3, padding=1, bias=False)" if layer is None else layer)
    said, checked = language_of(language), checked_theme(theme)
    if (
        not 1
        <= min(value.in_channels, value.out_channels)
        <= max(value.in_channels, value.out_channels)
        <= MOST_GROUP_CHANNELS
    ):
        raise ConvValueError(
            f"{value.text}: {value.in_channels} and {value.out_channels} channels, and 1 to "
            f"{MOST_GROUP_CHANNELS} can be drawn: use fewer channels, such as 8 and 8"
        )
    sizes = (input_size or 16,) * value.rank if isinstance(input_size, int | None) else tuple(input_size)
    common = gcd(value.in_channels, value.out_channels)
    layers = [replace(value, groups=groups) for groups in range(1, common + 1) if common % groups == 0]
    dense = costs_of(layers[0], sizes)
    scenes = [_grouped(each, costs_of(each, sizes), dense, said, seconds) for each in layers]
    scenes[-1] = replace(scenes[-1], seconds=seconds + 1)
    return framed(
        scenes,
        title=replace(value, groups=1).text,
        subtitle=GROUPS(said),
        description=GROUPS(said),
        language=said,
        theme=checked,
    )


def _grouped(layer: ConvLayer, costs: Costs, dense: Costs, said: Language, seconds: float) -> Scene:
    groups = layer.groups
    if groups == 1:
        words = DENSE(said)
    elif groups == layer.in_channels:
        words = DEPTHWISE(said, groups=groups)
    else:
        words = GROUPED(said, groups=groups)
    facts = column(
        line((words, "text"), size=16, bold=True, name="groups"),
        line((READS(said, read=layer.in_channels // groups, channels=layer.in_channels), "muted"), size=13),
        space(0, 4),
        line((f"{WEIGHT(said)}  ", "muted"), (f"{layer.weight_shape}", "t-kernel"), size=14),
        _bar(said, PARAMETERS(said), costs.parameters, dense.parameters),
        _bar(said, MULTIPLY_ADDS(said), costs.multiply_adds, dense.multiply_adds),
        gap=12,
    )
    # Wide enough for all: the channels stand still.
    return Scene(row(_lanes(layer, said), facts, gap=44), space(380, 0), seconds)


def _lanes(layer: ConvLayer, said: Language) -> Box:
    """The channels as two columns, a line from each input to each output that reads it."""
    inputs, outputs = layer.in_channels // layer.groups, layer.out_channels // layer.groups

    def nodes(name: str, channels: int, per_group: int, radius: float) -> Box:
        return grid(
            name,
            (shown(channels), (0,)),
            role=lambda p: f"group{p[0] // per_group % GROUP_STYLES}",
            label=lambda p: str(p[0]),
            cell=NODE,
            width=38,
            radius=radius,
            indices=False,
        )

    left = column(
        line((IN_CHANNELS(said), "t-input"), size=12), nodes("in", layer.in_channels, inputs, 0), gap=8
    )
    right = column(
        line((OUT_CHANNELS(said), "t-output"), size=12), nodes("out", layer.out_channels, outputs, 8), gap=8
    )
    body = row(left, space(LANE - max(0.0, left.width - 38), 0), right, gap=0)
    links: list[Line] = []
    for group in range(layer.groups):
        for i in range(group * inputs, (group + 1) * inputs):
            for o in range(group * outputs, (group + 1) * outputs):
                start, end = body.anchors[cell_name("in", (i, 0))], body.anchors[cell_name("out", (o, 0))]
                links.append(
                    Line(
                        ((start.right + 3, start.center[1]), (end.x - 3, end.center[1])),
                        f"link-group{group % GROUP_STYLES}",
                        name=f"{i}-{o}",
                    )
                )
    return body.with_shapes(links)


def _bar(said: Language, name: str, count: int, most: int) -> Box:
    """A number with a bar of its share."""
    share = count / most if most else 0.0
    words = (
        f"{count:,}" if count in (0, most) else SHARE(said, count=f"{count:,}", share=f"{most / count:.3g}")
    )
    text = line((f"{name}  ", "muted"), (words, "text"), size=14, name=name)
    whole = Area(0, 0, BAR, 9)
    shapes = (Cell(whole, "bar rest", radius=3), Cell(Area(0, 0, max(BAR * share, 2), 9), "bar", radius=3))
    return column(text, Box(BAR, 9, shapes), gap=6)
