"""Milliseconds of real calls on this machine, of several things side by side.

A sample of one is taken right beside a sample of the other, round after round, so a machine that is slowed
down for a second slows both; the median of each is what is said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from convforge.autograd import no_grad
from convforge.autograd.sampling import rand
from convforge.nn import conv
from convforge.problem import ConvLayer

ROUNDS = 9
# A sample shorter than this is mostly the clock and the call.
_SAMPLE_S = 2e-3
# Of all samples; what is slower gets fewer rounds, at least three.
_BUDGET_S = 2.0
LARGEST_BYTES = 1 << 31


def milliseconds(calls: Sequence[Callable[[], Any]]) -> tuple[float, ...]:
    """Median milliseconds of each call, sampled in interleaved rounds after a warm call each.

    The warm calls compile what has not been compiled; they are not counted.
    """
    with no_grad():
        lengths = [_calls_a_sample(call) for call in calls]
        samples: list[list[float]] = [[] for _ in calls]
        deadline = time.perf_counter() + _BUDGET_S
        for number in range(ROUNDS):
            order = range(len(calls)) if number % 2 == 0 else reversed(range(len(calls)))
            for i in order:
                samples[i].append(_sample(calls[i], lengths[i]))
            if number >= 2 and time.perf_counter() > deadline:
                break
    return tuple(1e3 * median(each) for each in samples)


def layer_call(layers: Sequence[ConvLayer], shape: tuple[int, ...]) -> Callable[[], Any]:
    """A call of freshly drawn layers, one after the other, on a random input of this shape."""
    modules = [module_of(layer) for layer in layers]
    x = rand(*shape)

    def call() -> Any:
        value: Any = x
        for module in modules:
            value = module(value)
        return value

    return call


def module_of(layer: ConvLayer) -> Any:
    """The module that the value describes, with drawn weights."""
    extra = {"output_padding": layer.output_padding} if layer.transposed else {}
    return getattr(conv, layer.name)(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=layer.bias,
        padding_mode=layer.padding_mode,
        **extra,
    )


def _calls_a_sample(call: Callable[[], Any]) -> int:
    call()
    call()
    return max(1, min(1000, int(_SAMPLE_S / max(_sample(call, 1), 1e-7))))


def _sample(call: Callable[[], Any], times: int) -> float:
    """Seconds of one call, over `times` of them."""
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times
