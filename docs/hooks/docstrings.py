"""Lays out docstrings for the reference; they are written to be read in an editor.

stride: of the windows, in elements. padding: of each side     ->  a list of arguments
    print(advise("Conv2d(64, 64, 5)", 56))                     ->  code, as Markdown has it
Raises ValueError for a layer that is not transposed.          ->  a line with a heading of its own
"""

from __future__ import annotations

import ast
import re
from textwrap import dedent
from typing import Any

from griffe import Extension, Object

NAME = r"\*{0,2}[a-z_]\w*"
# At the start of a line, or after the end of what is said about another one.
ARGUMENT = re.compile(rf"(?:^|(?<=[.;] ))({NAME}(?:, {NAME})*): ", re.MULTILINE)
RAISES = re.compile(r"^(Raises|Source:|See also)\b:?")


class Layout(Extension):
    """The griffe extension, named in mkdocs.yml."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Lays out the docstring, if there is one."""
        if obj.docstring is not None:
            obj.docstring.value = laid_out(obj.docstring.value)


def laid_out(text: str) -> str:
    """The docstring as Markdown: paragraphs of arguments as lists, code left alone."""
    parts = re.split(r"\n\s*\n", text.strip("\n"))
    return "\n\n".join(_paragraph(part) for part in parts)


def _paragraph(text: str) -> str:
    lines = text.splitlines()
    if all(line.startswith("    ") for line in lines):
        return _code(lines)
    # An example may stand right below its sentence.
    example = next((number for number, line in enumerate(lines) if line.startswith("    ")), len(lines))
    if example < len(lines) and all(line.startswith("    ") for line in lines[example:]):
        said = "\n".join(lines[:example])
        if "  " in lines[example].strip():
            return f"{_paragraph(said)}\n\n{_code(lines[example:])}"
    # What has columns drawn with spaces is a table or a picture.
    if len(lines) > 1 and re.search(r"\S {2,}\S", text):
        return _code(lines)
    text = "\n".join(line.strip() for line in lines)
    starts = [found.start() for found in ARGUMENT.finditer(text)]
    if not starts:
        return RAISES.sub(lambda found: f"**{found[1].rstrip(':')}**", " ".join(text.splitlines()))
    pieces = [" ".join(text[a:b].split()) for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
    items = [ARGUMENT.sub(lambda found: f"- **{_escaped(found[1])}**: ", piece, count=1) for piece in pieces]
    before = " ".join(text[: starts[0]].split())
    return "\n\n".join(part for part in (before, "\n".join(items)) if part)


def _code(lines: list[str]) -> str:
    """A fence, for a list before it would take what is only indented; coloured if it is a program."""
    text = dedent("\n".join(lines))
    try:
        ast.parse(text)
    except SyntaxError:
        return f"```\n{text}\n```"
    return f"```python\n{text}\n```"


def _escaped(name: str) -> str:
    return name.replace("*", r"\*").replace("_", r"\_")
