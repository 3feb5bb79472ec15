"""Draw a photograph before a layer and its feature maps after it, on one signed scale.

  convforge feature-maps "Conv2d(3, 8, 3, padding=1)" --demo --out maps.png
  convforge feature-maps "Conv2d(1, 1, 3)" --kernel laplacian --photo photo.jpg --out edges.svg
  convforge feature-maps mynet:build --photo photo.jpg --channels 0,5,9

LAYER is written as in PyTorch and not evaluated; MODULE:NAME names a module, or a function that returns one.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from convforge.cli.animate import REFUSALS, THEMES
from convforge.cli.failure import CliError, readable, reason
from convforge.cli.model_option import read_layer_or_model
from convforge.cli.output_file import check_place
from convforge.cli.photo_option import add_photo_options, read_photo, read_weighted_layer
from convforge.explain.words import LANGUAGES

STILL = (".svg", ".png", ".pdf")
OUT = "feature-maps.svg"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `convforge feature-maps`."""
    parser.add_argument("layer", metavar="LAYER", help='"Conv2d(3, 8, 3, padding=1)", or MODULE:NAME')
    parser.add_argument("--channels", metavar="I,J,…", help="of the output: 0,3,5 (the first 16)")
    parser.add_argument(
        "--largest", type=int, default=384, metavar="N", help="pixels a side that a photo is shrunk to (384)"
    )
    parser.add_argument("--scale", type=float, default=2.0, metavar="N", help="pixels a unit, of PNG (2)")
    parser.add_argument("--out", metavar="FILE", help=f"where to: {', '.join(STILL)} ({OUT})")
    parser.add_argument(
        "--theme", default="auto", choices=THEMES, help="auto follows the reader's system (auto)"
    )
    parser.add_argument("--language", choices=LANGUAGES, help="en or zh (the system's)")
    add_photo_options(parser)


def run(options: argparse.Namespace) -> int:
    """Writes the drawing and prints where to."""
    from convforge.draw.feature_maps import feature_maps
    from convforge.draw.modules import picture_channels

    out = Path(OUT if options.out is None else options.out)
    if out.suffix.lower() not in STILL:
        raise CliError(
            f"--out {readable(out)}: {out.suffix or 'no suffix'} is not written: use {', '.join(STILL)}"
        )
    check_place(out)
    module = _module(options)
    try:
        photo = read_photo(options, picture_channels(module))
        made = feature_maps(
            module,
            photo,
            channels=_channels(options.channels),
            largest=options.largest,
            language=options.language,
            theme=options.theme,
        )
        made.save(out, scale=options.scale)
    except REFUSALS as error:
        raise CliError(f"feature-maps {readable(options.layer)}: {reason(error)}") from None
    except OSError as error:
        raise CliError(
            f"--out {readable(out)}: cannot be written: {reason(error)}: give another place"
        ) from None
    print(readable(out))
    return 0


def _module(options: argparse.Namespace) -> Any:
    if "(" in options.layer or ":" not in options.layer:
        return read_weighted_layer(options.layer, options)
    if options.kernel is not None:
        raise CliError("--kernel: a model brings its own weights: leave it out")
    return read_layer_or_model(options.layer, (1, 3, 64, 64), "feature-maps")


def _channels(text: str | None) -> list[int] | None:
    if text is None:
        return None
    words = text.split(",")
    if not all(word.strip().isascii() and word.strip().isdecimal() and len(word) < 10 for word in words):
        raise CliError(f"--channels {text!r}: write numbers with commas between them, as in 0,3,5")
    return [int(word) for word in words]
