"""Activations against PyTorch: values, two gradients, in-place forms, printed structure, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.beside_torch import compare, distinct, normal, our_functional, ours, same_error, same_text

ELEMENTWISE = [
    "relu(x)",
    "relu6(x * 4)",
    "hardtanh(x)",
    "hardtanh(x, -0.3, 0.7)",
    "leaky_relu(x)",
    "leaky_relu(x, 0.2)",
    "hardsigmoid(x * 3)",
    "hardswish(x * 3)",
    "threshold(x, 0.1, 20.0)",
    "hardshrink(x)",
    "softshrink(x, 0.3)",
    "sigmoid(x)",
    "tanh(x)",
    "silu(x)",
    "mish(x)",
    "gelu(x)",
    "gelu(x, approximate='tanh')",
    "logsigmoid(x)",
    "softsign(x)",
    "tanhshrink(x)",
    "softplus(x)",
    "softplus(x, 2.0, 0.5)",
    "elu(x)",
    "elu(x, 0.7)",
    "selu(x)",
    "celu(x, 1.3)",
    "glu(x, 1)",
    "softmax(x, 1)",
    "log_softmax(x, -1)",
    "softmin(x, 0)",
]


def constants(text: str) -> str | None:
    """PyTorch has the constants of these in float32, for float64 too."""
    return "float32" if text.startswith(("hardsigmoid", "celu")) else None


def called(text: str) -> Any:
    code = compile(f"F.{text}", text, "eval")
    return lambda F, x: eval(code, {"F": F, "x": x})


@pytest.mark.parametrize("text", ELEMENTWISE)
def test_values_and_gradients(text: str) -> None:
    # PyTorch has no second derivative of hardsigmoid.
    compare(called(text), distinct(3, 8, 5), double="hardsigmoid" not in text, precision=constants(text))
    # As PyTorch, except that its float32 exp and tanh are an approximation of their own.
    compare(called(text), distinct(3, 8, 5, dtype="float32"), double=False)


@pytest.mark.parametrize("text", [t for t in ELEMENTWISE if not t.startswith(("soft", "log_", "glu"))])
def test_infinities_and_nan(text: str) -> None:
    torch = pytest.importorskip("torch")
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e30, -1e30, 1e-30])
    mine = called(text)(our_functional, ours.from_numpy(x)).numpy()
    expected = called(text)(torch.nn.functional, torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(mine, expected, rtol=1e-12)


INPLACE = [
    "relu",
    "relu6",
    "hardtanh",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "silu",
    "mish",
    "hardswish",
    "hardsigmoid",
]


@pytest.mark.parametrize("name", INPLACE)
def test_in_place(name: str) -> None:
    compare(
        lambda F, x: getattr(F, name)(x * 3, inplace=True),
        distinct(4, 6),
        double=False,
        precision=constants(name),
    )


def test_in_place_changes_the_memory_and_is_seen_by_the_tape() -> None:
    x = ours.from_numpy(np.array([-1.0, 2.0]))
    assert our_functional.relu(x, inplace=True) is x
    assert x.tolist() == [0.0, 2.0]
    leaf = ours.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        our_functional.relu(leaf, inplace=True)
    z = leaf.exp()
    out = z * z
    our_functional.relu_(z)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        out.sum().backward()


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4, 5)])
def test_prelu(shape: tuple[int, ...]) -> None:
    compare(lambda F, x, w: F.prelu(x, w), distinct(*shape), np.array([0.3]))
    if len(shape) >= 2:
        compare(lambda F, x, w: F.prelu(x, w), distinct(*shape), normal(3))


def test_plain_arrays() -> None:
    x = normal(3, 4, dtype="float32")
    result = our_functional.relu(x)
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, np.maximum(x, 0))
    assert type(our_functional.softmax(x, 1)) is np.ndarray


def test_empty() -> None:
    compare(lambda F, x: F.relu(x), np.zeros((0, 3)))
    compare(lambda F, x: F.softmax(x, 1), np.zeros((0, 3)))
    compare(lambda F, x: F.log_softmax(x, 0), np.zeros((3, 0)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    x = normal(64, dtype="float32")
    for name in ("relu", "silu", "gelu", "hardswish", "sigmoid"):
        mine = getattr(our_functional, name)(ours.from_numpy(x).to(getattr(ours, dtype)))
        expected = getattr(torch.nn.functional, name)(torch.from_numpy(x).to(getattr(torch, dtype)))
        assert str(mine.dtype) == str(expected.dtype)
        np.testing.assert_allclose(mine.float().numpy(), expected.float().numpy(), rtol=0.01, atol=1e-3)


LAYERS = [
    "ReLU()",
    "ReLU(inplace=True)",
    "ReLU6()",
    "ReLU6(inplace=True)",
    "LeakyReLU()",
    "LeakyReLU(0.2, inplace=True)",
    "Hardtanh()",
    "Hardtanh(-2, 2, True)",
    "PReLU()",
    "PReLU(3)",
    "ELU()",
    "ELU(0.5, True)",
    "CELU()",
    "SELU(True)",
    "GELU()",
    "GELU('tanh')",
    "SiLU()",
    "SiLU(True)",
    "Hardswish()",
    "Hardsigmoid()",
    "Sigmoid()",
    "Tanh()",
    "Softplus()",
    "Softplus(2, 10)",
    "Mish()",
    "Softmax()",
    "Softmax(1)",
    "LogSoftmax(1)",
    "Softmin(1)",
    "Softmax2d()",
    "Softsign()",
    "Tanhshrink()",
    "LogSigmoid()",
    "GLU()",
    "Threshold(1, 2)",
    "Hardshrink()",
    "Softshrink(0.2)",
]


@pytest.mark.parametrize("text", LAYERS)
def test_layers_print_and_compute(text: str) -> None:
    same_text(lambda nn: eval(f"nn.{text}", {"nn": nn}))
    torch = pytest.importorskip("torch")
    if text == "Softmax()":
        return
    x = distinct(2, 3, 4, 6, dtype="float32")
    mine = eval(f"nn.{text}", {"nn": ours.nn})(ours.from_numpy(x.copy()))
    expected = eval(f"nn.{text}", {"nn": torch.nn})(torch.from_numpy(x.copy()))
    np.testing.assert_allclose(mine.detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_softmax_without_dim_warns() -> None:
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax"):
        ours.nn.Softmax()(ours.zeros(2, 3))


@pytest.mark.parametrize(
    "call",
    [
        lambda root, F: F.hardtanh(root.zeros(2), 1.0, -1.0),
        lambda root, F: F.prelu(root.zeros(2, 3), root.zeros(2)),
        lambda root, F: F.celu(root.zeros(2), alpha=0.0),
        lambda root, F: F.glu(root.zeros(2, 3), 1),
        lambda root, F: F.gelu(root.zeros(2), approximate="best"),
        lambda root, F: F.softshrink(root.zeros(2), -1.0),
        lambda root, F: F.softmax(root.zeros(2, 3), 2),
        lambda root, F: F.softmax(root.ones(2, 3, dtype=root.int64), 1),
        lambda root, F: root.nn.Hardtanh(1.0, -1.0),
    ],
)
def test_errors(call: Any) -> None:
    same_error(call)
