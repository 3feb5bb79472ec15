"""Colours, textures and line styles by role, light and dark.

The hues are Okabe and Ito's, which people with any colour vision tell apart. Printed in grey, roles still
differ: inputs have square corners, kernels a heavy border, outputs round corners, every padding mode a
texture of its own, what is cut off a cross, gradients upright lines.

A drawing of theme "auto" follows the reader's system (`prefers-color-scheme`); programs that do not know the
question, such as converters to PNG, take it as light. Rules are written for the drawing's own theme class, so
that drawings of several themes can stand in one page.

Source: Okabe & Ito, Color Universal Design, 2008.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from convforge.errors import ConvValueError

Theme = Literal["auto", "light", "dark"]
THEMES: tuple[Theme, ...] = ("auto", "light", "dark")
FONT = "Arial,'Liberation Sans',Helvetica,sans-serif"
# Named for each text that has such letters: converters take a whole text from the font that they find for the
# one letter that is missing. DejaVu Sans is as wide as Verdana.
SYMBOL_FONT = "'DejaVu Sans',Verdana,sans-serif"
CHINESE_FONT = "'PingFang SC','Microsoft YaHei','Noto Sans CJK SC','Source Han Sans SC',sans-serif"

Texture = Literal["", "rising", "falling", "dots", "cross", "upright", "level", "grid"]


@dataclass(frozen=True, slots=True)
class Style:
    """How one role looks. fill, stroke: (light, dark), "" for none. width: of the stroke, in pixels."""

    fill: tuple[str, str] = ("", "")
    stroke: tuple[str, str] = ("", "")
    width: float = 0.0
    dash: str = ""
    texture: Texture = ""
    opacity: float = 1.0


_NONE = ("none", "none")
_BLUE, _ORANGE, _GREEN = ("#0072b2", "#56b4e9"), ("#a86e00", "#e69f00"), ("#00795a", "#2fc095")
_PURPLE, _RED, _GREY = ("#a0457f", "#e09cc4"), ("#c04f00", "#ff8a4c"), ("#8b929a", "#7d8792")

CELLS: dict[str, Style] = {
    "input": Style(("#e3f1fb", "#12344b"), _BLUE, 1),
    "input hot": Style(("#9fd3f5", "#1f6594"), ("#004c7a", "#a5dbff"), 2.4),
    "kernel": Style(("#fdebc4", "#463108"), _ORANGE, 2),
    "kernel hot": Style(("#f7c65c", "#8a5c00"), ("#7a4e00", "#ffd27a"), 2.8),
    "output": Style(("#d6f0e6", "#0c3a2c"), _GREEN, 1),
    "output hot": Style(("#86d9bb", "#11785a"), ("#004f3a", "#8ff0cf"), 2.4),
    "gradient": Style(("#f7e3ef", "#45203a"), _PURPLE, 1, texture="upright"),
    "gradient hot": Style(("#e7b3d2", "#7d3a66"), ("#7a2d5d", "#f5c4e0"), 2.4, texture="upright"),
    "zeros": Style(("#f6f6f4", "#20252c"), _GREY, 1, dash="3 3"),
    "reflect": Style(("#f1ecfa", "#2c2740"), ("#6a5aa8", "#a99be0"), 1, texture="rising"),
    "replicate": Style(("#faf3e0", "#383018"), ("#8a7320", "#d1b95a"), 1, texture="falling"),
    "circular": Style(("#e6f5f2", "#17363a"), ("#2b7f86", "#6cc5cc"), 1, texture="dots"),
    "zeros hot": Style(("#e4e4e0", "#38404a"), ("#4d545c", "#c3cad2"), 2.4, dash="5 3"),
    "reflect hot": Style(("#d5c9f2", "#4c4278"), ("#43357e", "#d3c8ff"), 2.4, texture="rising"),
    "replicate hot": Style(("#ecdba0", "#665620"), ("#5c4b0c", "#f0dc90"), 2.4, texture="falling"),
    "circular hot": Style(("#b4e0da", "#235d63"), ("#12575d", "#a8eef2"), 2.4, texture="dots"),
    "blank": Style(("#ffffff", "#161b22"), ("#c9ced4", "#3a424c"), 1),
    "zero": Style(("#fafafa", "#1b2027"), ("#dcdfe3", "#2f363f"), 1, dash="2 3"),
    "cut": Style(("#fbf1ea", "#2d211b"), _RED, 1, dash="4 3", texture="cross"),
    "unread": Style(("#fbf1ea", "#2d211b"), _RED, 1.4, dash="4 3"),
    "panel": Style(("#f7f8fa", "#1b2129"), ("#e3e6ea", "#2c343e"), 1),
    "bar": Style(_BLUE, _NONE),
    "bar rest": Style(("#dfe3e8", "#2f3740"), _NONE),
    "group0": Style(("#e3f1fb", "#12344b"), _BLUE, 1.4),
    "group1": Style(("#fdebc4", "#463108"), _ORANGE, 1.4, texture="rising"),
    "group2": Style(("#d6f0e6", "#0c3a2c"), _GREEN, 1.4, texture="falling"),
    "group3": Style(("#f7e3ef", "#45203a"), _PURPLE, 1.4, texture="dots"),
    "group4": Style(("#fbe3d6", "#4a2412"), _RED, 1.4, texture="level"),
    "group5": Style(("#e9e9ee", "#2a2f3a"), ("#565f6b", "#aab4c0"), 1.4, texture="grid"),
    "tile0": Style(("#d6eaf8", "#173f5c"), ("#9aa7b2", "#4a5663"), 0.8),
    "tile1": Style(("#fdebc4", "#5a430f"), ("#9aa7b2", "#4a5663"), 0.8),
    "tile2": Style(("#c9e9dc", "#14503c"), ("#9aa7b2", "#4a5663"), 0.8),
    "tile3": Style(("#f2d9e8", "#572a4a"), ("#9aa7b2", "#4a5663"), 0.8),
    "tile4": Style(("#fbdccb", "#5e2f19"), ("#9aa7b2", "#4a5663"), 0.8),
    "tile5": Style(("#e2e4ea", "#363d4b"), ("#9aa7b2", "#4a5663"), 0.8),
    "ground": Style(("#ffffff", "#0f141a"), _NONE),
}
# Steps of a scale from little to much: lightness alone carries it, so it prints.
_SCALE = (
    ("#f4f9fd", "#16222c"),
    ("#d6eaf8", "#173447"),
    ("#a9d3f0", "#1a4a68"),
    ("#74b6e2", "#21658f"),
    ("#2a78ad", "#3a86b8"),
    ("#165f92", "#69aedb"),
    ("#063d63", "#a9d8f7"),
)
SCALE_STEPS = len(_SCALE)
CELLS.update((f"scale{step}", Style(shades, _BLUE, 0.8)) for step, shades in enumerate(_SCALE))

LINES: dict[str, Style] = {
    "link": Style(_NONE, ("#707a85", "#98a3af"), 1.2),
    "link-input": Style(_NONE, _BLUE, 1.4),
    "link-kernel": Style(_NONE, _ORANGE, 1.6),
    "link-gradient": Style(_NONE, _PURPLE, 1.4, dash="6 3"),
    "link-zeros": Style(_NONE, _GREY, 1.2, dash="3 3"),
    "link-reflect": Style(_NONE, ("#6a5aa8", "#a99be0"), 1.3),
    "link-replicate": Style(_NONE, ("#8a7320", "#d1b95a"), 1.3),
    "link-circular": Style(_NONE, ("#2b7f86", "#6cc5cc"), 1.3),
    "rule": Style(_NONE, ("#dfe3e8", "#2c343e"), 1),
    "frame": Style(_NONE, ("#1d2733", "#e8ecf1"), 2.2),
    # Over photographs, which no theme changes: a light line within a dark one.
    "halo": Style(_NONE, ("#101418", "#101418"), 5),
    "field": Style(_NONE, ("#ffd23f", "#ffd23f"), 2.2),
    "link-group0": Style(_NONE, _BLUE, 1.5, opacity=0.75),
    "link-group1": Style(_NONE, _ORANGE, 1.5, opacity=0.75),
    "link-group2": Style(_NONE, _GREEN, 1.5, opacity=0.75),
    "link-group3": Style(_NONE, _PURPLE, 1.5, opacity=0.75),
    "link-group4": Style(_NONE, _RED, 1.5, opacity=0.75),
    "link-group5": Style(_NONE, ("#565f6b", "#aab4c0"), 1.5, opacity=0.75),
}
GROUP_STYLES = TILE_STYLES = 6

TEXTS: dict[str, Style] = {
    "text": Style(("#1d2733", "#e8ecf1")),
    "muted": Style(("#56616d", "#a5b0bc")),
    "faint": Style(("#7b8590", "#7f8a96")),
    "on-dark": Style(("#ffffff", "#0f141a")),
    "t-input": Style(("#00598c", "#7cc8f5")),
    "t-kernel": Style(("#855600", "#f0b43c")),
    "t-output": Style(("#006247", "#4fd6ac")),
    "t-gradient": Style(("#8a356b", "#eab0d2")),
}

ROLES: dict[str, Style] = {**CELLS, **LINES, **TEXTS}


def checked_theme(theme: str) -> Theme:
    """The theme, if there is one of this name. Raises ValueError otherwise."""
    for known in THEMES:
        if theme == known:
            return known
    raise ConvValueError(f"theme (={theme!r}) must be 'auto', 'light' or 'dark': use theme='auto'")


def style_sheet(theme: Theme, roles: Iterable[str]) -> str:
    """The rules of these roles, for the class `cf-<theme>` on the root.

    .cf-light .input{fill:#e3f1fb;stroke:#0072b2;stroke-width:1}
    """
    used = [role for role in ROLES if role in set(roles)]
    plain = 1 if theme == "dark" else 0
    rules = [_rule(theme, role, plain) for role in used]
    if theme == "auto":
        rules += ["@media (prefers-color-scheme:dark){", *(_colours(theme, role, 1) for role in used), "}"]
    return "".join(rules)


def _selector(theme: Theme, role: str) -> str:
    return f".cf-{theme} .{role.replace(' ', '.')}"


def _rule(theme: Theme, role: str, shade: int) -> str:
    style = ROLES[role]
    parts = _paint(style, shade)
    if style.width:
        parts.append(f"stroke-width:{style.width:g}")
    if style.dash:
        parts.append(f"stroke-dasharray:{style.dash.replace(' ', ',')}")
    if style.opacity != 1.0:
        parts.append(f"opacity:{style.opacity:g}")
    rule = f"{_selector(theme, role)}{{{';'.join(parts)}}}"
    return rule + _texture_rule(theme, role, shade)


def _colours(theme: Theme, role: str, shade: int) -> str:
    rule = f"{_selector(theme, role)}{{{';'.join(_paint(ROLES[role], shade))}}}"
    return rule + _texture_rule(theme, role, shade)


def _paint(style: Style, shade: int) -> list[str]:
    pairs = (("fill", style.fill[shade]), ("stroke", style.stroke[shade]))
    return [f"{name}:{value}" for name, value in pairs if value]


def _texture_rule(theme: Theme, role: str, shade: int) -> str:
    """Textures and arrowheads are shapes of the same colour: `tx-input`, filled or stroked thinly."""
    style = ROLES[role]
    name = role.replace(" ", "-")
    if role in LINES:
        return f".cf-{theme} .head-{name}{{fill:{style.stroke[shade]};stroke:none}}"
    if style.texture:
        paint = f"fill:none;stroke:{style.stroke[shade]};stroke-width:1;stroke-opacity:.28"
        return f".cf-{theme} .tx-{name}{{{paint}}}"
    return ""
