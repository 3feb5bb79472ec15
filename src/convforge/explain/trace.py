"""Which inputs and weights make an output: the one trace behind every table, drawing, animation and page.

A convolution is separable in this: the contacts of an output cell are every combination of the contacts of
its axes. So a trace of a 1000x1000 picture is two lists of a thousand, and counts are products of sums.

    input   a b c d e            kernel 3, stride 2, padding 1 (reflect)
    padded b a b c d e d         output 0: taps 0, 1, 2 at positions -1, 0, 1, which hold b, a, b
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from convforge.problem import ConvSpec, PaddingMode, padding_map


@dataclass(frozen=True, slots=True)
class Contact:
    """One kernel position meeting one output position, along one axis.

    tap: index into the kernel.
    position: of a plain layer, the input position that the tap lies on: below 0 or beyond the end on padding.
        Of a transposed layer, the output position that the product lands on: outside the output on what
        padding cuts off, from where a padding mode folds it back.
    source: the input element that is read, None where the tap lies on a zero.
    """

    tap: int
    position: int
    source: int | None
    on_padding: bool


@dataclass(frozen=True)
class AxisTrace:
    """One axis of a convolution: sizes in elements, padding as (before, after)."""

    transposed: bool
    input_size: int
    output_size: int
    kernel_size: int
    stride: int
    padding: tuple[int, int]
    dilation: int
    output_padding: int
    padding_mode: PaddingMode

    @cached_property
    def sources(self) -> tuple[int | None, ...]:
        """What stands at each padded position, from -padding[0] on; None for a zero.

        Of the input; of a transposed layer, which output element each position belongs to, None if cut off.
        """
        inner = self.output_size if self.transposed else self.input_size
        return tuple(
            None if source < 0 else int(source)
            for source in padding_map(self.padding_mode, inner, *self.padding)
        )

    @cached_property
    def _contacts(self) -> tuple[tuple[Contact, ...], ...]:
        before = self.padding[0]
        found: list[list[Contact]] = [[] for _ in range(self.output_size)]
        if self.transposed:
            for source in range(self.input_size):
                for tap in range(self.kernel_size):
                    padded = source * self.stride + tap * self.dilation
                    output = self.sources[padded] if padded < len(self.sources) else None
                    if output is not None:
                        position = padded - before
                        found[output].append(Contact(tap, position, source, position != output))
            return tuple(tuple(sorted(row, key=lambda c: (c.tap, c.position))) for row in found)
        for output in range(self.output_size):
            for tap in range(self.kernel_size):
                padded = output * self.stride + tap * self.dilation
                position = padded - before
                on_padding = not 0 <= position < self.input_size
                found[output].append(Contact(tap, position, self.sources[padded], on_padding))
        return tuple(map(tuple, found))

    def contacts(self, output: int) -> tuple[Contact, ...]:
        """The contacts of an output position, by tap."""
        return self._contacts[output]

    def window(self, index: int) -> tuple[int, ...]:
        """Positions of the kernel's taps, by tap, counted from the start of the unpadded axis.

        Of a plain layer, where output `index` reads the input; of a transposed one, where input `index`
        writes to the output, what padding cuts off included.
        """
        return tuple(
            index * self.stride + tap * self.dilation - self.padding[0] for tap in range(self.kernel_size)
        )

    @cached_property
    def readers(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """(output, tap) of every contact of each input element: the other direction."""
        found: list[list[tuple[int, int]]] = [[] for _ in range(self.input_size)]
        for output in range(self.output_size):
            for contact in self.contacts(output):
                if contact.source is not None:
                    found[contact.source].append((output, contact.tap))
        return tuple(map(tuple, found))

    @cached_property
    def unread(self) -> tuple[int, ...]:
        """Input elements that no output sees."""
        return tuple(i for i, readers in enumerate(self.readers) if not readers)


@dataclass(frozen=True, slots=True)
class Term:
    """One product in the sum of an output element.

    source: (in_channel, *position) into the input, None where a zero is read.
    weight: index into the weight array.
    positions: of the axes' contacts.
    """

    source: tuple[int, ...] | None
    weight: tuple[int, ...]
    positions: tuple[int, ...]
    on_padding: bool


@dataclass(frozen=True)
class Trace:
    """The trace of a convolution; axes in the order of the array's."""

    spec: ConvSpec
    axes: tuple[AxisTrace, ...]

    def contacts(self, position: tuple[int, ...]) -> Iterator[tuple[Contact, ...]]:
        """One contact an axis, for every kernel position that an output position meets; last axis fastest."""
        return itertools.product(*(axis.contacts(at) for axis, at in zip(self.axes, position, strict=True)))

    def terms(self, out_channel: int, position: tuple[int, ...]) -> Iterator[Term]:
        """Every product of an output element, channel by channel; the bias is not among them."""
        spec = self.spec
        inputs, outputs = spec.in_channels // spec.groups, spec.out_channels // spec.groups
        group = out_channel // outputs
        met = list(self.contacts(position))
        for number in range(inputs):
            channel = group * inputs + number
            first = (channel, out_channel % outputs) if spec.transposed else (out_channel, number)
            for contacts in met:
                sources = [c.source for c in contacts if c.source is not None]
                yield Term(
                    source=(channel, *sources) if len(sources) == len(contacts) else None,
                    weight=(*first, *(c.tap for c in contacts)),
                    positions=tuple(c.position for c in contacts),
                    on_padding=any(c.on_padding for c in contacts),
                )


def trace_of(spec: ConvSpec) -> Trace:
    """The trace of a convolution."""
    return Trace(
        spec,
        tuple(
            AxisTrace(
                spec.transposed,
                spec.input_size[axis],
                spec.output_size[axis],
                spec.kernel_size[axis],
                spec.stride[axis],
                spec.padding[axis],
                spec.dilation[axis],
                spec.output_padding[axis],
                spec.padding_mode,
            )
            for axis in range(spec.rank)
        ),
    )
