"""Conv1d … ConvTranspose3d and their lazy forms: attributes, representation, weights, state, errors."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import convforge
from convforge import nn
from support.torch_oracle import torch

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed")

# What PyTorch takes too, with what it prints between the parentheses.
LAYERS = {
    "Conv1d(4, 6, 3)": ("4, 6, kernel_size=(3,), stride=(1,)"),
    "Conv1d(4, 6, [3], padding='same', dilation=2)": (
        "4, 6, kernel_size=(3,), stride=(1,), padding=same, dilation=(2,)"
    ),
    "Conv2d(4, 6, 3, stride=2, padding=1)": ("4, 6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1)"),
    "Conv2d(4, 6, (3, 5), padding=(4, 2), dilation=(3, 1))": (
        "4, 6, kernel_size=(3, 5), stride=(1, 1), padding=(4, 2), dilation=(3, 1)"
    ),
    "Conv2d(4, 6, 3, groups=2, bias=False)": (
        "4, 6, kernel_size=(3, 3), stride=(1, 1), groups=2, bias=False"
    ),
    "Conv2d(4, 6, 4, padding='same', padding_mode='circular')": (
        "4, 6, kernel_size=(4, 4), stride=(1, 1), padding=same, padding_mode=circular"
    ),
    "Conv2d(4, 6, 3, 1, 1, 1, 1, False, 'reflect')": (
        "4, 6, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False, padding_mode=reflect"
    ),
    "Conv2d(4, 6, 3, padding='valid')": ("4, 6, kernel_size=(3, 3), stride=(1, 1), padding=valid"),
    "Conv3d(4, 6, (1, 2, 3), stride=(2, 1, 1))": ("4, 6, kernel_size=(1, 2, 3), stride=(2, 1, 1)"),
    "ConvTranspose1d(4, 6, 3, stride=2)": ("4, 6, kernel_size=(3,), stride=(2,)"),
    "ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, False, 2)": (
        "4, 6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), dilation=(2, 2), output_padding=(1, 1), "
        "groups=2, bias=False"
    ),
    "ConvTranspose3d(4, 6, 2, padding=(0, 1, 0))": (
        "4, 6, kernel_size=(2, 2, 2), stride=(1, 1, 1), padding=(0, 1, 0)"
    ),
    "Conv2d(4, 6, 3, dtype={lib}.float64)": ("4, 6, kernel_size=(3, 3), stride=(1, 1)"),
    "Conv2d(4, 6, 3, dtype={lib}.bfloat16, device='cpu')": ("4, 6, kernel_size=(3, 3), stride=(1, 1)"),
}
LAZY = {
    "LazyConv1d(6, 3)": ("0, 6, kernel_size=(3,), stride=(1,)"),
    "LazyConv2d(6, 3, 2, 1, 1, 2, False)": (
        "0, 6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), groups=2, bias=False"
    ),
    "LazyConv3d(6, 3, bias=True)": ("0, 6, kernel_size=(3, 3, 3), stride=(1, 1, 1)"),
    "LazyConvTranspose1d(6, 3, 2, output_padding=1)": (
        "0, 6, kernel_size=(3,), stride=(2,), output_padding=(1,)"
    ),
    "LazyConvTranspose2d(6, 3, dilation=2)": ("0, 6, kernel_size=(3, 3), stride=(1, 1), dilation=(2, 2)"),
    "LazyConvTranspose3d(6, 3)": ("0, 6, kernel_size=(3, 3, 3), stride=(1, 1, 1)"),
}
ATTRIBUTES = (
    "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "transposed",
    "output_padding", "groups", "padding_mode", "_reversed_padding_repeated_twice",
)  # fmt: skip


def ours(expression: str) -> Any:
    return eval(f"nn.{expression}".replace("{lib}", "convforge"), {"nn": nn, "convforge": convforge})


def theirs(expression: str) -> Any:
    return eval(f"torch.nn.{expression}".replace("{lib}", "torch"), {"torch": torch})


def rank_of(layer: Any) -> int:
    return len(layer.kernel_size)


def image(layer: Any, channels: int = 4) -> np.ndarray[Any, Any]:
    shape = (2, channels, *range(9, 9 + rank_of(layer)))
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def array(tensor: Any) -> np.ndarray[Any, Any]:
    return tensor.detach().double().numpy()


@pytest.mark.parametrize(("expression", "printed"), [*LAYERS.items(), *LAZY.items()])
def test_printed(expression: str, printed: str) -> None:
    name = expression.partition("(")[0]
    assert repr(ours(expression)) == f"{name}({printed})"
    if torch is not None:
        assert repr(theirs(expression)) == f"{name}({printed})"


@needs_torch
@pytest.mark.parametrize("expression", LAYERS)
def test_attributes_and_weights_are_pytorchs(expression: str) -> None:
    """The same seed, the same weights, bit for bit."""
    convforge.manual_seed(7)
    torch.manual_seed(7)
    layer, twin = ours(expression), theirs(expression)
    for name in ATTRIBUTES:
        assert getattr(layer, name) == getattr(twin, name), name
    assert list(layer.state_dict()) == list(twin.state_dict())
    for (name, mine), (other_name, other) in zip(
        layer.named_parameters(), twin.named_parameters(), strict=True
    ):
        assert name == other_name
        assert str(mine.dtype) == str(other.dtype)
        assert mine.requires_grad
        np.testing.assert_array_equal(array(mine), array(other))


@needs_torch
@pytest.mark.parametrize("expression", LAYERS)
def test_outputs_and_states_both_ways(expression: str) -> None:
    layer, twin = ours(expression).double(), theirs(expression).double()
    x = image(layer).astype(np.float64)
    layer.load_state_dict(
        {name: convforge.from_numpy(each.numpy()) for name, each in twin.state_dict().items()}
    )
    np.testing.assert_allclose(
        array(layer(convforge.from_numpy(x))), array(twin(torch.from_numpy(x))), atol=1e-13
    )
    other = ours(expression).double()
    twin.load_state_dict({name: torch.from_numpy(each.numpy()) for name, each in other.state_dict().items()})
    np.testing.assert_allclose(
        array(other(convforge.from_numpy(x))), array(twin(torch.from_numpy(x))), atol=1e-13
    )
    unbatched = other(convforge.from_numpy(x[0]))
    np.testing.assert_allclose(array(unbatched), array(twin(torch.from_numpy(x[0]))), atol=1e-13)


@pytest.mark.parametrize("expression", LAZY)
def test_lazy_layers_learn_their_channels(expression: str) -> None:
    convforge.manual_seed(3)
    layer = ours(expression)
    assert layer.has_uninitialized_params()
    x = image(layer)
    y = layer(convforge.from_numpy(x))
    assert type(layer).__name__ == expression.partition("(")[0].removeprefix("Lazy")
    assert layer.in_channels == 4
    assert y.shape[1] == 6
    convforge.manual_seed(3)
    eager = getattr(nn, type(layer).__name__)(
        4, 6, layer.kernel_size, layer.stride, layer.padding, groups=layer.groups, bias=layer.bias is not None
    )
    np.testing.assert_array_equal(array(layer.weight), array(eager.weight))
    assert repr(layer).startswith(f"{type(layer).__name__}(4, 6, ")


@needs_torch
@pytest.mark.parametrize("expression", LAZY)
def test_lazy_weights_are_pytorchs(expression: str) -> None:
    x = image(ours(expression))
    convforge.manual_seed(5)
    torch.manual_seed(5)
    layer, twin = ours(expression), theirs(expression)
    y, other = layer(convforge.from_numpy(x)), twin(torch.from_numpy(x))
    np.testing.assert_allclose(array(y), array(other), atol=1e-5)
    np.testing.assert_array_equal(array(layer.weight), array(twin.weight))


def test_lazy_layers_load_a_state_and_refuse_wrong_ranks() -> None:
    eager, lazy = nn.Conv2d(4, 6, 3), nn.LazyConv2d(6, 3)
    with pytest.raises(RuntimeError, match="LazyConv2d"):
        nn.LazyConv2d(6, 3)(convforge.zeros(7, 7))
    with pytest.raises(ValueError, match="groups"):
        nn.LazyConv2d(6, 3, groups=2)(convforge.zeros(1, 3, 7, 7))
    lazy.load_state_dict(eager.state_dict())
    x = convforge.from_numpy(image(eager))
    np.testing.assert_array_equal(array(lazy(x)), array(eager(x)))


@pytest.mark.parametrize(
    ("arguments", "padding", "flat"),
    [
        ({"padding": ((1, 2), (0, 3))}, ((1, 2), (0, 3)), [0, 3, 1, 2]),
        ({"padding": [[1, 2], 1]}, ((1, 2), (1, 1)), [1, 1, 1, 2]),
        ({"padding": "same", "stride": 2}, "same", [1, 1, 1, 1]),
        ({"padding": np.int64(1)}, (1, 1), [1, 1, 1, 1]),
    ],
)
def test_paddings_beyond_pytorchs(arguments: dict[str, Any], padding: Any, flat: list[int]) -> None:
    layer = nn.Conv2d(4, 6, 3, **arguments)
    assert layer.padding == padding
    assert list(layer._reversed_padding_repeated_twice) == flat
    assert f"padding={padding}" in repr(layer)
    x = convforge.from_numpy(image(layer))
    y = layer(x)
    expected = nn.functional.conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding)
    np.testing.assert_array_equal(array(y), array(expected))


def test_causal_layer() -> None:
    layer = nn.Conv1d(4, 6, 3, padding="causal", dilation=2)
    assert layer._reversed_padding_repeated_twice == [4, 0]
    assert layer(convforge.zeros(1, 4, 9)).shape == (1, 6, 9)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_transposed_layers_with_modes_are_adjoints(mode: str) -> None:
    """⟨conv(x), y⟩ = ⟨x, convᵀ(y)⟩ for the layers with the same weight and padding mode."""
    down = nn.Conv2d(4, 6, 3, stride=2, padding=1, padding_mode=mode, bias=False).double()
    up = nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, padding_mode=mode, bias=False).double()
    up.load_state_dict(down.state_dict())
    generator = np.random.default_rng(0)
    x = convforge.from_numpy(generator.standard_normal((2, 4, 9, 8)))
    y = down(x)
    g = convforge.from_numpy(generator.standard_normal(tuple(y.shape)))
    assert (y * g).sum().item() == pytest.approx((x * up(g, output_size=(9, 8))).sum().item())


def test_output_size() -> None:
    up = nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1)
    x = convforge.zeros(2, 4, 5, 5)
    assert up(x).shape == (2, 6, 9, 9)
    for size in ((10, 9), [10, 9], (2, 6, 10, 9), convforge.zeros(2, 6, 10, 9).shape):
        assert up(x, output_size=size).shape == (2, 6, 10, 9)
    assert up(x[0], output_size=(6, 10, 10)).shape == (6, 10, 10)
    with pytest.raises(ValueError, match=r"\[9, 9\] to \[10, 10\]"):
        up(x, output_size=(11, 9))


def test_changed_attributes_count() -> None:
    """The prepared convolution follows the attributes, as PyTorch's layers read theirs at every call."""
    layer = nn.Conv2d(4, 6, 3)
    x = convforge.from_numpy(image(layer))
    layer(x)
    layer.stride, layer.padding = (2, 2), (1, 1)
    expected = nn.functional.conv2d(x, layer.weight, layer.bias, 2, 1)
    np.testing.assert_array_equal(array(layer(x)), array(expected))
    layer.padding_mode = "circular"
    expected = nn.functional.conv2d(x, layer.weight, layer.bias, 2, 1, padding_mode="circular")
    np.testing.assert_array_equal(array(layer(x)), array(expected))


