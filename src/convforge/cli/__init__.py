"""The `convforge` command: apply a layer to photographs, tune one, say what is installed, clear the
cache.

Each subcommand is a file with `add_arguments(parser)` and `run(options) -> exit status`. A user's mistake is
a `CliError`: one line on stderr, exit status 2.
"""

from convforge.cli.command import main

__all__ = ["main"]
