"""Lays out docstrings for the reference; they are written to be read in an editor.

    stride: of the windows, in elements. padding: of each side     ->  a list of arguments
        print(advise("Conv2d(64, 64, 5)", 56))                     ->  code, as Markdown has it
    Raises ValueError for a layer that is not transposed.          ->  a line with a heading of its own
"""

from __future__ import annotations

import re
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
        return text
    # An indented example right below its sentence needs the blank line that Markdown asks for.
    for number, line in enumerate(lines):
        if line.startswith("    ") and number and not lines[number - 1].startswith("    "):
            code = lines[number:]
            if all(each.startswith("    ") for each in code) and "  " in line.strip():
                return f"{_paragraph(chr(10).join(lines[:number]))}\n\n{chr(10).join(code)}"
    if re.search(r"\S {2,}\S", text) and len(lines) > 1:
        # Columns are drawn with spaces: a table or a picture.
        return "\n".join(f"    {line}" for line in lines)
    text = "\n".join(line.strip() for line in lines)
    starts = [found.start() for found in ARGUMENT.finditer(text)]
    if not starts:
        return RAISES.sub(lambda found: f"**{found[1].rstrip(':')}**", " ".join(text.splitlines()))
    pieces = [" ".join(text[a:b].split()) for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
    items = [ARGUMENT.sub(lambda found: f"- **{_escaped(found[1])}**: ", piece, count=1) for piece in pieces]
    before = " ".join(text[: starts[0]].split())
    return "\n\n".join(part for part in (before, "\n".join(items)) if part)


def _escaped(name: str) -> str:
    return name.replace("*", r"\*").replace("_", r"\_")
