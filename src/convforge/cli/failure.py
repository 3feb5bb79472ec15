"""The one way in which the command line refuses: a line that says what is wrong and how to mend it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from convforge.errors import ConvforgeError, one_line, readable, reason

__all__ = ["CliError", "one_line", "readable", "reason", "refusals"]


class CliError(Exception):
    """A user's mistake. Its text is one line: what, then how to mend it."""

    def __init__(self, text: object) -> None:
        super().__init__(one_line(text))


@contextmanager
def refusals(before: str = "") -> Generator[None]:
    """What the library refuses, as the command line says it: in one line, after the option it is about."""
    try:
        yield
    except ConvforgeError as error:
        raise CliError(f"{before} {reason(error)}".strip()) from None
