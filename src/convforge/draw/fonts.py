"""Which fonts the rasteriser finds, so that a picture's letters are the ones that were meant.

A browser that lacks a family takes the next one, letter by letter. The rasteriser takes the first family of a
list that is installed, leaves out text where none is, and gives a whole line to any font that has a letter
which that family lacks, be it a serif. So for the rasteriser a list of families is cut down to one that is
there, and runs of Chinese letters and rare symbols become texts of their own with a font of their own, at
the places that the layout reckoned with.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

from convforge.draw.measure import text_width
from convforge.draw.svg import Element, element

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
# Fonts that have ⌊ and ⋯, which Arial and its likes lack.
SYMBOLS = ("DejaVu Sans", "Segoe UI Symbol", "Apple Symbols", "Lucida Grande", *CHINESE)
SANS = ("Inter", "Segoe UI", "Helvetica Neue", "Arial", "Liberation Sans", "Noto Sans", "DejaVu Sans")
MONO = ("Menlo", "Consolas", "DejaVu Sans Mono", "Liberation Mono", "Noto Sans Mono", "Courier New")
GENERIC = {"monospace": MONO, "ui-monospace": MONO}
_HAN = r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]+"
_SYMBOL = "[⌊⌋⋯⋮⟨⟩⊤ᵀ∇₀₁₂₃]+"
_SHARE = {"start": 0.0, "middle": 0.5, "end": 1.0}


def with_installed_fonts(node: Element) -> Element:
    """The drawing in families that the rasteriser finds.

    font-family="system-ui,Arial,sans-serif" -> font-family="'Liberation Sans'"
    步幅 stride -> <text x="9" font-family="'Noto Sans CJK SC'">步幅</text><text x="39">stride</text>
    """
    attributes = tuple(
        (name, _first_installed(value) if name == "font-family" else value) for name, value in node.attributes
    )
    node = replace(node, attributes=attributes)
    if node.tag == "text":
        return _in_parts(node)
    children = (child if isinstance(child, str) else with_installed_fonts(child) for child in node.children)
    return replace(node, children=tuple(children))


def _in_parts(text: Element) -> Element:
    """A line of text whose special letters have fonts of their own; as it is if it has none."""
    fonts = special_fonts()
    runs = [
        (child, None)
        if isinstance(child, str)
        else (str(child.children[0]), dict(child.attributes).get("class"))
        for child in text.children
    ]
    if not fonts or not any(re.search(letters, run) for run, _ in runs for letters, _ in fonts):
        return text
    known = dict(text.attributes)
    size, bold = float(known["font-size"]), known.get("font-weight") == "bold"
    pieces = [(piece, family, role) for run, role in runs for piece, family in _pieces(run, fonts)]
    widths = [text_width(piece, size, bold=bold) for piece, _, _ in pieces]
    x = float(known["x"]) - _SHARE[known.get("text-anchor", "start")] * sum(widths)
    kept = {name.replace("-", "_"): value for name, value in text.attributes}
    parts: list[Element] = []
    for (piece, family, role), width in zip(pieces, widths, strict=True):
        # A line's leading spaces are not drawn.
        start = x + text_width(piece[: len(piece) - len(piece.lstrip())], size, bold=bold)
        own = {"text_anchor": None, "class": role or kept.get("class")}
        own["font_family"] = f"'{family}'" if family else None
        parts.append(element("text", piece.strip(), **{**kept, **own, "x": start}))
        x += width
    return element("g", *parts)


def _pieces(run: str, fonts: tuple[tuple[str, str], ...]) -> list[tuple[str, str | None]]:
    """The run in order, as pieces of one font; None for the drawing's own."""
    found: list[tuple[str, str | None]] = []
    for piece in re.split(f"({'|'.join(letters for letters, _ in fonts)})", run):
        family = next((family for letters, family in fonts if re.fullmatch(letters, piece)), None)
        if piece:
            found.append((piece, family))
    return found


@cache
def special_fonts() -> tuple[tuple[str, str], ...]:
    """(pattern of letters, family that has them), as far as there is one."""
    wanted = ((_HAN, CHINESE), (_SYMBOL, SYMBOLS))
    found = ((letters, next(filter(is_installed, families), None)) for letters, families in wanted)
    return tuple((letters, family) for letters, family in found if family)


def _first_installed(listed: str) -> str:
    """The first family of a list that is there, or one that stands in for the generic ones."""
    families = [name.strip().strip("'\"") for name in listed.split(",")]
    stand_in = next((GENERIC[name] for name in families if name in GENERIC), SANS)
    found = next(filter(is_installed, (*families, *stand_in)), None)
    return f"'{found}'" if found else listed


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
