# ruff: noqa: E501 - tables of cases read better in long lines

"""repr of tensors is PyTorch's, character by character.

The table beside this file holds what PyTorch 2.13.0 prints; where PyTorch is there, random values are compared too.
"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

import convforge

try:
    import torch
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(
    torch is None, reason="PyTorch is not installed: the table is compared alone"
)


def table():
    lines = (Path(__file__).parent / "printed.txt").read_text(encoding="utf-8").splitlines()
    return [line.split(" -> ") for line in lines if not line.startswith("#")]


@pytest.mark.parametrize(("call", "text"), table())
def test_recorded(call, text):
    text = text.replace("\\n", "\n")
    assert repr(eval(call, {"R": convforge, "np": np})) == text
    if torch is not None:
        assert repr(eval(call, {"R": torch, "np": np})) == text


RECORDED_OPTIONS = {
    "precision=2": "tensor([[-5.71, -4.29, -2.86, -1.43],\n        [ 0.00,  1.43,  2.86,  4.29]])",
    "sci_mode=True": (
        "tensor([[-5.7143e+00, -4.2857e+00, -2.8571e+00, -1.4286e+00],\n"
        "        [ 0.0000e+00,  1.4286e+00,  2.8571e+00,  4.2857e+00]])"
    ),
    "threshold=5, edgeitems=1": "tensor([[-5.7143,  ..., -1.4286],\n        [ 0.0000,  ...,  4.2857]])",
    "linewidth=30": (
        "tensor([[-5.7143, -4.2857,\n         -2.8571, -1.4286],\n"
        "        [ 0.0000,  1.4286,\n          2.8571,  4.2857]])"
    ),
}


@pytest.mark.parametrize("options", RECORDED_OPTIONS)
def test_recorded_options(options):
    for root in [convforge] if torch is None else [convforge, torch]:
        try:
            root.set_printoptions(**eval(f"dict({options})"))
            x = root.tensor((np.arange(8).reshape(2, 4) - 4) / 0.7).to(root.float32)
            assert repr(x) == RECORDED_OPTIONS[options]
        finally:
            root.set_printoptions(profile="default")


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


@needs_torch
@settings(max_examples=150, deadline=None)
@example(dtype="float16", shape=[4, 4, 4, 7], scale=1e-3, whole=False, seed=97)  # rounded twice by PyTorch
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


@needs_torch
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
