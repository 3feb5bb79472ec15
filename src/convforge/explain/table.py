"""Tables and numbers as people read them: in a terminal, in Markdown, in a notebook.

A Chinese character takes two columns of a terminal, so widths are counted, not lengths.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

# Colours are the notebook's own, thinned out: so the table reads in light and in dark.
STYLE = """<style>
.convforge-table { border-collapse: collapse; font-size: inherit; font-variant-numeric: tabular-nums; }
.convforge-table th, .convforge-table td { padding: 0.2em 0.8em; border: 0; background: transparent;
  color: inherit; border-bottom: 1px solid rgba(128, 128, 128, 0.35); white-space: pre; }
.convforge-table th { border-bottom: 2px solid rgba(128, 128, 128, 0.7); font-weight: 600; }
.convforge-table .l { text-align: left; } .convforge-table .r { text-align: right; }
</style>"""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under headers. right: the numbers of columns that hold numbers."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()

    def text(self) -> str:
        """For a terminal, columns two spaces apart, under a line as long as they."""
        lines = [self.headers, *self.rows] if any(self.headers) else [*self.rows]
        widths = [max(width(line[at]) for line in lines) for at in range(len(self.headers))]
        shown = [self._line(line, widths) for line in lines]
        if any(self.headers):
            shown.insert(1, "─" * (sum(widths) + 2 * (len(widths) - 1)))
        return "\n".join(shown)

    def markdown(self) -> str:
        """A Markdown table, its columns padded so that the source reads too."""
        lines = [[_escaped(cell) for cell in line] for line in (self.headers, *self.rows)]
        widths = [max(3, *(width(line[at]) for line in lines)) for at in range(len(self.headers))]
        rule = ["-" * (size - 1) + ":" if at in self.right else "-" * size for at, size in enumerate(widths)]
        padded = [[self._cell(cell, at, widths) for at, cell in enumerate(line)] for line in lines]
        return "\n".join("| " + " | ".join(line) + " |" for line in (padded[0], rule, *padded[1:]))

    def html(self) -> str:
        """An HTML table; every text is escaped."""

        def row(cells: Sequence[str], tag: str) -> str:
            made = [
                f'<{tag} class="{"r" if at in self.right else "l"}">{html.escape(cell)}</{tag}>'
                for at, cell in enumerate(cells)
            ]
            return f"<tr>{''.join(made)}</tr>"

        head = f"<thead>{row(self.headers, 'th')}</thead>" if any(self.headers) else ""
        body = "\n".join(row(cells, "td") for cells in self.rows)
        return f'<table class="convforge-table">{head}<tbody>\n{body}\n</tbody></table>'

    def _line(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        return "  ".join(self._cell(cell, at, widths) for at, cell in enumerate(cells)).rstrip()

    def _cell(self, cell: str, at: int, widths: Sequence[int]) -> str:
        blank = " " * (widths[at] - width(cell))
        return blank + cell if at in self.right else cell + blank


def width(text: str) -> int:
    """Columns of a terminal that a text takes."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def count(number: int) -> str:
    """Every digit, in threes: 86,704,128."""
    return f"{number:,}"


def short(number: float) -> str:
    """Three digits and a unit: 86.7 M. Below a thousand, the number."""
    for unit in ("", " k", " M", " G"):
        if abs(number) < 999.5:
            return f"{number:.0f}" if not unit else _three(number) + unit
        number /= 1000
    return f"{_three(number)} T"


def size_text(size_bytes: float) -> str:
    """Bytes in powers of 1024: 4.59 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1023.5:
            return f"{size_bytes:.0f} B" if unit == "B" else f"{_three(size_bytes)} {unit}"
        size_bytes /= 1024
    return f"{_three(size_bytes)} TiB"


def _three(number: float) -> str:
    """Three digits, never an exponent: 0.0123, 4.59, 1023."""
    return f"{number:.0f}" if abs(number) >= 99.95 else f"{number:.3g}"


def fraction(number: Fraction) -> str:
    """2.5, and 2/3 where no decimals end."""
    plain = f"{float(number):.10g}"
    return plain if Fraction(plain) == number else str(number)


def shape_text(shape: Sequence[int]) -> str:
    """1×64×112×112."""
    return "×".join(map(str, shape)) if shape else "·"


def percent(part: float, whole: float) -> str:
    """12.3 %; nothing of nothing is 0 %."""
    share = 100 * part / whole if whole else 0.0
    return f"{share:.1f} %"


def _escaped(cell: str) -> str:
    leading = len(cell) - len(cell.lstrip(" "))
    return "&nbsp;" * leading + cell.strip(" ").replace("|", "\\|")
