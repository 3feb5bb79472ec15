"""A finished drawing: text, file, or shown by a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from convforge.draw.layout import Box, column, line, padded, paragraph
from convforge.draw.measure import text_width
from convforge.draw.shapes import Area, Cell, Shape
from convforge.draw.svg import NAMESPACE, Element, element, number
from convforge.draw.theme import FONT, Theme, checked_theme, style_sheet
from convforge.draw.whole_file import write_whole
from convforge.explain.words import Language

MARGIN = 28.0


@dataclass(frozen=True)
class Drawing:
    """A drawing in SVG. width, height: in pixels. title, description: for readers who do not see it."""

    width: float
    height: float
    root: Element
    title: str
    description: str
    language: Language
    theme: Theme

    @property
    def svg(self) -> str:
        """The whole SVG file as text."""
        return f"{self.root}\n"

    def save(self, path: str | Path, *, scale: float = 2.0) -> Path:
        """Write it to a file, whose suffix says as what: .svg, .png or .pdf. Returns the path.

        scale: pixels an SVG unit, of a PNG. Missing folders are made; the file is whole or not there.

        Raises ValueError for a suffix that is not written, and an error that names the extra where a library
        is missing.
        """
        # Converters stand above drawings and import them.
        from convforge.draw.export import encoded

        path = Path(path)
        data = encoded(self, path.suffix, scale)
        write_whole(path, lambda file: file.write(data))
        return path

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return f'<div style="max-width:100%;overflow-x:auto">{self.root}</div>'


def finished(
    body: Box,
    *,
    title: str,
    subtitle: str = "",
    note: str = "",
    language: Language,
    theme: str,
    margin: float = MARGIN,
    least_width: float = 420.0,
) -> Drawing:
    """A drawing from its parts: the title over it, a note below it, room around it.

    note: also what is read to people who do not see the drawing.
    """
    head = [line(title, size=19, bold=True, name="title")]
    width = max(body.width, least_width, min(text_width(subtitle, 13.0), 640.0))
    if subtitle:
        head.append(paragraph(subtitle, max(width, head[0].width), size=13))
    parts = [column(*head, gap=5), body]
    if note:
        parts.append(paragraph(note, max(width, head[0].width), size=13))
    whole = padded(column(*parts, gap=20), margin, margin, margin, margin)
    return drawing_of(whole, title=title, description=note or subtitle, language=language, theme=theme)


def drawing_of(box: Box, *, title: str, description: str, language: Language, theme: str) -> Drawing:
    """A drawing of exactly a box, on its ground."""
    checked = checked_theme(theme)
    width, height = float(round(box.width + 0.5)), float(round(box.height + 0.5))
    shapes: tuple[Shape, ...] = (Cell(Area(0, 0, width, height), "ground", radius=10), *box.shapes)
    roles = {role for shape in shapes for role in shape.roles}
    root = element(
        "svg",
        element("title", title),
        element("desc", description),
        element("style", style_sheet(checked, roles)),
        *(part for shape in shapes for part in shape.elements()),
        xmlns=NAMESPACE,
        viewBox=f"0 0 {number(width)} {number(height)}",
        width=width,
        height=height,
        class_=f"cf-{checked}",
        role="img",
        aria_label=title,
        lang="zh-CN" if language == "zh" else "en",
        font_family=FONT,
    )
    return Drawing(width, height, root, title, description, language, checked)