def test_copies_and_pickles() -> None:
    layer = nn.Conv2d(4, 6, 3, padding=1)
    x = convforge.from_numpy(image(layer))
    y = array(layer(x))
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(twin) == repr(layer)
        np.testing.assert_array_equal(array(twin(x)), y)
        twin.stride = (2, 2)
        assert twin(x).shape != layer(x).shape


def test_weights_computed_by_the_user() -> None:
    class Standardised(nn.Conv2d):
        def forward(self, input: Any) -> Any:
            return self._conv_forward(input, self.weight - self.weight.mean(), self.bias)

    layer = Standardised(4, 6, 3)
    x = convforge.ones(1, 4, 5, 5)
    expected = nn.functional.conv2d(x, layer.weight - layer.weight.mean(), layer.bias)
    np.testing.assert_array_equal(array(layer(x)), array(expected))
    plain = nn.Conv2d(4, 6, 3)
    doubled = plain.weight.detach() * 2
    del plain.weight
    plain.weight = doubled
    expected = nn.functional.conv2d(x, doubled, plain.bias)
    np.testing.assert_array_equal(array(plain(x)), array(expected))


def test_arrays_go_through_layers() -> None:
    layer = nn.Conv2d(4, 6, 3)
    x = image(layer)
    np.testing.assert_array_equal(array(layer(x)), array(layer(convforge.from_numpy(x))))


