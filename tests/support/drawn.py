"""A drawing read back from its SVG text: cells, labels and lines, as someone looking at it finds them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.etree import ElementTree

import numpy as np
from hypothesis import assume, strategies as st

from convforge.draw import Drawing
from convforge.draw.measure import text_width
from convforge.errors import ConvforgeError
from convforge.problem import ConvLayer, normalize_layer

SVG = "{http://www.w3.org/2000/svg}"
Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class DrawnText:
    """One line of text: what it says, the name it has, and the room that it takes by the measuring table."""

    text: str
    name: str
    bounds: Bounds


@dataclass(frozen=True)
class DrawnCell:
    """A rectangle with a name: its role, and where it is."""

    name: str
    role: str
    bounds: Bounds


@dataclass
class Drawn:
    """Everything in a drawing, by name where it has one."""

    width: float
    height: float
    texts: list[DrawnText] = field(default_factory=list)
    cells: list[DrawnCell] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)
    style: str = ""

    def cell(self, name: str) -> DrawnCell:
        """The one cell of this name."""
        (found,) = [cell for cell in self.cells if cell.name == name]
        return found

    def names(self, prefix: str) -> set[str]:
        """Names of cells that begin so."""
        return {cell.name for cell in self.cells if cell.name.startswith(prefix)}

    def said(self, name: str) -> str:
        """The one text of this name."""
        (found,) = [text for text in self.texts if text.name == name]
        return found.text

    def number(self, name: str) -> float:
        """The number in the cell of this name."""
        return value_of(self.said(name))


def value_of(text: str) -> float:
    """−2.5 -> -2.5"""
    return float(text.replace("−", "-"))


def read(drawing: Drawing) -> Drawn:
    """The drawing's SVG, parsed."""
    root = ElementTree.fromstring(drawing.svg)
    assert root.tag == f"{SVG}svg"
    x, y, width, height = map(float, root.attrib["viewBox"].split())
    assert (x, y, width, height) == (0.0, 0.0, drawing.width, drawing.height)
    found = Drawn(width, height)
    for node in root.iter():
        found.classes |= {node.attrib["class"]} if "class" in node.attrib else set()
        if node.tag == f"{SVG}rect":
            box = tuple(float(node.attrib[k]) for k in ("x", "y", "width", "height"))
            bounds = (box[0], box[1], box[0] + box[2], box[1] + box[3])
            found.cells.append(DrawnCell(node.attrib.get("data-cell", ""), node.attrib["class"], bounds))
        elif node.tag == f"{SVG}text":
            found.texts.append(_text(node))
        elif node.tag == f"{SVG}style":
            found.style = node.text or ""
        elif "data-link" in node.attrib:
            found.links.append(node.attrib["data-link"])
    return found


def _text(node: ElementTree.Element) -> DrawnText:
    said = "".join(node.itertext())
    size = float(node.attrib["font-size"])
    width = text_width(said, size, bold="font-weight" in node.attrib)
    shift = {"start": 0.0, "middle": 0.5, "end": 1.0}[node.attrib.get("text-anchor", "start")]
    x, baseline = float(node.attrib["x"]) - shift * width, float(node.attrib["y"])
    # Ascenders of digits and capitals, and what hangs below the line.
    bounds = (x, baseline - 0.74 * size, x + width, baseline + 0.2 * size)
    return DrawnText(said, node.attrib.get("data-label", ""), bounds)


def overlaps(a: Bounds, b: Bounds, slack: float = 0.6) -> bool:
    """Whether two rectangles share more than a rim."""
    return min(a[2], b[2]) - max(a[0], b[0]) > slack and min(a[3], b[3]) - max(a[1], b[1]) > slack


def check_layout(drawn: Drawn) -> None:
    """Nothing leaves the picture, and no text covers another."""
    for item in (*drawn.texts, *drawn.cells):
        left, top, right, bottom = item.bounds
        inside = (
            left >= -0.01 and top >= -0.01 and right <= drawn.width + 0.01 and bottom <= drawn.height + 0.01
        )
        assert inside, f"outside {drawn.width}x{drawn.height}: {item}"
    texts = sorted(drawn.texts, key=lambda text: text.bounds[1])
    for i, first in enumerate(texts):
        for second in texts[i + 1 :]:
            if second.bounds[1] > first.bounds[3]:
                break
            assert not overlaps(first.bounds, second.bounds), f"{first} over {second}"


def check_style(drawn: Drawn) -> None:
    """Every class that is used has a rule."""
    ruled = set(re.findall(r"\.cf-\w+ ([.\w-]+)\{", drawn.style))
    used = {f".{name.replace(' ', '.')}" for name in drawn.classes if not name.startswith("cf-")}
    assert used <= ruled, used - ruled


@st.composite
def layers(
    draw: st.DrawFn, *, transposed: bool | None = None, rank: int | None = None, channels: int = 2
) -> tuple[ConvLayer, tuple[int, ...]]:
    """A small layer of any kind and an input size that it takes."""
    axes = draw(st.integers(1, 3)) if rank is None else rank
    is_transposed = draw(st.booleans()) if transposed is None else transposed

    def per_axis(low: int, high: int) -> tuple[int, ...]:
        return draw(st.tuples(*[st.integers(low, high)] * axes))

    groups = draw(st.integers(1, channels))
    stride, dilation = per_axis(1, 3), per_axis(1, 2)
    extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    layer = normalize_layer(
        groups * draw(st.integers(1, channels)),
        groups * draw(st.integers(1, channels)),
        per_axis(1, 3),
        stride,
        tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(axes)),
        dilation,
        groups,
        draw(st.booleans()),
        draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"])),
        rank=axes,
        transposed=is_transposed,
        output_padding=extra if is_transposed else 0,
    )
    size = per_axis(1, 7 if axes == 1 else 5 if axes == 2 else 3)
    try:
        output_size = layer.spec(size, dtype=np.float64).output_size
    except ConvforgeError:
        assume(False)
        raise
    assume(min(output_size) > 0)
    return layer, size
