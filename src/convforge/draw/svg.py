"""SVG as values, and values as text: the same drawing is the same bytes on every machine.

    element("g", element("rect", x=1.50, width=40, class_="input"), data_cell="input-0-3")
    <g data-cell="input-0-3"><rect x="1.5" width="40" class="input"/></g>

No fonts, scripts or addresses are written, and pictures lie in the file: it stands alone, and opens without
a network.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape

NAMESPACE = "http://www.w3.org/2000/svg"
_QUOTES = {'"': "&quot;", "\n": "&#10;", "\t": "&#9;"}


@dataclass(frozen=True, slots=True)
class Element:
    """A tag with its attributes, in the order they are written, and its children: elements and plain text."""

    tag: str
    attributes: tuple[tuple[str, str], ...] = ()
    children: tuple[Element | str, ...] = ()

    def __str__(self) -> str:
        return "".join(_written(self))


def element(tag: str, *children: Element | str, **attributes: str | float | None) -> Element:
    """An element; attributes of None are left out.

    stroke_width=2 -> stroke-width="2"; a trailing _ keeps Python's own words free: class_ -> class.
    """
    written = tuple(
        (name.rstrip("_").replace("_", "-"), value if isinstance(value, str) else number(value))
        for name, value in attributes.items()
        if value is not None
    )
    return Element(tag, written, children)


def number(value: float) -> str:
    """A coordinate in hundredths, without needless digits: 1.50 -> 1.5, 2.0 -> 2, -0.001 -> 0."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def path(*points: tuple[float, float], closed: bool = False) -> str:
    """The `d` of a line through the points: M0 0L10 0L10 5Z."""
    steps = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return f"M{steps}{'Z' if closed else ''}"


def printable(text: str) -> str:
    """The text without characters that XML cannot hold, even escaped."""
    return "".join(letter if _is_xml(letter) else "?" for letter in text)


def _is_xml(letter: str) -> bool:
    return letter in "\n\t" or " " <= letter < "\ud800" or "\udfff" < letter < "\ufffe" or letter > "\uffff"


def _written(node: Element) -> list[str]:
    parts = [f"<{node.tag}"]
    parts += [f' {name}="{escape(printable(value), _QUOTES)}"' for name, value in node.attributes]
    if not node.children:
        return [*parts, "/>"]
    parts.append(">")
    for child in node.children:
        parts += [escape(printable(child))] if isinstance(child, str) else _written(child)
    return [*parts, f"</{node.tag}>"]
