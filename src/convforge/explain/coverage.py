"""Which elements along one axis are met at all, as runs, without visiting every pair.

Window n and tap t of any layer meet at n * stride + t * dilation - before, on the side that is padded: the
input of a plain layer, the output of a transposed one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from convforge.problem import ConvSpec, padding_map

Run = tuple[int, int]
"""First element, and the one after the last."""


def meetings(windows: int, size: int, kernel: int, stride: int, dilation: int, before: int) -> Iterator[Run]:
    """For each tap the run (first, stop) of windows whose position is one of the `size` unpadded ones."""
    for tap in range(kernel):
        offset = tap * dilation - before
        first, stop = max(0, -(offset // stride)), min(windows, -((offset - size) // stride))
        if first < stop:
            yield first, stop


def landed(length: int, windows: int, kernel: int, stride: int, dilation: int) -> npt.NDArray[np.bool_]:
    """Whether any tap of any window meets each position of a padded axis of that length: shape (length,).

    length 7, windows 2, kernel 3, stride 3, dilation 1: positions 0 1 2 and 3 4 5, not 6
    """
    landed = np.zeros(length, np.bool_)
    # Taps of one remainder meet every stride-th position from their own on: runs, which overlap.
    runs: dict[int, list[Run]] = defaultdict(list)
    for tap in range(kernel):
        first, remainder = divmod(tap * dilation, stride)
        runs[remainder].append((first, first + windows))
    for remainder, spans in runs.items():
        for first, stop in merged(spans):
            landed[remainder + first * stride : remainder + stop * stride : stride] = True
    return landed


def covered(spans: Iterable[Run]) -> int:
    """Elements in any of the runs."""
    return sum(stop - first for first, stop in merged(spans))


def merged(spans: Iterable[Run]) -> Iterator[Run]:
    """(first, stop) runs without overlaps: (0, 3), (2, 5), (7, 8) -> (0, 5), (7, 8)."""
    last: Run | None = None
    for first, stop in sorted(spans):
        if last is None or first > last[1]:
            if last is not None:
                yield last
            last = (first, stop)
        else:
            last = (last[0], max(last[1], stop))
    if last is not None:
        yield last


def unread(spec: ConvSpec, axis: int) -> list[Run]:
    """Runs of input elements that no output depends on.

    6 elements, kernel 3, stride 2: windows 012 and 234, the floor drops element 5 -> [(5, 6)]
    """
    size, (before, after) = spec.input_size[axis], spec.padding[axis]
    kernel, stride, dilation = spec.kernel_size[axis], spec.stride[axis], spec.dilation[axis]
    if spec.transposed:
        if spec.padding_mode != "zeros":
            return []
        runs = meetings(size, spec.output_size[axis], kernel, stride, dilation, before)
        return list(_gaps(merged(runs), size))
    met = landed(before + size + after, spec.output_size[axis], kernel, stride, dilation)
    sources = padding_map(spec.padding_mode, size, before, after)[met]
    read = np.zeros(size, np.bool_)
    read[sources[sources >= 0]] = True
    return _runs_of(~read)


def unwritten(spec: ConvSpec, axis: int) -> list[Run]:
    """Runs of outputs of a transposed layer that no product reaches: the bias alone, or zero, stands there.

    kernel 2, stride 3: products land on 0 1 . 3 4 . -> [(2, 3), …]
    """
    size, (before, after) = spec.output_size[axis], spec.padding[axis]
    length = before + size + after
    kernel, stride, dilation = spec.kernel_size[axis], spec.stride[axis], spec.dilation[axis]
    met = landed(length, spec.input_size[axis], kernel, stride, dilation)
    written = np.zeros(size, np.bool_)
    sources = padding_map(spec.padding_mode, size, before, after)[met]
    written[sources[sources >= 0]] = True
    return _runs_of(~written)


def _gaps(runs: Iterable[Run], size: int) -> Iterator[Run]:
    at = 0
    for first, stop in runs:
        if first > at:
            yield at, first
        at = stop
    if at < size:
        yield at, size


def _runs_of(mask: npt.NDArray[np.bool_]) -> list[Run]:
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return [(int(first), int(stop)) for first, stop in edges.reshape(-1, 2)]
