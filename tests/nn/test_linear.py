"""Linear, Bilinear, Flatten and Unflatten against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.beside_torch import compare, normal, our_functional, ours, same_error, same_text


@pytest.mark.parametrize("lead", [(), (4,), (2, 3), (2, 3, 2), (0,), (2, 0)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(lead: tuple[int, ...], bias: bool) -> None:
    extra = [normal(3, seed=2)] if bias else []
    compare(lambda F, x, w, *b: F.linear(x, w, *b), normal(*lead, 5), normal(3, 5, seed=1), *extra)


def test_linear_with_a_vector() -> None:
    compare(lambda F, x, w: F.linear(x, w), normal(4, 5), normal(5, seed=1))


def test_bilinear() -> None:
    compare(
        lambda F, x, y, w, b: F.bilinear(x, y, w, b),
        normal(2, 3, 4),
        normal(2, 3, 5, seed=1),
        normal(6, 4, 5, seed=2),
        normal(6, seed=3),
    )


def test_same_seed_same_weights() -> None:
    torch = pytest.importorskip("torch")
    for make in (lambda nn: nn.Linear(7, 5), lambda nn: nn.Linear(300, 20), lambda nn: nn.Bilinear(3, 4, 5)):
        ours.manual_seed(3)
        torch.manual_seed(3)
        mine, expected = make(ours.nn), make(torch.nn)
        for key, value in expected.state_dict().items():
            np.testing.assert_array_equal(mine.state_dict()[key].numpy(), value.numpy())


@pytest.mark.parametrize(
    "text",
    [
        "Linear(2, 3)",
        "Linear(2, 3, bias=False)",
        "Bilinear(2, 3, 4)",
        "Flatten()",
        "Flatten(0, 2)",
        "Unflatten(1, (2, 3))",
    ],
)
def test_layers_print(text: str) -> None:
    same_text(lambda nn: eval(f"nn.{text}", {"nn": nn}))


def test_lazy_linear() -> None:
    layer = ours.nn.LazyLinear(4)
    assert layer(ours.zeros(2, 7)).shape == (2, 4)
    assert type(layer) is ours.nn.Linear
    assert layer.weight.shape == (4, 7)


def test_flatten_and_back() -> None:
    x = ours.from_numpy(normal(2, 3, 4, 5))
    flat = ours.nn.Flatten()(x)
    assert flat.shape == (2, 60)
    assert (ours.nn.Unflatten(1, (3, 4, 5))(flat) == x).all()


def test_a_small_net_learns() -> None:
    ours.manual_seed(0)
    nn = ours.nn
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 2),
    )
    x = ours.from_numpy(normal(32, 1, 8, 8, dtype="float32"))
    target = (x.mean([1, 2, 3]) > 0).to(ours.int64)
    optimizer, loss_of = ours.optim.SGD(net.parameters(), lr=0.1), nn.CrossEntropyLoss()
    losses: list[float] = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = loss_of(net(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_plain_arrays() -> None:
    assert type(our_functional.linear(normal(2, 3), normal(4, 3))) is np.ndarray


@pytest.mark.parametrize(
    "call",
    [
        lambda root, F: F.linear(root.zeros(2, 3), root.zeros(4, 5)),
        lambda root, F: F.linear(root.zeros(2, 3), root.zeros(4, 3, dtype=root.float64)),
        lambda root, F: F.linear(root.zeros(2, 3), root.zeros(4, 3), root.zeros(5)),
        lambda root, F: root.nn.Linear(-1, 3),
        lambda root, F: root.nn.Bilinear(0, 3, 2),
        lambda root, F: root.nn.Unflatten(1, 3),
        lambda root, F: root.nn.Unflatten(1, (2.0, 3)),
        lambda root, F: root.nn.Unflatten(1, (2, 3))(root.zeros(1, 5)),
    ],
)
def test_errors(call: Any) -> None:
    same_error(call)
