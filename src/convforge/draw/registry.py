"""All drawings by name, for advice, the command line and the documentation.

drawing("padding", layer="Conv2d(1, 1, 3, padding=1)", input_size=5)
drawing_for(finding.drawing)                   what a finding of `advise` asks for
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from convforge.draw.cell import cell
from convforge.draw.dilation import dilation
from convforge.draw.drawing import Drawing
from convforge.draw.fusion import fusion
from convforge.draw.gradient import gradient
from convforge.draw.groups import MOST_CHANNELS, groups
from convforge.draw.instead import blocks
from convforge.draw.matrix import matrix
from convforge.draw.output_padding import output_padding
from convforge.draw.overlap import overlap
from convforge.draw.padding import padding
from convforge.draw.receptive_field import receptive_field
from convforge.draw.size_formula import size_formula
from convforge.draw.tile_plan import tile_plan
from convforge.draw.transposed import transposed
from convforge.errors import ConvTypeError, ConvValueError
from convforge.explain.layers import as_layer
from convforge.problem import ConvLayer

DRAWINGS: dict[str, Callable[..., Drawing]] = {
    "cell": cell,
    "size_formula": size_formula,
    "padding": padding,
    "dilation": dilation,
    "groups": groups,
    "matrix": matrix,
    "transposed": transposed,
    "output_padding": output_padding,
    "overlap": overlap,
    "receptive_field": receptive_field,
    "fusion": fusion,
    "gradient": gradient,
    "tile_plan": tile_plan,
    "blocks": blocks,
}
# These show each array or each channel in full: what is large is drawn as its small likeness.
_SMALL_ARRAYS = frozenset({"cell", "matrix", "transposed", "gradient", "fusion"})
_ONE_CHANNEL = frozenset({"cell", "padding", "dilation", "matrix", "overlap", "gradient", "fusion"})


class Request(Protocol):
    """What a finding asks to be drawn: layers in PyTorch's spelling, one after the other."""

    @property
    def name(self) -> str:
        """Of the drawing."""
        ...

    @property
    def layers(self) -> tuple[str, ...]:
        """First to last."""
        ...

    @property
    def input_size(self) -> tuple[int, ...]:
        """Of the first layer."""
        ...


def checked_name(name: str) -> str:
    """A drawing's name. Raises ValueError that names those there are."""
    if name in DRAWINGS:
        return name
    close = difflib.get_close_matches(name, DRAWINGS, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(DRAWINGS)}"
    raise ConvValueError(f"name (={name!r}) is no drawing: {hint}")


def drawing(name: str, **arguments: Any) -> Drawing:
    """The drawing of this name, with the arguments of its function.

    Raises ValueError for an unknown name, TypeError for an argument that it does not take.
    """
    function = DRAWINGS[checked_name(name)]
    known = inspect.signature(function).parameters
    for argument in arguments:
        if argument not in known:
            raise ConvTypeError(f"{name} does not take {argument!r}: it takes {', '.join(known)}")
    return function(**arguments)


def drawing_for(request: Request, *, language: str | None = None, theme: str = "auto") -> Drawing:
    """What a finding asks for; of a layer too large to be drawn cell by cell, a small one like it."""
    name = checked_name(request.name)
    said: dict[str, Any] = {"language": language, "theme": theme}
    if name == "receptive_field":
        return receptive_field(list(request.layers), request.input_size, **said)
    layer, size = small_likeness(name, as_layer(request.layers[0]), request.input_size)
    return drawing(name, layer=layer, input_size=size, **said)


def small_likeness(
    name: str, layer: ConvLayer, input_size: tuple[int, ...]
) -> tuple[ConvLayer, tuple[int, ...] | None]:
    """The layer and input size that show the same in fewer channels and elements.

    Conv2d(64, 128, 3) on 224x224 -> for "cell" Conv2d(1, 1, 3) on an input of some windows
    """
    if name in _ONE_CHANNEL:
        layer = replace(layer, in_channels=1, out_channels=1, groups=1)
    if name == "groups" and max(layer.in_channels, layer.out_channels) > MOST_CHANNELS:
        count = min(layer.groups, 4)
        share = MOST_CHANNELS // 2 // count
        inputs = min(layer.in_channels // layer.groups, share)
        outputs = min(layer.out_channels // layer.groups, share)
        layer = replace(layer, in_channels=count * inputs, out_channels=count * outputs, groups=count)
    if name in _SMALL_ARRAYS and max(input_size) > 8:
        return layer, None
    return layer, input_size
