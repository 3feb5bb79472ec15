"""A layer given on the command line."""

from __future__ import annotations

from convforge.cli.failure import CliError
from convforge.explain.spelling import LayerText, LayerTextError, parse_layer


def read_layer(text: str, option: str = "--layer") -> LayerText:
    """The layer that an option or argument spells. Raises CliError that names both and the place."""
    try:
        return parse_layer(text)
    except LayerTextError as error:
        raise CliError(f"{option} {error}".strip()) from None
