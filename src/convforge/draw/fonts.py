"""Which fonts the rasteriser finds, so that a picture's letters are the ones that were meant.

A browser that lacks a family takes the next one, letter by letter. The rasteriser takes the first family of a
list that is installed, leaves out text where none is, and gives a whole line to any font that has its
Chinese letters, be it a serif. So a drawing's list of families is cut down to one that is there, and lines
with Chinese letters get a Chinese one.
"""

from __future__ import annotations

import re
from functools import cache

CHINESE = (
    "PingFang SC",
    "Microsoft YaHei",
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Hiragino Sans GB",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "SimHei",
    "Droid Sans Fallback",
)
SANS = ("Inter", "Segoe UI", "Helvetica Neue", "Arial", "Liberation Sans", "Noto Sans", "DejaVu Sans")
MONO = ("Menlo", "Consolas", "DejaVu Sans Mono", "Liberation Mono", "Noto Sans Mono", "Courier New")
GENERIC = {"monospace": MONO, "ui-monospace": MONO}
_FAMILIES = re.compile(r'font-family="([^"]*)"')
_TEXT = re.compile(r"<text\b([^>]*)>((?:(?!</text>).)*)", re.DOTALL)
_HAN = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")


def with_installed_fonts(svg: str) -> str:
    """The drawing with every list of families replaced by those that the rasteriser finds.

    font-family="system-ui,Arial,sans-serif" -> font-family="'Liberation Sans'", and on lines of text with
    Chinese letters a Chinese family, if there is one.
    """
    svg = _FAMILIES.sub(lambda match: f'font-family="{families_text(installed_of(match[1]))}"', svg)
    chinese = next(filter(is_installed, CHINESE), None)
    if chinese is None:
        return svg

    def dressed(match: re.Match[str]) -> str:
        attributes, inner = match[1], match[2]
        if _HAN.search(inner) and "font-family" not in attributes:
            attributes += f' font-family="{families_text([chinese])}"'
        return f"<text{attributes}>{inner}"

    return _TEXT.sub(dressed, svg)


def families_text(families: list[str]) -> str:
    """As an attribute in double quotes takes it: 'Noto Sans','DejaVu Sans'."""
    return ",".join(f"'{family}'" for family in families)


def installed_of(listed: str) -> list[str]:
    """The first family of a list that is there, or one that stands in for the generic ones."""
    families = [name.strip().strip("'\"") for name in listed.split(",")]
    stand_in = next((GENERIC[name] for name in families if name in GENERIC), SANS)
    found = next(filter(is_installed, (*families, *stand_in)), None)
    return [found] if found else []


@cache
def is_installed(family: str) -> bool:
    """Whether the rasteriser draws a letter in this family: it leaves text out where it finds no font."""
    import vl_convert

    if not family or family in GENERIC or family in ("sans-serif", "serif", "system-ui"):
        return False

    def drawn(letter: str) -> bytes:
        text = f'<text y="9" font-size="9" font-family="{family}">{letter}</text>'
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">{text}</svg>'
        return vl_convert.svg_to_png(svg)

    return drawn("H") != drawn("")
