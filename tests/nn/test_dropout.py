"""Dropout against PyTorch: the same seed drops the same elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import convforge
from convforge.nn import functional as F
from support.beside_torch import normal, our_functional, ours, same_error, same_text

FORMS = [
    ("dropout", (3, 40)),
    ("dropout", (500,)),
    ("alpha_dropout", (3, 40)),
    ("feature_alpha_dropout", (4, 9, 3)),
    ("dropout1d", (4, 9, 3)),
    ("dropout1d", (9, 3)),
    ("dropout2d", (4, 9, 3, 2)),
    ("dropout3d", (4, 9, 3, 2, 2)),
    ("dropout3d", (9, 3, 2, 2)),
]


@pytest.mark.parametrize(("name", "shape"), FORMS)
@pytest.mark.parametrize("p", [0.2, 0.5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_numbers(name: str, shape: tuple[int, ...], p: float, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    x = normal(*shape, dtype=dtype)
    ours.manual_seed(11)
    torch.manual_seed(11)
    leaf = ours.from_numpy(x.copy()).requires_grad_()
    mine = getattr(our_functional, name)(leaf, p, True)
    expected = getattr(torch.nn.functional, name)(torch.from_numpy(x.copy()), p, True)
    np.testing.assert_allclose(mine.detach().numpy(), expected.numpy(), rtol=1e-6, atol=1e-7)
    mine.sum().backward()
    if "alpha" not in name:
        np.testing.assert_allclose(leaf.grad.numpy() * x, mine.detach().numpy(), rtol=1e-6)


def test_edges() -> None:
    x = ours.from_numpy(normal(5, 4))
    assert our_functional.dropout(x, 0.5, training=False) is x
    assert our_functional.dropout(x, 1.0).abs().sum().item() == 0
    assert (our_functional.dropout(x, 0.0) == x).all()
    kept = our_functional.dropout(x, 0.5, inplace=True)
    assert kept is x


def test_evaluation_does_nothing() -> None:
    x = ours.from_numpy(normal(5, 4))
    layer = ours.nn.Dropout(0.9).eval()
    assert (layer(x) == x).all()


@pytest.mark.filterwarnings("ignore:dropout2d:UserWarning")
def test_dropout2d_takes_three_dimensions_as_channels_first() -> None:
    y = our_functional.dropout2d(ours.ones(3, 50, 4)).numpy()
    assert ((y == 0).all(axis=2) | (y == 2).all(axis=2)).all()


@pytest.mark.parametrize(
    "text",
    [
        "Dropout()",
        "Dropout(0.2, inplace=True)",
        "Dropout1d()",
        "Dropout2d()",
        "Dropout3d(0.1)",
        "AlphaDropout()",
    ],
)
def test_layers_print(text: str) -> None:
    same_text(lambda nn: eval(f"nn.{text}", {"nn": nn}))


@pytest.mark.parametrize(
    "call",
    [
        lambda root, F: F.dropout(root.zeros(2), 1.5),
        lambda root, F: F.dropout(root.zeros(2), -0.1),
        lambda root, F: F.dropout1d(root.zeros(2)),
        lambda root, F: root.nn.Dropout(2),
    ],
)
def test_errors(call: Any) -> None:
    same_error(call)


def test_draws_go_in_the_order_of_memory():
    convforge.manual_seed(0)
    straight = F.dropout(convforge.ones(6, 4), 0.5)
    convforge.manual_seed(0)
    turned = F.dropout(convforge.ones(6, 4).t(), 0.5)
    assert turned.t().tolist() == straight.tolist()
