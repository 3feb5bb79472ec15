"""From what a user has to what rules look at."""

from __future__ import annotations

from typing import Any

from convforge.errors import ConvShapeError, ConvValueError
from convforge.explain.advice.subject import Site, Subject
from convforge.explain.chain import in_a_row, layers_of
from convforge.explain.receptive_field import INPUT, windows_of
from convforge.problem.arguments import integers, is_sequence


def subject_of(
    what: Any, input_size: Any, *, batch: int, measure: bool, small_device: bool
) -> tuple[Subject, str]:
    """The subject, and what to call it."""
    if batch < 1:
        raise ConvValueError(f"batch (={batch}) must be at least 1: use batch=1")
    layers = layers_of(what)
    size, channels = _size_and_channels(input_size, layers[0].rank, layers[0].in_channels)
    sites: list[Site] = []
    fields = (INPUT,) * len(size)
    here = size
    for number, layer in enumerate(layers):
        if layer.rank != len(size):
            raise ConvShapeError(
                f"{layer.text} is {layer.rank}-d among layers of {len(size)}-d: use one rank"
            )
        spec = layer.spec(here, batch=batch)
        windows = windows_of(layer, here)
        fields = tuple(field.through(window) for field, window in zip(fields, windows, strict=True))
        path = str(number) if len(layers) > 1 else ""
        sites.append(Site(path, layer, spec, channels, fields))
        channels, here = layer.out_channels, spec.output_size
    texts = [layer.text for layer in layers]
    return Subject((tuple(sites),), size, measure, small_device), in_a_row(texts)


def _size_and_channels(input_size: Any, rank: int, channels: int) -> tuple[tuple[int, ...], int]:
    """Spatial size and channels of "what comes in": as many as the layer takes, where no one says."""
    if is_sequence(input_size) and len(input_size) == rank + 1:
        given, *size = integers(input_size, "input_size", rank + 1)
        return tuple(size), given
    return integers(input_size, "input_size", rank), channels
