"""A convolution seen from its output: every tap reads the input at a constant distance.

Along one axis, output position `phase + out_step * q` adds up, over its taps, the input at
`q * in_step + offset`:

    convolution             out_step 1,      in_step stride, offset = k * dilation - before
    transposed convolution  out_step stride, in_step 1,      one tap list for each phase

    transposed, kernel 3, stride 2, padding 1:   phase 0: tap 1 at 0;   phase 1: taps 2, 0 at 0, 1

So one kernel serves both, and no zero is ever inserted or multiplied. Taps are in the order of what they
read, which is the order of every family's sums: an output's bits do not depend on who serves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from convforge.problem.spec import ConvSpec, PaddingMode


@dataclass(frozen=True, slots=True)
class Tap:
    """One kernel position along one axis: it reads the input at `q * in_step + offset`."""

    kernel: int
    offset: int


@dataclass(frozen=True, slots=True)
class Phase:
    """The outputs first, first + out_step, …: `count` of them, with the taps that reach them."""

    first: int
    count: int
    taps: tuple[Tap, ...]


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a gather. planes_apart: every tap has its own residue, even where two read the same
    inputs some steps apart: then no row needs more columns than it has outputs.

    spacing: outputs come in blocks of so many neighbours that read neighbours, and only from block to block
    do inputs advance by in_step, of blocks: output q reads from (q // spacing) * in_step * spacing +
    q % spacing on. More than 1 with planes_apart only.

    Without slots, for what is derived is looked up once per tap: 10 ms of a 3x3x3 layer's first call.
    """

    in_size: int
    out_size: int
    in_step: int
    out_step: int
    phases: tuple[Phase, ...]
    padding: tuple[int, int]
    mode: PaddingMode
    planes_apart: bool = False
    spacing: int = 1

    @cached_property
    def lowest(self) -> int:
        """The smallest tap offset: where the packed input begins."""
        return min((tap.offset for phase in self.phases for tap in phase.taps), default=0)

    @cached_property
    def columns(self) -> int:
        """Output positions of the longest phase."""
        return max((phase.count for phase in self.phases), default=0)

    @cached_property
    def residues(self) -> tuple[int, ...]:
        """Which input positions modulo `in_step` (from `lowest`) any tap reads."""
        distances = {t.offset - self.lowest for p in self.phases for t in p.taps} or {0}
        return tuple(sorted(distances if self.planes_apart else {d % self.in_step for d in distances}))

    @cached_property
    def reach(self) -> int:
        """How many steps beyond q the farthest tap reads."""
        if self.planes_apart:
            return 0
        return max(((t.offset - self.lowest) // self.in_step for p in self.phases for t in p.taps), default=0)

    def split(self, tap: Tap) -> tuple[int, int]:
        """(index into `residues`, steps) of a tap: it reads packed[residue][q + steps]."""
        distance = tap.offset - self.lowest
        if self.planes_apart:
            return self.residues.index(distance), 0
        return self.residues.index(distance % self.in_step), distance // self.in_step

    def sources(self, residue: int, length: int) -> NDArray[np.int64]:
        """Input index that each of `length` packed positions of a residue holds; -1 for a zero."""
        return self.sources_at(residue, np.arange(length, dtype=np.int64))

    def sources_at(self, residue: int, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Input index that packed positions of a residue hold; -1 for a zero."""
        begins = positions + positions // self.spacing * self.spacing * (self.in_step - 1)
        at = begins + self.residues[residue] + self.lowest
        inside = (at >= 0) & (at < self.in_size)
        if self.mode == "zeros" or self.in_size == 0:
            return np.where(inside, at, -1)
        before, after = self.padding
        return np.where(
            (at >= -before) & (at < self.in_size + after), _wrapped(self.mode, at, self.in_size), -1
        )


@dataclass(frozen=True, slots=True)
class Gather:
    """All axes of a convolution, always three (leading axes of size 1), with its channels."""

    batch: int
    groups: int
    in_channels: int
    out_channels: int
    axes: tuple[Axis, Axis, Axis]
    taps_by_phase: tuple[tuple[tuple[Tap, Tap, Tap], ...], ...]

    @property
    def kernel_taps(self) -> int:
        """Taps of all phases together."""
        return sum(len(taps) for taps in self.taps_by_phase)

    @property
    def taps_kept(self) -> tuple[tuple[tuple[int, int, int], ...], ...]:
        """The kernel positions of each phase's taps."""
        return tuple(tuple((d.kernel, h.kernel, w.kernel) for d, h, w in taps) for taps in self.taps_by_phase)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds, those with padding counted."""
        total = 0
        for (d, h, w), taps in zip(self.phase_triples, self.taps_by_phase):
            total += d.count * h.count * w.count * len(taps)
        return total * self.batch * self.groups * self.in_channels * self.out_channels

    @property
    def phase_triples(self) -> tuple[tuple[Phase, Phase, Phase], ...]:
        """Every combination of phases of the three axes, last axis fastest."""
        d, h, w = self.axes
        return tuple((pd, ph, pw) for pd in d.phases for ph in h.phases for pw in w.phases)


def gather_of(spec: ConvSpec) -> Gather:
    """The gather of a convolution; channels are those of one group.

    A transposed convolution with a padding mode other than zeros is folded after its gather, so it is
    gathered here without padding (see `fold_padding`).
    """
    ones = 3 - spec.rank
    axes: list[Axis] = [_identity_axis() for _ in range(ones)]
    for i in range(spec.rank):
        size, kernel, step = spec.input_size[i], spec.kernel_size[i], spec.stride[i]
        make = _transposed_axis if spec.transposed else _plain_axis
        axes.append(
            make(
                size,
                spec.output_size[i],
                kernel,
                step,
                spec.dilation[i],
                spec.padding[i],
                "zeros" if spec.transposed else spec.padding_mode,
            )
        )
    d, h, w = axes
    triples = tuple(
        tuple((td, th, tw) for td in pd.taps for th in ph.taps for tw in pw.taps)
        for pd in d.phases
        for ph in h.phases
        for pw in w.phases
    )
    return Gather(
        spec.batch,
        spec.groups,
        spec.in_channels // spec.groups,
        spec.out_channels // spec.groups,
        (d, h, w),
        triples,
    )


def _plain_axis(
    size: int, out: int, kernel: int, step: int, dilation: int, padding: tuple[int, int], mode: PaddingMode
) -> Axis:
    taps = (Tap(k, k * dilation - padding[0]) for k in range(kernel))
    if mode == "zeros":
        taps = _on_data(taps, size, out, step)
    return Axis(size, out, step, 1, (Phase(0, out, tuple(taps)),), padding, mode)


def _transposed_axis(
    size: int, out: int, kernel: int, step: int, dilation: int, padding: tuple[int, int], mode: PaddingMode
) -> Axis:
    phases: list[Phase] = []
    for first in range(min(step, out)):
        # Input o reaches output o*step - before + k*dilation; solve for o.
        count = -(-(out - first) // step)
        taps = (
            Tap(k, (first + padding[0] - k * dilation) // step)
            for k in reversed(range(kernel))
            if (first + padding[0] - k * dilation) % step == 0
        )
        phases.append(Phase(first, count, tuple(_on_data(taps, size, count, 1))))
    return Axis(size, out, 1, step, tuple(phases), (0, 0), mode)


def _on_data(taps: Iterable[Tap], size: int, count: int, step: int) -> Iterator[Tap]:
    """Taps that reach the input at all; those wholly on padding add nothing and cost memory and time."""
    return (tap for tap in taps if tap.offset < size and tap.offset + (count - 1) * step >= 0)


def _identity_axis() -> Axis:
    return Axis(1, 1, 1, 1, (Phase(0, 1, (Tap(0, 0),)),), (0, 0), "zeros")


def _wrapped(mode: PaddingMode, at: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    if mode == "circular":
        return at % size
    if mode == "reflect":
        period = max(2 * (size - 1), 1)
        folded = np.abs(at) % period
        return np.minimum(folded, period - folded) if size > 1 else np.zeros_like(at)
    return np.clip(at, 0, size - 1)
