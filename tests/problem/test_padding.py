"""Padding modes as index maps, and folding as their adjoint."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from convforge.problem import fold_padding, pad_array, padding_map
from support.convolutions import MODES

NUMPY_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@st.composite
def padded_axes(draw: st.DrawFn) -> tuple[str, int, int, int]:
    mode = draw(st.sampled_from(MODES))
    size = draw(st.integers(1, 7))
    most = {"reflect": size - 1, "circular": size}.get(mode, 9)
    return mode, size, draw(st.integers(0, most)), draw(st.integers(0, most))


@given(padded_axes())
def test_maps_are_numpys_pads(axis: tuple[str, int, int, int]) -> None:
    mode, size, before, after = axis
    indices = padding_map(mode, size, before, after)
    assert indices.dtype == np.int64
    if mode == "zeros":
        expected = np.pad(np.arange(size), (before, after), constant_values=-1)
    else:
        expected = np.pad(np.arange(size), (before, after), NUMPY_MODES[mode])
    np.testing.assert_array_equal(indices, expected)


def test_drawn_examples() -> None:
    assert padding_map("reflect", 4, 2, 1).tolist() == [2, 1, 0, 1, 2, 3, 2]
    assert padding_map("circular", 4, 2, 1).tolist() == [2, 3, 0, 1, 2, 3, 0]
    folded = fold_padding(np.array([10, 1, 2, 3, 4, 20]), "reflect", ((1, 1),))
    assert folded.tolist() == [1, 12, 23, 4]


@pytest.mark.parametrize("mode", MODES)
@given(data=st.data())
def test_folding_is_the_adjoint_of_padding(mode: str, data: st.DataObject) -> None:
    sizes = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    pads = []
    for size in sizes:
        most = {"reflect": size - 1, "circular": size}.get(mode, 6)
        pads.append((data.draw(st.integers(0, most)), data.draw(st.integers(0, most))))
    generator = np.random.default_rng(0)
    x = generator.integers(-9, 10, (2, *sizes))
    padded = pad_array(x, mode, tuple(pads))
    y = generator.integers(-9, 10, padded.shape)
    before = y.copy()
    folded = fold_padding(y, mode, tuple(pads))
    assert folded.shape == x.shape
    assert (padded * y).sum() == (x * folded).sum()
    np.testing.assert_array_equal(y, before)
