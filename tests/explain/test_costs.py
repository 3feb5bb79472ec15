"""Costs against a loop nest that visits every product and counts."""

from __future__ import annotations

import itertools
from collections import Counter
from math import prod

import pytest
from hypothesis import assume, given, settings, strategies as st

from convforge import nn
from convforge.errors import ConvforgeError
from convforge.explain import as_layer, costs_of
from convforge.explain.coverage import unread, unwritten
from convforge.problem import ConvLayer, ConvSpec, normalize_layer


@st.composite
def layers(draw) -> tuple[ConvLayer, tuple[int, ...], int]:
    rank = draw(st.integers(1, 3))
    per_axis = lambda low, high: st.tuples(*[st.integers(low, high)] * rank)  # noqa: E731
    groups = draw(st.integers(1, 2))
    transposed = draw(st.booleans())
    stride, dilation = draw(per_axis(1, 4)), draw(per_axis(1, 3))
    extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation)) if transposed else 0
    layer = normalize_layer(
        groups * draw(st.integers(1, 2)),
        groups * draw(st.integers(1, 2)),
        draw(per_axis(1, 4 if rank < 3 else 2)),
        stride,
        tuple((draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(rank)),
        dilation,
        groups,
        draw(st.booleans()),
        draw(st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular"])),
        rank=rank,
        transposed=transposed,
        output_padding=extra,
    )
    return layer, draw(per_axis(1, {1: 12, 2: 6, 3: 4}[rank])), draw(st.integers(1, 2))


def source(mode: str, position: int, size: int) -> int | None:
    """What a padding mode puts at a position outside, by walking there."""
    if 0 <= position < size:
        return position
    if mode == "zeros":
        return None
    if mode == "replicate":
        return 0 if position < 0 else size - 1
    if mode == "circular":
        return position % size
    return -position if position < 0 else 2 * (size - 1) - position


def met(spec: ConvSpec) -> tuple[list[tuple], list[tuple], set, set]:
    """Every product as (sum that it goes into), nominal and real; inputs read and outputs written, real."""
    nominal, real, read, written = [], [], set(), set()
    inputs, outputs = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    windows = spec.input_size if spec.transposed else spec.output_size
    padded = spec.output_size if spec.transposed else spec.input_size
    for n, group, i, o in itertools.product(
        range(spec.batch), range(spec.groups), range(inputs), range(outputs)
    ):
        del i
        for at in itertools.product(*map(range, windows)):
            for taps in itertools.product(*map(range, spec.kernel_size)):
                landing = tuple(
                    w * s + t * d - before
                    for w, s, t, d, (before, _) in zip(at, spec.stride, taps, spec.dilation, spec.padding)
                )
                found = tuple(source(spec.padding_mode, p, size) for p, size in zip(landing, padded))
                channel = (n, group, o)
                nominal.append((*channel, *(landing if spec.transposed else at)))
                if None not in found:
                    target, other = (found, at) if spec.transposed else (at, found)
                    real.append((*channel, *target))
                    written.add(target)
                    read.add(other)
    return nominal, real, read, written


@given(layers())
@settings(max_examples=150, deadline=None)
def test_counts_are_those_of_the_loop_nest(case) -> None:
    layer, size, batch = case
    try:
        spec = layer.spec(size, batch=batch)
    except ConvforgeError:
        assume(False)
    nominal, real, read, written = met(spec)
    costs = costs_of(layer, size, batch=batch)
    assert costs.multiply_adds == costs.multiplications == len(nominal)
    assert costs.real_multiply_adds == len(real)
    assert costs.idle_multiply_adds == len(nominal) - len(real)
    assert costs.additions == sum(count - 1 for count in Counter(nominal).values())
    assert costs.real_additions == sum(count - 1 for count in Counter(real).values())
    assert costs.bias_additions == (prod(spec.output_shape) if layer.bias else 0)
    # Along one axis, an element is read if any product at all reads it.
    if real:
        for axis in range(spec.rank):
            seen = {position[axis] for position in read}
            assert runs(unread(spec, axis)) == set(range(spec.input_size[axis])) - seen
            if spec.transposed:
                reached = {position[axis] for position in written}
                assert runs(unwritten(spec, axis)) == set(range(spec.output_size[axis])) - reached


def runs(found: list[tuple[int, int]]) -> set[int]:
    return {at for first, stop in found for at in range(first, stop)}


def test_the_example_of_the_docs() -> None:
    costs = costs_of(as_layer("Conv2d(1, 1, 3, padding=1)"), (7, 7))
    assert (costs.multiply_adds, costs.real_multiply_adds, costs.bias_additions) == (441, 361, 49)


@pytest.mark.parametrize(
    "text", ["Conv1d(8, 16, 9, padding=4)", "ConvTranspose1d(8, 16, 9, stride=3, padding=4, dilation=2)"]
)
def test_a_million_elements_are_counted_without_visiting_them(text) -> None:
    layer = as_layer(text)
    small, large = costs_of(layer, (1000,)), costs_of(layer, (10**6,))
    # The ends cost the same, so what they lack does.
    assert large.idle_multiply_adds == small.idle_multiply_adds > 0
    assert large.multiply_adds == 1000 * small.multiply_adds


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv1d(4, 6, 5, groups=2),
        nn.Conv2d(3, 8, (3, 5), bias=False),
        nn.Conv3d(2, 4, 3),
        nn.ConvTranspose1d(4, 6, 5, groups=2),
        nn.ConvTranspose2d(3, 8, 3, stride=2),
        nn.ConvTranspose3d(2, 4, 2, bias=False),
    ],
)
def test_parameters_and_bytes_are_the_arrays(layer) -> None:
    import convforge as torch

    x = torch.zeros(2, layer.in_channels, *[9] * len(layer.kernel_size))
    y = layer(x)
    costs = costs_of(as_layer(layer), tuple(x.shape[2:]), batch=2)
    assert costs.weight_parameters == layer.weight.numel()
    assert costs.parameters == sum(p.numel() for p in layer.parameters())
    assert costs.input_bytes == costs.training_bytes == x.numpy().nbytes
    assert costs.output_bytes == y.detach().numpy().nbytes
    assert costs.moved_bytes == costs.input_bytes + costs.output_bytes + 4 * costs.parameters
    operations = costs.multiply_adds + costs.additions + costs.bias_additions
    assert costs.arithmetic_intensity == operations / costs.moved_bytes


def test_half_precision_takes_half_the_bytes() -> None:
    layer = as_layer("Conv2d(3, 8, 3)")
    half, single = costs_of(layer, (9, 9), dtype="float16"), costs_of(layer, (9, 9))
    assert 2 * half.moved_bytes == single.moved_bytes
    assert half.multiply_adds == single.multiply_adds
