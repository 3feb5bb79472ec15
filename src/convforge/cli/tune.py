"""Measure how a layer or a model runs fastest on this machine, and remember it for all later processes.

  convforge tune "Conv2d(64, 128, 3, padding=1)" --input 64x56x56
  convforge tune "nn.Conv1d(1, 32, 9)" --input 1x16000 --batch 8 --threads 1
  convforge tune mynet:build --input 3x224x224

A layer is written as in PyTorch, and is not evaluated. A model is MODULE:NAME, importable from here: a
module, or a function without arguments that returns one. The choices hold for these sizes, this batch
and this number of threads; `convforge cache --clear` forgets them.
"""

from __future__ import annotations

import argparse
from typing import Any

from convforge import runtime
from convforge.cli.convolve import refuse_huge
from convforge.cli.failure import CliError, readable, reason
from convforge.cli.model_option import read_layer_or_model, read_shape


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `convforge tune`."""
    parser.add_argument("what", metavar="LAYER|MODEL", help='"Conv2d(3, 8, 3)", or MODULE:NAME')
    parser.add_argument(
        "--input", required=True, metavar="CxHxW", help="channels and sizes of one input: 3x224x224"
    )
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="inputs of a call (1)")
    parser.add_argument("--threads", type=int, metavar="N", help="of a call (as many as there are cores)")
    parser.add_argument(
        "--precision", default="highest", metavar="WORD", help="highest (the default), high or medium"
    )
    parser.add_argument(
        "--any-order",
        action="store_true",
        help="also try kernels that add up in another order: the last bits of results may change",
    )


def run(options: argparse.Namespace) -> int:
    """Tunes and prints what was found; explains the plan of a single layer."""
    from convforge import nn
    from convforge.autograd.sampling import rand
    from convforge.nn.tuning import tune
    from convforge.problem import checked_precision, precision

    if options.threads is not None:
        if options.threads < 1:
            raise CliError(f"--threads {options.threads}: must be positive: use 1 for no workers")
        runtime.set_num_threads(options.threads)
    shape = read_shape(options.input, options.batch)
    try:
        setting = checked_precision(options.precision, "--precision")
    except RuntimeError as error:
        raise CliError(error) from None
    model: Any = read_layer_or_model(options.what, shape, "tune")
    assert isinstance(model, nn.Module)
    size_bytes = 4
    for size in shape:
        size_bytes *= size
    refuse_huge(size_bytes, "--input: the input", "use a smaller one")
    try:
        with precision(setting):
            log = tune(model, rand(*shape), same_bits=not options.any_order)
            print(log)
            if hasattr(model, "explain_plan"):
                print(f"\n{model.explain_plan(shape, measure=True)}")
    except (ValueError, TypeError, RuntimeError, NotImplementedError, OverflowError, MemoryError) as error:
        raise CliError(f"tune: {readable(options.what)} on {options.input}: {reason(error)}") from None
    folder = runtime.cache_info()["folder"]
    print(f"\nkept in {readable(folder)}" if folder else "\nkept nowhere: there is no cache folder")
    return 0
