"""A photograph, and a layer with its weights to apply to it, given on the command line."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from convforge.cli.convolve import DEFAULT_INIT, build_layer
from convforge.cli.failure import CliError
from convforge.cli.filters import NAMES
from convforge.cli.layer_option import read_layer
from convforge.cli.photograph import MEGAPIXELS, Photograph, check_channels, demo_photograph, load_photograph

SEED = 2
HALVES = ("sobel", "prewitt", "scharr")


def add_photo_options(parser: argparse.ArgumentParser) -> None:
    """--photo, --demo, --megapixels, --kernel, --seed."""
    parser.add_argument("--photo", metavar="FILE", help="an image file")
    parser.add_argument("--demo", action="store_true", help="use a photograph that comes with matplotlib")
    parser.add_argument(
        "--megapixels",
        type=float,
        default=MEGAPIXELS,
        metavar="N",
        help=f"largest read ({MEGAPIXELS:g})",
    )
    parser.add_argument(
        "--kernel",
        metavar="NAME|FILE",
        help=f"weights: one of {', '.join(name for name in NAMES if name not in HALVES)}; or a .npy, .npz or "
        ".safetensors file (FILE:KEY: one entry)",
    )
    parser.add_argument("--seed", type=int, default=SEED, help=f"of drawn weights ({SEED})")


def read_photo(options: argparse.Namespace, channels: int | None) -> Photograph:
    """The photograph that the options name. Raises CliError."""
    if not 0 < options.megapixels < math.inf:
        raise CliError(f"--megapixels {options.megapixels}: must be a number above 0: use {MEGAPIXELS:g}")
    if options.demo == (options.photo is not None):
        many = "both --photo and --demo" if options.demo else "no photograph"
        raise CliError(f"{many}: give --photo FILE, or --demo")
    path = demo_photograph() if options.demo else Path(options.photo)
    return load_photograph(path, channels, options.megapixels)


def read_weighted_layer(text: str, options: argparse.Namespace, *, channels: int = 3) -> Any:
    """The module that a spelling describes, weights from --kernel or drawn with --seed. Raises CliError."""
    if options.kernel in HALVES:
        raise CliError(
            f"--kernel {options.kernel}: two layers in one, of both directions: use sobel-x or sobel-y"
        )
    if not -(2**63) <= options.seed < 2**64:
        raise CliError(f"--seed {options.seed}: outside 64 bits: use a number from 0 to {2**64 - 1}")
    layer = read_layer(text)
    ready = build_layer(layer, channels, kernel=options.kernel, init=DEFAULT_INIT, seed=options.seed)
    check_channels(ready.in_channels)
    return ready.modules[0]
