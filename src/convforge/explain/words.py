"""Everything that is said to people, in English and in Chinese.

    SIZE = Words("size {n}", "尺寸 {n}")
    SIZE("zh", n=3)                            # 尺寸 3

A text is written once in both languages, beside each other, where it is used: so neither is forgotten, and a
test can see that both have the same blanks.
"""

from __future__ import annotations

import locale
from dataclasses import dataclass
from string import Formatter
from typing import Literal

from convforge.errors import ConvValueError

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
_chosen: list[Language] = []


@dataclass(frozen=True, slots=True)
class Words:
    """A text in every language, with blanks as str.format has them."""

    en: str
    zh: str

    def __post_init__(self) -> None:
        blanks = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in (self.en, self.zh)]
        assert blanks[0] == blanks[1], f"blanks differ: {self.en!r} {self.zh!r}"

    def __call__(self, language: Language, **values: object) -> str:
        """The text in a language, its blanks filled."""
        text = self.zh if language == "zh" else self.en
        return text.format(**values) if values else text


def language_of(language: str | None = None) -> Language:
    """The language to speak: the one asked for, else the one set, else the system's, else English.

    Raises ValueError for a language that there are no texts in.
    """
    if language is not None:
        return _checked(language)
    if _chosen:
        return _chosen[0]
    system = locale.getlocale()[0] or ""
    return "zh" if system.lower().startswith(("zh", "chinese")) else "en"


def set_language(language: str | None) -> None:
    """Speak this language from now on, "en" or "zh"; None: the system's again.

    Raises ValueError for a language that there are no texts in.
    """
    checked = None if language is None else _checked(language)
    _chosen[:] = [checked] if checked else []


def _checked(language: str) -> Language:
    if language not in LANGUAGES:
        raise ConvValueError(f"language (={language!r}) must be 'en' or 'zh': use language='en'")
    return language
