"""Which elements of each layer of a stack one output depends on, along one axis, level by level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convforge.explain.trace import AxisTrace


@dataclass(frozen=True)
class Level:
    """One array of the stack along one axis: the input is level 0.

    size: its elements. reached: positions that the output depends on, data only. first, last: the span of
    the taps, padding included, as if the array had no ends.
    """

    size: int
    reached: frozenset[int]
    first: int
    last: int

    @property
    def span(self) -> int:
        """Positions from the first tap to the last: the receptive field on this level."""
        return self.last - self.first + 1


def levels_of(axes: Sequence[AxisTrace], position: int) -> list[Level]:
    """The levels of one axis from the input up: what the last layer's output at a position depends on."""
    size = axes[-1].output_size
    found = [Level(size, frozenset({position}), position, position)]
    for axis in reversed(axes):
        above = found[-1]
        reached = frozenset(
            contact.source
            for at in above.reached
            for contact in axis.contacts(at)
            if contact.source is not None
        )
        first, last = _span(axis, above.first, above.last)
        found.append(Level(axis.input_size, reached, first, last))
    return found[::-1]


def _span(axis: AxisTrace, first: int, last: int) -> tuple[int, int]:
    """The first and last position below that positions first to last depend on, were there no ends."""
    if not axis.transposed:
        return axis.window(first)[0], axis.window(last)[-1]
    # Input i reaches window(i): the inputs whose windows meet first to last.
    start, end = axis.window(0)[0], axis.window(0)[-1]
    return -((end - first) // axis.stride), (last - start) // axis.stride


def scales(axes: Sequence[AxisTrace]) -> list[tuple[float, float]]:
    """(origin, step) of each level in input positions: element p of a level is over origin + step * p."""
    found = [(0.0, 1.0)]
    for axis in axes:
        origin, step = found[-1]
        middle = (axis.window(0)[0] + axis.window(0)[-1]) / 2
        if axis.transposed:
            # Input i is under the middle of its window, which is `middle` + i * stride.
            found.append((origin - step * middle / axis.stride, step / axis.stride))
        else:
            found.append((origin + step * middle, step * axis.stride))
    return found
