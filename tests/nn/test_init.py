"""The initialisers: PyTorch's weights from PyTorch's seed; and what they promise, without PyTorch."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import convforge
from convforge.autograd import random
from convforge.autograd.tensor import from_data
from convforge.nn import init

try:
    import torch
except ImportError:
    torch = None

UNIFORM, NORMAL, QR = 0.0, 1e-6, 1e-5
CASES = [
    ("uniform_", (-0.2, 0.3), UNIFORM, [(3, 4), (70, 9), (5,)]),
    ("normal_", (0.1, 0.3), NORMAL, [(3, 4), (70, 9), (5,)]),
    ("trunc_normal_", (), NORMAL, [(3, 4), (70, 9)]),
    ("trunc_normal_", (0.0, 0.02), NORMAL, [(64, 9)]),
    ("trunc_normal_", (0.0, 1.0, 1.5, 4.0), NORMAL, [(3, 4), (70, 9)]),
    ("trunc_normal_", (0.5, 1.0, -0.1, 0.1), NORMAL, [(64, 9)]),
    ("constant_", (0.3,), UNIFORM, [(3,), ()]),
    ("ones_", (), UNIFORM, [(3, 2)]),
    ("zeros_", (), UNIFORM, [(3, 2)]),
    ("eye_", (), UNIFORM, [(3, 4), (5, 3), (4, 4), (0, 3)]),
    ("dirac_", (), UNIFORM, [(4, 3, 3), (4, 2, 5, 5), (6, 8, 2, 3, 4)]),
    ("dirac_", (2,), UNIFORM, [(4, 3, 3), (4, 2, 5, 5), (6, 8, 2, 3, 4)]),
    ("xavier_uniform_", (), UNIFORM, [(3, 4), (8, 4, 3, 3)]),
    ("xavier_normal_", (2.0,), NORMAL, [(3, 4), (8, 4, 3, 3)]),
    ("kaiming_uniform_", (math.sqrt(5),), UNIFORM, [(3, 4), (8, 4, 3, 3)]),
    ("kaiming_uniform_", (0, "fan_out", "selu"), UNIFORM, [(8, 4, 3)]),
    ("kaiming_normal_", (0, "fan_out", "relu"), NORMAL, [(3, 4), (8, 4, 3, 3)]),
    ("orthogonal_", (), QR, [(3, 4), (8, 4, 3, 3), (20, 7), (5, 5), (0, 3)]),
    ("orthogonal_", (1.5,), QR, [(3, 4)]),
    ("sparse_", (0.3,), NORMAL, [(10, 7), (3, 4)]),
]
FLAT = [
    (name, arguments, tolerance, shape) for name, arguments, tolerance, shapes in CASES for shape in shapes
]


@pytest.mark.skipif(torch is None, reason="compares with PyTorch")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "arguments", "tolerance", "shape"), FLAT)
def test_same_seed_same_weights(name, arguments, tolerance, shape, dtype):
    torch.manual_seed(5)
    expected = getattr(torch.nn.init, name)(
        torch.zeros(shape, dtype=getattr(torch, dtype)), *arguments
    ).numpy()
    random.manual_seed(5)
    array = np.zeros(shape, dtype)
    tensor = from_data(array)
    assert getattr(init, name)(tensor, *arguments) is tensor
    np.testing.assert_allclose(array, expected, rtol=tolerance, atol=tolerance)
    # The stream goes on where PyTorch's does.
    assert random.uniform_(np.empty(1, np.float32))[0] == torch.rand(1).item()


@pytest.mark.skipif(torch is None, reason="compares with PyTorch")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("arguments", [(), (0.0, 1.0, 1.5, 4.0)])
def test_truncated_numbers_of_16_bits(dtype, arguments):
    import ml_dtypes

    torch.manual_seed(5)
    expected = torch.nn.init.trunc_normal_(torch.empty(300, dtype=getattr(torch, dtype)), *arguments)
    random.manual_seed(5)
    array = np.empty(300, ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    init.trunc_normal_(array, *arguments)
    np.testing.assert_allclose(array.astype(np.float32), expected.float().numpy(), rtol=1.6e-2)


@pytest.mark.skipif(torch is None, reason="compares with PyTorch")
@pytest.mark.parametrize("name", [*init._GAINS, "leaky_relu"])
def test_gains(name):
    assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert init.calculate_gain(name, 0.2) == torch.nn.init.calculate_gain(name, 0.2)


def test_arrays_are_taken_as_they_are():
    array = np.empty((3, 4), np.float32)[:, ::2]
    assert init.ones_(array) is array
    assert (array == 1).all()
    generator = random.Generator().manual_seed(1)
    first = init.kaiming_normal_(np.empty((4, 4)), generator=generator)
    again = init.kaiming_normal_(np.empty((4, 4)), generator=generator.manual_seed(1))
    assert np.array_equal(first, again)


def test_a_parameter_is_filled_off_the_tape():
    tensor = from_data(np.empty((2, 3), np.float32)).requires_grad_()
    init.xavier_uniform_(tensor)
    assert tensor.requires_grad
    assert tensor.is_leaf
    assert tensor._version == 1


@pytest.mark.parametrize("shape", [(3, 8), (8, 3), (4, 2, 3, 3)])
def test_orthogonal(shape):
    matrix = init.orthogonal_(np.empty(shape), gain=2.0).reshape(shape[0], -1)
    product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


def test_truncated_numbers_stay_inside():
    for a, b in ((-2, 2), (0.1, 0.2), (1.5, 9)):
        array = init.trunc_normal_(np.empty(5000, np.float32), 0, 1, a, b)
        assert np.float32(a) <= array.min()
        assert array.max() <= np.float32(b)


def test_sparse_columns():
    array = init.sparse_(np.empty((10, 6)), 0.25)
    assert (array == 0).sum(axis=0).tolist() == [3] * 6


def test_dirac_hands_its_input_on():
    from convforge.nn.functional.conv import conv2d

    x = np.random.default_rng(0).normal(size=(1, 6, 5, 5)).astype(np.float32)
    weight = init.dirac_(np.empty((6, 2, 3, 3), np.float32), groups=3)
    assert np.array_equal(conv2d(x, weight, padding=1, groups=3), x)


def test_fans():
    assert init._calculate_fan_in_and_fan_out(np.empty((8, 4, 3, 3))) == (36, 72)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: init.calculate_gain("gelu"), ValueError, "Unsupported nonlinearity gelu"),
        (lambda: init.calculate_gain("leaky_relu", "a"), ValueError, "negative_slope a not a valid number"),
        (lambda: init.calculate_gain("leaky_relu", True), ValueError, "negative_slope True"),
        (lambda: init.eye_(np.empty(3)), ValueError, r"Only tensors with 2 dimensions .* \(3,\)"),
        (lambda: init.dirac_(np.empty((3, 3))), ValueError, "Only tensors with 3, 4, or 5 dimensions"),
        (lambda: init.dirac_(np.empty((3, 3, 3)), 2), ValueError, "dim 0 must be divisible by groups"),
        (lambda: init.dirac_(np.empty((3, 3, 3)), 0), ValueError, r"groups \(=0\)"),
        (lambda: init.xavier_normal_(np.empty(3)), ValueError, "Fan in and fan out can not be computed"),
        (lambda: init.kaiming_normal_(np.empty((3, 3)), mode="fan"), ValueError, "Mode fan not supported"),
        (lambda: init.orthogonal_(np.empty(3)), ValueError, "Only tensors with 2 or more dimensions"),
        (lambda: init.orthogonal_(np.empty((3, 3), np.float16)), NotImplementedError, "geqrf_cpu"),
        (lambda: init.sparse_(np.empty(3), 0.1), ValueError, "Only tensors with 2 dimensions"),
        (lambda: init.normal_([1.0]), TypeError, "must be a Tensor or a NumPy array, not list"),
        (lambda: init.normal_(np.empty(3), std=-1.0), RuntimeError, "std >= 0.0"),
    ],
)
def test_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_warnings():
    with pytest.warns(UserWarning, match="zero-element tensors is a no-op"):
        init.kaiming_uniform_(np.empty((0, 3)))
    with pytest.warns(UserWarning, match="mean is more than 2 std"):
        init.trunc_normal_(np.empty(3), 10.0, 1.0, -2.0, 2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        init.orthogonal_(np.empty((0, 3)))


@pytest.mark.parametrize("name", ["xavier_normal", "kaiming_uniform", "uniform", "orthogonal"])
def test_old_names_warn(name):
    convforge.manual_seed(0)
    expected = getattr(init, f"{name}_")(convforge.empty(3, 4)).tolist()
    convforge.manual_seed(0)
    with pytest.warns(
        FutureWarning, match=rf"`nn.init.{name}` is now deprecated in favor of `nn.init.{name}_`"
    ):
        filled = getattr(init, name)(convforge.empty(3, 4))
    assert filled.tolist() == expected
