"""Animate what a layer does, as animated SVG, GIF or PNG: every number from the layer itself.

  convforge animate sliding --layer "Conv2d(1, 1, 3, padding=1)" --input 5x5 --out sliding.gif
  convforge animate transposed --layer "ConvTranspose2d(1, 1, 3, stride=2)" --input 3x3
  convforge animate dilation --layer "Conv1d(1, 1, 3)" --language zh
  convforge animate groups --layer "Conv2d(8, 8, 3)" --out groups.svg
  convforge animate scan --layer "Conv2d(1, 1, 3)" --kernel sobel-x --photo photo.jpg --out scan.gif

A layer is written as in PyTorch, and is not evaluated. Without one, the animation shows its own example.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from convforge.cli.failure import CliError, readable, reason
from convforge.cli.layer_option import read_layer
from convforge.cli.output_file import check_place
from convforge.cli.photo_option import add_photo_options, read_photo, read_weighted_layer
from convforge.explain.layers import as_layer
from convforge.explain.words import LANGUAGES
from convforge.problem import ConvLayer

# The command line is read without loading what draws; a test holds these equal to it.
NAMES = ("sliding", "transposed", "dilation", "groups", "scan")
MOVING = (".svg", ".gif", ".png")
THEMES = ("auto", "light", "dark")
# What a layer and the libraries that write files raise.
REFUSALS = (ValueError, TypeError, RuntimeError, NotImplementedError, OverflowError, MemoryError, ImportError)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `convforge animate`."""
    parser.add_argument("name", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--layer", metavar="LAYER", help='as in PyTorch: "Conv2d(1, 1, 3, padding=1)"')
    parser.add_argument("--input", metavar="HxW", help="size of the input: 5x5, or 16 for one axis")
    parser.add_argument("--seconds", type=float, metavar="S", help="how long a frame is shown")
    parser.add_argument(
        "--scale", type=float, default=1.0, metavar="N", help="pixels a unit, of a GIF or PNG (1)"
    )
    parser.add_argument("--out", metavar="FILE", help=f"where to: {', '.join(MOVING)} (NAME.svg)")
    parser.add_argument(
        "--theme", default="auto", choices=THEMES, help="auto follows the reader's system (auto)"
    )
    parser.add_argument("--language", choices=LANGUAGES, help="en or zh (the system's)")
    add_photo_options(parser)


def run(options: argparse.Namespace) -> int:
    """Writes the animation and prints where to."""
    from convforge.draw.animations import animation, checked_animation

    what = f"animate {readable(options.name)}"
    out = Path(f"{options.name}.svg" if options.out is None else options.out)
    try:
        checked_animation(options.name)
    except ValueError as error:
        raise CliError(f"animate: {reason(error)}") from None
    if out.suffix.lower() not in MOVING:
        raise CliError(
            f"--out {readable(out)}: {out.suffix or 'no suffix'} is not written: use {', '.join(MOVING)}"
        )
    check_place(out)
    try:
        made = animation(options.name, **_arguments(options))
        made.save(out, scale=options.scale)
    except REFUSALS as error:
        raise CliError(f"{what}: {reason(error)}") from None
    except OSError as error:
        raise CliError(
            f"--out {readable(out)}: cannot be written: {reason(error)}: give another place"
        ) from None
    print(f"{readable(out)}: {len(made.frames)} frames, {sum(made.seconds):.1f} s")
    return 0


def _arguments(options: argparse.Namespace) -> dict[str, Any]:
    """The options as arguments of the animation's function. Raises CliError."""
    found: dict[str, Any] = {"language": options.language, "theme": options.theme}
    if options.seconds is not None:
        if not 0.02 <= options.seconds < math.inf:
            raise CliError(f"--seconds {options.seconds}: must be 0.02 or more: use 0.5")
        found["seconds"] = options.seconds
    if options.name == "scan":
        return found | _scan_arguments(options)
    for option in ("photo", "demo", "kernel"):
        if getattr(options, option):
            raise CliError(f"--{option}: {options.name} shows no photograph: use it with scan")
    layer: ConvLayer | None = None
    if options.layer is not None:
        read_layer(options.layer)  # says where a mistake stands
        layer = as_layer(options.layer)
        found["layer"] = layer
    if options.input is not None:
        found["input_size"] = _input_size(options.input, layer)
    return found


def _scan_arguments(options: argparse.Namespace) -> dict[str, Any]:
    if options.input is not None:
        raise CliError("--input: scan takes its size from the photograph: leave it out")
    found: dict[str, Any] = {}
    if options.layer is not None:
        found["layer"] = read_weighted_layer(options.layer, options)
    elif options.kernel is not None:
        found["layer"] = read_weighted_layer("Conv2d(1, 1, 3)", options)
    channels = found["layer"].in_channels if found else 1
    return found | {"photo": read_photo(options, channels)}


def _input_size(text: str, layer: ConvLayer | None) -> tuple[int, ...] | int:
    """(5, 5) of "5x5", and of "3x5x5" for a layer of 3 channels; one number stands for all axes."""
    words = text.lower().replace(",", "x").split("x")
    if not all(word.isascii() and word.isdecimal() and 0 < len(word) < 10 for word in words):
        raise CliError(f"--input {text!r}: write whole numbers, as in 5x5")
    size = tuple(map(int, words))
    if layer is not None and len(size) == layer.rank + 1 and size[0] == layer.in_channels:
        size = size[1:]
    if min(size) < 1:
        raise CliError(f"--input {text!r}: sizes must be positive: use 1 or more")
    return size[0] if len(size) == 1 else size
