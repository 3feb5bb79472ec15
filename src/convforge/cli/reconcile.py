"""Set our counts of a layer beside those of thop, ptflops, fvcore, torchinfo and PyTorch's FlopCounterMode.

  convforge reconcile "Conv2d(3, 64, 3, padding=1)" --input 3x224x224
  convforge reconcile "ConvTranspose2d(64, 32, 4, stride=2, padding=1)" --input 64x28x28 --language zh

Every difference is explained. Nothing is run, and none of the tools need be installed.
"""

from __future__ import annotations

import argparse

from convforge.cli.failure import CliError, readable, reason
from convforge.cli.layer_option import read_layer
from convforge.cli.model_option import read_shape
from convforge.cli.report_option import add_report_options, print_report
from convforge.cli.stack_option import read_stack


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `convforge reconcile`."""
    parser.add_argument("layer", metavar="LAYER", help='"Conv2d(3, 64, 3, padding=1)"')
    parser.add_argument(
        "--input", required=True, metavar="CxHxW", help="channels and sizes of one input: 3x224x224"
    )
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="inputs of a call (1)")
    add_report_options(parser)


def run(options: argparse.Namespace) -> int:
    """Prints the counts and their differences."""
    from convforge.explain.reconcile import reconcile

    read_layer(options.layer, "reconcile")
    batch, *size = shape = read_shape(options.input, options.batch)
    read_stack(options.layer, shape, "reconcile")
    try:
        found = reconcile(options.layer, tuple(size), batch=batch, language=options.language)
    except (ValueError, TypeError, RuntimeError, NotImplementedError, OverflowError, MemoryError) as error:
        what = f"reconcile: {readable(options.layer)} on {readable(options.input)}"
        raise CliError(f"{what}: {reason(error)}") from None
    print_report(found, options)
    return 0
