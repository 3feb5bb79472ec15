"""Show or clear the compiled kernels and measured choices that are kept on disk."""

from __future__ import annotations

import argparse

from convforge import runtime
from convforge.cli.failure import CliError, readable, reason


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `convforge cache`."""
    parser.add_argument(
        "--clear", action="store_true", help="remove all of them; they are made again when needed"
    )


def run(options: argparse.Namespace) -> int:
    """Prints where the cache is and how large; clears it first if asked to."""
    if options.clear:
        try:
            runtime.cache_clear()
        except OSError as error:
            raise CliError(f"cache: cannot be cleared: {reason(error)}: check who owns the folder") from None
    print("\n".join(cache_lines()))
    return 0


def cache_lines() -> list[str]:
    """The cache's folder, size and bound, a line each."""
    facts = runtime.cache_info()
    folder = readable(facts["folder"]) if facts["folder"] else "none: kernels are compiled in every process"
    return [
        f"cache        {folder}",
        f"             {facts['images']} kernels, {facts['bytes'] / 2**20:.1f} of "
        f"{facts['limit_bytes'] / 2**20:.0f} MB; {facts['notes']} measured choices",
    ]
