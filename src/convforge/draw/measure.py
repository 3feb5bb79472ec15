"""How wide a text is, without a font: enough to lay out so that nothing overlaps.

Widths are those of Arial and the fonts made to its measure (Liberation Sans, Helvetica); whatever a reader's
system takes instead is rarely more than a tenth wider, and layouts leave that much. Chinese characters and
their punctuation are as wide as the text is high.

Source: the advance widths in Liberation Sans 2.1, in thousandths of the text size.
"""

from __future__ import annotations

import unicodedata

_GROUPS = {
    191: "'",
    222: "ijl",
    260: "|",
    278: " !,./:;I[\\]ft·",
    333: "()-`r²",
    365: "⌊⌋⟨⟩⊤ᵀ₀₁₂₃",
    389: "{}\"*",
    469: "^",
    500: "Jcksvxyz∂",
    556: "#$0123456789?L_abdeghnopqu–≤≥≠≈√",
    584: "+<=>~×−αβμ",
    620: "FTZσηΣ",
    667: "&ABEKPSVXYΔ∇",
    722: "CDHNRUw∑",
    778: "GOQ",
    833: "Mm½",
    889: "%",
    944: "W",
}  # fmt: skip
_WIDTHS = {letter: width / 1000 for width, letters in _GROUPS.items() for letter in letters}
# Bold letters of these fonts are 5 % wider on the average, digits as wide.
_BOLD = 1.07
# Letters that Arial lacks: a text with one is set in DejaVu Sans or Verdana, which are wider.
_SYMBOLS = frozenset("⌊⌋ᵀ⋯⋮⊤")
_SYMBOL_FONT = 1.17
# What stands in front of a line in Chinese typography would be lonely there.
_NEVER_FIRST = "，。；：！？、）】》”’%…·"
_NEVER_LAST = "（【《“‘"


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Width in pixels of one line of text whose letters are `size` pixels high."""
    scale = size * (_BOLD if bold else 1.0)
    if has_symbols(text) and len(text) > 1 and not any(map(is_wide, text)):
        scale *= _SYMBOL_FONT
    return sum(map(_letter_width, text)) * scale


def has_symbols(text: str) -> bool:
    """Whether the text has letters that Arial lacks."""
    return not _SYMBOLS.isdisjoint(text)


def _letter_width(letter: str) -> float:
    known = _WIDTHS.get(letter)
    if known is not None:
        return known
    if unicodedata.combining(letter):
        return 0.0
    # Arrows, ellipses and everything unknown take the whole square: too wide does no harm.
    return 1.0


def is_wide(letter: str) -> bool:
    """Whether a line may break on either side of it: Chinese characters and punctuation."""
    return unicodedata.east_asian_width(letter) in "WF"


def wrapped(text: str, size: float, width: float) -> list[str]:
    """The text in lines of at most `width` pixels: broken at spaces, and between Chinese characters.

    A word that is wider than the line stands alone in its line, whole.
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for piece in pieces(paragraph):
            if line and text_width((line + piece).rstrip(), size) > width:
                lines.append(line.rstrip())
                line = piece.lstrip()
            else:
                line += piece
        lines.append(line.rstrip())
    return lines


def pieces(text: str) -> list[str]:
    """Words with the spaces behind them, and single Chinese characters with what clings to them."""
    found: list[str] = []
    for letter in text:
        if not found or _may_break(found[-1][-1], letter):
            found.append(letter)
        else:
            found[-1] += letter
    return found


def _may_break(before: str, after: str) -> bool:
    if after in _NEVER_FIRST or before in _NEVER_LAST or after == " ":
        return False
    return before == " " or is_wide(before) or is_wide(after)
