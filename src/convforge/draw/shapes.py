"""What drawings are made of: cells, labels and lines, each at its place in pixels, x to the right, y down."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, replace
from math import hypot

from convforge.draw.measure import has_symbols, is_wide, text_width
from convforge.draw.svg import Element, element, number, path
from convforge.draw.theme import CELLS, CHINESE_FONT, SYMBOL_FONT, Texture

Point = tuple[float, float]
Run = tuple[str, str]  # (text, role)


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle: its corner, width and height."""

    x: float
    y: float
    width: float
    height: float

    @property
    def center(self) -> Point:
        """The point in its middle."""
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def right(self) -> float:
        """x of its right side."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """y of its lower side."""
        return self.y + self.height

    def moved(self, dx: float, dy: float) -> Area:
        """The same rectangle elsewhere."""
        return Area(self.x + dx, self.y + dy, self.width, self.height)

    def around(self, other: Area) -> Area:
        """The smallest rectangle with both in it."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        return Area(x, y, max(self.right, other.right) - x, max(self.bottom, other.bottom) - y)


@dataclass(frozen=True, slots=True)
class Cell:
    """A rectangle that stands for something: a number of an array, a tile, a bar.

    role: of `theme.CELLS`. name: "input-0-3", written as data-cell, for tests and pages. tip: said when a
    pointer rests on it.
    """

    area: Area
    role: str
    name: str = ""
    tip: str = ""
    radius: float = 0.0

    def moved(self, dx: float, dy: float) -> Cell:
        """The same cell elsewhere."""
        # Not `replace`, which takes five times as long: drawings are moved some thousand times.
        return Cell(self.area.moved(dx, dy), self.role, self.name, self.tip, self.radius)

    @property
    def bounds(self) -> Area:
        """What it covers."""
        return self.area

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles whose styles it needs."""
        return (self.role,)

    def elements(self) -> list[Element]:
        """The rectangle, and its texture."""
        a = self.area
        tip = (element("title", self.tip),) if self.tip else ()
        rectangle = element(
            "rect",
            *tip,
            class_=self.role,
            data_cell=self.name or None,
            x=a.x,
            y=a.y,
            width=a.width,
            height=a.height,
            rx=self.radius or None,
        )
        texture = CELLS[self.role].texture
        if not texture:
            return [rectangle]
        return [
            rectangle,
            element("path", class_=f"tx-{self.role.replace(' ', '-')}", d=_texture(texture, a)),
        ]


@dataclass(frozen=True, slots=True)
class Label:
    """One line of text, whose parts may differ in role: 0×0.1 with its factors in their colours.

    at: the middle of the line's height, and its start, middle or end as `anchor` says.
    name: written as data-label.
    """

    at: Point
    runs: tuple[Run, ...]
    size: float = 13.0
    anchor: str = "middle"
    bold: bool = False
    name: str = ""

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(text for text, _ in self.runs)

    @property
    def width(self) -> float:
        """In pixels, by the measuring table."""
        return text_width(self.text, self.size, bold=self.bold)

    @property
    def bounds(self) -> Area:
        """What it covers, ascenders and descenders included."""
        shift = {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor]
        x, y = self.at
        return Area(x - shift * self.width, y - self.size * 0.55, self.width, self.size * 1.1)

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles whose styles it needs."""
        return tuple(dict.fromkeys(role for _, role in self.runs))

    def moved(self, dx: float, dy: float) -> Label:
        """The same label elsewhere."""
        at = (self.at[0] + dx, self.at[1] + dy)
        return Label(at, self.runs, self.size, self.anchor, self.bold, self.name)

    def elements(self) -> list[Element]:
        """The text; one run needs no parts."""
        # The middle of digits and capitals is 0.36 of the size above the baseline; dominant-baseline is not
        # known to every converter.
        x, y = self.at[0], self.at[1] + 0.36 * self.size
        chinese, alone = any(map(is_wide, self.text)), len(self.runs) == 1
        children = (
            (self.runs[0][0],)
            if alone
            else tuple(element("tspan", text, class_=role) for text, role in self.runs)
        )
        family = CHINESE_FONT if chinese else SYMBOL_FONT if has_symbols(self.text) else None
        return [
            element(
                "text",
                *children,
                class_=self.runs[0][1] if alone else None,
                data_label=self.name or None,
                x=x,
                y=y,
                font_size=self.size,
                text_anchor=None if self.anchor == "start" else self.anchor,
                # Chinese fonts are often installed in one weight: bold would bring another face.
                font_weight="bold" if self.bold and not chinese else None,
                font_family=family,
            )
        ]


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points, straight or as one smooth curve (then of 3 or 4 points, Bézier's), with an arrow
    head at its end if asked for."""

    points: tuple[Point, ...]
    role: str = "link"
    arrow: bool = False
    curved: bool = False
    name: str = ""

    def moved(self, dx: float, dy: float) -> Line:
        """The same line elsewhere."""
        points = tuple((x + dx, y + dy) for x, y in self.points)
        return Line(points, self.role, self.arrow, self.curved, self.name)

    @property
    def bounds(self) -> Area:
        """What its points span."""
        xs, ys = [x for x, _ in self.points], [y for _, y in self.points]
        return Area(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles whose styles it needs."""
        return (self.role,)

    def elements(self) -> list[Element]:
        """The line, and its head."""
        points = self.points
        if self.curved:
            word = "Q" if len(points) == 3 else "C"
            rest = " ".join(f"{number(x)} {number(y)}" for x, y in points[1:])
            d = f"M{number(points[0][0])} {number(points[0][1])}{word}{rest}"
        else:
            d = path(*points)
        found = [element("path", class_=self.role, data_link=self.name or None, d=d)]
        if self.arrow:
            found.append(element("path", class_=f"head-{self.role}", d=_head(points[-2], points[-1])))
        return found


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of pixels, part of the file itself. png: the bytes of a PNG; alt: said in its place.

    Where it is drawn larger than it is, its pixels stay squares.
    """

    area: Area
    png: bytes
    alt: str
    name: str = ""

    def moved(self, dx: float, dy: float) -> Picture:
        """The same picture elsewhere."""
        return replace(self, area=self.area.moved(dx, dy))

    @property
    def bounds(self) -> Area:
        """What it covers."""
        return self.area

    @property
    def roles(self) -> tuple[str, ...]:
        """It has its own colours."""
        return ()

    def elements(self) -> list[Element]:
        """The image, as a data address."""
        a = self.area
        wide = int.from_bytes(self.png[16:20], "big")  # of the PNG's header
        return [
            element(
                "image",
                element("title", self.alt),
                data_picture=self.name or None,
                x=a.x,
                y=a.y,
                width=a.width,
                height=a.height,
                preserveAspectRatio="none",
                style="image-rendering:pixelated" if a.width >= wide else None,
                href=f"data:image/png;base64,{b64encode(self.png).decode()}",
            )
        ]


Shape = Cell | Label | Line | Picture


def _head(before: Point, tip: Point, length: float = 7.0, half: float = 3.2) -> str:
    dx, dy = tip[0] - before[0], tip[1] - before[1]
    far = hypot(dx, dy) or 1.0
    dx, dy = dx / far, dy / far
    x, y = tip[0] - dx * length, tip[1] - dy * length
    return path((x - dy * half, y + dx * half), tip, (x + dy * half, y - dx * half), closed=True)


def _texture(texture: Texture, a: Area, step: float = 7.0) -> str:
    """Lines over a rectangle, clipped to it."""
    match texture:
        case "cross":
            return path((a.x, a.y), (a.right, a.bottom)) + path((a.right, a.y), (a.x, a.bottom))
        case "upright":
            return "".join(
                f"M{number(x)} {number(a.y)}v{number(a.height)}" for x in _steps(a.x, a.right, step)
            )
        case "level":
            return "".join(
                f"M{number(a.x)} {number(y)}h{number(a.width)}" for y in _steps(a.y, a.bottom, step)
            )
        case "grid":
            return _texture("upright", a, 2 * step) + _texture("level", a, 2 * step)
        case "dots":
            ys, xs = _steps(a.y, a.bottom, 1.4 * step), _steps(a.x, a.right, 1.4 * step)
            return "".join(f"M{number(x - 0.8)} {number(y)}h1.6" for y in ys for x in xs)
        case "rising" | "falling":
            return "".join(_diagonals(a, step, rising=texture == "rising"))
        case "":
            return ""


def _steps(start: float, stop: float, step: float) -> list[float]:
    """Positions between start and stop, evenly, none in the middle."""
    # An even number: none goes through the middle, where the numbers are.
    count = max(2 * round((stop - start) / step / 2), 2)
    gap = (stop - start) / count
    return [start + gap * (i + 0.5) for i in range(count)]


def _diagonals(a: Area, step: float, *, rising: bool) -> list[str]:
    lines: list[str] = []
    reach = a.width + a.height
    for offset in _steps(0.0, reach, 1.4 * step):
        # The line x + y = offset within the rectangle.
        x0, x1 = max(0.0, offset - a.height), min(a.width, offset)
        ends = [(x0, offset - x0), (x1, offset - x1)]
        if not rising:
            ends = [(a.width - x, y) for x, y in ends]
        lines.append(path(*((a.x + x, a.y + y) for x, y in ends)))
    return lines
