"""What a drawing is about: a layer on an input, its trace and its numbers, the language and the theme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from convforge.draw.drawing import Drawing, finished
from convforge.draw.layout import Box
from convforge.draw.numbers import Numbers, numbers_of
from convforge.draw.theme import checked_theme
from convforge.errors import ConvValueError
from convforge.explain.layers import as_layer
from convforge.explain.trace import AxisTrace, Trace, trace_of
from convforge.explain.words import Language, Words, language_of
from convforge.problem import ConvLayer, ConvSpec

Ints = int | Sequence[int]
# Rows and columns that are shown of an axis before its middle is left out.
LIMIT = 14
LARGEST_AXIS = 100_000
INPUT, KERNEL, OUTPUT = Words("input", "输入"), Words("kernel", "卷积核"), Words("output", "输出")
CHANNEL = Words("channel {c}", "通道 {c}")


@dataclass(frozen=True)
class Subject:
    """A layer on one input. source: what the layer was made from; a module brings its weights."""

    layer: ConvLayer
    spec: ConvSpec
    language: Language
    theme: str
    numbered: bool
    source: Any = None
    x: Any = None
    unique: bool = False

    @cached_property
    def trace(self) -> Trace:
        """Which inputs and weights make an output."""
        return trace_of(self.spec)

    @cached_property
    def numbers(self) -> Numbers:
        """The numbers, computed when the first is asked for."""
        return numbers_of(self.spec, self.source, has_bias=self.layer.bias, x=self.x, unique=self.unique)

    @property
    def axes(self) -> tuple[AxisTrace, ...]:
        """The traces of the spatial axes."""
        return self.trace.axes

    def say(self, words: Words, **values: object) -> str:
        """The text in the drawing's language."""
        return words(self.language, **values)

    @property
    def sizes(self) -> str:
        """`1×5×5 → 1×3×3`: channels and sizes of input and output."""
        shapes = (self.spec.input_shape[1:], self.spec.output_shape[1:])
        return " → ".join("×".join(map(str, shape)) for shape in shapes)

    @property
    def subtitle(self) -> str:
        """The layer's code and its sizes."""
        return f"{self.layer.text} · {self.sizes}"

    def drawing(self, body: Box, title: Words, note: str = "", *, subtitle: str | None = None) -> Drawing:
        """The finished drawing, the layer's code under the title."""
        return finished(
            body,
            title=self.say(title),
            subtitle=self.subtitle if subtitle is None else subtitle,
            note=note,
            language=self.language,
            theme=self.theme,
        )


def subject_of(
    layer: Any,
    input_size: Ints | None,
    *,
    default: tuple[str, Ints],
    language: str | None,
    theme: str,
    numbers: bool,
    x: Any = None,
    unique: bool = False,
) -> Subject:
    """The subject of a drawing. layer: what `as_layer` takes, or None for the default.

    input_size: of the spatial axes, one number for all alike; None for the default's (default layer), or
    one that is about three kernels wide. default: (layer, input_size).

    Raises what the layer raises for such an input, and ValueError for sizes beyond what is drawn.
    """
    value = as_layer(default[0] if layer is None else layer)
    if input_size is None:
        input_size = default[1] if layer is None else _telling_size(value)
    sizes = (input_size,) * value.rank if isinstance(input_size, int) else tuple(input_size)
    if len(sizes) != value.rank:
        raise ConvValueError(
            f"input_size (={'x'.join(map(str, sizes))}) must have a size for each of the {value.rank} axes "
            f"of {value.name}: give {'x'.join(['5'] * value.rank)}, without channels"
        )
    spec = value.spec(sizes)
    for name, each in (("input_size", spec.input_size), ("output_size", spec.output_size)):
        if max(each, default=0) > LARGEST_AXIS:
            raise ConvValueError(
                f"{name} (={each}) is beyond the {LARGEST_AXIS:,} that are drawn: use a smaller input"
            )
        if min(each, default=1) < 1:
            raise ConvValueError(f"{name} (={each}) has an axis without elements: use 1 or more to draw it")
    if spec.in_channels < 1 or spec.out_channels < 1:
        raise ConvValueError(f"{value.text} has no channels to draw: use 1 or more")
    return Subject(value, spec, language_of(language), checked_theme(theme), numbers, layer, x, unique)


def _telling_size(layer: ConvLayer) -> tuple[int, ...]:
    """An input in which some windows fit, and the padding modes have enough to copy from."""
    if layer.transposed:
        return (3 if layer.rank == 1 else 2,) * layer.rank
    spans = (d * (k - 1) + 1 for k, d in zip(layer.kernel_size, layer.dilation, strict=True))
    return tuple(span + 2 * step for span, step in zip(spans, layer.stride, strict=True))
