"""Layers one after the other, as users write them, with the sizes between them.

"Conv2d(64, 64, 3, padding=1), Conv2d(64, 64, 3, padding=1)"
[Conv2d(…), "Conv2d(64, 64, 1)"]            Sequential(Conv2d(…), Conv2d(…))
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import Any

from convforge.errors import ConvShapeError, ConvTypeError, ConvValueError
from convforge.explain.costs import Costs, costs_of_spec
from convforge.explain.layers import as_layer
from convforge.explain.receptive_field import INPUT, ReceptiveField, windows_of
from convforge.nn import Module, Sequential
from convforge.nn.conv_nd import ConvNd
from convforge.problem import ConvLayer, ConvSpec
from convforge.problem.arguments import integers, is_sequence


@dataclass(frozen=True, slots=True)
class Link:
    """One layer and what it does to what comes to it."""

    layer: ConvLayer
    spec: ConvSpec

    @property
    def costs(self) -> Costs:
        """What a call costs."""
        return costs_of_spec(self.spec, bias=self.layer.bias)


@dataclass(frozen=True, slots=True)
class Chain:
    """At least one link; the output of each is the input of the next."""

    links: tuple[Link, ...]

    @property
    def layers(self) -> tuple[ConvLayer, ...]:
        """The layers alone."""
        return tuple(link.layer for link in self.links)

    @property
    def text(self) -> str:
        """The layers, with commas between them: what `layers_of` reads."""
        return ", ".join(layer.text for layer in self.layers)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(batch, channels, *size) of what goes in."""
        return self.links[0].spec.input_shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(batch, channels, *size) of what comes out."""
        return self.links[-1].spec.output_shape

    @property
    def fields(self) -> tuple[ReceptiveField, ...]:
        """What an output sees of the input, per axis."""
        fields = [INPUT] * len(self.links[0].spec.input_size)
        for link in self.links:
            windows = windows_of(link.layer, link.spec.input_size)
            fields = [field.through(window) for field, window in zip(fields, windows, strict=True)]
        return tuple(fields)

    def total(self, name: str) -> int:
        """The sum of one of the links' costs, by its name in `Costs`."""
        return sum(getattr(link.costs, name) for link in self.links)


def layers_of(value: Any) -> tuple[ConvLayer, ...]:
    """The layers of a layer, a text of layers with commas between them, a list, or a Sequential.

    Raises ValueError for none, TypeError for what is no convolution layer, and LayerTextError.
    """
    if isinstance(value, str):
        items: Sequence[Any] = _split(value)
    elif isinstance(value, Sequential | list | tuple):
        items = list(value)  # pyright: ignore[reportUnknownArgumentType]
    else:
        items = [value]
    if not items:
        raise ConvValueError("no layers: give one, or a list of them")
    return tuple(as_layer(item) for item in items)


def chain_of(value: Any, input_size: tuple[int, ...], *, batch: int = 1) -> Chain:
    """The layers with their sizes, for inputs (batch, in_channels, *input_size).

    Raises what a call would raise, and ConvShapeError where the channels of two neighbours differ.
    """
    links: list[Link] = []
    size = input_size
    for layer in layers_of(value):
        if links and links[-1].layer.out_channels != layer.in_channels:
            raise ConvShapeError(
                f"{layer.text} takes in_channels (={layer.in_channels}), but the layer before it gives "
                f"{links[-1].layer.out_channels}: use in_channels={links[-1].layer.out_channels}"
            )
        if layer.rank != len(input_size):
            raise ConvShapeError(
                f"{layer.text} is {layer.rank}-d, but the input has {len(input_size)} spatial axes: use "
                "layers of one rank"
            )
        spec = layer.spec(size, batch=batch)
        links.append(Link(layer, spec))
        size = spec.output_size
        if not prod(size):
            raise ConvShapeError(f"{layer.text} gives an empty output {size}: use a larger input")
    return Chain(tuple(links))


def first_layer(model: Module) -> ConvNd:
    """The first convolution layer of a model: it says how many axes inputs have.

    Raises ConvTypeError for a model that has none.
    """
    first = next((module for module in model.modules() if isinstance(module, ConvNd)), None)
    if first is None:
        raise ConvTypeError(
            f"{type(model).__name__} has no convolution layers: give a model that has, or a layer"
        )
    return first


def size_and_channels(input_size: Any, rank: int, channels: int) -> tuple[tuple[int, ...], int]:
    """Spatial size and channels of what comes in: as many as the first layer takes, where no one says.

    (3, 224, 224) of rank 2 -> (224, 224), 3        224 -> (224, 224), channels
    """
    if is_sequence(input_size) and len(input_size) == rank + 1:
        given, *size = integers(input_size, "input_size", rank + 1)
        return tuple(size), given
    return integers(input_size, "input_size", rank), channels


def size_for(layer: ConvLayer, input_size: Any) -> tuple[int, ...]:
    """The spatial size of an input that the layer is called on.

    Raises ConvShapeError where channels are given that the layer does not take.
    """
    size, channels = size_and_channels(input_size, layer.rank, layer.in_channels)
    if channels != layer.in_channels:
        raise ConvShapeError(
            f"{layer.text} takes in_channels (={layer.in_channels}), but the input has {channels}: "
            f"use in_channels={channels}"
        )
    return size


def in_a_row(texts: Sequence[str]) -> str:
    """Layers as they follow each other, equal neighbours counted: "2 × Conv2d(8, 8, 3) → Conv2d(8, 4, 1)"."""
    runs = [(text, len(list(run))) for text, run in groupby(texts)]
    return " → ".join(f"{n} × {text}" if n > 1 else text for text, n in runs)


def _split(text: str) -> list[str]:
    """The layers of a text. What is no tuple of calls is left whole, for `parse_layer` to refuse."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [text]
    if not isinstance(tree, ast.Tuple):
        return [text]
    return [ast.get_source_segment(text.strip(), node) or "" for node in tree.elts]
