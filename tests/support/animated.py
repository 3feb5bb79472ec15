"""An animated SVG read back: what a browser shows at a time, by the keyframes in the file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree

from support.drawn import SVG

_KEYFRAMES = re.compile(r"@keyframes (\S+?)\{((?:[\d.e+-]+%\{visibility:\w+\})+)\}")
_STEP = re.compile(r"([\d.e+-]+)%\{visibility:(\w+)\}")


@dataclass(frozen=True)
class Animated:
    """The file: its parts in order with their classes, the steps of each class, the resting classes."""

    root: ElementTree.Element
    seconds: float
    steps: dict[str, list[tuple[float, bool]]]
    resting: frozenset[str]
    style: str

    def shown(self, time: float | None) -> list[str]:
        """The painted parts at a time, or at rest for None: as text, in order."""
        found: list[str] = []
        for part in self.root:
            if part.tag in (f"{SVG}title", f"{SVG}desc", f"{SVG}style"):
                continue
            classes = part.attrib.get("class", "").split()
            turn = next((name for name in classes if name in self.steps), None)
            if part.tag == f"{SVG}g" and turn is not None:
                if self._visible(turn, time):
                    found += map(text_of, part)
            else:
                found.append(text_of(part))
        return found

    def _visible(self, turn: str, time: float | None) -> bool:
        if time is None:
            return turn in self.resting
        at = 100 * (time % self.seconds) / self.seconds
        return [shown for start, shown in self.steps[turn] if start <= at][-1]


def text_of(part: ElementTree.Element) -> str:
    """An element as canonical text."""
    return ElementTree.canonicalize(ElementTree.tostring(part))


def parts_of(svg: str) -> list[str]:
    """The painted parts of a drawing that stands still."""
    skipped = (f"{SVG}title", f"{SVG}desc", f"{SVG}style")
    return [text_of(part) for part in ElementTree.fromstring(svg) if part.tag not in skipped]


def read_animated(svg: str) -> Animated:
    """The animation's SVG, parsed."""
    root = ElementTree.fromstring(svg)
    style = next(node.text or "" for node in root if node.tag == f"{SVG}style")
    name = root.attrib["class"].split()[-1]
    (seconds,) = re.findall(
        rf"\.{name}-f\{{animation:([\d.]+)s step-end infinite;visibility:hidden\}}", style
    )
    steps = {
        turn: [(float(at), word == "visible") for at, word in _STEP.findall(body)]
        for turn, body in _KEYFRAMES.findall(style)
    }
    resting = frozenset(re.findall(r"\.([\w-]+)\{animation-name:[\w-]+;visibility:visible\}", style))
    return Animated(root, float(seconds), steps, resting, style)
