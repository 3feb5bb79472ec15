"""From what a user has to what rules look at."""

from __future__ import annotations

from typing import Any

from convforge.errors import ConvShapeError, ConvValueError
from convforge.explain.advice.flow import sites_of
from convforge.explain.advice.subject import Site, Subject
from convforge.explain.chain import first_layer, in_a_row, layers_of, size_and_channels
from convforge.explain.receptive_field import INPUT, windows_of
from convforge.explain.sentence import Sentence
from convforge.explain.tracing import trace_model
from convforge.nn import Module, Sequential
from convforge.nn.conv_nd import ConvNd


def subject_of(
    what: Any, input_size: Any, *, batch: int, measure: bool, small_device: bool
) -> tuple[Subject, str, Sentence | None]:
    """The subject, what to call it, and why it was followed only in part."""
    if batch < 1:
        raise ConvValueError(f"batch (={batch}) must be at least 1: use batch=1")
    if isinstance(what, list | tuple) and what and all(isinstance(each, Module) for each in what):
        what = Sequential(*what)
    if isinstance(what, Module) and not isinstance(what, ConvNd):
        return _model(what, input_size, batch, measure, small_device)
    return _stack(what, input_size, batch, measure, small_device)


def _stack(
    what: Any, input_size: Any, batch: int, measure: bool, small_device: bool
) -> tuple[Subject, str, None]:
    layers = layers_of(what)
    size, channels = size_and_channels(input_size, layers[0].rank, layers[0].in_channels)
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
    subject = Subject(tuple(sites), (tuple(sites),), size, measure, small_device)
    return subject, in_a_row([layer.text for layer in layers]), None


def _model(
    model: Module, input_size: Any, batch: int, measure: bool, small_device: bool
) -> tuple[Subject, str, Sentence | None]:
    first = first_layer(model)
    size, channels = size_and_channels(input_size, len(first.kernel_size), first.in_channels)
    facts = trace_model(model, (batch, channels, *size))
    sites, chains = sites_of(model, facts.steps)
    stopped = None
    if facts.stopped is not None:
        reason = facts.stopped[1]
        stopped = Sentence(reason.words, reason.values)
    return Subject(sites, chains, size, measure, small_device), type(model).__name__, stopped
