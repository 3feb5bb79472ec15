"""A model as a table: shapes, parameters, multiply-adds, bytes and receptive field of every layer.

    print(summary(model, (1, 3, 224, 224)))

Nothing is computed and nothing in the model changes: `tracing` follows its code by shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from convforge.errors import ConvArgumentError
from convforge.explain.report import Reported, Section
from convforge.explain.summary_rows import Row, rows_of
from convforge.explain.summary_words import (
    ADDITIONS,
    AGAIN,
    BYTES_AND,
    COLUMNS,
    INPUT_BYTES,
    KEPT,
    KIND,
    LAYER,
    MULTIPLY_ADDS,
    NOTE,
    NOTES,
    ON_REAL,
    PARAMETER_BYTES,
    PARAMETER_COUNT,
    PARAMETERS,
    PEAK,
    ROWS,
    SHARED,
    STOPPED,
    THE_MODEL,
    TITLE,
    TOTALS,
    UNUSED,
)
from convforge.explain.table import Table, count, fraction, percent, shape_text, short, size_text
from convforge.explain.tracing import ModelFacts, ModuleCall, Seen, trace_model
from convforge.explain.words import Language, language_of
from convforge.nn.module import Module

DEFAULT_COLUMNS = (
    "kernel", "output", "parameters", "multiply_adds", "real", "share", "bytes", "field", "jump",
)  # fmt: skip
_LEFT = ("kernel", "input", "output")


@dataclass(frozen=True)
class Summary(Reported):
    """A model's table and totals; `str`, `.markdown()`, `.json()`, and a table in a notebook."""

    model: str
    facts: ModelFacts
    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    language: Language | None = None

    @property
    def multiply_adds(self) -> int:
        """Of convolutions and matrix products, nominal."""
        return self.facts.root.total("multiply_adds")

    @property
    def real_multiply_adds(self) -> int:
        """Of those, the ones on elements of the input."""
        return self.facts.root.total("real_multiply_adds")

    @property
    def parameters(self) -> int:
        """Trained and frozen, each once."""
        return self.facts.parameters + self.facts.frozen

    def to_dict(self) -> dict[str, Any]:
        """The facts as JSON can hold them."""
        facts = self.facts
        return {
            "model": self.model,
            "inputs": [list(shape) for shape in facts.inputs],
            "dtypes": list(facts.dtypes),
            "parameters": self.parameters,
            "trained_parameters": facts.parameters,
            "frozen_parameters": facts.frozen,
            "parameter_bytes": facts.parameter_bytes,
            "buffer_bytes": facts.buffer_bytes,
            "multiply_adds": self.multiply_adds,
            "real_multiply_adds": self.real_multiply_adds,
            "additions": facts.root.total("additions"),
            "bias_additions": facts.root.total("bias_additions"),
            "input_bytes": facts.input_bytes,
            "peak_activation_bytes": facts.peak_bytes,
            "training_activation_bytes": facts.training_bytes,
            "stopped": None
            if facts.stopped is None
            else {"path": facts.stopped[0], "reason": str(facts.stopped[1])},
            "unused": list(facts.unused),
            "layers": [row.to_dict() for row in self.rows],
        }

    def title(self, language: Language) -> str:
        """The model and its inputs."""
        return TITLE(
            language,
            model=self.model,
            inputs=", ".join(map(shape_text, self.facts.inputs)),
            dtype=", ".join(dict.fromkeys(self.facts.dtypes)),
        )

    def sections(self, language: Language) -> list[Section]:
        """The table, the totals, and what is to be known about them."""
        found = [
            Section(table=self._table(language)),
            Section(TOTALS(language), table=self._totals(language)),
        ]
        notes = self._notes(language)
        return [*found, Section(NOTES(language), tuple(notes))]

    def _table(self, language: Language) -> Table:
        headers = (LAYER(language), KIND(language), *(COLUMNS[name](language) for name in self.columns))
        right = frozenset(at + 2 for at, name in enumerate(self.columns) if name not in _LEFT)
        return Table(headers, tuple(self._cells(row, language) for row in self.rows), right)

    def _cells(self, row: Row, language: Language) -> tuple[str, ...]:
        own = row.path.rpartition(".")[2] if row.depth else ""
        name = "  " * (row.depth - 1) + own if row.depth else THE_MODEL(language)
        if row.again:
            name += " " + AGAIN(language)
        return (name, row.kind, *(self._cell(row, column, language) for column in self.columns))

    def _cell(self, row: Row, column: str, language: Language) -> str:
        match column:
            case "kernel":
                return row.kernel
            case "input" | "output":
                shapes = row.inputs if column == "input" else row.outputs
                return ", ".join(map(shape_text, shapes))
            case "parameters":
                number = row.parameters + row.frozen
                return SHARED(language) if row.again and not number and row.kernel else _some(number)
            case "frozen":
                return _some(row.frozen)
            case "multiply_adds" | "additions" | "bias_additions":
                return _some(getattr(row, column))
            case "real":
                return _some(row.real_multiply_adds)
            case "share":
                return percent(row.multiply_adds, self.multiply_adds) if row.multiply_adds else ""
            case "bytes":
                return size_text(row.output_bytes)
            case "kept":
                return size_text(row.kept_bytes) if row.kept_bytes else ""
            case "field":
                return _seen_text(row.seen, lambda seen: Fraction(seen.field.size))
            case _:
                return _seen_text(row.seen, lambda seen: seen.field.jump)

    def _totals(self, language: Language) -> Table:
        facts, nominal, real = self.facts, self.multiply_adds, self.real_multiply_adds
        root = facts.root
        rows = [
            (
                PARAMETERS(language),
                PARAMETER_COUNT(
                    language,
                    total=count(self.parameters),
                    trained=count(facts.parameters),
                    frozen=count(facts.frozen),
                ),
            ),
            (
                PARAMETER_BYTES(language),
                BYTES_AND(
                    language,
                    parameters=size_text(facts.parameter_bytes),
                    buffers=size_text(facts.buffer_bytes),
                ),
            ),
            (
                MULTIPLY_ADDS(language),
                ON_REAL(language, nominal=_long(nominal), real=_long(real), share=percent(real, nominal)),
            ),
            (
                ADDITIONS(language),
                f"{_long(root.total('additions'))}, {_long(root.total('bias_additions'))}",
            ),
            (INPUT_BYTES(language), size_text(facts.input_bytes)),
            (PEAK(language), size_text(facts.peak_bytes)),
            (KEPT(language), size_text(facts.training_bytes)),
        ]
        return Table(("", ""), tuple(rows))

    def _notes(self, language: Language) -> list[str]:
        lines = [ROWS(language)]
        if self.facts.stopped is not None:
            path, reason = self.facts.stopped
            lines.append(STOPPED(language, path=path or THE_MODEL(language), reason=reason(language)))
        for call in _calls(self.facts.root):
            texts = [note(language) for note in call.notes]
            lines += [NOTE(language, path=call.path or THE_MODEL(language), text=text) for text in texts]
        lines += [UNUSED(language, path=path) for path in self.facts.unused]
        # What is seen is lost where the reason is first given.
        reasons: dict[str, str] = {}
        for call in _calls(self.facts.root):
            for seen in call.seen:
                if seen.reason is not None:
                    reasons.setdefault(seen.reason(language), call.path or THE_MODEL(language))
        told = " ".join(lines)
        lines += [NOTE(language, path=path, text=text) for text, path in reasons.items() if text not in told]
        return list(dict.fromkeys(lines))


