"""Resizing pictures of bytes: PyTorch's bytes, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from support.beside_torch import our_functional, torch

# Recorded from PyTorch 2.13.0.
RECORDED: list[tuple[dict[str, Any], list[list[int]]]] = [
    (
        {"mode": "nearest", "size": (3, 5)},
        [[0, 37, 74, 111, 148], [222, 3, 40, 77, 114], [188, 225, 6, 43, 80]],
    ),
    (
        {"mode": "bilinear", "size": (3, 5)},
        [[37, 42, 87, 131, 175], [196, 87, 42, 86, 130], [164, 195, 103, 41, 85]],
    ),
    (
        {"mode": "bicubic", "size": (3, 5)},
        [[32, 40, 89, 131, 178], [221, 74, 16, 85, 131], [162, 212, 101, 27, 84]],
    ),
    ({"mode": "bilinear", "size": (2, 3), "antialias": True}, [[80, 73, 135], [168, 84, 81]]),
]


@pytest.mark.parametrize(("arguments", "expected"), RECORDED)
def test_recorded(arguments: dict[str, Any], expected: list[list[int]]) -> None:
    x = (np.arange(24).reshape(1, 1, 4, 6) * 37 % 256).astype(np.uint8)
    found = our_functional.interpolate(x, **arguments)
    assert found.dtype == np.uint8
    assert found[0, 0].tolist() == expected


@settings(max_examples=150, deadline=None)
@given(
    mode=st.sampled_from(["nearest", "nearest-exact", "bilinear", "bicubic"]),
    channels=st.integers(1, 6),
    # PyTorch's kernel mistakes the layout of planes one wide: an assertion of its own fails, or rows repeat.
    sizes=st.tuples(st.integers(2, 40), st.integers(2, 40)),
    outs=st.tuples(st.integers(2, 90), st.integers(2, 90)),
    by_scale=st.booleans(),
    align_corners=st.booleans(),
    antialias=st.booleans(),
)
def test_against_torch(
    mode: str,
    channels: int,
    sizes: tuple[int, int],
    outs: tuple[int, int],
    by_scale: bool,
    align_corners: bool,
    antialias: bool,
) -> None:
    torch_module = pytest.importorskip("torch")
    arguments: dict[str, Any] = {"mode": mode}
    if by_scale:
        scales = tuple((out + 0.3) / size for size, out in zip(sizes, outs, strict=True))
        arguments["scale_factor"] = scales
    else:
        arguments["size"] = outs
    if mode.startswith("b"):
        arguments |= {"align_corners": align_corners, "antialias": antialias}
    x = np.random.default_rng(0).integers(0, 256, (2, channels, *sizes)).astype(np.uint8)
    expected = torch_module.nn.functional.interpolate(torch.from_numpy(x), **arguments).numpy()
    np.testing.assert_array_equal(our_functional.interpolate(x, **arguments), expected)


def test_without_weights_bytes_are_refused_in_one_and_three_dimensions() -> None:
    with pytest.raises(NotImplementedError, match="not implemented for 'Byte'"):
        our_functional.interpolate(np.zeros((1, 1, 3), np.uint8), size=2, mode="linear")


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(("columns", "row"), [(40, 0), (88, 1)])
def test_a_centre_between_two_rows_falls_as_pytorchs_kernel_rounds(
    columns: int, row: int, dtype: Any
) -> None:
    """Recorded from PyTorch 2.13.0: small pictures and others have kernels of their own."""
    x = np.repeat(np.arange(2, dtype=dtype), 2).reshape(1, 1, 2, 2)
    found = our_functional.interpolate(x, size=(41, columns), mode="nearest-exact")
    assert int(np.asarray(found)[0, 0, 20, 0]) == row
