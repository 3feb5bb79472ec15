"""`precision` of layers and functions: who asks for what, and when it changes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import convforge
from convforge import autograd, nn, plan
from convforge.autograd.tensor import from_data
from convforge.nn import functional, grad
from convforge.plan import planner
from convforge.plan.direct import gather as direct
from support.precisions import Asked, DoublingFamily, record_requests

LAYERS: dict[str, Callable[..., Any]] = {
    "Conv1d": nn.Conv1d,
    "Conv2d": nn.Conv2d,
    "Conv3d": nn.Conv3d,
    "ConvTranspose1d": nn.ConvTranspose1d,
    "ConvTranspose2d": nn.ConvTranspose2d,
    "ConvTranspose3d": nn.ConvTranspose3d,
}
LAZY: dict[str, Callable[..., Any]] = {
    "LazyConv1d": nn.LazyConv1d,
    "LazyConv2d": nn.LazyConv2d,
    "LazyConv3d": nn.LazyConv3d,
    "LazyConvTranspose1d": nn.LazyConvTranspose1d,
    "LazyConvTranspose2d": nn.LazyConvTranspose2d,
    "LazyConvTranspose3d": nn.LazyConvTranspose3d,
}


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    plan.clear_plans()
    yield
    plan.clear_plans()
    convforge.set_float32_matmul_precision("highest")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return record_requests(monkeypatch)


def precisions(asked: Asked) -> set[str]:
    """What was asked for since the last look; forgets plans, so that the next call asks again."""
    found = {precision for _, _, precision in asked}
    asked.clear()
    plan.clear_plans()
    return found


def image(name: str, channels: int = 3) -> Any:
    return from_data(np.ones((2, channels, *(7,) * int(name[-2])), np.float32))


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_asks_for_its_own_forward_and_backward(name: str, asked: Asked) -> None:
    layer = LAYERS[name](3, 4, 3, precision="high")
    x = image(name).requires_grad_()
    y = layer(x)
    assert precisions(asked) == {"high"}
    with convforge.precision("medium"):
        (first,) = autograd.grad(y.sum(), [x], create_graph=True)
        assert precisions(asked) == {"high"}
        (first * first).sum().backward()
    assert precisions(asked) == {"high"}


@pytest.mark.parametrize("name", LAYERS)
def test_without_its_own_what_is_in_force_when_each_runs(name: str, asked: Asked) -> None:
    layer = LAYERS[name](3, 4, 3)
    x = image(name).requires_grad_()
    with convforge.precision("high"):
        y = layer(x)
    assert precisions(asked) == {"high"}
    convforge.set_float32_matmul_precision("medium")
    y.sum().backward()
    assert ("grad_weight", "float32", "medium") in asked
    assert precisions(asked) == {"medium"}


@pytest.mark.parametrize("name", LAZY)
def test_a_lazy_layer_keeps_it(name: str, asked: Asked) -> None:
    layer = LAZY[name](4, 3, precision="high")
    assert "precision=high" in repr(layer)
    with convforge.no_grad():
        layer(image(name))
    assert layer.precision == "high"
    assert type(layer).__name__ == name.removeprefix("Lazy")
    assert precisions(asked) == {"high"}


def test_a_change_holds_from_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever changes it, and with packed weights kept from before. Two families: with more of them "medium"
    may have bits of its own.
    """
    monkeypatch.setattr(planner, "FAMILIES", (DoublingFamily("high"), direct))
    layer = nn.Conv2d(3, 4, 3).requires_grad_(False)
    x = image("Conv2d")
    plain = layer(x).numpy()

    def factor() -> float:
        y = layer(x).numpy()
        return 1 if np.array_equal(y, plain) else 2 if np.array_equal(y, 2 * plain) else np.nan

    for _ in range(3):
        assert factor() == 1
        convforge.set_float32_matmul_precision("high")
        assert factor() == 2
        with convforge.precision("medium"):
            assert factor() == 1
            layer.precision = "high"
            assert factor() == 2
            layer.precision = None
            assert factor() == 1
        assert factor() == 2
        layer.precision = "highest"
        assert factor() == 1
        layer.precision = None
        convforge.set_float32_matmul_precision("highest")
    with convforge.precision("high"):
        layer.weight.numpy()[...] *= 2
        layer.bias.numpy()[...] *= 2
        np.testing.assert_array_equal(layer(x).numpy(), 4 * plain)
    np.testing.assert_array_equal(layer(x).numpy(), 2 * plain)


