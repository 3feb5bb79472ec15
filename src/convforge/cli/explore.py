"""Open the explorer: set a layer's parameters in the browser and see what it does, number by number.

  convforge explore
  convforge explore --port 8000 --no-browser

The page is served on this machine alone, needs no network, and nothing is written. Stop it with Ctrl-C.
"""

from __future__ import annotations

import argparse

from convforge.cli.failure import CliError, reason
from convforge.errors import ConvforgeError
from convforge.web.server import open_explorer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `convforge explore`."""
    parser.add_argument("--port", type=int, default=0, metavar="N", help="where to listen (a free one)")
    parser.add_argument("--no-browser", action="store_true", help="print the address and open nothing")


def run(options: argparse.Namespace) -> int:
    """Serves until Ctrl-C; that is how it ends, so it is no failure."""
    try:
        open_explorer(
            options.port,
            browser=not options.no_browser,
            say=lambda url: print(url, "(Ctrl-C ends it)", flush=True),
        )
    except ConvforgeError as error:
        raise CliError(f"--port: {reason(error)}") from None
    except OSError as error:
        raise CliError(f"--port {options.port}: {reason(error)}: use another, or leave it out") from None
    return 0
