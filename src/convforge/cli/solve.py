"""Find the parameters that lead to a wanted output size or receptive field, best first, with reasons.

  convforge solve --input 32 --output 16
  convforge solve --input 14x14 --output 28x28 --transposed
  convforge solve --input 56 --output 56 --field 7 --kernel 3
  convforge solve --input 16000 --output 8000 --rank 1

Sizes are spatial, without channels: 32 is 32x32, --rank says otherwise. What is not given is searched.
"""

from __future__ import annotations

import argparse

from convforge.cli.failure import CliError, reason
from convforge.cli.report_option import add_report_options, print_report

# Option, argument of `solve`, what it is.
_GIVEN = (
    ("--kernel", "kernel_size", "kernel size"),
    ("--stride", "stride", "stride"),
    ("--padding", "padding", "padding"),
    ("--dilation", "dilation", "dilation"),
    ("--output-padding", "output_padding", "output padding, of a transposed layer"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `convforge solve`."""
    parser.add_argument("--input", required=True, metavar="HxW", help="spatial size of the input: 32, 32x48")
    parser.add_argument("--output", metavar="HxW", help="spatial size that is wanted")
    parser.add_argument("--field", metavar="HxW", help="receptive field that is wanted")
    parser.add_argument("--transposed", action="store_true", help="of a transposed layer")
    for option, name, text in _GIVEN:
        parser.add_argument(option, dest=name, metavar="N", help=f"{text}, if it is given: 3, 3x5")
    parser.add_argument("--rank", type=int, metavar="N", help="spatial axes: 1, 2 or 3 (as the sizes say)")
    parser.add_argument("--in-channels", type=int, default=3, metavar="N", help="of the layers (3)")
    parser.add_argument("--out-channels", type=int, default=64, metavar="N", help="of the layers (64)")
    parser.add_argument("--limit", type=int, default=8, metavar="N", help="answers to print (8)")
    add_report_options(parser)


def run(options: argparse.Namespace) -> int:
    """Prints the answers; exit status 0 too where there are none, for that is an answer."""
    from convforge.explain.solve import solve

    if options.output is None and options.field is None:
        raise CliError("solve: say what is wanted: --output 16, --field 7, or both")

    try:
        found = solve(
            read_sizes("--input", options.input),
            output_size=read_sizes("--output", options.output),
            receptive_field=read_sizes("--field", options.field),
            transposed=options.transposed,
            rank=options.rank,
            in_channels=options.in_channels,
            out_channels=options.out_channels,
            limit=options.limit,
            language=options.language,
            **{name: read_sizes(option, getattr(options, name)) for option, name, _ in _GIVEN},
        )
    except (ValueError, TypeError, RuntimeError) as error:
        raise CliError(f"solve: {reason(error)}") from None
    print_report(found, options)
    return 0


def read_sizes(option: str, text: str | None) -> int | tuple[int, ...] | None:
    """32 of "32", (32, 48) of "32x48", None of nothing. Raises CliError."""
    if text is None:
        return None
    words = text.lower().replace(",", "x").split("x")
    if not all(word.isascii() and word.isdecimal() for word in words) or len(words) > 3:
        raise CliError(
            f"{option} {text!r}: write one number, or one an axis with x between them, as in 32x48"
        )
    return int(words[0]) if len(words) == 1 else tuple(map(int, words))
