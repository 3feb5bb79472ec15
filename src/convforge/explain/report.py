"""A report: a title and sections of lines and tables, shown as text, Markdown or HTML."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from typing import Any

from convforge.explain.table import STYLE, Table
from convforge.explain.words import Language, language_of


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, lines under it, and a table under those; each may be empty."""

    heading: str = ""
    lines: tuple[str, ...] = ()
    table: Table | None = None


class Reported:
    """What shows itself as a report. `sections` says what is in it, `to_dict` the same as data."""

    language: Language | None

    def title(self, language: Language) -> str:
        """The first line."""
        raise NotImplementedError

    def sections(self, language: Language) -> list[Section]:
        """All that is said, in order."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """The facts as JSON can hold them; their names are English in every language."""
        raise NotImplementedError

    def json(self, *, indent: int | None = 2) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False)

    def text(self, language: str | None = None) -> str:
        """For a terminal. language: "en" or "zh"; None is the one that the report was made with."""
        spoken = self._spoken(language)
        blocks = [self.title(spoken)]
        for section in self.sections(spoken):
            parts = [section.heading] if section.heading else []
            parts += _indented("\n".join(section.lines)) if section.lines else []
            if section.table is not None:
                shown = section.table.text()
                parts += _indented(shown) if section.heading else shown.split("\n")
            blocks.append("\n".join(parts))
        return "\n\n".join(blocks)

    def markdown(self, language: str | None = None) -> str:
        """Markdown, the headings at level 2 and 3."""
        spoken = self._spoken(language)
        blocks = [f"## {self.title(spoken)}"]
        for section in self.sections(spoken):
            if section.heading:
                blocks.append(f"### {section.heading}")
            if section.lines:
                blocks.append("\n".join(f"- {line}" for line in section.lines))
            if section.table is not None:
                blocks.append(section.table.markdown())
        return "\n\n".join(blocks) + "\n"

    def html(self, language: str | None = None) -> str:
        """An HTML fragment in the colours of the page that it stands in."""
        spoken = self._spoken(language)
        blocks = [STYLE, f'<div lang="{spoken}"><p><b>{html.escape(self.title(spoken))}</b></p>']
        for section in self.sections(spoken):
            if section.heading:
                blocks.append(f"<p><b>{html.escape(section.heading)}</b></p>")
            if section.lines:
                items = "".join(f"<li>{html.escape(line)}</li>" for line in section.lines)
                blocks.append(f"<ul>{items}</ul>")
            if section.table is not None:
                blocks.append(section.table.html())
        return "\n".join([*blocks, "</div>"])

    def _spoken(self, language: str | None) -> Language:
        return language_of(language or self.language)

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.html()


def _indented(text: str) -> list[str]:
    return ["  " + line for line in text.split("\n")]
