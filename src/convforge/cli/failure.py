"""The one way in which the command line refuses: a line that says what is wrong and how to mend it."""

from __future__ import annotations

import os
from pathlib import Path


class CliError(Exception):
    """A user's mistake. Its text is one line: what, then how to mend it."""

    def __init__(self, text: object) -> None:
        super().__init__(one_line(text))


def one_line(text: object) -> str:
    """The text without line breaks or other characters that move the cursor."""
    words = " ".join(str(text).split())
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def readable(path: Path | str) -> str:
    """A path as it can be printed: file names may hold bytes of no encoding, and line breaks."""
    name = os.fsencode(path).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def reason(error: BaseException) -> str:
    """An exception's text, or its name where it has none."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return one_line(error) or type(error).__name__
