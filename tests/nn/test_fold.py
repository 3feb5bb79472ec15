"""Unfold, fold and the shuffles against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from support.beside_torch import compare, normal, our_functional, same_error, same_text

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(pairs, pairs, st.tuples(st.integers(0, 2), st.integers(0, 2)), pairs, st.booleans())
@settings(max_examples=40)
def test_unfold_and_fold(kernel: Any, dilation: Any, padding: Any, stride: Any, batched: bool) -> None:
    size = (6, 7)
    if any((k - 1) * d + 1 > n + 2 * p for k, d, n, p in zip(kernel, dilation, size, padding, strict=True)):
        return
    lead = (2, 3) if batched else (3,)
    compare(lambda F, x: F.unfold(x, kernel, dilation, padding, stride), normal(*lead, *size))
    columns = our_functional.unfold(normal(*lead, *size), kernel, dilation, padding, stride)
    compare(lambda F, x: F.fold(x, size, kernel, dilation, padding, stride), normal(*columns.shape, seed=1))


def test_fold_is_the_adjoint_of_unfold() -> None:
    x = normal(2, 3, 6, 7)
    columns = our_functional.unfold(x, 3, 2, 1)
    y = normal(*columns.shape, seed=1)
    np.testing.assert_allclose((columns * y).sum(), (x * our_functional.fold(y, (6, 7), 3, 2, 1)).sum())


def test_shuffles() -> None:
    compare(lambda F, x: F.pixel_shuffle(x, 2), normal(2, 12, 3, 4))
    compare(lambda F, x: F.pixel_shuffle(x, 3), normal(9, 3, 4))
    compare(lambda F, x: F.pixel_unshuffle(x, 2), normal(2, 3, 4, 6))
    compare(lambda F, x: F.channel_shuffle(x, 2), normal(2, 6, 3, 4), double=False)
    x = normal(2, 3, 4, 6)
    np.testing.assert_array_equal(our_functional.pixel_shuffle(our_functional.pixel_unshuffle(x, 2), 2), x)


@pytest.mark.parametrize(
    "text",
    [
        "Fold(2, 3)",
        "Fold((4, 5), (2, 2), stride=2)",
        "Unfold(2)",
        "PixelShuffle(2)",
        "PixelUnshuffle(3)",
        "ChannelShuffle(2)",
    ],
)
def test_layers_print(text: str) -> None:
    same_text(lambda nn: eval(f"nn.{text}", {"nn": nn}))


@pytest.mark.parametrize(
    "call",
    [
        lambda root, F: F.unfold(root.zeros(1, 1, 4, 4), 5),
        lambda root, F: F.unfold(root.zeros(1, 1, 4, 4), 0),
        lambda root, F: F.unfold(root.zeros(1, 1, 4, 4), 2, stride=0),
        lambda root, F: F.unfold(root.zeros(1, 1, 4, 4), 2, padding=-1),
        lambda root, F: F.fold(root.zeros(1, 5, 4), 3, 2),
        lambda root, F: F.fold(root.zeros(1, 4, 5), 3, 2),
        lambda root, F: F.fold(root.zeros(4), 3, 2),
        lambda root, F: F.pixel_shuffle(root.zeros(1, 3, 2, 2), 2),
        lambda root, F: F.pixel_shuffle(root.zeros(1, 4, 2, 2), 0),
        lambda root, F: F.pixel_unshuffle(root.zeros(1, 1, 3, 2), 2),
        lambda root, F: F.channel_shuffle(root.zeros(1, 3, 2, 2), 2),
    ],
)
def test_errors(call: Any) -> None:
    same_error(call)
