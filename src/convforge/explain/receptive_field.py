"""Receptive fields, exact along each axis: through strides, dilation, branches and transposed layers.

Coordinates are the input's: element i covers the span from i to i + 1, and its centre is i + 0.5.

    3 taps at dilation 2, no padding     x . x . x        output 0 reads elements 0, 2, 4: from 0 to 5
                                         0 1 2 3 4        size 5, start 2.5, jump 1

A transposed layer of stride s moves on by one input in s outputs: its jump is 1/s, and what an output reads
depends on its phase. So a field is kept as the first and last element that each phase of outputs reads, and
nothing is approximated; `size` is the largest. Fields are those of an endless input: positions outside it are
padding.

Source: Araujo, Norris & Sim, Computing Receptive Fields of Convolutional Neural Networks, Distill 2019 (whose
start counts from the centre of element 0, half an element less than here).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import gcd, lcm
from typing import Any

from convforge.errors import ConvValueError
from convforge.problem import ConvLayer

Extent = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Window:
    """What one layer reads along one axis; sizes in elements. A pool is a window, and so is an upsampling.

    before: padding at the front; what is cut off there, if transposed.
    """

    kernel: int
    stride: int = 1
    before: int = 0
    dilation: int = 1
    transposed: bool = False

    def reads(self, output: int) -> range:
        """The input positions that an output reads, ascending; empty between the strides of short kernels.

        plain, kernel 3, dilation 2, before 1:        output 0 -> -1, 1, 3
        transposed, kernel 3, stride 2, before 1:     output 1 -> 0, 1    output 2 -> 1
        """
        if not self.transposed:
            first = output * self.stride - self.before
            return range(first, first + self.kernel * self.dilation, self.dilation)
        # position + tap * dilation = landing, where position is a multiple of the stride.
        landing = output + self.before
        common = gcd(self.stride, self.dilation)
        if landing % common:
            return range(0)
        step = self.stride // common  # taps from one that meets to the next
        first_tap = landing // common * pow(self.dilation // common, -1, step) % step
        taps = range(first_tap, self.kernel, step)
        if not taps:
            return range(0)
        low = (landing - taps[-1] * self.dilation) // self.stride
        high = (landing - taps[0] * self.dilation) // self.stride
        return range(low, high + 1, self.dilation // common)

    @property
    def reach(self) -> Fraction:
        """Half of what the kernel spans beyond its centre, in elements of the side that is padded."""
        return Fraction(self.dilation * (self.kernel - 1), 2)


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """What outputs of a stack read along one axis of its input.

    size: elements from the first to the last that an output reads: the largest of all outputs.
    jump: input elements from one output to the next; below 1 behind transposed layers, 0 where all outputs
        read the same.
    start: centre of output 0. Where the size differs by phase, of the field of mean position.
    phases: (first, last) element that outputs 0, 1, …, period - 1 read, None for one that reads nothing.
    shift: elements by which the phases move on each period.
    context: (first, last) element that all outputs read besides: behind a global pool that is spread again.
    """

    size: int
    jump: Fraction
    start: Fraction
    phases: tuple[Extent | None, ...]
    shift: int
    context: Extent | None = None

    @property
    def period(self) -> int:
        """Outputs after which the fields repeat, moved on by `shift`."""
        return len(self.phases)

    @property
    def varies(self) -> bool:
        """Whether outputs of different phases read fields of different sizes."""
        return len({None if p is None else p[1] - p[0] for p in self.phases}) > 1

    def interval(self, output: int) -> Extent | None:
        """(first, last) input element that an output reads, both included; None if it reads none.

        Below 0 or beyond the input on padding.
        """
        turns, phase = divmod(output, self.period)
        local = self.phases[phase]
        moved = None if local is None else (local[0] + turns * self.shift, local[1] + turns * self.shift)
        return _hull((moved, self.context))

    def centre(self, output: int) -> Fraction:
        """Centre of an output in input coordinates."""
        return self.start + output * self.jump

    def through(self, window: Window) -> ReceptiveField:
        """The field after one layer more."""
        if window.transposed:
            period, shift = window.stride * self.period, self.shift
            jump = self.jump / window.stride
            first = (window.before - window.reach) / window.stride
        else:
            period = self.period // gcd(self.period, window.stride)
            shift = window.stride * period // self.period * self.shift
            jump = self.jump * window.stride
            first = window.reach - window.before
        phases = tuple(self._extent(window.reads(output)) for output in range(period))
        return _field(phases, shift, jump, self.start + first * self.jump, self.context)

    def spread(self, output: int = 0) -> ReceptiveField:
        """The field of a map all of whose elements read what this output reads: one element, broadcast."""
        return fixed(self.interval(output))

    def to_dict(self) -> dict[str, Any]:
        """size, jump and start (numbers, and exact as text), the phases where they vary, the context."""
        return {
            "size": self.size,
            "jump": float(self.jump),
            "jump_exact": str(self.jump),
            "start": float(self.start),
            "start_exact": str(self.start),
            "phases": [None if p is None else list(p) for p in self.phases],
            "shift": self.shift,
            "context": None if self.context is None else list(self.context),
        }

    def _extent(self, reads: range) -> Extent | None:
        """(first, last) over several of these outputs; the context is kept apart."""
        if not reads:
            return None
        if self.period == 1:
            # The fields of one phase move on steadily: the outermost have the outermost elements.
            reads = range(reads[0], reads[-1] + 1, max(reads[-1] - reads[0], 1))
        found: list[Extent | None] = []
        for output in reads:
            turns, phase = divmod(output, self.period)
            local = self.phases[phase]
            if local is not None:
                found.append((local[0] + turns * self.shift, local[1] + turns * self.shift))
        return _hull(found)


INPUT = ReceptiveField(1, Fraction(1), Fraction(1, 2), ((0, 0),), 1)
"""The field of the input itself: every element reads itself."""


def fixed(extent: Extent | None) -> ReceptiveField:
    """The field of a map all of whose elements read these elements, (first, last)."""
    start = Fraction(0) if extent is None else Fraction(extent[0] + extent[1] + 1, 2)
    return _field((extent,), 0, Fraction(0), start, None)


def receptive_field(windows: Iterable[Window], field: ReceptiveField = INPUT) -> ReceptiveField:
    """The field behind a chain of layers, the first layer first.

    (Window(3), Window(3)) -> size 5: two 3x3 see what a 5x5 sees
    """
    return reduce(ReceptiveField.through, windows, field)


def windows_of(layer: ConvLayer, input_size: tuple[int, ...]) -> tuple[Window, ...]:
    """What the layer reads, one window an axis; the size decides the padding 'same'.

    Raises what a call of the layer raises.
    """
    pads = layer.spec(tuple(input_size)).padding
    return tuple(
        Window(kernel, stride, before, dilation, layer.transposed)
        for kernel, stride, (before, _), dilation in zip(
            layer.kernel_size, layer.stride, pads, layer.dilation, strict=True
        )
    )


def union(fields: Sequence[ReceptiveField]) -> ReceptiveField:
    """The field where branches meet, added or concatenated: from the first to the last element of any.

    A branch of jump 0 (a global pool, spread again) becomes context of the others.

    Raises ValueError for branches of different jumps: their outputs of one number stand at different places.
    """
    moving = [field for field in fields if field.jump]
    if not moving:
        context = _hull(field.context for field in fields)
        phases = _hull(field.phases[0] for field in fields)
        return _field((phases,), 0, Fraction(0), fields[0].start, context)
    jumps = sorted({field.jump for field in moving})
    if len(jumps) > 1:
        raise ConvValueError(
            f"branches meet with jumps {', '.join(map(str, jumps))}: outputs of one index stand at different "
            "places of the input: give the branches the same product of strides"
        )
    context = _hull([f.context for f in fields] + [f.interval(0) for f in fields if not f.jump])
    period = lcm(*(field.period for field in moving))
    phases = tuple(_hull(_local(field, output) for field in moving) for output in range(period))
    starts = {field.start for field in moving}
    if len(starts) == 1:
        (start,) = starts
    else:
        low = min(field.start - Fraction(_widest(field.phases), 2) for field in moving)
        high = max(field.start + Fraction(_widest(field.phases), 2) for field in moving)
        start = (low + high) / 2
    return _field(phases, int(jumps[0] * period), jumps[0], start, context)


def _local(field: ReceptiveField, output: int) -> Extent | None:
    turns, phase = divmod(output, field.period)
    local = field.phases[phase]
    return None if local is None else (local[0] + turns * field.shift, local[1] + turns * field.shift)


def _field(
    phases: tuple[Extent | None, ...], shift: int, jump: Fraction, start: Fraction, context: Extent | None
) -> ReceptiveField:
    widest = _widest(phases)
    size = widest if context is None else max(widest, context[1] - context[0] + 1)
    return ReceptiveField(size, jump, start, phases, shift, context)


def _widest(phases: tuple[Extent | None, ...]) -> int:
    return max((p[1] - p[0] + 1 for p in phases if p is not None), default=0)


def _hull(extents: Iterable[Extent | None]) -> Extent | None:
    """The smallest extent that holds all."""
    known = [extent for extent in extents if extent is not None]
    if not known:
        return None
    return min(low for low, _ in known), max(high for _, high in known)
