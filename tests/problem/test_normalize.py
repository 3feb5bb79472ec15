"""One canonical form for the many ways of writing a convolution."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, strategies as st

import convforge
from convforge.problem import ConvSpec, normalize_conv
from support.torch_oracle import torch

IMAGE, KERNEL = (2, 4, 9, 11), (6, 4, 3, 5)


def spec(input_shape: Any = IMAGE, weight_shape: Any = KERNEL, **arguments: Any) -> ConvSpec:
    return normalize_conv(input_shape, weight_shape, None, **{"rank": 2, "dtype": "float32"} | arguments)[0]


@pytest.mark.parametrize(
    "two", [2, (2,), [2], (2, 2), [2, 2], np.int64(2), (np.int32(2), 2), convforge.tensor(2)]
)
def test_ints_in_every_form(two: Any) -> None:
    written = spec(stride=two, padding=two, dilation=two)
    assert written == spec(stride=(2, 2), padding=((2, 2), (2, 2)), dilation=(2, 2))
    for value in (*written.stride, *written.dilation, *written.output_size, *written.padding[0]):
        assert type(value) is int


def test_padding_forms() -> None:
    assert spec(padding=1).padding == ((1, 1), (1, 1))
    assert spec(padding=(1, 2)).padding == ((1, 1), (2, 2))
    assert spec(padding=((1, 2), (0, 3))).padding == ((1, 2), (0, 3))
    assert spec(padding=[[1, 2], 3]).padding == ((1, 2), (3, 3))
    assert spec(padding="valid") == spec(padding=0)
    assert spec(padding=((1, 2), (0, 3))).output_size == (9 + 3 - 2, 11 + 3 - 4)


@given(
    size=st.integers(1, 40), kernel=st.integers(1, 7), stride=st.integers(1, 5), dilation=st.integers(1, 4)
)
def test_same_padding_is_tensorflows(size: int, kernel: int, stride: int, dilation: int) -> None:
    made = normalize_conv(
        (1, 1, size), (1, 1, kernel), None, stride, "same", dilation, rank=1, dtype="float32"
    )[0]
    before, after = made.padding[0]
    assert made.output_size == (-(-size // stride),)
    assert after - before in (0, 1)
    # No more than is needed: without one element of it, one window fewer would fit.
    if before + after:
        assert (size + before + after - 1 - dilation * (kernel - 1) - 1) // stride + 1 < made.output_size[0]


def test_causal_padding() -> None:
    made = normalize_conv((1, 1, 8), (1, 1, 3), None, 1, "causal", 2, rank=1, dtype="float32")[0]
    assert made.padding == ((4, 0),)
    assert made.output_size == (8,)


def test_unbatched_and_empty() -> None:
    made, unbatched = normalize_conv(IMAGE[1:], KERNEL, (6,), rank=2, dtype="float32")
    assert unbatched
    assert made == spec((1, 4, 9, 11))
    assert spec((0, 4, 9, 11)).output_shape == (0, 6, 7, 7)
    assert spec((2, 0, 9, 11), (6, 0, 3, 5)).output_shape == (2, 6, 7, 7)


@pytest.mark.parametrize(
    "dtype", [np.float32, "float16", ml_dtypes.bfloat16, "complex64", "int8", "uint8", ">f4"]
)
def test_dtypes(dtype: Any) -> None:
    assert spec(dtype=dtype).dtype == np.dtype(dtype).newbyteorder("=")
    assert spec(dtype=dtype).dtype.isnative


def test_lone_windows_and_taps() -> None:
    """Equal work has equal specs: where there is one window, or one tap, the step between two is 1."""
    far = spec(stride=2**40, dilation=1)
    assert far.output_size == (1, 1)
    assert far.stride == (1, 1)
    assert spec(weight_shape=(6, 4, 1, 3), dilation=(2**50, 2)).dilation == (1, 2)


def test_modes_without_padding_are_zeros() -> None:
    assert spec(padding_mode="circular") == spec()
    assert spec(padding_mode="circular", padding=1).padding_mode == "circular"


@given(
    size=st.tuples(*[st.integers(1, 6)] * 2),
    stride=st.tuples(*[st.integers(1, 4)] * 2),
    dilation=st.integers(1, 3),
    pad=st.integers(0, 1),
)
def test_output_sizes_that_a_stride_can_reach(
    size: tuple[int, int], stride: tuple[int, int], dilation: int, pad: int
) -> None:
    """Exactly those that the plain convolution maps back to the input's size."""
    arguments = {"stride": stride, "dilation": dilation, "padding": pad, "dtype": "float32", "rank": 2}
    base = [(n - 1) * s - 2 * pad + 2 * dilation + 1 for n, s in zip(size, stride, strict=True)]
    for more in range(-2, 6):
        wanted = tuple(n + more for n in base)
        if min(wanted) < 1:
            continue
        back = None
        if all(n + 2 * pad >= 2 * dilation + 1 for n in wanted):
            back = normalize_conv((1, 1, *wanted), (1, 1, 3, 3), None, **arguments)[0].output_size
        if back == size:
            made = normalize_conv(
                (1, 1, *size), (1, 1, 3, 3), None, transposed=True, output_size=wanted, **arguments
            )[0]
            assert made.output_size == wanted
        else:
            with pytest.raises(ValueError, match="valid sizes range from"):
                normalize_conv(
                    (1, 1, *size), (1, 1, 3, 3), None, transposed=True, output_size=wanted, **arguments
                )


