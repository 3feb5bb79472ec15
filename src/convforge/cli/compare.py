"""Compare two layers, stacks or models: sizes, receptive field, costs, and the time that they take here.

  convforge compare "Conv2d(64, 64, 5, padding=2)" \\
      "Conv2d(64, 64, 3, padding=1), Conv2d(64, 64, 3, padding=1)" --input 64x56x56
  convforge compare mynet:small mynet:large --input 3x224x224 --batch 8 --no-measure

A stack is layers with commas between them, a model MODULE:NAME. Layers are written as in PyTorch, and are not
evaluated; their weights are drawn.
"""

from __future__ import annotations

import argparse

from convforge.cli.failure import CliError, readable, reason
from convforge.cli.model_option import read_shape
from convforge.cli.report_option import add_report_options, print_report
from convforge.cli.stack_option import read_stack


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `convforge compare`."""
    for name in ("a", "b"):
        parser.add_argument(name, metavar=name.upper(), help='"Conv2d(3, 8, 3)", or MODULE:NAME')
    parser.add_argument(
        "--input", required=True, metavar="CxHxW", help="channels and sizes of one input: 64x56x56"
    )
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="inputs of a call (1)")
    parser.add_argument("--no-measure", action="store_true", help="do not run anything")
    add_report_options(parser)


def run(options: argparse.Namespace) -> int:
    """Prints the comparison."""
    from convforge.explain.compare import compare

    batch, *size = shape = read_shape(options.input, options.batch)
    a, b = (read_stack(text, shape, "compare") for text in (options.a, options.b))
    try:
        found = compare(
            a, b, tuple(size), batch=batch, measure=not options.no_measure, language=options.language
        )
    except Exception as error:  # whatever the user's own code raises
        raise CliError(f"compare: on {readable(options.input)}: {reason(error)}") from None
    print_report(found, options)
    return 0
