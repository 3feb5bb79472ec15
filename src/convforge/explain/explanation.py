"""One layer explained for one input: sizes, padding, costs and receptive field, nothing run.

print(explain("Conv2d(3, 64, 3, padding=1)", (224, 224)))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy.typing as npt

from convforge.errors import ConvArgumentError
from convforge.explain.costs import Costs, costs_of_spec
from convforge.explain.coverage import Run, unread, unwritten
from convforge.explain.explanation_words import (
    AFTER,
    ALL_READ,
    ALONG,
    AXIS,
    BEFORE,
    BIAS_ADDITIONS,
    BIAS_BYTES,
    BYTES,
    CENTRE,
    COPIES,
    COSTS,
    CUT,
    DROPPED,
    FIELD,
    FIELD_SIZE,
    FIRST_READS,
    FOLDED,
    INPUT_BYTES,
    INTENSITY,
    JUMP,
    KEPT,
    MULTIPLICATIONS,
    MULTIPLY_ADDS,
    NO_PADDING,
    NOMINAL,
    NOTHING,
    OUTPUT_BYTES,
    PADDING,
    PARAMETERS,
    PRODUCT_ADDITIONS,
    REAL,
    SHAPES,
    SIZE,
    SKIPPED,
    TOTAL,
    UNSEEN,
    UNWRITTEN,
    WEIGHT_BYTES,
    WEIGHTS,
    ZEROS,
)
from convforge.explain.formula import AXES, size_formula
from convforge.explain.layers import as_layer
from convforge.explain.receptive_field import ReceptiveField, receptive_field, windows_of
from convforge.explain.report import Reported, Section
from convforge.explain.table import Table, count, fraction, shape_text, short, size_text
from convforge.explain.words import Language, language_of
from convforge.problem import ConvLayer, ConvSpec, padding_map
from convforge.problem.arguments import IntOrInts

# Elements of a list that are written out; more are an ellipsis.
_SHOWN = 6


@dataclass(frozen=True, slots=True)
class AxisFacts:
    """What happens along one axis.

    padding_sources: what stands at each padded position (before, after), as an element's index; None for a
        zero. Of a transposed layer, the output that each position's products are folded back onto.
    unread: runs (first, one after the last) of input elements that no output sees.
    unwritten: of a transposed layer, runs of outputs that no product reaches.
    """

    name: str
    input_size: int
    output_size: int
    padding: tuple[int, int]
    padding_sources: tuple[tuple[int | None, ...], tuple[int | None, ...]]
    unread: tuple[Run, ...]
    unwritten: tuple[Run, ...]
    field: ReceptiveField


@dataclass(frozen=True)
class Explanation(Reported):
    """A layer explained; `str`, `.markdown()`, `.json()`, and a table in a notebook."""

    layer: ConvLayer
    spec: ConvSpec
    formula: tuple[str, ...]
    axes: tuple[AxisFacts, ...]
    costs: Costs
    language: Language | None = None

    def to_dict(self) -> dict[str, Any]:
        """The facts as JSON can hold them."""
        return {
            "layer": self.layer.text,
            "dtype": self.spec.dtype.name,
            "input_shape": list(self.spec.input_shape),
            "weight_shape": list(self.spec.weight_shape),
            "output_shape": list(self.spec.output_shape),
            "formula": list(self.formula),
            "axes": [
                {
                    "name": axis.name,
                    "input_size": axis.input_size,
                    "output_size": axis.output_size,
                    "padding": list(axis.padding),
                    "padding_sources": [list(side) for side in axis.padding_sources],
                    "unread": [list(run) for run in axis.unread],
                    "unwritten": [list(run) for run in axis.unwritten],
                    "receptive_field": axis.field.to_dict(),
                }
                for axis in self.axes
            ],
            "costs": self.costs.to_dict(),
        }

    def title(self, language: Language) -> str:
        """The layer and its shapes."""
        return SHAPES(
            language,
            layer=self.layer.text,
            input=shape_text(self.spec.input_shape),
            output=shape_text(self.spec.output_shape),
            dtype=self.spec.dtype.name,
        )

    def sections(self, language: Language) -> list[Section]:
        """Sizes, padding, costs, bytes, receptive field."""
        return [
            Section(SIZE(language), (*self.formula, *self._coverage(language))),
            Section(PADDING(language), tuple(self._padding(axis, language) for axis in self.axes)),
            Section(PARAMETERS(language), (self._parameters(language),)),
            Section(COSTS(language), table=self._operations(language)),
            Section(BYTES(language), table=self._bytes(language)),
            Section(FIELD(language), table=self._fields(language)),
        ]

    def _coverage(self, language: Language) -> list[str]:
        lines: list[str] = []
        for axis in self.axes:
            end = [run for run in axis.unread if run[1] == axis.input_size and not self.layer.transposed]
            for words, runs in (
                (DROPPED, end),
                (UNSEEN if self.layer.transposed else SKIPPED, [r for r in axis.unread if r not in end]),
                (UNWRITTEN, axis.unwritten),
            ):
                if runs:
                    number = sum(stop - first for first, stop in runs)
                    lines.append(words(language, axis=axis.name, n=number, which=_listed(runs, _run_text)))
        if not any(axis.unread for axis in self.axes):
            lines.append(ALL_READ(language))
        return lines

    def _padding(self, axis: AxisFacts, language: Language) -> str:
        if not any(axis.padding):
            return ALONG(language, axis=axis.name, what=NO_PADDING(language))
        mode, transposed = self.spec.padding_mode, self.layer.transposed
        sides: list[str] = []
        for words, number, sources in zip((BEFORE, AFTER), axis.padding, axis.padding_sources, strict=True):
            if not number:
                continue
            if mode == "zeros":
                what = (CUT if transposed else ZEROS)(language)
            else:
                what = (FOLDED if transposed else COPIES)(language, mode=mode, which=_listed(sources))
            sides.append(words(language, n=number, what=what))
        return ALONG(language, axis=axis.name, what=("；" if language == "zh" else "; ").join(sides))

    def _parameters(self, language: Language) -> str:
        costs = self.costs
        return WEIGHTS(
            language,
            shape=shape_text(self.spec.weight_shape),
            weight=count(costs.weight_parameters),
            bias=count(costs.bias_parameters),
            total=count(costs.parameters),
        )

    def _operations(self, language: Language) -> Table:
        costs = self.costs
        rows = (
            (MULTIPLY_ADDS, costs.multiply_adds, costs.real_multiply_adds),
            (MULTIPLICATIONS, costs.multiplications, costs.real_multiplications),
            (PRODUCT_ADDITIONS, costs.additions, costs.real_additions),
            (BIAS_ADDITIONS, costs.bias_additions, costs.bias_additions),
        )
        return Table(
            ("", NOMINAL(language), REAL(language)),
            tuple((words(language), _number(nominal), _number(real)) for words, nominal, real in rows),
            frozenset((1, 2)),
        )

    def _bytes(self, language: Language) -> Table:
        costs = self.costs
        rows = [
            (INPUT_BYTES, costs.input_bytes),
            (WEIGHT_BYTES, costs.weight_bytes),
            (BIAS_BYTES, costs.bias_bytes),
            (OUTPUT_BYTES, costs.output_bytes),
            (TOTAL, costs.moved_bytes),
            (KEPT, costs.training_bytes),
        ]
        shown = [(words(language), count(number), size_text(number)) for words, number in rows]
        shown.append((INTENSITY(language), f"{costs.arithmetic_intensity:.3g}", ""))
        return Table(("", "", ""), tuple(shown), frozenset((1, 2)))

    def _fields(self, language: Language) -> Table:
        def row(axis: AxisFacts) -> tuple[str, ...]:
            field, first = axis.field, axis.field.interval(0)
            reads = NOTHING(language) if first is None else f"{_signed(first[0])} … {_signed(first[1])}"
            return (axis.name, str(field.size), fraction(field.jump), fraction(field.start), reads)

        headers = (AXIS, FIELD_SIZE, JUMP, CENTRE, FIRST_READS)
        return Table(
            tuple(words(language) for words in headers),
            tuple(row(axis) for axis in self.axes),
            frozenset((1, 2, 3, 4)),
        )


def explain(
    layer: Any,
    input_size: Sequence[int],
    *,
    batch: int = 1,
    dtype: npt.DTypeLike = "float32",
    output_size: IntOrInts | None = None,
    language: str | None = None,
) -> Explanation:
    """Explains a layer for an input.

    layer: a module, its spelling ("Conv2d(3, 64, 3, padding=1)") or a ConvLayer.
    input_size: (H, W), or a whole shape, (C, H, W) or (N, C, H, W), whose N then is the batch.
    output_size: which of the possible sizes a transposed layer is to give.
    language: "en" or "zh"; None is the one set, else the system's.

    Raises what calling the layer with such an input raises.
    """
    given = tuple(input_size)
    spoken = None if language is None else language_of(language)
    value = as_layer(layer, in_channels=_channels(layer, given))
    extra = len(given) - value.rank
    if extra not in (0, 1, 2):
        names = ", ".join(AXES[value.rank])
        raise ConvArgumentError(
            f"input_size (={given}) of a {value.name}: give the sizes ({names}), or a shape "
            f"(channels, {names}) or (batch, channels, {names})"
        )
    if extra == 2:
        batch = given[0]
    if extra and given[extra - 1] != value.in_channels:
        raise ConvArgumentError(
            f"input_size (={given}) has {given[extra - 1]} channels, but the layer takes in_channels "
            f"(={value.in_channels}): give an input with {value.in_channels} channels"
        )
    size = given[extra:]
    spec = value.spec(size, batch=batch, output_size=output_size, dtype=dtype)
    fields = [receptive_field([window]) for window in windows_of(value, size)]
    return Explanation(
        value,
        spec,
        tuple(size_formula(spec, value.stride, value.dilation)),
        tuple(_axis(spec, axis, field) for axis, field in enumerate(fields)),
        costs_of_spec(spec, bias=value.bias),
        spoken,
    )


def _channels(layer: Any, given: tuple[int, ...]) -> int | None:
    """For a lazy spelling: the channels, where a shape has them."""
    if not isinstance(layer, str) or "Lazy" not in layer:
        return None
    rank = next((int(digit) for digit in "123" if f"{digit}d" in layer), 0)
    return given[-rank - 1] if rank and len(given) > rank else None


def _axis(spec: ConvSpec, axis: int, field: ReceptiveField) -> AxisFacts:
    inner = (spec.output_size if spec.transposed else spec.input_size)[axis]
    before, after = spec.padding[axis]
    sources = padding_map(spec.padding_mode, inner, before, after)
    sides = (sources[:before], sources[before + inner :])
    return AxisFacts(
        AXES[spec.rank][axis],
        spec.input_size[axis],
        spec.output_size[axis],
        (before, after),
        (_sources(sides[0]), _sources(sides[1])),
        tuple(unread(spec, axis)) if prod(spec.output_size) else ((0, spec.input_size[axis]),),
        tuple(unwritten(spec, axis)) if spec.transposed else (),
        field,
    )


def _sources(side: Any) -> tuple[int | None, ...]:
    return tuple(None if source < 0 else int(source) for source in side)


def _number(number: int) -> str:
    return count(number) if number < 1_000_000 else f"{count(number)} ({short(number)})"


def _signed(number: int) -> str:
    return str(number).replace("-", "−")


def _listed(items: Sequence[Any], shown: Callable[[Any], str] = str) -> str:
    """The items with commas between, the middle of many left out."""
    if len(items) <= _SHOWN:
        return ", ".join(map(shown, items))
    return ", ".join([*map(shown, items[: _SHOWN - 1]), "…", shown(items[-1])])


def _run_text(run: Run) -> str:
    """(1, 2) -> 1; (4, 7) -> 4…6"""
    first, stop = run
    return str(first) if stop == first + 1 else f"{first}…{stop - 1}"