def summary(
    model: Module,
    input_size: Sequence[Any],
    *,
    batch: int | None = None,
    dtype: Any = "float32",
    depth: int | None = None,
    columns: Sequence[str] = DEFAULT_COLUMNS,
    language: str | None = None,
) -> Summary:
    """The table of a model for inputs of these shapes.

    input_size: (N, C, H, W), or a list of shapes, one an input. batch: instead of each N.
    dtype: of the inputs, or one an input. depth: levels below the model to show; None is all.
    columns: of `COLUMNS`, in order: kernel, input, output, parameters, frozen, multiply_adds, real, share,
        additions, bias_additions, bytes, kept, field, jump. language: "en" or "zh".

    Raises what calling the model with such inputs raises, with a note that names the module.
    """
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        raise ConvArgumentError(f"columns (={unknown[0]!r}): no such column: use {', '.join(COLUMNS)}")
    if depth is not None and depth < 0:
        raise ConvArgumentError(f"depth (={depth}) must not be negative: use 0 for the model alone")
    spoken = None if language is None else language_of(language)
    facts = trace_model(model, input_size, batch=batch, dtype=dtype)
    rows = tuple(rows_of(facts.root, depth))
    return Summary(type(model).__name__, facts, rows, tuple(columns), spoken)


def _calls(call: ModuleCall) -> Iterator[ModuleCall]:
    yield call
    for child in call.children:
        yield from _calls(child)


def _some(number: int) -> str:
    return count(number) if number else ""


def _long(number: int) -> str:
    return count(number) if number < 1_000_000 else f"{count(number)} ({short(number)})"


def _seen_text(seen: tuple[Seen, ...], number: Any) -> str:
    """One number an axis of the first input that is seen, or one for all; ? where it is not described."""
    first = [each for each in seen if each.input == seen[0].input]
    numbers = [None if each.field is None else number(each) for each in first]
    # A jump of 0: all elements see the same.
    texts = ["?" if each is None else fraction(each) if each else "–" for each in numbers]
    return texts[0] if len(set(texts)) == 1 else "×".join(texts)
