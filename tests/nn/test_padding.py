"""Padding against PyTorch: every mode, any number of axes, negative numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from support.beside_torch import compare, normal, our_functional, ours, same_error, same_text


@given(st.data())
@settings(max_examples=60)
def test_constant(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    axes = data.draw(st.integers(0, len(shape)))
    pad = [data.draw(st.integers(-2, 3)) for _ in range(2 * axes)]
    for axis in range(axes):
        if shape[-1 - axis] + pad[2 * axis] + pad[2 * axis + 1] < 0:
            return
        if min(pad[2 * axis : 2 * axis + 2]) < -shape[-1 - axis]:
            return
    value = data.draw(st.sampled_from([None, 0, 1.5, -2]))
    compare(lambda F, x: F.pad(x, pad, value=value), normal(*shape))


@given(st.data())
@settings(max_examples=60)
def test_border_modes(data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(["reflect", "replicate", "circular"]))
    rank = data.draw(st.integers(1, 3))
    lead = data.draw(st.sampled_from([(2,), (2, 3)]))
    sizes = [data.draw(st.integers(1, 5)) for _ in range(rank)]
    pad: list[int] = []
    for size in reversed(sizes):
        most = {"reflect": size - 1, "replicate": 6, "circular": size}[mode]
        pad += [data.draw(st.integers(0, most)), data.draw(st.integers(0, most))]
    compare(lambda F, x: F.pad(x, pad, mode=mode), normal(*lead, *sizes))


def test_dtypes_and_arrays() -> None:
    x = np.arange(6).reshape(1, 2, 3)
    compare(lambda F, x: F.pad(x, (1, 2), value=7), x)
    compare(lambda F, x: F.pad(x, (1, 2), mode="reflect"), x)
    compare(lambda F, x: F.pad(x, (1, 1)), normal(2, 3, dtype="float32"))
    assert type(our_functional.pad(x, (1, 1))) is np.ndarray
    assert ours.nn.ZeroPad2d(1)(ours.zeros(1, 0, 3, 3)).shape == (1, 0, 5, 5)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "family", ["ZeroPad", "ConstantPad", "ReflectionPad", "ReplicationPad", "CircularPad"]
)
def test_layers(family: str, rank: int) -> None:
    torch = pytest.importorskip("torch")
    extra = (2.5,) if family == "ConstantPad" else ()
    x = normal(2, 3, *(4,) * rank, dtype="float32")
    for padding in (1, tuple(range(2 * rank))):
        if family == "ReflectionPad" and rank == 3 and padding != 1:
            padding = (0, 1, 2, 3, 1, 2)
        elif padding != 1:
            padding = tuple(number % 4 for number in padding)
        same_text(lambda nn, p=padding: getattr(nn, f"{family}{rank}d")(p, *extra))
        mine = getattr(ours.nn, f"{family}{rank}d")(padding, *extra)(ours.from_numpy(x))
        expected = getattr(torch.nn, f"{family}{rank}d")(padding, *extra)(torch.from_numpy(x))
        np.testing.assert_array_equal(mine.numpy(), expected.numpy())


@pytest.mark.parametrize(
    "call",
    [
        lambda root, F: F.pad(root.zeros(2, 3), (1,)),
        lambda root, F: F.pad(root.zeros(3), (1, 1, 1, 1)),
        lambda root, F: F.pad(root.zeros(3), (-2, -2)),
        lambda root, F: F.pad(root.zeros(3), (1.5, 1)),
        lambda root, F: F.pad(root.zeros(1, 1, 3), (3, 0), mode="reflect"),
        lambda root, F: F.pad(root.zeros(1, 1, 3), (4, 0), mode="circular"),
        lambda root, F: F.pad(root.zeros(3), (1, 0), mode="reflect"),
        lambda root, F: F.pad(root.zeros(1, 1, 3), (1, 0), mode="mirror"),
        lambda root, F: F.pad(root.zeros(1, 1, 3), (1, 0), mode="reflect", value=2.0),
        lambda root, F: F.pad(root.zeros(1, 0, 3), (1, 0), mode="reflect"),
        lambda root, F: F.pad(root.zeros(1, 1, 3), (2**62, 2**62)),
        lambda root, F: root.nn.ReflectionPad2d(4)(root.zeros(1, 1, 4, 4)),
    ],
)
def test_errors(call: Any) -> None:
    same_error(call)
