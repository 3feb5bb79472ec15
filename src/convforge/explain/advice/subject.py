"""What rules look at: layers in the places where they stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from convforge.errors import ConvArgumentError, ConvShapeError
from convforge.explain.advice.finding import DrawingName, DrawingRequest, Fix, Timing
from convforge.explain.costs import Costs, costs_of, costs_of_spec
from convforge.explain.measure import LARGEST_BYTES, layer_call, milliseconds
from convforge.explain.receptive_field import ReceptiveField
from convforge.explain.table import shape_text
from convforge.problem import ConvLayer, ConvSpec
from convforge.problem.layer import LayerPadding
from convforge.runtime import get_num_threads


@dataclass(frozen=True, slots=True)
class Norm:
    """The batch norm that reads a layer's output, and nothing else does. module: the batch norm itself."""

    path: str
    module: Any


@dataclass(frozen=True, slots=True)
class Site:
    """A layer where it stands.

    given_channels: of what comes in, which the layer must take.
    fields: what an output sees of the whole input, per axis; None where that is not known.
    module: the layer itself, where one was given.
    """

    path: str
    layer: ConvLayer
    spec: ConvSpec
    given_channels: int
    fields: tuple[ReceptiveField, ...] | None = None
    module: Any = None
    norm: Norm | None = None

    @property
    def costs(self) -> Costs:
        """What a call costs."""
        return costs_of_spec(self.spec, bias=self.layer.bias)

    @property
    def spans(self) -> tuple[int, ...]:
        """Elements that the dilated kernel covers, per axis."""
        return spans_of(self.layer)


@dataclass(frozen=True, slots=True)
class Subject:
    """Everything that is advised on.

    sites: all, in the order of their calls.
    chains: runs of sites in which the output of each goes, through nothing that mixes neighbours, to the
        next and nowhere else. Every site is in one chain.
    input_size: of the whole, spatial.
    """

    sites: tuple[Site, ...]
    chains: tuple[tuple[Site, ...], ...]
    input_size: tuple[int, ...]
    measure: bool
    small_device: bool

    def timed(self, site: Site, fix: Fix | None) -> Timing | None:
        """A site as it is and fixed, measured side by side; None if not asked to, or too large."""
        return None if fix is None else self.timed_layers((site.layer,), fix.layers, site.spec)

    def timed_layers(
        self, before: Sequence[ConvLayer], after: Sequence[ConvLayer], spec: ConvSpec
    ) -> Timing | None:
        """Both measured side by side on inputs of the spec's; None if not asked to, or too large."""
        held = max(held_bytes(layers, spec) for layers in (before, after))
        if not self.measure or held > LARGEST_BYTES:
            return None
        return self.timed_calls(*(layer_call(layers, spec.input_shape) for layers in (before, after)))

    def timed_calls(self, before: Callable[[], Any], after: Callable[[], Any]) -> Timing | None:
        """Both calls measured side by side; None if not asked to."""
        if not self.measure:
            return None
        before_ms, after_ms = milliseconds((before, after))
        return Timing(before_ms, after_ms, get_num_threads())


def possible(make: Callable[..., Fix], *arguments: Any) -> Fix | None:
    """The fix that `make(*arguments)` gives; None where its layers cannot be called on the input.

    A padding mode asks for a minimal size, and a larger kernel may not fit: a finding without a fix.
    """
    try:
        return make(*arguments)
    except (ConvShapeError, ConvArgumentError):
        return None


def padding_of(pairs: Sequence[tuple[int, int]]) -> LayerPadding:
    """As a layer has it: one number an axis where both sides are alike, else the pairs."""
    if all(before == after for before, after in pairs):
        return tuple(before for before, _ in pairs)
    return tuple(pairs)


def spans_of(layer: ConvLayer) -> tuple[int, ...]:
    """Elements that the dilated kernel covers, per axis."""
    return tuple(d * (k - 1) + 1 for k, d in zip(layer.kernel_size, layer.dilation, strict=True))


def held_bytes(layers: Sequence[ConvLayer], spec: ConvSpec) -> int:
    """Of all arrays of layers that stand where the spec's layer stands."""
    return sum(costs.moved_bytes for costs in stack_costs(layers, spec))


def stack_costs(layers: Sequence[ConvLayer], spec: ConvSpec) -> list[Costs]:
    """Costs of layers one after the other, on the spec's input."""
    size, found = spec.input_size, []
    for layer in layers:
        found.append(costs_of(layer, size, batch=spec.batch))
        size = layer.spec(size).output_size
    return found


def drawing(name: DrawingName, *sites: Site) -> DrawingRequest:
    """The request for a drawing of these sites."""
    return DrawingRequest(name, tuple(site.layer.text for site in sites), sites[0].spec.input_size)


def short_text(values: tuple[int, ...]) -> str:
    """(2, 2) -> 2, (2, 1) -> 2×1: as arguments are written."""
    return str(values[0]) if len(set(values)) == 1 else shape_text(values)
