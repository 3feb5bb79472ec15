"""Draw what a layer does, as SVG: each cell and number computed from the layer itself.

  convforge draw padding --mode reflect --input 5x5
  convforge draw cell --layer "Conv2d(2, 1, 3, padding=1)" --input 5x5 --at 0,0
  convforge draw receptive_field --layer "Conv1d(1, 1, 3)" --layer "Conv1d(1, 1, 3, stride=2)" --input 20
  convforge draw matrix --layer "ConvTranspose2d(1, 1, 3)" --input 2x2 --language zh --out matrix.svg

A layer is written as in PyTorch, and is not evaluated. Without one, the drawing shows its own example.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from convforge.cli.failure import CliError, readable, reason
from convforge.cli.output_file import check_place
from convforge.draw import DRAWINGS, drawing
from convforge.draw.registry import checked_name
from convforge.errors import ConvforgeError
from convforge.explain.layers import as_layer
from convforge.explain.words import LANGUAGES
from convforge.problem import ConvLayer
from convforge.problem.checks import checked_padding_mode

_THEMES = ("auto", "light", "dark")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `convforge draw`."""
    parser.add_argument("name", metavar="NAME", help=", ".join(DRAWINGS))
    parser.add_argument(
        "--layer",
        action="append",
        metavar="LAYER",
        help='"Conv2d(1, 1, 3, padding=1)"; a stack: several times',
    )
    parser.add_argument("--input", metavar="HxW", help="size of the input: 5x5, or 16 for one axis")
    parser.add_argument("--mode", metavar="WORD", help="padding mode: zeros, reflect, replicate or circular")
    parser.add_argument("--at", metavar="I,J", help="which output cell (cell, receptive_field): 0,1")
    parser.add_argument("--no-numbers", action="store_true", help="leave the numbers out")
    parser.add_argument("--out", metavar="FILE", help="where to (NAME.svg)")
    parser.add_argument(
        "--theme", default="auto", choices=_THEMES, help="auto follows the reader's system (auto)"
    )
    parser.add_argument("--language", choices=LANGUAGES, help="en or zh (the system's)")


def run(options: argparse.Namespace) -> int:
    """Writes the drawing and prints where to."""
    out = Path(f"{options.name}.svg" if options.out is None else options.out)
    try:
        name = checked_name(options.name)
        arguments = _arguments(name, options)
        check_place(out)
        drawing(name, **arguments).save(out)
    except ConvforgeError as error:
        raise CliError(f"draw {readable(options.name)}: {reason(error)}") from None
    except OSError as error:
        raise CliError(
            f"--out {readable(out)}: cannot be written: {reason(error)}: give another place"
        ) from None
    print(readable(out))
    return 0


def _arguments(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The options as arguments of the drawing's function. Raises CliError or ConvforgeError."""
    layers: list[ConvLayer] = [as_layer(text) for text in options.layer or ()]
    if len(layers) > 1 and name != "receptive_field":
        raise CliError(f"--layer: {name} is of one layer, {len(layers)} were given: give one")
    found: dict[str, Any] = {
        "language": options.language,
        "theme": options.theme,
    }
    if options.no_numbers:
        found["numbers"] = False
    if options.mode is not None:
        mode = checked_padding_mode(options.mode)
        layers = [replace(layer, padding_mode=mode) for layer in layers]
        if not layers:
            if name != "padding":
                raise CliError("--mode: give a --layer to set the padding mode of")
            found["mode"] = mode
    if layers:
        found["layer"] = layers if name == "receptive_field" else layers[0]
    if options.input is not None:
        found["input_size"] = _input_size(options.input, layers)
    if options.at is not None:
        found["at"] = _numbers(options.at, "--at", "0,1")
    return found


def _input_size(text: str, layers: list[ConvLayer]) -> tuple[int, ...] | int:
    """The sizes in 5x5; of a layer of 3 channels and two axes in 3x5x5 too; one number is for all axes."""
    size = _numbers(text, "--input", "5x5")
    if layers and len(size) == layers[0].rank + 1 and size[0] == layers[0].in_channels:
        size = size[1:]
    if min(size) < 1:
        raise CliError(f"--input {text!r}: sizes must be positive: use 1 or more")
    return size[0] if len(size) == 1 else size


def _numbers(text: str, option: str, example: str) -> tuple[int, ...]:
    words = text.lower().replace(",", "x").split("x")
    if not all(word.isascii() and word.isdecimal() and len(word) < 10 for word in words):
        raise CliError(f"{option} {text!r}: write whole numbers, as in {example}")
    return tuple(map(int, words))