@pytest.mark.parametrize("name", LAYERS)
def test_other_values_are_refused(name: str) -> None:
    with pytest.raises(RuntimeError, match=r"precision \(='double'\) must be one of"):
        LAYERS[name](3, 4, 3, precision="double")
    layer = LAYERS[name](3, 4, 3, precision="high")
    with pytest.raises(RuntimeError, match=r"precision \(=3\) must be one of"):
        layer.precision = 3
    assert layer.precision == "high"


@pytest.mark.parametrize("name", [*LAYERS, *LAZY])
def test_it_is_a_keyword_beyond_pytorch_and_shown_only_where_given(name: str) -> None:
    make = (LAYERS | LAZY)[name]
    sizes = (4, 3) if name in LAZY else (3, 4, 3)
    plain, high = make(*sizes), make(*sizes, precision="high")
    assert plain.precision is None
    assert "precision" not in repr(plain)
    assert repr(high) == repr(plain)[:-1] + ", precision=high)"
    assert list(high.state_dict()) == list(plain.state_dict())
    with pytest.raises(TypeError):
        make(*sizes, *(1, 0, 1, 1, True, "zeros", None, None, "high", "high"))


def test_state_dicts_do_not_carry_it() -> None:
    layer, high = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3, precision="high")
    layer.load_state_dict(high.state_dict())
    assert layer.precision is None
    high.load_state_dict(layer.state_dict())
    assert high.precision == "high"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_keep_it(again: Callable[[Any], Any], asked: Asked) -> None:
    layer = nn.Conv2d(3, 4, 3, precision="high")
    layer(image("Conv2d"))
    precisions(asked)
    other = again(layer)
    assert other.precision == "high"
    other(image("Conv2d"))
    assert precisions(asked) == {"high"}


def test_a_layer_pickled_before_there_was_a_precision() -> None:
    state = nn.Conv2d(3, 4, 3).__getstate__()
    del state["precision"]
    layer = nn.Conv2d.__new__(nn.Conv2d)
    layer.__setstate__(state)
    assert layer.precision is None
    assert layer(image("Conv2d")).shape == (2, 4, 5, 5)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_functions(rank: int, transposed: bool, asked: Asked) -> None:
    convolve = getattr(functional, f"conv_transpose{rank}d" if transposed else f"conv{rank}d")
    x, weight = image(f"{rank}d").requires_grad_(), from_data(np.ones((3, 3, *(3,) * rank), np.float32))
    y = convolve(x, weight.requires_grad_(), precision="medium")
    y.sum().backward()
    assert precisions(asked) == {"medium"}
    convolve(x.detach().numpy(), weight.detach().numpy())
    assert precisions(asked) == {"highest"}
    with convforge.precision("high"):
        convolve(x.detach().numpy(), weight.detach().numpy())
        assert precisions(asked) == {"high"}
        convolve(x.detach().numpy().astype(np.float64), weight.detach().numpy().astype(np.float64))
        assert precisions(asked) == {"highest"}
    for wrong in ("low", 1, ["high"]):
        with pytest.raises(RuntimeError, match=r"precision \(=.*\) must be one of"):
            convolve(x, weight, precision=wrong)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_gradient_functions(rank: int, asked: Asked) -> None:
    by_input, by_weight = getattr(grad, f"conv{rank}d_input"), getattr(grad, f"conv{rank}d_weight")
    x, weight = np.ones((2, 3, *(7,) * rank), np.float32), np.ones((4, 3, *(3,) * rank), np.float32)
    gradient = np.ones((2, 4, *(5,) * rank), np.float32)
    for call in (
        lambda **keywords: by_input(x.shape, weight, gradient, **keywords),
        lambda **keywords: by_weight(x, weight.shape, gradient, **keywords),
        lambda **keywords: by_input(x.shape[1:], weight, gradient[0], **keywords),
        lambda **keywords: by_weight(x[0], weight.shape, gradient[0], **keywords),
    ):
        call(precision="high")
        assert precisions(asked) == {"high"}
        with convforge.precision("medium"):
            call()
        assert precisions(asked) == {"medium"}
        with pytest.raises(RuntimeError, match=r"precision \(='low'\) must be one of"):
            call(precision="low")
