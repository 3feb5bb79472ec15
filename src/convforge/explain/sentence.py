"""A sentence with its numbers in it, to be said in either language later.

    SHRINKS = Words("shrinks by {n}", "缩小 {n}")
    say(SHRINKS, n=2)("zh")                    # 缩小 2

Facts are computed once and carry sentences; which language they are read in is decided where they are shown.
"""

from __future__ import annotations

from dataclasses import dataclass

from convforge.explain.words import Language, Words


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words and what fills their blanks, by name in the order given; a value may be a sentence itself."""

    words: Words
    values: tuple[tuple[str, object], ...] = ()

    def __call__(self, language: Language) -> str:
        """The sentence in a language."""
        return self.words(
            language,
            **{
                name: value(language) if isinstance(value, Sentence | Words) else value
                for name, value in self.values
            },
        )


def say(words: Words, **values: object) -> Sentence:
    """The words with their blanks filled."""
    return Sentence(words, tuple(values.items()))
