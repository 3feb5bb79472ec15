"""Stacks of 3×3 layers that see as far as wanted, and what each costs beside a single large kernel.

receptive field 7:  one 7   three 3s   3, 3 with dilation 1, 2
weights an axis²:     49       27         18
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from convforge.explain.words import Words

Kind = Literal["one", "plain", "dilated", "strided"]
KINDS: dict[Kind, Words] = {
    "one": Words("one kernel", "单个卷积核"),
    "plain": Words("3×3 at stride 1", "步幅 1 的 3×3"),
    "dilated": Words("3×3, dilation doubling", "3×3，dilation 逐层翻倍"),
    "strided": Words("3×3 at stride 2", "步幅 2 的 3×3"),
}


@dataclass(frozen=True, slots=True)
class Stack:
    """Layers one after the other along one axis; what the first output sees grows from left to right.

    fields: receptive field after each layer, in input elements.
    """

    kind: Kind
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    fields: tuple[int, ...]

    @property
    def receptive_field(self) -> int:
        """Input elements that an output sees, from the first to the last."""
        return self.fields[-1]

    @property
    def step(self) -> int:
        """Input elements between neighbouring outputs."""
        steps = 1
        for stride in self.strides:
            steps *= stride
        return steps

    def weights(self, rank: int) -> int:
        """Weights for each pair of an input and an output channel, all layers together."""
        return sum(kernel**rank for kernel in self.kernels)


def stacks_for(receptive_field: int) -> tuple[Stack, ...]:
    """The shortest stack of each kind whose receptive field is at least the one wanted."""
    found = [_stack("one", [(receptive_field, 1, 1)])]
    kinds: tuple[Kind, ...] = ("plain", "dilated", "strided")
    for kind in kinds:
        layers: list[tuple[int, int, int]] = []
        growing = _layers(kind)
        while not layers or _stack(kind, layers).receptive_field < receptive_field:
            layers.append(next(growing))
        found.append(_stack(kind, layers))
    # Up to 3 all kinds are the same single layer.
    return tuple(found) if receptive_field > 3 else (found[0],)


def _layers(kind: Kind) -> Iterator[tuple[int, int, int]]:
    """(kernel, stride, dilation) of each next layer."""
    dilation = 1
    while True:
        yield 3, 2 if kind == "strided" else 1, dilation
        if kind == "dilated":
            dilation *= 2


def _stack(kind: Kind, layers: list[tuple[int, int, int]]) -> Stack:
    kernels, strides, dilations = zip(*layers, strict=True)
    jumps = accumulate((1, *strides[:-1]), lambda a, b: a * b)
    grown = (d * (k - 1) * jump for k, d, jump in zip(kernels, dilations, jumps, strict=True))
    fields = tuple(1 + far for far in accumulate(grown))
    return Stack(kind, kernels, strides, dilations, fields)
