"""The trace says what the convolution does: summed up, its terms are the oracle's output."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convforge.errors import ConvforgeError
from convforge.explain import as_layer, trace_of
from convforge.problem import ConvLayer, normalize_layer
from convforge.reference import output


@st.composite
def layers(draw) -> tuple[ConvLayer, tuple[int, ...]]:
    """A layer and an input size; small, for every term of every output is visited."""
    rank = draw(st.integers(1, 3))
    per_axis = lambda low, high: st.tuples(*[st.integers(low, high)] * rank)  # noqa: E731
    groups = draw(st.integers(1, 2))
    transposed = draw(st.booleans())
    stride, dilation = draw(per_axis(1, 3)), draw(per_axis(1, 2))
    extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation)) if transposed else 0
    pads = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(rank))
    layer = normalize_layer(
        groups * draw(st.integers(1, 2)),
        groups * draw(st.integers(1, 2)),
        draw(per_axis(1, 3)),
        stride,
        pads,
        dilation,
        groups,
        True,
        draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"])),
        rank=rank,
        transposed=transposed,
        output_padding=extra,
    )
    return layer, draw(per_axis(1, 6 if rank < 3 else 4))


@given(layers(), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_terms_sum_to_the_oracle(case, seed) -> None:
    layer, size = case
    try:
        spec = layer.spec(size, dtype=np.float64)
    except ConvforgeError:
        return
    rng = np.random.default_rng(seed)
    data = rng.standard_normal(spec.input_shape)
    weight = rng.standard_normal(spec.weight_shape)
    expected = output(spec, data, weight)
    trace = trace_of(spec)
    for channel, *position in np.ndindex(*spec.output_shape[1:]):
        total = sum(
            data[(0, *term.source)] * weight[term.weight]
            for term in trace.terms(channel, tuple(position))
            if term.source is not None
        )
        assert total == pytest.approx(expected[(0, channel, *position)], rel=1e-9, abs=1e-9)


def test_reflect_names_where_padding_comes_from() -> None:
    trace = trace_of(as_layer("Conv1d(1, 1, 3, stride=2, padding=1, padding_mode='reflect')").spec((5,)))
    (axis,) = trace.axes
    assert [(c.tap, c.position, c.source, c.on_padding) for c in axis.contacts(0)] == [
        (0, -1, 1, True),
        (1, 0, 0, False),
        (2, 1, 1, False),
    ]
    assert axis.unread == ()


def test_what_the_floor_drops_is_unread() -> None:
    (axis,) = trace_of(as_layer("Conv1d(1, 1, 3, stride=2)").spec((6,))).axes
    assert axis.unread == (5,)


def test_a_transposed_layer_lands_on_cells_that_padding_cuts_off() -> None:
    (axis,) = trace_of(as_layer("ConvTranspose1d(1, 1, 3, stride=2, padding=1)").spec((3,))).axes
    assert axis.output_size == 5
    assert [[(c.tap, c.source) for c in axis.contacts(o)] for o in range(5)] == [
        [(1, 0)],
        [(0, 1), (2, 0)],
        [(1, 1)],
        [(0, 2), (2, 1)],
        [(1, 2)],
    ]


@given(layers())
@settings(max_examples=60, deadline=None)
def test_windows_are_where_the_contacts_are(case) -> None:
    """Of a plain layer, output by output; of a transposed one all products, those cut off too."""
    layer, size = case
    try:
        spec = layer.spec(size)
    except ConvforgeError:
        return
    for axis in trace_of(spec).axes:
        if not axis.transposed:
            for output_at in range(axis.output_size):
                met = axis.contacts(output_at)
                assert tuple(contact.position for contact in met) == axis.window(output_at)
            continue
        landed = {
            (contact.source, contact.tap, contact.position)
            for output_at in range(axis.output_size)
            for contact in axis.contacts(output_at)
        }
        stamped = {(i, tap, at) for i in range(axis.input_size) for tap, at in enumerate(axis.window(i))}
        assert landed <= stamped
        cut = {at for _, _, at in stamped - landed}
        assert all(axis.sources[at + axis.padding[0]] is None for at in cut)
