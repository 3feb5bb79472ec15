"""What is compared: a stack of layers, or a model whose forward is followed by shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from convforge.autograd.sampling import rand
from convforge.errors import ConvArgumentError
from convforge.explain.chain import (
    Chain,
    chain_of,
    first_layer,
    in_a_row,
    layers_of,
    size_and_channels,
    size_for,
)
from convforge.explain.measure import layer_call
from convforge.explain.table import fraction
from convforge.explain.tracing import ModuleCall, trace_model
from convforge.nn import Module, Sequential
from convforge.nn.conv_nd import ConvNd


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two. milliseconds: the median of real calls here; None where it was not measured.

    layers: in PyTorch's spelling, or the model's class. receptive_field, jump: per axis; input elements that
    an output sees, and from one output to the next; empty where they are not described.
    """

    layers: tuple[str, ...]
    output_shape: tuple[int, ...]
    receptive_field: tuple[int, ...]
    jump: tuple[str, ...]
    parameters: int
    multiply_adds: int
    real_multiply_adds: int
    moved_bytes: int
    milliseconds: float | None = None

    @property
    def text(self) -> str:
        """The layers as they follow each other."""
        return in_a_row(self.layers)


@dataclass(frozen=True, slots=True)
class Contender:
    """A side, and what makes a call of it ready to be timed."""

    side: Side
    input_size: tuple[int, ...]
    call: Callable[[], Callable[[], Any]]


def contender_of(what: Any, input_size: Any, batch: int) -> Contender:
    """The side of a layer, a stack or a model, on inputs of this size.

    Raises what a call would raise.
    """
    if isinstance(what, Module) and not isinstance(what, ConvNd) and not _is_stack(what):
        return _model(what, input_size, batch)
    chain = chain_of(what, size_for(layers_of(what)[0], input_size), batch=batch)
    size = chain.links[0].spec.input_size
    return Contender(_chain_side(chain), size, lambda: layer_call(chain.layers, chain.input_shape))


def _is_stack(module: Module) -> bool:
    return isinstance(module, Sequential) and all(isinstance(each, ConvNd) for each in module)


def _chain_side(chain: Chain) -> Side:
    fields = chain.fields
    return Side(
        layers=tuple(layer.text for layer in chain.layers),
        output_shape=chain.output_shape,
        receptive_field=tuple(field.size for field in fields),
        jump=tuple(fraction(field.jump) for field in fields),
        parameters=chain.total("parameters"),
        multiply_adds=chain.total("multiply_adds"),
        real_multiply_adds=chain.total("real_multiply_adds"),
        moved_bytes=chain.total("moved_bytes"),
    )


def _model(model: Module, input_size: Any, batch: int) -> Contender:
    first = first_layer(model)
    size, channels = size_and_channels(input_size, len(first.kernel_size), first.in_channels)
    shape = (batch, channels, *size)
    facts = trace_model(model, shape)
    if facts.stopped is not None or not facts.root.outputs:
        where = facts.stopped[0] if facts.stopped else ""
        raise ConvArgumentError(
            f"{type(model).__name__} cannot be followed by shape beyond {where or 'its start'}: "
            f"{facts.stopped[1] if facts.stopped else 'it returns no tensor'}: compare parts of it"
        )
    fields = [seen.field for seen in facts.root.seen if seen.input == 0]
    known = [field for field in fields if field is not None]
    side = Side(
        layers=(type(model).__name__,),
        output_shape=facts.root.outputs[0],
        receptive_field=tuple(field.size for field in known) if len(known) == len(size) else (),
        jump=tuple(fraction(field.jump) for field in known) if len(known) == len(size) else (),
        parameters=facts.parameters + facts.frozen,
        multiply_adds=facts.root.total("multiply_adds"),
        real_multiply_adds=facts.root.total("real_multiply_adds"),
        moved_bytes=facts.parameter_bytes + _activation_bytes(facts.root),
    )

    def prepared() -> Callable[[], Any]:
        x = rand(*shape)
        return lambda: model(x)

    return Contender(side, size, prepared)


def _activation_bytes(call: ModuleCall) -> int:
    """What modules without modules below read and write, in float32; functions between them are left out."""
    if call.children:
        return sum(map(_activation_bytes, call.children))
    return 4 * sum(map(prod, call.inputs)) + call.output_bytes