def test_output_size_forms() -> None:
    def transposed(shape: Any, size: Any) -> tuple[int, ...]:
        return spec(shape, (4, 6, 3, 3), stride=2, transposed=True, output_size=size).output_size

    for size in ((12, 12), [12, 12], 12, (2, 6, 12, 12), (7, 7, 12, 12), (np.int64(12), 12)):
        assert transposed((2, 4, 5, 5), size) == (12, 12)
    assert transposed((4, 5, 5), (6, 12, 12)) == (12, 12)


@pytest.mark.skipif(torch is None, reason="PyTorch is not installed")
@given(data=st.data())
def test_sizes_and_refusals_are_pytorchs(data: st.DataObject) -> None:
    """Whatever the arguments: the same output shape, or a refusal of the same type."""
    rank = data.draw(st.integers(1, 3))
    transposed = data.draw(st.booleans())

    def each(low: int, high: int) -> tuple[int, ...]:
        return data.draw(st.tuples(*[st.integers(low, high)] * rank))

    groups = data.draw(st.integers(1, 2))
    input_shape = (1, data.draw(st.integers(1, 4)), *each(1, 5))
    weight_shape = (data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4)), *each(1, 3))
    arguments = {"stride": each(1, 3), "padding": each(0, 3), "dilation": each(1, 3), "groups": groups}
    if transposed:
        arguments["output_padding"] = each(0, 3)
    function = getattr(torch.nn.functional, f"conv_transpose{rank}d" if transposed else f"conv{rank}d")
    try:
        theirs = tuple(function(torch.zeros(input_shape), torch.zeros(weight_shape), **arguments).shape)
    except RuntimeError:
        theirs = None
    if theirs is None:
        try:
            made, _ = normalize_conv(
                input_shape,
                weight_shape,
                None,
                rank=rank,
                transposed=transposed,
                dtype="float32",
                **arguments,
            )
        except RuntimeError:
            return
        # PyTorch's transposed kernels disagree about an output of size 0: here it always goes through.
        assert transposed
        assert 0 in made.output_size
    else:
        made, _ = normalize_conv(
            input_shape, weight_shape, None, rank=rank, transposed=transposed, dtype="float32", **arguments
        )
        assert made.output_shape == theirs
        assert made.input_shape == input_shape
        assert made.weight_shape == weight_shape
