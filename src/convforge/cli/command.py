"""Reads the command line, calls the subcommand, and turns every outcome into an exit status."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from convforge._version import __version__
from convforge.cli.failure import CliError
from convforge.cli.interrupt import Interrupts

DONE, FAILED, INTERRUPTED = 0, 2, 130

# What each says in the list of all; it is imported when it is called, for drawing alone takes half a second.
COMMANDS = {
    "apply": "apply a convolution layer to photographs and draw before and after",
    "explain": "a layer's sizes, costs and receptive field, with the numbers filled in",
    "summary": "a model's layers in a table: shapes, parameters, costs, receptive fields",
    "compare": "two layers, stacks or models side by side, with the time that they take here",
    "advise": "what the principles of choosing parameters say about a layer or a model",
    "solve": "the parameters that lead to a wanted output size or receptive field",
    "reconcile": "our counts beside those of other tools, each difference explained",
    "draw": "draw what a layer does, as SVG, PNG or PDF: padding, matrix, receptive field and more",
    "animate": "draw a layer at work, as animated SVG, GIF or APNG",
    "feature-maps": "draw a photograph and what a layer makes of it, on one signed scale",
    "explore": "open the explorer: every layer, its taps, sizes and costs, in the browser",
    "tune": "measure how a layer or a model runs fastest here, and remember it",
    "info": "say what is installed, what processor this is, and where the cache is",
    "cache": "show or clear the compiled kernels on disk",
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
        with Interrupts():
            given = list(sys.argv[1:] if arguments is None else arguments)
            options = parser(next((word for word in given if not word.startswith("-")), None)).parse_args(
                given
            )
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


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """The command line: all commands by name, and the arguments of the one that is called."""
    top = Parser(
        prog="convforge",
        description="The convolution layer on its own: PyTorch's Conv and ConvTranspose, run and explained.",
    )
    top.add_argument("--version", action="version", version=f"convforge {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for name, text in COMMANDS.items():
        each = commands.add_parser(name, help=text, formatter_class=argparse.RawDescriptionHelpFormatter)
        if name == command:
            module: Any = import_module(f"convforge.cli.{name.replace('-', '_')}")
            each.description = module.__doc__
            module.add_arguments(each)
            each.set_defaults(run=module.run)
    return top
