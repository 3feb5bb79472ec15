"""A layer or a model, and the shape of its input, given on the command line."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from convforge.cli.convolve import construct, refusals_of
from convforge.cli.failure import CliError, reason
from convforge.cli.layer_option import read_layer

_LONGEST_AXES = 5


def read_layer_or_model(text: str, shape: tuple[int, ...], command: str) -> Any:
    """The module that "Conv2d(3, 8, 3)" spells, with drawn weights, or that MODULE:NAME names.

    shape: of its input, which gives a lazy layer its channels. command: whose mistake an error is.

    Raises CliError.
    """
    return _drawn_layer(text, shape) if "(" in text else _read_model(text, command)


def read_shape(text: str, batch: int, *, least: int = 2) -> tuple[int, ...]:
    """(batch, channels, *sizes) of "3x224x224"; least: numbers that there must be. Raises CliError."""
    words = text.lower().replace(",", "x").split("x")
    if (
        not all(word.isascii() and word.isdecimal() for word in words)
        or not least <= len(words) <= _LONGEST_AXES
    ):
        raise CliError(f"--input {text!r}: write channels and sizes with x between them, as in 3x224x224")
    shape = (batch, *map(int, words))
    if min(shape) < 1:
        raise CliError(f"--input {text!r} in batches of {batch}: sizes must be positive: use 1 or more")
    return shape


def _drawn_layer(text: str, shape: tuple[int, ...]) -> Any:
    """The layer that the text describes, with drawn weights; a lazy one takes its channels from the input."""
    layer = read_layer(text)
    with refusals_of(layer):
        return construct(layer, shape[1])


def _read_model(text: str, command: str) -> Any:
    """What MODULE:NAME names: a module, or what a function without arguments returns."""
    from convforge.nn import Module

    module_name, _, name = text.partition(":")
    if not module_name or not name:
        raise CliError(
            f'{command} {text!r}: neither a layer, "Conv2d(3, 8, 3)", nor a model, MODULE:NAME, as in '
            "mynet:build"
        )
    if "" not in sys.path:
        sys.path.insert(0, "")  # the folder that the command was called in, as `python -m` has it
    try:
        found = getattr(importlib.import_module(module_name), name)
        model = found if isinstance(found, Module) else found()
    except Exception as error:  # whatever the user's own code raises
        raise CliError(f"{command} {text!r}: {type(error).__name__}: {reason(error)}") from None
    if not isinstance(model, Module):
        raise CliError(
            f"{command} {text!r}: gives {type(model).__name__}: name a convforge.nn.Module, or a function "
            "that returns one"
        )
    return model
