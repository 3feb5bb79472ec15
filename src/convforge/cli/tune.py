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
import importlib
import sys
from typing import Any

from convforge import runtime
from convforge.cli.convolve import construct, refusals_of, refuse_huge
from convforge.cli.failure import CliError, readable, reason
from convforge.cli.layer_option import read_layer

_LONGEST_AXES = 5


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
    model: Any = drawn_layer(options.what, shape) if "(" in options.what else read_model(options.what)
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


def read_shape(text: str, batch: int) -> tuple[int, ...]:
    """(batch, channels, *sizes) of "3x224x224". Raises CliError."""
    words = text.lower().replace(",", "x").split("x")
    if not all(word.isascii() and word.isdecimal() for word in words) or not 2 <= len(words) <= _LONGEST_AXES:
        raise CliError(f"--input {text!r}: write channels and sizes with x between them, as in 3x224x224")
    shape = (batch, *map(int, words))
    if min(shape) < 1:
        raise CliError(f"--input {text!r} in batches of {batch}: sizes must be positive: use 1 or more")
    return shape


def drawn_layer(text: str, shape: tuple[int, ...]) -> Any:
    """The layer that the text describes, with drawn weights; a lazy one takes its channels from the input."""
    layer = read_layer(text)
    with refusals_of(layer):
        return construct(layer, shape[1])


def read_model(text: str) -> Any:
    """What MODULE:NAME names: a module, or what a function without arguments returns. Raises CliError."""
    from convforge.nn import Module

    module_name, _, name = text.partition(":")
    if not module_name or not name:
        raise CliError(
            f'tune {text!r}: neither a layer, "Conv2d(3, 8, 3)", nor a model, MODULE:NAME, as in mynet:build'
        )
    if "" not in sys.path:
        sys.path.insert(0, "")  # the folder that the command was called in, as `python -m` has it
    try:
        found = getattr(importlib.import_module(module_name), name)
        model = found if isinstance(found, Module) else found()
    except Exception as error:  # whatever the user's own code raises
        raise CliError(f"tune {text!r}: {type(error).__name__}: {reason(error)}") from None
    if not isinstance(model, Module):
        raise CliError(
            f"tune {text!r}: gives {type(model).__name__}: name a convforge.nn.Module, or a function that "
            "returns one"
        )
    return model
