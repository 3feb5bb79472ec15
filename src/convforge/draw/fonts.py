"""Which fonts the rasteriser finds, so that a picture's letters are the ones that were meant.

A browser that lacks a family takes the next one, letter by letter. The rasteriser takes the first family of a
list that is installed, leaves out text where none is, and gives a whole line to any font that has its
Chinese letters, be it a serif. So a drawing's list of families is cut down to those that are there, Chinese
first where there are Chinese letters.
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
_FAMILIES = re.compile(r"""(font-family\s*[:=]\s*)("[^"]*"|'[^']*'|[^;"'{}<>]*(?:'[^']*'[^;"'{}<>]*)*)""")
_HAN = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")


def with_installed_fonts(svg: str) -> str:
    """The drawing with every list of families replaced by those that the rasteriser finds.

    font-family="system-ui, Arial, sans-serif" -> font-family="Liberation Sans"
    """
    chinese = tuple(filter(is_installed, CHINESE))[:1] if _HAN.search(svg) else ()

    def replaced(match: re.Match[str]) -> str:
        written = match[2]
        quote = written[0] if written[:1] in ("'", '"') and match[1].rstrip().endswith("=") else ""
        listed = [name.strip().strip("'\"") for name in written.strip(quote).split(",")]
        inner = "'" if quote != "'" else '"'
        found = ", ".join(f"{inner}{name}{inner}" for name in (*chinese, *installed_of(listed)))
        return f"{match[1]}{quote}{found}{quote}"

    return _FAMILIES.sub(replaced, svg)


def installed_of(families: list[str]) -> list[str]:
    """The families of a list that are there, and the first that is there for a generic one at its end."""
    generic = next((GENERIC[name] for name in families if name in GENERIC), SANS)
    named = [name for name in families if name and name not in GENERIC and is_installed(name)]
    return named or [name for name in generic if is_installed(name)][:1]


@cache
def is_installed(family: str) -> bool:
    """Whether the rasteriser draws a letter in this family: it leaves text out where it finds no font."""
    import vl_convert

    if family in ("sans-serif", "serif", "system-ui", "inherit", "cursive", "fantasy"):
        return False

    def drawn(letter: str) -> bytes:
        text = f'<text y="9" font-size="9" font-family="{family}">{letter}</text>'
        return vl_convert.svg_to_png(f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">{text}</svg>')

    return drawn("H") != drawn("")
