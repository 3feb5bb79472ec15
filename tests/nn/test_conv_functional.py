"""conv1d … conv_transpose3d over the whole argument space: output and gradients, dtypes, memory layouts.

The oracle is PyTorch in float64 where it is installed, else the NumPy oracle.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

import convforge
from convforge.autograd.tensor import from_data
from convforge.nn.functional import conv as functional
from support.convolutions import FLOATS, INTEGERS, LAYOUTS, Case, cases, filled, numpy_dtype, with_layout
from support.tolerance import assert_close
from support.torch_oracle import Products, magnitudes, products, torch, wide

Array = np.ndarray[Any, Any]
seeds = st.integers(0, 2**32 - 1)
layouts = st.sampled_from(LAYOUTS)


def function_of(case: Case) -> Any:
    return getattr(functional, f"conv_transpose{case.rank}d" if case.transposed else f"conv{case.rank}d")


def lengths(case: Case) -> Products:
    """Products in the sums of output, grad-input, grad-weight and grad-bias: upper bounds."""
    spec = case.spec("float32")
    taps = int(np.prod(spec.kernel_size))
    places = spec.batch * int(np.prod(spec.input_size if spec.transposed else spec.output_size))
    folded = int(np.prod([1 + before + after for before, after in spec.padding]))
    inputs, outputs = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    everything = spec.batch * int(np.prod(spec.output_size))
    counts = (taps * inputs * folded, taps * outputs * folded, places, everything)
    return Products(*map(np.asarray, counts))


def grad_output(case: Case, dtype: str, seed: int, layout: str) -> Array:
    spec = case.spec(numpy_dtype(dtype))
    shape = spec.output_shape if len(case.input_shape) == case.rank + 2 else spec.output_shape[1:]
    return with_layout(filled(np.random.default_rng(seed + 1), shape, dtype), layout)


@settings(max_examples=120)
@given(
    case=cases(unbatched=True), dtype=st.sampled_from(FLOATS), seed=seeds, layout=layouts, grad_layout=layouts
)
def test_output_and_gradients(case: Case, dtype: str, seed: int, layout: str, grad_layout: str) -> None:
    x, weight, bias = case.arrays(dtype, seed, layout)
    grad = grad_output(case, dtype, seed, grad_layout)
    exact = products(case, x, weight, bias, grad)
    size = magnitudes(case, x, weight, bias, grad)
    length = lengths(case)

    tensors = [from_data(each).requires_grad_() for each in (x, weight)]
    tensors.append(None if bias is None else from_data(bias).requires_grad_())
    y = function_of(case)(*tensors, **case.arguments)
    assert_close(y.detach().numpy(), exact.output, size.output, int(length.output) + 1)
    assert y.dtype == tensors[0].dtype

    y.backward(from_data(grad))
    for tensor, expected, magnitude, n in zip(tensors, exact[1:], size[1:], length[1:], strict=True):
        if tensor is not None:
            assert_close(tensor.grad.numpy(), expected, magnitude, int(n))


@settings(max_examples=60)
@given(case=cases(unbatched=True), dtype=st.sampled_from(INTEGERS), seed=seeds, layout=layouts)
def test_integers_are_exact(case: Case, dtype: str, seed: int, layout: str) -> None:
    x, weight, bias = case.arrays(dtype, seed, layout)
    exact = products(case, x, weight, bias, grad_output(case, dtype, seed, "plain")).output
    y = function_of(case)(x, weight, bias, **case.arguments)
    assert y.dtype == numpy_dtype(dtype)
    np.testing.assert_array_equal(y, exact.astype(y.dtype))


# A depthwise kernel serves it plain, the direct one otherwise: their sums had different orders.
@example(
    case=Case(1, True, (1, 2), (1, 1, 2), (1,), ((0, 0),), (1,), 1, (0,), "zeros", has_bias=False),
    dtype="float32",
    seed=1,
)
@settings(max_examples=60)
@given(case=cases(unbatched=True), dtype=st.sampled_from(("float32", "float64")), seed=seeds)
def test_arrays_tensors_layouts_and_out_agree_bit_for_bit(case: Case, dtype: str, seed: int) -> None:
    """An output element has the same bits whatever the container, the memory layout, and the target array."""
    x, weight, bias = case.arrays(dtype, seed)
    function = function_of(case)
    y = function(x, weight, bias, **case.arguments)
    assert type(y) is np.ndarray
    tensors = (from_data(x), from_data(weight), None if bias is None else from_data(bias))
    np.testing.assert_array_equal(function(*tensors, **case.arguments).numpy(), y)
    for layout in LAYOUTS:
        if layout != "broadcast":
            np.testing.assert_array_equal(function(with_layout(x, layout), weight, bias, **case.arguments), y)
            out = with_layout(np.full_like(y, np.nan), layout)
            assert function(x, weight, bias, **case.arguments, out=out) is out
            np.testing.assert_array_equal(out, y)


@settings(max_examples=40)
@given(case=cases(batches=(3,)), dtype=st.sampled_from(("float32", "bfloat16")), seed=seeds)
def test_bits_do_not_depend_on_the_batch(case: Case, dtype: str, seed: int) -> None:
    x, weight, bias = case.arrays(dtype, seed)
    whole = function_of(case)(x, weight, bias, **case.arguments)
    for i in range(3):
        one = function_of(case)(x[i : i + 1], weight, bias, **case.arguments)
        np.testing.assert_array_equal(one, whole[i : i + 1])


@settings(max_examples=40)
@given(case=cases(transposed=True, modes=("zeros",)), seed=seeds)
def test_output_size_chooses_output_padding(case: Case, seed: int) -> None:
    x, weight, bias = case.arrays("float32", seed)
    arguments = case.arguments
    spec = case.spec("float32")
    if any(extra >= stride for extra, stride in zip(case.output_padding, case.stride, strict=True)):
        return
    expected = function_of(case)(x, weight, bias, **arguments)
    del arguments["output_padding"]
    y = function_of(case)(x, weight, bias, **arguments, output_size=spec.output_size)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("size", [1, 5, 6, 7, 8])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_same_with_stride(size: int, stride: int, mode: str) -> None:
    """ceil(size / stride) windows of the array padded by TensorFlow's rule."""
    x = np.random.default_rng(0).standard_normal((1, 1, size)).astype(np.float32)
    weight = np.random.default_rng(1).standard_normal((1, 1, 3)).astype(np.float32)
    windows = -(-size // stride)
    total = max((windows - 1) * stride + 3 - size, 0)
    if mode == "reflect" and size <= total - total // 2:
        return
    numpy_mode = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}.get(mode, mode)
    padded = np.pad(x[0, 0], (total // 2, total - total // 2), numpy_mode)
    expected = [padded[i * stride : i * stride + 3] @ weight[0, 0] for i in range(windows)]
    y = functional.conv1d(x, weight, stride=stride, padding="same", padding_mode=mode)
    np.testing.assert_allclose(y[0, 0], expected, rtol=1e-5, atol=1e-6)


def test_causal_outputs_see_no_later_input() -> None:
    x = np.random.default_rng(0).standard_normal((1, 2, 12)).astype(np.float32)
    weight = np.random.default_rng(1).standard_normal((3, 2, 3)).astype(np.float32)
    y = functional.conv1d(x, weight, padding="causal", dilation=2)
    assert y.shape == (1, 3, 12)
    changed = x.copy()
    changed[..., 7:] = 9
    np.testing.assert_array_equal(
        functional.conv1d(changed, weight, padding="causal", dilation=2)[..., :7], y[..., :7]
    )


def test_a_mixed_call_gives_a_tensor() -> None:
    x, weight = np.ones((1, 1, 4), np.float32), np.ones((1, 1, 2), np.float32)
    assert isinstance(functional.conv1d(x, from_data(weight)), convforge.Tensor)
    assert isinstance(functional.conv1d(from_data(x), weight), convforge.Tensor)
    weight = from_data(weight).requires_grad_()
    functional.conv1d(x, weight).sum().backward()
    assert weight.grad.tolist() == [[[3.0, 3.0]]]


def test_out_cannot_be_recorded() -> None:
    x = from_data(np.ones((1, 1, 4), np.float32)).requires_grad_()
    weight, out = np.ones((1, 1, 2), np.float32), np.empty((1, 1, 3), np.float32)
    with pytest.raises(RuntimeError, match="out="):
        functional.conv1d(x, weight, out=out)
    with convforge.no_grad():
        functional.conv1d(x, weight, out=out)
    assert out.tolist() == [[[2, 2, 2]]]


def test_out_may_be_an_argument() -> None:
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    weight = np.ones((1, 1, 3, 3), np.float32)
    expected = functional.conv2d(x, weight, padding=1)
    functional.conv2d(x, weight, padding=1, out=x)
    np.testing.assert_array_equal(x, expected)


def test_odd_memory() -> None:
    """Fields of records, unaligned and foreign-endian arrays, subclasses: whatever NumPy can hold."""
    values = np.random.default_rng(0).standard_normal((1, 2, 5, 5)).astype(np.float32)
    weight = np.random.default_rng(1).standard_normal((3, 2, 3, 3)).astype(np.float32)
    expected = functional.conv2d(values, weight)
    records = np.zeros(values.shape, [("tag", "u1"), ("value", "f4")])
    records["value"] = values
    raw = np.zeros(values.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(np.float32).reshape(values.shape)
    unaligned[...] = values
    for odd in (records["value"], unaligned, values.astype(">f4"), values.view(np.memmap)):
        np.testing.assert_array_equal(functional.conv2d(odd, weight), expected)
    np.testing.assert_array_equal(functional.conv2d(values.astype(">f4"), weight.astype(">f4")), expected)


def test_changed_weights_are_seen() -> None:
    """Whatever is remembered between calls, the weights' present values count, however they were changed."""
    x, weight = np.ones((1, 1, 3), np.float32), np.ones((1, 1, 3), np.float32)
    assert functional.conv1d(x, weight).item() == 3
    weight[...] = 2
    assert functional.conv1d(x, weight).item() == 6
    layer = convforge.nn.Conv1d(1, 1, 3, bias=False)
    array = layer.weight.detach().numpy()
    for value in (1.0, 2.0):
        array[...] = value
        assert layer(from_data(x)).item() == 3 * value
        layer.weight.data.fill_(5 * value)
        assert layer(from_data(x)).item() == 15 * value
        layer.weight.data = from_data(np.full((1, 1, 3), 7 * value, np.float32))
        assert layer(from_data(x)).item() == 21 * value
        array = layer.weight.detach().numpy()


@pytest.mark.skipif(torch is None, reason="PyTorch is not installed")
@settings(max_examples=40)
@given(case=cases(modes=("zeros",), transposed=False, batches=(1, 2)), seed=seeds)
def test_float32_is_as_exact_as_pytorch(case: Case, seed: int) -> None:
    """‖y − y64‖ at most twice that of PyTorch's own fp32, up to a rounding."""
    x, weight, _ = case.arrays("float32", seed)
    spec = case.spec("float32")
    flat = [side for pair in reversed(case.padding) for side in pair]
    padded = torch.nn.functional.pad(torch.from_numpy(x), flat)
    function = getattr(torch.nn.functional, f"conv{case.rank}d")
    theirs = function(
        padded, torch.from_numpy(weight), None, case.stride, 0, case.dilation, case.groups
    ).numpy()
    exact = products(case, x, weight, None, np.zeros(spec.output_shape, np.float32)).output
    ours = function_of(case)(x, weight, **case.arguments)
    scale = np.linalg.norm(exact)
    assert np.linalg.norm(ours - exact) <= 2 * np.linalg.norm(theirs - exact) + 1e-7 * scale
    assert wide(ours).shape == exact.shape
