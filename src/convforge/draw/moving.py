"""What the animations of one layer share: the subject they take, and how their grids are named."""

from __future__ import annotations

from typing import Any

from convforge.draw.layout import Box, column, line
from convforge.draw.measure import text_width
from convforge.draw.subject import CHANNEL, INPUT, KERNEL, OUTPUT, Ints, Subject, subject_of
from convforge.errors import ConvValueError
from convforge.explain.formula import size_formula
from convforge.explain.words import Words

__all__ = ["INPUT", "KERNEL", "OUTPUT", "formula_text", "moving_subject", "named", "sign", "stacked"]

MOST_CHANNELS = 4
"""That an output reads: grids of more do not fit below each other."""
LONGEST_AXIS = 20
"""Of what is drawn whole, padding included."""
SMALL = 12.0
# The narrowest animation, and the size of the text below its title.
FORMULA_WIDTH, FORMULA_TEXT = 420.0, 13.0


def moving_subject(
    layer: Any,
    input_size: Ints | None,
    default: tuple[str, Ints],
    x: Any,
    out_channel: int,
    language: str | None,
    theme: str,
) -> Subject:
    """The subject of an animation with numbers.

    Raises ValueError for what there is no room to draw, and for an output channel that is not there.
    """
    subject = subject_of(
        layer, input_size, default=default, language=language, theme=theme, numbers=True, x=x
    )
    spec, text = subject.spec, subject.layer.text
    if spec.rank == 3:
        raise ConvValueError(f"{text}: animated are layers of 1 or 2 axes: use {subject.layer.name[:-2]}2d")
    read = spec.in_channels // spec.groups
    if read > MOST_CHANNELS:
        raise ConvValueError(
            f"{text}: an output reads {read} channels, and {MOST_CHANNELS} can be drawn: use fewer "
            "in_channels, or more groups"
        )
    if not 0 <= out_channel < spec.out_channels:
        raise ConvValueError(
            f"out_channel (={out_channel}) must be from 0 to {spec.out_channels - 1}, an output channel of "
            f"{text}: use out_channel=0"
        )
    inner = spec.output_size if spec.transposed else spec.input_size
    longest = max(size + sum(pair) for size, pair in zip(inner, spec.padding, strict=True))
    if max(longest, *spec.kernel_size) > LONGEST_AXIS:
        raise ConvValueError(
            f"{text}: {longest} elements along an axis, and an animation draws up to {LONGEST_AXIS}: use a "
            "smaller input"
        )
    return subject


def named(
    subject: Subject, box: Box, words: Words, channel: int, channels: int, role: str, *, below: bool = False
) -> Box:
    """A grid under its name; which channel it is, where there are several."""
    text = subject.say(words)
    if channels > 1:
        text += f" · {subject.say(CHANNEL, c=channel)}"
    name = line(text, size=SMALL, role=role)
    return column(box, name, gap=6) if below else column(name, box, gap=6)


def sign(text: str) -> Box:
    """A sign between grids."""
    return line(text, size=22, role="muted")


def stacked(boxes: list[Box], width: float, height: float) -> Box:
    """Boxes where they were moved to, as one of this size."""
    shapes = tuple(shape for box in boxes for shape in box.shapes)
    anchors = {name: area for box in boxes for name, area in box.anchors.items()}
    return Box(width, height, shapes, anchors)


def formula_text(subject: Subject) -> str:
    """The size formula of each axis, its numbers in it: in one line if they fit beside each other."""
    _, *axes = size_formula(subject.spec, subject.layer.stride, subject.layer.dilation)
    beside = " \u2003 ".join(axes)
    return beside if text_width(beside, FORMULA_TEXT) <= FORMULA_WIDTH else "\n".join(axes)
