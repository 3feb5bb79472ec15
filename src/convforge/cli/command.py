"""Reads the command line, calls the subcommand, and turns every outcome into an exit status."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from convforge._version import __version__
from convforge.cli import (
    advise,
    animate,
    apply,
    cache,
    compare,
    draw,
    explain,
    explore,
    feature_maps,
    info,
    reconcile,
    solve,
    summary,
    tune,
)
from convforge.cli.failure import CliError

DONE, FAILED, INTERRUPTED = 0, 2, 130

COMMANDS = {
    "apply": (apply, "apply a convolution layer to photographs and draw before and after"),
    "draw": (draw, "draw what a layer does, as SVG: padding, matrix, receptive field and more"),
    "animate": (animate, "animate what a layer does, as animated SVG, GIF or PNG"),
    "feature-maps": (feature_maps, "draw a photograph before a layer and its feature maps after it"),
    "explore": (explore, "open a page in the browser that takes a layer apart, number by number"),
    "explain": (explain, "a layer's sizes, costs and receptive field, with the numbers filled in"),
    "summary": (summary, "a model's layers in a table: shapes, parameters, costs, receptive fields"),
    "compare": (compare, "two layers, stacks or models side by side, with the time that they take here"),
    "advise": (advise, "what the principles of choosing parameters say about a layer or a model"),
    "solve": (solve, "the parameters that lead to a wanted output size or receptive field"),
    "reconcile": (reconcile, "our counts beside those of other tools, each difference explained"),
    "tune": (tune, "measure how a layer or a model runs fastest here, and remember it"),
    "info": (info, "say what is installed, what processor this is, and where the cache is"),
    "cache": (cache, "show or clear the compiled kernels on disk"),
}


class Parser(argparse.ArgumentParser):
    """argparse prints its usage with an error, which hides the one line that matters."""

    def error(self, message: str) -> NoReturn:
        """Refuses as everything here does."""
        raise CliError(f"{message}; see `{self.prog} --help`")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status.

    0 done, 2 a mistake of the user's (one line on stderr), 130 stopped by Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal without ⌊ or × in its encoding gets a question mark, not a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        options = parser().parse_args(arguments)
        status = options.run(options)
        sys.stdout.flush()
        return status
    except CliError as error:
        print(f"convforge: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("convforge: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # `convforge info | head -1`: the reader has what it wanted. Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = Parser(
        prog="convforge",
        description="The convolution layer on its own: PyTorch's Conv and ConvTranspose, on photographs.",
    )
    top.add_argument("--version", action="version", version=f"convforge {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=text,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return top
