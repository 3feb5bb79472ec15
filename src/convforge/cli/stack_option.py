"""Layers one after the other, or a model, given on the command line, with the shape of one input."""

from __future__ import annotations

from typing import Any

from convforge.cli.failure import CliError, reason
from convforge.cli.model_option import read_layer_or_model


def read_stack(text: str, shape: tuple[int, ...], command: str) -> Any:
    """The text of layers as it is, or the model that MODULE:NAME names; one that such an input can enter.

    shape: with its batch, as `read_shape` gives it. Raises CliError.
    """
    from convforge.explain.chain import first_layer, layers_of

    what = text if "(" in text else read_layer_or_model(text, shape, command)
    try:
        rank = layers_of(what)[0].rank if isinstance(what, str) else len(first_layer(what).kernel_size)
    except (ValueError, TypeError, RuntimeError) as error:
        raise CliError(f"{command}: {reason(error)}") from None
    if len(shape) != rank + 2:
        example = "x".join(("3", *("32",) * rank))
        raise CliError(
            f"--input {'x'.join(map(str, shape[1:]))}: {command} needs channels and {rank} "
            f"size{'s' if rank > 1 else ''} for these {rank}-d layers, as in {example}"
        )
    return what
