"""Filters as the command line names them."""

from __future__ import annotations

from convforge.cli.failure import refusals
from convforge.draw import filters
from convforge.draw.filters import ANY_SIZE, FIXED, NAMES, Filter, Shows, spread

__all__ = ["ANY_SIZE", "FIXED", "NAMES", "Shows", "named_filter", "spread"]


def named_filter(name: str, kernel_size: tuple[int, ...]) -> Filter:
    """`draw.filters.named_filter`, which says what it does; refuses with CliError."""
    with refusals("--kernel"):
        return filters.named_filter(name, kernel_size)
