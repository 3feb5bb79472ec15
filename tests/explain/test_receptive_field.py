"""Receptive fields against gradients: where the gradient of one output is not zero, that it sees."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

import convforge as torch
from convforge import nn
from convforge.errors import ConvforgeError
from convforge.explain import INPUT, Window, as_layer, receptive_field, union, windows_of
from convforge.problem import ConvLayer, normalize_layer
from convforge.reference import grad_input


def test_dilation_moves_the_start() -> None:
    field = receptive_field([Window(3, dilation=2)])
    assert (field.size, field.jump, field.start) == (5, 1, Fraction(5, 2))


def test_two_threes_see_what_a_five_sees() -> None:
    assert receptive_field([Window(3), Window(3)]) == receptive_field([Window(5)])


def test_a_resnet_sees_427() -> None:
    """Araujo et al. give 483 for the stride in the 1x1; with it in the 3x3 it is 427."""
    blocks = [(1, 3), (2, 4), (2, 6), (2, 3)]
    windows = [Window(7, 2, 3), Window(3, 2, 1)]
    for stride, number in blocks:
        windows += [Window(3, stride if not n else 1, 1) for n in range(number)]
    field = receptive_field(windows)
    assert (field.size, field.jump, field.start) == (427, 32, Fraction(1, 2))


def test_transposed_phases() -> None:
    field = receptive_field([Window(3, 2, 1, transposed=True)])
    assert [field.interval(at) for at in range(4)] == [(0, 0), (0, 1), (1, 1), (1, 2)]
    assert (field.size, field.jump, field.varies) == (2, Fraction(1, 2), True)
    gaps = receptive_field([Window(1, 3, transposed=True)])
    assert [gaps.interval(at) for at in range(4)] == [(0, 0), None, None, (1, 1)]


def test_up_and_down_again_has_one_phase() -> None:
    field = receptive_field([Window(4, 2, 1, transposed=True), Window(2, 2)])
    assert (field.period, field.jump) == (1, 1)


windows = st.builds(
    Window, st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3), st.booleans()
)


@given(st.lists(windows, min_size=1, max_size=4), st.integers(-50, 50))
@settings(max_examples=300, deadline=None)
def test_intervals_are_those_of_the_sets(chain, output) -> None:
    field = receptive_field(chain)
    seen = {output}
    for window in reversed(chain):
        seen = {position for at in seen for position in window.reads(at)}
    assert field.interval(output) == ((min(seen), max(seen)) if seen else None)
    if seen:
        assert max(seen) - min(seen) < field.size
    assert field.centre(output + 1) - field.centre(output) == field.jump


@given(st.lists(windows, min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_size_is_the_largest(chain) -> None:
    field = receptive_field(chain)
    found = [field.interval(at) for at in range(field.period)]
    assert field.size == max((high - low + 1 for low, high in filter(None, found)), default=0)


@st.composite
def stacks(draw) -> list[ConvLayer]:
    made = []
    for _ in range(draw(st.integers(1, 3))):
        transposed = draw(st.booleans())
        made.append(
            normalize_layer(
                1, 1, draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(0, 2)),
                draw(st.integers(1, 3)), rank=1, transposed=transposed,
            )
        )  # fmt: skip
    return made


@given(stacks())
@settings(max_examples=150, deadline=None)
def test_stacks_against_the_oracles_gradient(stack) -> None:
    size, specs, chain = 61, [], []
    for layer in stack:
        try:
            specs.append(layer.spec((size,), dtype=np.float64))
            chain += windows_of(layer, (size,))
        except ConvforgeError:
            assume(False)
        size = specs[-1].output_size[0]
        assume(0 < size < 600)
    field = receptive_field(chain)
    # Outputs so far inside that no padding is near.
    middle = [at for at in range(size) if inside(field.interval(at), 61)]
    for output in middle[:: max(1, len(middle) // 7)]:
        grad = np.zeros((1, 1, size))
        grad[0, 0, output] = 1
        for spec in reversed(specs):
            grad = grad_input(spec, grad, np.ones(spec.weight_shape))
        seen = np.flatnonzero(grad[0, 0])
        assert field.interval(output) == ((seen[0], seen[-1]) if len(seen) else None)


def inside(extent: tuple[int, int] | None, size: int) -> bool:
    return extent is None or (extent[0] >= 15 and extent[1] < size - 15)


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Conv1d(1, 2, 3, dilation=2), nn.Conv1d(2, 1, 3, stride=2, padding=1)],
        [nn.Conv1d(1, 1, 4, stride=2), nn.ConvTranspose1d(1, 1, 4, stride=2, padding=1)],
        [nn.ConvTranspose1d(1, 1, 3, stride=3, dilation=2), nn.Conv1d(1, 1, 3)],
    ],
    ids=["dilated", "down and up", "transposed, dilated"],
)
def test_stacks_of_real_layers(layers) -> None:
    """The gradient of the layers themselves, with positive weights."""
    x = torch.ones(1, 1, 41, requires_grad=True)
    chain, y = [], x
    for layer in layers:
        with torch.no_grad():
            layer.weight.copy_(layer.weight.abs() + 0.1)
        chain += windows_of(as_layer(layer), tuple(y.shape[2:]))
        y = layer(y)
    field = receptive_field(chain)
    for output in range(y.shape[2] // 2, y.shape[2] // 2 + 4):
        (grad,) = torch.autograd.grad(y[0, 0, output], x, retain_graph=True)
        seen = np.flatnonzero(grad.numpy()[0, 0])
        assert field.interval(output) == (seen[0], seen[-1])


def test_branches_are_united() -> None:
    one, three = receptive_field([Window(1)]), receptive_field([Window(3, before=1), Window(3, before=1)])
    both = union([one, three])
    assert (both.size, both.jump, both.start) == (5, 1, Fraction(1, 2))
    shifted = union([receptive_field([Window(3)]), receptive_field([Window(3, before=2)])])
    assert (shifted.interval(0), shifted.size, shifted.start) == ((-2, 2), 5, Fraction(1, 2))
    with pytest.raises(ValueError, match="jumps 1, 2"):
        union([one, receptive_field([Window(3, 2)])])


def test_a_global_branch_is_context() -> None:
    local = receptive_field([Window(3, before=1)])
    glob = receptive_field([Window(20, 20)]).spread()
    both = union([local, glob])
    assert [both.interval(at) for at in (0, 10, 19)] == [(-1, 19), (0, 19), (0, 20)]
    assert both.through(Window(3)).interval(5) == (0, 19)
    assert (glob.jump, glob.size, INPUT.size) == (0, 20, 1)


def test_a_window_of_a_million_taps_is_quick() -> None:
    assert receptive_field([Window(10**6), Window(10**6, 2)]).size == 2 * 10**6 - 1


def test_the_dict_is_plain() -> None:
    import json

    field = receptive_field([Window(3, 2, 1, transposed=True)])
    assert json.loads(json.dumps(field.to_dict()))["jump_exact"] == "1/2"
