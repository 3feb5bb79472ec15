"""Groups, from one to depthwise: which input channels each output channel is made from.

groups=1        groups=2        groups=4 (depthwise)
o─┬─o           o─┬─o           o───o
o─┼─o           o─┴─o           o───o
o─┼─o           o─┬─o           o───o
o─┴─o           o─┴─o           o───o
"""

from __future__ import annotations

from dataclasses import replace
from math import gcd, prod
from typing import Any

from convforge.draw.drawing import Drawing
from convforge.draw.layout import Box, column, flow, line
from convforge.draw.shapes import Area, Cell, Label, Line, Shape
from convforge.draw.subject import Ints, Subject, subject_of
from convforge.draw.theme import GROUP_STYLES
from convforge.errors import ConvValueError
from convforge.explain.words import Words

TITLE = Words("Groups: which channels meet", "分组卷积：哪些通道彼此相连")
_GROUPS = Words("groups={n}", "groups={n}")
_DEPTHWISE = Words("groups={n}: depthwise", "groups={n}：深度卷积（depthwise）")
_WEIGHTS = Words("weights {shape} = {n}", "权重 {shape} = {n}")
_PRODUCTS = Words("{n} products an output", "每个输出 {n} 个乘积")
_IN, _OUT = Words("in", "输入"), Words("out", "输出")
_NOTE = Words(
    "Every group is a convolution of its own: weights and products are divided by groups.",
    "每一组各自做卷积：权重个数与乘积个数都除以 groups。",
)
MOST_CHANNELS = 16
MOST_PANELS = 4
CHIP_WIDTH, CHIP, CHIP_GAP, REACH = 46.0, 24.0, 6.0, 96.0
DEFAULT = ("Conv2d(4, 4, 3, padding=1)", 5)


def groups(
    layer: Any = None,
    input_size: Ints | None = None,
    *,
    language: str | None = None,
    theme: str = "auto",
    numbers: bool = True,
) -> Drawing:
    """The links between channels for groups from 1 to as many as channels allow, the layer's own among them.

    numbers: whether weights and products are written under each.

    Raises ValueError for more than 16 channels, which cannot be told apart in a drawing.
    """
    subject = subject_of(layer, input_size, default=DEFAULT, language=language, theme=theme, numbers=numbers)
    for name, count in (
        ("in_channels", subject.spec.in_channels),
        ("out_channels", subject.spec.out_channels),
    ):
        if count > MOST_CHANNELS:
            raise ConvValueError(
                f"{name} (={count}) are more than the {MOST_CHANNELS} channels that are drawn: use fewer, "
                "the pattern is the same"
            )
    counts = _counts(subject)
    boxes = [_panel(_grouped(subject, count), own=count == subject.layer.groups) for count in counts]
    return subject.drawing(flow(boxes, 960, gap=44, line_gap=28), TITLE, subject.say(_NOTE))


def _counts(subject: Subject) -> list[int]:
    """1, the layer's own, the most that the channels allow, and some between, at most four."""
    common = gcd(subject.spec.in_channels, subject.spec.out_channels)
    divisors = [n for n in range(1, common + 1) if common % n == 0]
    chosen = {1, subject.layer.groups, common}
    for divisor in divisors:
        if len(chosen) < MOST_PANELS:
            chosen.add(divisor)
    return sorted(chosen)


def _grouped(subject: Subject, count: int) -> Subject:
    layer = replace(subject.layer, groups=count)
    return replace(subject, layer=layer, spec=layer.spec(subject.spec.input_size), source=layer)


def _panel(subject: Subject, *, own: bool) -> Box:
    spec = subject.spec
    depthwise = spec.groups > 1 and spec.groups == spec.in_channels
    words = _DEPTHWISE if depthwise else _GROUPS
    lines = [line((subject.say(words, n=spec.groups), "text"), size=14, bold=own)]
    box = _links(subject)
    parts = [*lines, box]
    if subject.numbered:
        shape = "×".join(map(str, spec.weight_shape))
        products = spec.in_channels // spec.groups * prod(spec.kernel_size)
        parts.append(
            column(
                line((subject.say(_WEIGHTS, shape=shape, n=prod(spec.weight_shape)), "t-kernel"), size=12),
                line((subject.say(_PRODUCTS, n=products), "muted"), size=12),
                gap=2,
            )
        )
    return column(*parts, gap=10)


def _links(subject: Subject) -> Box:
    """Input channels on the left, output channels on the right, a line wherever a kernel is between them."""
    spec = subject.spec
    links = _links_of(subject)
    per_out = spec.out_channels // spec.groups
    per_in = spec.in_channels // spec.groups
    heights = [count * CHIP + (count - 1) * CHIP_GAP for count in (spec.in_channels, spec.out_channels)]
    height, top = max(heights), 20.0
    chips: list[Shape] = []
    sides = (
        ("in", 0.0, spec.in_channels, per_in, 0.0, (height - heights[0]) / 2, _IN),
        ("out", CHIP_WIDTH + REACH, spec.out_channels, per_out, 7.0, (height - heights[1]) / 2, _OUT),
    )
    areas: dict[str, Area] = {}
    for name, x, count, share, radius, shift, words in sides:
        chips.append(Label((x + CHIP_WIDTH / 2, 7.0), ((subject.say(words), "muted"),), 12))
        for channel in range(count):
            area = Area(x, top + shift + channel * (CHIP + CHIP_GAP), CHIP_WIDTH, CHIP)
            areas[f"{name}-{channel}"] = area
            role = f"group{channel // share % GROUP_STYLES}"
            full = f"{name}-{spec.groups}-{channel}"
            chips.append(Cell(area, role, full, radius=radius))
            chips.append(Label(area.center, ((str(channel), "text"),), 12, name=full))
    lines: list[Shape] = []
    for source, target in links:
        start, end = areas[f"in-{source}"], areas[f"out-{target}"]
        (x0, y0), (x1, y1) = (start.right, start.center[1]), (end.x, end.center[1])
        reach = (x1 - x0) * 0.45
        points = ((x0, y0), (x0 + reach, y0), (x1 - reach, y1), (x1, y1))
        role = f"link-group{target // per_out % GROUP_STYLES}"
        lines.append(Line(points, role, curved=True, name=f"{spec.groups}-{source}-{target}"))
    return Box(2 * CHIP_WIDTH + REACH, top + height, (*lines, *chips))


def _links_of(subject: Subject) -> list[tuple[int, int]]:
    """(input channel, output channel) of every kernel of the weight array."""
    spec = subject.spec
    per_in, per_out = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    found: dict[tuple[int, int], None] = {}
    for first, second in ((a, b) for a in range(spec.weight_shape[0]) for b in range(spec.weight_shape[1])):
        if spec.transposed:
            found[(first, first // per_in * per_out + second)] = None
        else:
            found[(first // per_out * per_in + second, first)] = None
    return list(found)
