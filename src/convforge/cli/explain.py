"""Explain a layer: its output size with the numbers filled in, padding, costs and receptive field.

  convforge explain "Conv2d(3, 64, 3, padding=1)" --input 3x224x224
  convforge explain "ConvTranspose1d(8, 4, 4, stride=2)" --input 8x100 --language zh
  convforge explain "Conv2d(3, 64, 7, stride=2)" --input 3x224x224 --format json

A layer is written as in PyTorch, and is not evaluated. Nothing is run.
"""

from __future__ import annotations

import argparse

from convforge.cli.failure import CliError, readable, reason
from convforge.cli.layer_option import read_layer
from convforge.cli.model_option import read_shape
from convforge.cli.report_option import add_report_options, print_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `convforge explain`."""
    parser.add_argument("layer", metavar="LAYER", help='"Conv2d(3, 64, 3, padding=1)"')
    parser.add_argument(
        "--input", required=True, metavar="CxHxW", help="channels and sizes of one input: 3x224x224"
    )
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="inputs of a call (1)")
    parser.add_argument("--dtype", default="float32", metavar="WORD", help="element type (float32)")
    add_report_options(parser)


def run(options: argparse.Namespace) -> int:
    """Prints the explanation."""
    from convforge.explain import explain

    layer = read_layer(options.layer, "explain")
    shape = read_shape(options.input, options.batch)
    if len(shape) != layer.rank + 2:
        example = "x".join(["3", *["64"] * layer.rank])
        raise CliError(
            f"--input {options.input!r}: {layer.name} takes channels and {layer.rank} sizes, as in {example}"
        )
    try:
        made = explain(options.layer, shape, dtype=options.dtype, language=options.language)
    except (ValueError, TypeError, RuntimeError, NotImplementedError, OverflowError, MemoryError) as error:
        what = f"explain: {readable(options.layer)} on {readable(options.input)}"
        raise CliError(f"{what}: {reason(error)}") from None
    print_report(made, options)
    return 0
