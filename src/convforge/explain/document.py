"""Titles, sentences and tables, shown as text, Markdown or HTML: how Explain's answers look.

Solve
=====
input  output
-----  ------
   32      16
"""

from __future__ import annotations

import dataclasses
import html
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from convforge.explain.sentence import Sentence
from convforge.explain.words import LANGUAGES, Language, Words, language_of


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as they are read; columns that hold numbers stand to the right."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    to_the_right: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Heading:
    """The start of a part."""

    text: str


@dataclass(frozen=True, slots=True)
class Listed:
    """Lines under a bullet each."""

    lines: tuple[str, ...]


Part = str | Table | Heading | Listed


@dataclass(frozen=True, slots=True)
class Document:
    """A title and what stands under it."""

    title: str
    parts: tuple[Part, ...]

    def text(self) -> str:
        """For a terminal: columns aligned, a Chinese character as wide as two letters."""
        blocks = [f"{self.title}\n{'=' * width_of(self.title)}"]
        for part in self.parts:
            match part:
                case Heading(text):
                    blocks.append(f"{text}\n{'-' * width_of(text)}")
                case Table():
                    blocks.append(_aligned(part))
                case Listed(lines):
                    blocks.append("\n".join(f"  - {line}" for line in lines))
                case _:
                    blocks.append(part)
        return "\n\n".join(blocks)

    def markdown(self) -> str:
        """GitHub's Markdown."""
        blocks = [f"## {self.title}"]
        for part in self.parts:
            match part:
                case Heading(text):
                    blocks.append(f"### {text}")
                case Table(head, rows, right):
                    marks = ["--:" if i in right else "---" for i in range(len(head))]
                    lines = [head, tuple(marks), *rows]
                    blocks.append("\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines))
                case Listed(lines):
                    blocks.append("\n".join(f"- {line}" for line in lines))
                case _:
                    blocks.append(part)
        return "\n\n".join(blocks)

    def html(self) -> str:
        """A fragment without styles of its own beyond alignment: a notebook's theme stays in force."""
        blocks = [f"<h3>{html.escape(self.title)}</h3>"]
        for part in self.parts:
            match part:
                case Heading(text):
                    blocks.append(f"<h4>{html.escape(text)}</h4>")
                case Table():
                    blocks.append(_html_table(part))
                case Listed(lines):
                    blocks.append(f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>")
                case _:
                    blocks.append(f"<p>{html.escape(part)}</p>")
        return f"<div>{''.join(blocks)}</div>"


class Documented:
    """What can be shown: a subclass is a frozen dataclass that says in `document` what there is to read."""

    __slots__ = ()

    def document(self, language: Language) -> Document:
        """What there is to read, in a language."""
        raise NotImplementedError

    def text(self, language: str | None = None) -> str:
        """For a terminal. language: "en" or "zh"; None is `language_of()`."""
        return self.document(self._spoken(language)).text()

    def markdown(self, language: str | None = None) -> str:
        """For a README or an issue."""
        return self.document(self._spoken(language)).markdown()

    def html(self, language: str | None = None) -> str:
        """For a page."""
        return self.document(self._spoken(language)).html()

    def as_dict(self) -> dict[str, Any]:
        """All of it, sentences in both languages, as JSON can hold it."""
        return as_plain(self)

    def json(self) -> str:
        """`as_dict` as JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False, indent=2)

    def _spoken(self, language: str | None) -> Language:
        """The language asked for, else the one the value was made with, else the user's."""
        return language_of(language or getattr(self, "language", None))

    def _repr_html_(self) -> str:
        return self.html()

    def __str__(self) -> str:
        return self.text()


def as_plain(value: Any) -> Any:
    """The value as JSON can hold it: dataclasses as objects, sentences as {"en": …, "zh": …}."""
    if isinstance(value, Sentence | Words):
        return {language: value(language) for language in LANGUAGES}
    if dataclasses.is_dataclass(value):
        fields: dict[str, Any] = {
            field.name: getattr(value, field.name) for field in dataclasses.fields(value)
        }
        text = getattr(value, "text", None)
        if isinstance(text, str):
            fields["text"] = text
        return {name: as_plain(item) for name, item in fields.items()}
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | frozenset | set):
        return [as_plain(item) for item in value]
    if isinstance(value, np.dtype):
        return value.name
    return value


def width_of(text: str) -> int:
    """Columns of a terminal that the text takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def by(sizes: tuple[int, ...]) -> str:
    """(32, 32) -> 32×32."""
    return "×".join(map(str, sizes))


def _aligned(table: Table) -> str:
    lines = [table.head, *table.rows]
    widths = [max(width_of(line[i]) for line in lines) for i in range(len(table.head))]

    def shown(line: tuple[str, ...]) -> str:
        cells: list[str] = []
        for i, (cell, width) in enumerate(zip(line, widths, strict=True)):
            gap = " " * (width - width_of(cell))
            cells.append(gap + cell if i in table.to_the_right else cell + gap)
        return "  ".join(cells).rstrip()

    return "\n".join([shown(table.head), "  ".join("-" * w for w in widths), *map(shown, table.rows)])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _html_table(table: Table) -> str:
    sides = ["right" if i in table.to_the_right else "left" for i in range(len(table.head))]

    def cells(line: tuple[str, ...], tag: str) -> str:
        return "".join(
            f'<{tag} style="text-align:{side}">{html.escape(cell)}</{tag}>'
            for side, cell in zip(sides, line, strict=True)
        )

    rows = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in table.rows)
    return f"<table><thead><tr>{cells(table.head, 'th')}</tr></thead><tbody>{rows}</tbody></table>"