def test_every_shape_is_remembered_a_while() -> None:
    layer = nn.Conv1d(1, 1, 3)
    layer(convforge.zeros(1, 1, 300))
    before = convforge.runtime.cache_info()["loaded"]
    for length in range(3, 120):
        assert layer(convforge.zeros(1, 1, length)).shape == (1, 1, length - 2)
    assert len(layer._convolution._known) <= 64
    assert convforge.runtime.cache_info()["loaded"] - before <= 8, "a length does not compile for itself"


BAD = [
    ("Conv2d(4, 4, 3, groups=0)", ValueError),
    ("Conv2d(4, 4, 3, groups=-1)", ValueError),
    ("Conv2d(4, 6, 3, groups=3)", ValueError),
    ("Conv2d(6, 4, 3, groups=3)", ValueError),
    ("Conv2d(4, 4, 3, padding='foo')", ValueError),
    ("Conv2d(4, 4, 3, padding_mode='foo')", ValueError),
    ("Conv2d(4, 4, -1)", RuntimeError),
    ("Conv2d(-1, 4, 3)", RuntimeError),
    ("Conv2d(4, -1, 3)", RuntimeError),
    ("Conv2d(4, 4, 3.0)", TypeError),
    ("Conv2d(4.0, 4, 3)", TypeError),
    ("Conv2d(4, 4, 3, stride=0)", RuntimeError),
    ("Conv2d(4, 4, 3, stride=-1)", RuntimeError),
    ("Conv2d(4, 4, 3, stride=1.5)", TypeError),
    ("Conv2d(4, 4, 3, dilation=0)", RuntimeError),
    ("Conv2d(4, 4, 3, padding=-1)", RuntimeError),
    ("Conv2d(4, 4, 3, padding=(1, 1, 1))", RuntimeError),
    ("Conv2d(4, 4, 3, padding=[])", RuntimeError),
    ("Conv2d(4, 4, (3, 3, 3))", RuntimeError),
    ("Conv2d(4, 4, 3, padding=9, padding_mode='reflect')", RuntimeError),
    ("Conv2d(4, 4, 3, padding=10, padding_mode='circular')", RuntimeError),
    ("Conv2d(4, 4, 11)", RuntimeError),
    ("Conv2d(3, 4, 3)", RuntimeError),
    ("Conv2d(4, 4, 3, dtype={lib}.float64)", RuntimeError),
    ("Conv2d(4, 4, 3, dtype={lib}.int32)", RuntimeError),
    ("Conv1d(4, 4, 3)", RuntimeError),
    ("Conv3d(4, 4, 3)", RuntimeError),
    ("ConvTranspose2d(4, 4, 3, output_padding=1)", RuntimeError),
    ("ConvTranspose2d(4, 4, 3, output_padding=-1, stride=2)", RuntimeError),
    ("ConvTranspose2d(4, 4, 3, padding='same')", TypeError),
    ("ConvTranspose2d(4, 4, 3, padding=7)", RuntimeError),
]


