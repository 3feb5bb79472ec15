"""The output of a transposed convolution computed in three ways, each on its own.

    scatter          every input times the kernel, laid `stride` apart and added up
    zero insertion   a plain convolution of the spread input with the kernel turned
    matrix           the trace's matrix times the input

The first two give the full output, of which padding then cuts off or folds back the rim.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from convforge.draw.grid import Position
from convforge.draw.matrix import entries_of
from convforge.draw.numbers import Array
from convforge.draw.subject import Subject
from convforge.problem import ConvLayer, fold_padding
from convforge.reference import output


def single_channel(layer: ConvLayer) -> ConvLayer:
    """The layer's geometry on one channel, without bias."""
    return replace(layer, in_channels=1, out_channels=1, groups=1, bias=False)


def three_ways(subject: Subject) -> tuple[Array, Array, Array]:
    """The output by scatter, by zero insertion and by matrix, each computed on its own."""
    x, weight = subject.numbers.x, subject.numbers.weight
    scattered = _folded(subject, sum(stamps_of(subject).values(), np.zeros((1, *full_size(subject)))))
    spread, turned = spread_input(subject), turned_kernel(weight)
    plain = ConvLayer(
        transposed=False, in_channels=1, out_channels=1, kernel_size=subject.spec.kernel_size,
        stride=(1,) * subject.spec.rank, padding=(0,) * subject.spec.rank, dilation=subject.spec.dilation,
        output_padding=(0,) * subject.spec.rank, groups=1, bias=False, padding_mode="zeros",
    )  # fmt: skip
    spec = plain.spec(spread.shape[1:], dtype=np.float64)
    gathered = _folded(subject, output(spec, spread[None], turned)[0])
    m = np.zeros((int(np.prod(subject.spec.output_size)), x.size))
    for (to, source), weights in entries_of(subject, bounded=False).items():
        m[to, source] = sum(weight[index] for index in weights)
    return scattered, gathered, (m @ x.ravel()).reshape(subject.spec.output_shape[1:])


def stamps_of(subject: Subject) -> dict[Position, Array]:
    """Each input's products, where they land on the output before padding is taken off: (1, *full size)."""
    numbers = subject.numbers
    before = [axis.padding[0] for axis in subject.axes]
    found: dict[Position, Array] = {}
    for index in np.ndindex(*subject.spec.input_size):
        at = tuple(map(int, index))
        windows = [
            [place + shift for place in axis.window(i)]
            for axis, i, shift in zip(subject.axes, at, before, strict=True)
        ]
        stamp = np.zeros((1, *full_size(subject)))
        stamp[(0, *np.ix_(*windows))] = numbers.x[(0, *at)] * numbers.weight[0, 0]
        found[at] = stamp
    return found


def spread_input(subject: Subject) -> Array:
    """The input with zeros between its elements and around, such that stride-1 windows make every output."""
    spec = subject.spec
    border = border_of(subject)
    full = full_size(subject)
    shape = tuple(n + edge for n, edge in zip(full, border, strict=True))
    spread = np.zeros((1, *shape))
    steps = tuple(
        slice(edge, edge + (n - 1) * step + 1, step)
        for edge, n, step in zip(border, spec.input_size, subject.layer.stride, strict=True)
    )
    spread[(0, *steps)] = subject.numbers.x[0]
    return spread


def border_of(subject: Subject) -> tuple[int, ...]:
    """Zeros around the spread input, on either side of each axis."""
    return tuple(d * (k - 1) for d, k in zip(subject.spec.dilation, subject.spec.kernel_size, strict=True))


def full_size(subject: Subject) -> tuple[int, ...]:
    """The output's size before padding is taken off."""
    return tuple(len(axis.sources) for axis in subject.axes)


def turned_kernel(weight: Array) -> Array:
    """The kernels turned by 180°."""
    return np.flip(weight, axis=tuple(range(2, weight.ndim)))


def _folded(subject: Subject, full: Array) -> Array:
    return fold_padding(full, subject.spec.padding_mode, subject.spec.padding)


def touched_by(subject: Subject, at: Position) -> Array:
    """1 where the stamp of an input lands on the full output, else 0."""
    windows = [
        [place + axis.padding[0] for place in axis.window(i)]
        for axis, i in zip(subject.axes, at, strict=True)
    ]
    found = np.zeros(full_size(subject))
    found[np.ix_(*windows)] = 1
    return found


def output_full(subject: Subject) -> Array:
    """The output before padding is taken off."""
    layer = replace(subject.layer, padding=(0,) * subject.spec.rank, padding_mode="zeros")
    spec = layer.spec(subject.spec.input_size, dtype=np.float64)
    return output(spec, subject.numbers.x[None], subject.numbers.weight)[0]
