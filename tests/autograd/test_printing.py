# ruff: noqa: E501 - tables of cases read better in long lines

"""repr of tensors is PyTorch's, character by character."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import convforge

torch = pytest.importorskip("torch")

DTYPES = [
    "float32",
    "float64",
    "float16",
    "bfloat16",
    "int64",
    "int32",
    "uint8",
    "bool",
    "complex64",
    "complex128",
]


def both(array, dtype):
    ours = convforge.tensor(array).to(getattr(convforge, dtype))
    return ours, torch.tensor(np.asarray(array)).to(getattr(torch, dtype))


@settings(max_examples=150, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.lists(st.integers(0, 9), max_size=4),
    scale=st.sampled_from([1e-6, 1e-3, 1, 50, 1e4, 1e9]),
    whole=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_values(dtype, shape, scale, whole, seed):
    values = np.random.default_rng(seed).standard_normal(shape) * scale
    if dtype.startswith("complex"):
        values = values + 1j * np.random.default_rng(seed + 1).standard_normal(shape)
    if whole or dtype in ("int64", "int32", "uint8"):
        values = np.clip(
            np.round(values.real), 0 if dtype == "uint8" else -(2**31), 255 if dtype == "uint8" else 2**30
        )
    ours, theirs = both(np.asarray(values), dtype)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize(
    "shape", [(1001,), (2000,), (40, 40), (7, 200), (8, 8, 8, 8), (3, 1, 500), (1, 7, 200)]
)
@pytest.mark.parametrize("dtype", ["float32", "int64", "complex64"])
def test_summaries(shape, dtype):
    values = np.arange(np.prod(shape)).reshape(shape) / (1 if dtype == "int64" else 7)
    ours, theirs = both(values, dtype)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize(
    "values",
    [[], [[]], 0.0, -0.0, 3.5, 7, True, [float("nan")], [float("inf"), -1.0, 2.5], [0.0, 0.0], [1e-5, 1.0], [1e9, 1.0],
     [float("nan"), float("inf")], [1.0, 1e-38], [123456.0, 1.0], 2 + 3j, [1e10], [0.1, 1000.5]],
)  # fmt: skip
def test_special_values(values):
    assert repr(convforge.tensor(values)) == repr(torch.tensor(values))


def test_suffixes():
    for size in (1, 3, 8, 9, 10, 11, 12, 30):
        ours = convforge.ones(size, requires_grad=True)
        theirs = torch.ones(size, requires_grad=True)
        assert repr(ours) == repr(theirs)
        assert repr(ours * 2) == repr(theirs * 2)
        assert repr(ours.double().exp()) == repr(theirs.double().exp())
        assert repr(ours.double().detach()) == repr(theirs.double().detach())


def test_named_results_and_formats():
    ours, theirs = convforge.eye(3), torch.eye(3)
    assert repr(ours.max(1)) == repr(theirs.max(1))
    assert repr(ours.sort()) == repr(theirs.sort())
    assert f"{ours[0, 0]:.3f} {ours.sum():5.1f}" == f"{theirs[0, 0]:.3f} {theirs.sum():5.1f}"
    assert f"{ours}" == f"{theirs}"
    assert repr(ours.shape) == repr(theirs.shape)
    assert repr(ours.dtype) == repr(theirs.dtype)
    assert repr(ours.device) == repr(theirs.device)


@pytest.mark.parametrize(
    "options",
    [
        {"precision": 2},
        {"sci_mode": True},
        {"threshold": 5},
        {"linewidth": 30},
        {"edgeitems": 2, "threshold": 3},
    ],
)
def test_options(options):
    try:
        convforge.set_printoptions(**options)
        torch.set_printoptions(**options)
        values = np.random.default_rng(0).standard_normal((8, 9))
        ours, theirs = both(values, "float32")
        assert repr(ours) == repr(theirs)
    finally:
        convforge.set_printoptions(profile="default")
        torch.set_printoptions(profile="default")