@pytest.mark.parametrize(("expression", "error"), BAD)
def test_bad_layers_are_refused_when_made_or_called(expression: str, error: type[Exception]) -> None:
    x = np.zeros((1, 4, 9, 9), np.float32)
    with pytest.raises(error):
        ours(expression)(convforge.from_numpy(x))
    if torch is not None:
        with pytest.raises(error):
            theirs(expression)(torch.from_numpy(x))


@pytest.mark.parametrize("channels", [4, 96])
@pytest.mark.parametrize("layout", ["plain", "channels last"])
def test_kept_weights_are_those_that_are_there(channels: int, layout: str) -> None:
    """Layers keep packed weights between calls, small and large ones; any change of the memory counts."""
    layer = nn.Conv2d(channels, channels, 3, padding=1)
    if layout == "channels last":
        moved = np.ascontiguousarray(layer.weight.detach().numpy().transpose(0, 2, 3, 1))
        layer.weight.data = convforge.from_numpy(moved.transpose(0, 3, 1, 2))
    x = convforge.from_numpy(image(layer, channels))
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()

    def check() -> None:
        with convforge.no_grad():
            expected = nn.functional.conv2d(x, weight.copy(), bias.copy(), padding=1)
            for _ in range(2):
                np.testing.assert_array_equal(array(layer(x)), array(expected))

    check()
    weight[-1, -1, -1, -1] += 1
    check()
    bias[-1] += 1
    check()
    weight *= np.float32(-0.0)
    check()
    other = convforge.from_numpy(image(layer, channels)[..., :-2])
    with convforge.no_grad():
        layer(other)
    weight[0] = np.nan
    check()
