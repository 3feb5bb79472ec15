"""Where the axes of a model's inputs are in a tensor on its way, and what its elements see along them.

x (N, C, H, W)          H in dimension 2, W in 3, each element sees itself
conv(x)                 H in 2, W in 3, each sees a window
.mean((2, 3))           H and W in no dimension: every element sees everything
.flatten(1)             H and W both scattered over dimension 1
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from convforge.explain.receptive_field import Extent, ReceptiveField, Window, fixed, union
from convforge.explain.tracing_words import OTHER_DIMS, OTHER_JUMPS, SLIDES, Said, said

Axis = tuple[int, int]
"""Number of the input, and which of its spatial axes: (0, 1) is the W of the first input."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one axis of an input is in a tensor.

    size: elements of the input along the axis.
    dim: the dimension along which elements see different parts; None where all see the same.
    field: what they see; None where it is not described, and `reason` says why.
    scattered: along `dim`, elements do not follow each other as in the input; whole: what all of them see.
    """

    size: int
    dim: int | None
    field: ReceptiveField | None
    scattered: bool = False
    whole: Extent | None = None
    reason: Said | None = None

    def everything(self, length: int) -> Place:
        """Of elements each of which sees what all `length` along `dim` see: a sum over the dimension."""
        if self.field is None or self.dim is None:
            return replace(self, dim=None)
        return Place(self.size, None, fixed(self.whole if self.scattered else self._hull(length)))

    def through(self, window: Window) -> Place:
        """Behind a layer that reads this window along `dim`."""
        if self.field is None or self.dim is None:
            return self
        if self.scattered:
            return self.unknown(said(SLIDES))
        return replace(self, field=self.field.through(window))

    def scatter(self, dim: int | None, length: int) -> Place:
        """The same elements in another order along `dim`; length: how many there were along the old one."""
        if self.field is None or self.dim is None:
            return replace(self, dim=None)
        whole = self.whole if self.scattered else self._hull(length)
        return replace(self, dim=dim, scattered=True, whole=whole)

    def unknown(self, reason: Said) -> Place:
        """Not described from here on."""
        return Place(self.size, None, None, reason=self.reason or reason)

    def _hull(self, length: int) -> Extent | None:
        """From the first to the last element of the input that any of `length` elements sees."""
        field = self.field
        assert field is not None
        ends = {*range(min(length, field.period)), *range(max(0, length - field.period), length)}
        seen = [extent for extent in map(field.interval, ends) if extent is not None]
        if not seen:
            return None
        low, high = min(first for first, _ in seen), max(last for _, last in seen)
        low, high = max(low, 0), min(high, self.size - 1)
        return (low, high) if low <= high else None


Places = Mapping[Axis, Place]


def met(places: Iterable[tuple[Places, Sequence[int]]], shape: Sequence[int]) -> dict[Axis, Place]:
    """Where tensors meet element by element: (places, shape) of each, the last dimensions aligned."""
    found: dict[Axis, list[Place]] = {}
    for each, own in places:
        for axis, place in each.items():
            found.setdefault(axis, []).append(_aligned(place, own, shape))
    return {axis: _merged(group) for axis, group in found.items()}


def _aligned(place: Place, own: Sequence[int], shape: Sequence[int]) -> Place:
    """A place counted in the dimensions of the result, to which `own` was broadcast."""
    if place.dim is None:
        return place
    dim = place.dim + len(shape) - len(own)
    if own[place.dim] == 1 and shape[dim] != 1:
        return place.everything(1)
    return replace(place, dim=dim)


def _merged(places: list[Place]) -> Place:
    """One place of several operands."""
    first = places[0]
    if len(places) == 1 or all(place == first for place in places):
        return first
    unknown = next((place for place in places if place.field is None), None)
    if unknown is not None:
        assert unknown.reason is not None
        return first.unknown(unknown.reason)
    fields = [place.field for place in places if place.field is not None]
    dims = {place.dim for place in places if place.dim is not None}
    if len(dims) > 1:
        return first.unknown(said(OTHER_DIMS))
    dim = next(iter(dims), None)
    if any(place.scattered for place in places):
        wholes = [place.whole for place in places if place.whole is not None]
        whole = (min(low for low, _ in wholes), max(high for _, high in wholes)) if wholes else None
        largest = max(fields, key=lambda field: field.size)
        return Place(first.size, dim, largest, True, whole)
    jumps = sorted({field.jump for field in fields if field.jump})
    if len(jumps) > 1:
        return first.unknown(said(OTHER_JUMPS, jumps=", ".join(map(str, jumps))))
    return Place(first.size, dim, union(fields))
