"""A layer as a value, from whatever a user has: a module, its spelling, or the value itself."""

from __future__ import annotations

import inspect
from typing import Any

from convforge.errors import ConvTypeError, ConvValueError
from convforge.explain.spelling import LayerText, parse_layer
from convforge.nn import conv
from convforge.nn.conv_nd import ConvNd
from convforge.problem import ConvLayer, normalize_layer

_ARGUMENTS = (
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "padding",
    "dilation",
    "groups",
    "padding_mode",
    "output_padding",
)
# Arguments of the modules that say nothing about sizes.
_LEFT_OUT = ("device", "dtype", "precision")


def as_layer(layer: Any, *, in_channels: int | None = None) -> ConvLayer:
    """The layer as a value; nothing of its size is made.

    layer: a module of the family, its spelling ("Conv2d(3, 64, 3, padding=1)"), or the value.
    in_channels: for the lazy spellings, which leave it open.

    Raises LayerTextError (a ValueError) for a text that is no layer, and what the module itself would raise.
    """
    if isinstance(layer, ConvLayer):
        return layer
    if isinstance(layer, str):
        return _spelled(parse_layer(layer), in_channels)
    if isinstance(layer, ConvNd):
        return normalize_layer(
            **{name: getattr(layer, name) for name in _ARGUMENTS},
            bias=layer.bias is not None,
            rank=len(layer.kernel_size),
            transposed=layer.transposed,
        )
    raise ConvTypeError(
        f"layer (={type(layer).__name__}) must be a convolution layer: give a module such as "
        'nn.Conv2d(3, 64, 3) or its spelling "Conv2d(3, 64, 3)"'
    )


def bind_layer(text: LayerText, in_channels: int | None) -> tuple[Any, inspect.BoundArguments]:
    """The module's class that a text spells, and its arguments by name; nothing is made.

    Raises ValueError for a lazy spelling without in_channels, TypeError for arguments that it does not take.
    """
    if text.is_lazy and in_channels is None:
        raise ConvValueError(
            f"{text.text}: a lazy layer takes in_channels from its input: write "
            f"{text.name.removeprefix('Lazy')}(in_channels, …)"
        )
    first: tuple[object, ...] = (in_channels,) if text.is_lazy else ()
    kind = getattr(conv, text.name.removeprefix("Lazy"))
    signature = inspect.signature(kind)
    try:
        return kind, signature.bind(*first, *text.arguments, **text.keywords)
    except TypeError as error:
        names = ", ".join(name for name in signature.parameters if name not in _LEFT_OUT)
        raise ConvTypeError(f'"{text.text}": {error}: it takes ({names})') from None


def _spelled(text: LayerText, in_channels: int | None) -> ConvLayer:
    _, bound = bind_layer(text, in_channels)
    arguments: dict[str, Any] = {k: v for k, v in bound.arguments.items() if k not in _LEFT_OUT}
    return normalize_layer(**arguments, rank=text.rank, transposed="Transpose" in text.name)
