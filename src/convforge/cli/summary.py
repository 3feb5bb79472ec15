"""Show a model in a table: shapes, parameters, multiply-adds, bytes and receptive field of every layer.

  convforge summary mynet:build --input 3x224x224
  convforge summary mynet:build --input 3x64x64 --input 10 --batch 8 --depth 1
  convforge summary "Conv2d(3, 64, 3)" --input 3x224x224 --columns output,parameters,field

A model is MODULE:NAME, importable from here: a module, or a function without arguments that returns one. Its
code is followed by shape: nothing is computed, and nothing in it changes.
"""

from __future__ import annotations

import argparse

from convforge.cli.failure import CliError, readable, reason
from convforge.cli.model_option import read_layer_or_model, read_shape
from convforge.cli.report_option import add_report_options, print_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `convforge summary`."""
    parser.add_argument("what", metavar="MODEL|LAYER", help='MODULE:NAME, or "Conv2d(3, 8, 3)"')
    parser.add_argument(
        "--input",
        required=True,
        action="append",
        metavar="CxHxW",
        help="one input without its batch: 3x224x224; again for each further input",
    )
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="inputs of a call (1)")
    parser.add_argument("--dtype", default="float32", metavar="WORD", help="element type (float32)")
    parser.add_argument("--depth", type=int, metavar="N", help="levels below the model to show (all)")
    parser.add_argument("--columns", metavar="A,B", help="columns to show, in order, with commas between")
    add_report_options(parser)


def run(options: argparse.Namespace) -> int:
    """Prints the summary."""
    from convforge.explain import summary
    from convforge.explain.summary import DEFAULT_COLUMNS

    shapes = [read_shape(text, options.batch, least=1) for text in options.input]
    model = read_layer_or_model(options.what, shapes[0], "summary")
    columns = options.columns.split(",") if options.columns else DEFAULT_COLUMNS
    try:
        made = summary(
            model,
            shapes,
            dtype=options.dtype,
            depth=options.depth,
            columns=columns,
            language=options.language,
        )
    except Exception as error:  # whatever the user's own code raises
        place = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        raise CliError(f"summary: {readable(options.what)}: {reason(error)}{place}") from None
    print_report(made, options)
    return 0
