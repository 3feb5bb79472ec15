"""Strided and transposed convolutions by convolutions of stride 1, of residues of the input, to phases of the
output.

    stride 2, 3 taps   y[q] = w0 x[2q] + w1 x[2q + 1] + w2 x[2q + 2]
                            = (w0, w2) over even inputs + (w1, -) over odd ones        two residues

    transposed         y[2q] = w1 x[q],   y[2q + 1] = w2 x[q] + w0 x[q + 1]            two phases
                               (w1, -)                (w2, w0)

All residues, or all phases, have windows of as many inputs, so they share tiles; where one has no tap of its
own ("-"), its weight is zero. Windows of an axis are numbered by where they begin. Output q of a phase has
window q + begin: of 4 taps at stride 2, phases 0 and 1 read x[q - 1], x[q] and x[q], x[q + 1].
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

from convforge.problem.gather import Axis, Gather, Phase, Tap

# Kernel positions of the inputs of a window, along one axis and along all three; None: no tap reads it.
Line = tuple[int | None, ...]
Window = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class OutPhase:
    """Outputs first, first + step, …: `count` along each axis. begin: the windows of the first one."""

    first: tuple[int, int, int]
    begin: tuple[int, int, int]
    count: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Polyphase:
    """A gather as windows of `windows`, a gather of one phase.

    taps: of each phase and residue. size: inputs of a window along each axis, of one residue. shortest: those
    of all residues that the phase reads that reads fewest.
    """

    windows: Gather
    phases: tuple[OutPhase, ...]
    taps: tuple[tuple[Window, ...], ...]
    size: tuple[int, int, int]
    shortest: tuple[int, int, int]

    def is_partial(self, axis: int) -> bool:
        """Whether some residue, or some phase, has fewer taps along an axis than its window has inputs."""
        steps = self.steps[axis] if len(self.phases) == 1 else 1
        return self.shortest[axis] < self.size[axis] * steps

    @property
    def residues(self) -> int:
        """Of the input."""
        return len(self.taps[0])

    @property
    def steps(self) -> tuple[int, int, int]:
        """Inputs from a window to the next, along each axis."""
        d, h, w = (axis.in_step for axis in self.windows.axes)
        return d, h, w


@dataclass(frozen=True, slots=True)
class _AxisPhase:
    first: int
    begin: int
    count: int


@dataclass(frozen=True, slots=True)
class _AxisView:
    """One axis: its windows, and by phase and residue the taps of a window."""

    windows: Axis
    phases: tuple[_AxisPhase, ...]
    taps: tuple[tuple[Line, ...], ...]


def why_not_neighbours(axis: Axis) -> str | None:
    """The reason why the windows of a strided or transposed axis are not neighbouring inputs, or None."""
    if len(axis.residues) < axis.in_step:
        return f"{len(axis.residues)} of {axis.in_step} inputs read"
    for phase in axis.phases:
        offsets = sorted(tap.offset for tap in phase.taps)
        if not offsets:
            return "outputs without a tap"
        if offsets != list(range(offsets[0], offsets[0] + len(offsets))):
            return "taps that are not neighbours"
    return None


@lru_cache(maxsize=256)
def polyphase(gather: Gather) -> Polyphase:
    """The view of a gather each of whose strided or transposed axes has neighbouring taps."""
    d, h, w = (_strided(axis) if axis.out_step == 1 else _transposed(axis) for axis in gather.axes)
    views = (d, h, w)
    phases = tuple(
        OutPhase(*((a, b, c) for a, b, c in zip(*((p.first, p.begin, p.count) for p in triple))))
        for triple in product(*(view.phases for view in views))
    )
    taps = tuple(
        tuple(_together(residues) for residues in product(*of_phase))
        for of_phase in product(*(view.taps for view in views))
    )
    shortest = tuple(
        min(sum(tap is not None for residue in phase for tap in residue) for phase in view.taps)
        for view in views
    )
    size = tuple(len(view.taps[0][0]) for view in views)
    windows = replace(gather, axes=(d.windows, h.windows, w.windows))
    return Polyphase(
        windows, phases, taps, (size[0], size[1], size[2]), (shortest[0], shortest[1], shortest[2])
    )


def _together(lines: tuple[Line, ...]) -> Window:
    """Taps of three axes as those of all: none where one has none."""
    return tuple(
        (d, h, w) if d is not None and h is not None and w is not None else None
        for d, h, w in product(*lines)
    )


def _strided(axis: Axis) -> _AxisView:
    """Residues of the input: one at stride 1, whose taps may be dilated."""
    taps, phases = axis.phases[0].taps, (_AxisPhase(0, 0, axis.out_size),)
    if axis.in_step == 1:
        return _AxisView(axis, phases, ((tuple(tap.kernel for tap in taps),),))
    found: list[list[int | None]] = [[None] * (axis.reach + 1) for _ in axis.residues]
    for tap in taps:
        residue, step = axis.split(tap)
        found[residue][step] = tap.kernel
    return _AxisView(axis, phases, (tuple(tuple(line) for line in found),))


def _transposed(axis: Axis) -> _AxisView:
    """Phases of the outputs, each with a window that begins with its first tap."""
    firsts = [min(tap.offset for tap in phase.taps) for phase in axis.phases]
    lowest, size = min(firsts), max(len(phase.taps) for phase in axis.phases)
    begins = [first - lowest for first in firsts]
    count = max(begin + phase.count for begin, phase in zip(begins, axis.phases))
    window = tuple(Tap(k, lowest + k) for k in range(size))
    windows = replace(axis, out_size=count, out_step=1, phases=(Phase(0, count, window),))
    phases, taps = list[_AxisPhase](), list[tuple[Line, ...]]()
    for phase, first, begin in zip(axis.phases, firsts, begins):
        line: list[int | None] = [None] * size
        for tap in phase.taps:
            line[tap.offset - first] = tap.kernel
        phases.append(_AxisPhase(phase.first, begin, phase.count))
        taps.append((tuple(line),))
    return _AxisView(windows, tuple(phases), tuple(taps))
