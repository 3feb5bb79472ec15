"""Quantised layers against PyTorch's and against int64 sums; quantised models against their float ones."""

from __future__ import annotations

import copy
import importlib
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convforge as cf
from convforge import nn
from convforge.nn import quantized as qnn

LAYERS: dict[str, tuple[tuple[int, ...], tuple[Any, ...], dict[str, Any]]] = {
    "Conv1d": ((2, 16, 50), (16, 24, 5), {"padding": 2, "dilation": 2}),
    "Conv2d": ((2, 16, 11, 13), (16, 24, 3), {"padding": 1, "groups": 2}),
    "Conv3d": ((2, 4, 5, 6, 7), (4, 8, 3), {"padding": 1, "stride": 2}),
    "ConvReLU1d": ((2, 16, 50), (16, 24, 5), {"padding": 2, "bias": False}),
    "ConvReLU2d": ((2, 16, 11, 13), (16, 24, 3), {"stride": 2}),
    "ConvReLU3d": ((1, 4, 5, 6, 7), (4, 8, 3), {}),
    "ConvTranspose1d": ((2, 16, 20), (16, 8, 4), {"padding": 1, "stride": 2}),
    "ConvTranspose2d": ((2, 16, 6, 7), (16, 8, 4), {"padding": 1, "stride": 2}),
    "ConvTranspose3d": ((1, 4, 3, 4, 5), (4, 8, 3), {"stride": 2, "output_padding": 1}),
    "Linear": ((5, 64), (64, 10), {}),
    "LinearReLU": ((2, 3, 64), (64, 10), {}),
}
SCALE, ZERO = 0.07, 77


def bytes_of(
    x: np.ndarray[Any, Any], dtype: Any = cf.quint8, scale: float = 0.03, zero: int = 50
) -> cf.QTensor:
    return cf.quantize_per_tensor(cf.from_numpy(x.astype(np.float32)), scale, zero, dtype)


def layer(name: str, seed: int = 0) -> tuple[Any, cf.QTensor]:
    """A quantised layer with weights and bias, and an input of seven bits."""
    shape, arguments, keywords = LAYERS[name]
    generator = np.random.default_rng(seed)
    made = getattr(qnn, name)(*arguments, **keywords)
    values = cf.from_numpy((generator.standard_normal(made.weight().shape) * 0.1).astype(np.float32))
    outs = arguments[1]
    if "Transpose" in name:
        weight = cf.quantize_per_tensor(values, 0.003, 0, cf.qint8)
    else:
        scales = generator.uniform(0.001, 0.005, outs).astype(np.float32).astype(np.float64)
        weight = cf.quantize_per_channel(values, scales, np.zeros(outs, np.int64), 0, cf.qint8)
    bias = None if made.bias() is None else cf.from_numpy(generator.standard_normal(outs).astype(np.float32))
    made.set_weight_bias(weight, bias)
    made.scale, made.zero_point = SCALE, ZERO
    x = np.clip(generator.standard_normal(shape), -1.5, 2.3)
    return made, bytes_of(x)


@pytest.mark.parametrize("name", LAYERS)
def test_bytes_are_pytorchs(name: str) -> None:
    """With inputs of seven bits, as PyTorch's reduce_range has them: beyond, its AVX2 kernels saturate."""
    torch = pytest.importorskip("torch")
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        pytest.skip("this PyTorch has no FBGEMM")
    warnings.filterwarnings("ignore", message=".*quantized tensor creation functions.*")
    import torch.ao.nn.intrinsic.quantized
    import torch.ao.nn.quantized

    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = "fbgemm"
    mine, x = layer(name)
    assert x.int_repr().max() < 128
    _, arguments, keywords = LAYERS[name]
    room = torch.ao.nn.intrinsic.quantized if "ReLU" in name else torch.ao.nn.quantized
    theirs = getattr(room, name)(*arguments, **keywords)
    w = mine.weight()
    if w.axis is None:
        weight = torch._make_per_tensor_quantized_tensor(torch.from_numpy(w.ints), w.scale, 0)
    else:
        weight = torch._make_per_channel_quantized_tensor(
            torch.from_numpy(w.ints), torch.from_numpy(w.scale), torch.from_numpy(w.zero_point), 0
        )
    theirs.set_weight_bias(weight, None if mine.bias() is None else torch.from_numpy(mine.bias().numpy()))
    theirs.scale, theirs.zero_point = SCALE, ZERO
    expected = theirs(
        torch._make_per_tensor_quantized_tensor(torch.from_numpy(x.ints), x.scale, x.zero_point)
    )
    torch.backends.quantized.engine = before
    y = mine(x)
    assert (y.shape, y.scale, y.zero_point) == (tuple(expected.shape), SCALE, ZERO)
    np.testing.assert_array_equal(y.int_repr().numpy(), expected.int_repr().numpy())
    assert type(theirs)(*arguments, **keywords)._get_name() == mine._get_name()


@pytest.mark.parametrize("name", LAYERS)
def test_a_float_layer_quantised_is_near_it(name: str) -> None:
    """Signal to noise of random layers: eight bits in, in the weights and out leave at least 30 dB."""
    shape, arguments, keywords = LAYERS[name]
    cf.manual_seed(0)
    float_name = name.replace("ReLU", "")
    original = getattr(nn, float_name)(*arguments, **keywords)
    x = cf.randn(*shape)
    with cf.no_grad():
        y = original(x)
        y = y.relu() if "ReLU" in name else y
    observe = qnn.MinMaxObserver()
    observe(x)
    seen = qnn.MinMaxObserver()
    seen(y)
    scale, zero_point = seen.calculate_qparams()
    made = getattr(qnn, name).from_float(original, scale.item(), zero_point.item())
    result = made(observe.quantize(x)).dequantize()
    noise = float(((result - y) ** 2).mean())
    assert 10 * np.log10(float((y**2).mean()) / noise) > 30


@pytest.mark.parametrize("name", LAYERS)
def test_state_dicts_bring_all_of_it(name: str) -> None:
    first, x = layer(name)
    second, _ = layer(name, seed=1)
    state = first.state_dict()
    assert {"weight", "scale", "zero_point"} <= set(state)
    second.load_state_dict(state)
    for other in (second, copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
        np.testing.assert_array_equal(other(x).ints, first(x).ints)
        other.set_weight_bias(other.weight(), other.bias())
        np.testing.assert_array_equal(other(x).ints, first(x).ints)


def test_state_dicts_that_do_not_fit() -> None:
    first, _ = layer("Conv2d")
    state = first.state_dict()
    with pytest.raises(RuntimeError, match="Missing key"):
        first.load_state_dict({name: value for name, value in state.items() if name != "weight_scales"})
    with pytest.raises(RuntimeError, match="size mismatch for weight"):
        first.load_state_dict({**state, "weight": state["weight"][:, :1]})
    with pytest.raises(RuntimeError, match="Unexpected key"):
        first.load_state_dict({**state, "more": state["scale"]})


def test_new_weights_are_seen_and_a_new_scale_too() -> None:
    made, x = layer("Conv2d")
    before = made(x).ints.copy()
    made.scale = 2 * SCALE
    assert not np.array_equal(made(x).ints, before)
    made.scale = SCALE
    np.testing.assert_array_equal(made(x).ints, before)
    weight = made.weight()
    made.set_weight_bias(cf.QTensor(-weight.ints, weight.scale, weight.zero_point, cf.qint8, 0), made.bias())
    assert not np.array_equal(made(x).ints, before)


def test_inputs_without_batch_and_empty_ones() -> None:
    made, x = layer("Conv2d")
    np.testing.assert_array_equal(made(x.on_bytes(lambda t: t[0])).ints, made(x).ints[0])
    assert made(x.on_bytes(lambda t: t[:0])).shape == (0, 24, 11, 13)
    linear, rows = layer("Linear")
    np.testing.assert_array_equal(linear(rows.on_bytes(lambda t: t[0])).ints, linear(rows).ints[0])
    assert linear(rows.on_bytes(lambda t: t[:0])).shape == (0, 10)


def test_without_executable_memory_the_bytes_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    made, x = layer("Conv2d")
    y = made(x).ints.copy()
    linear, rows = layer("Linear")
    z = linear(rows).ints.copy()
    numbers = cf.randn(3, 50)
    expected = cf.quantize_per_tensor(numbers, 0.1, 3, cf.qint8).ints
    for room in ("quantized", "quantize"):
        monkeypatch.setattr(f"convforge.plan.dot.{room}.executable_memory_refused", lambda: True)
    np.testing.assert_array_equal(made(x).ints, y)
    np.testing.assert_array_equal(linear(rows).ints, z)
    np.testing.assert_array_equal(cf.quantize_per_tensor(numbers, 0.1, 3, cf.qint8).ints, expected)


def test_functions_are_the_layers() -> None:
    made, x = layer("Conv2d")
    F = qnn.functional
    y = F.conv2d(x, made.weight(), made.bias(), padding=1, groups=2, scale=SCALE, zero_point=ZERO)
    np.testing.assert_array_equal(y.ints, made(x).ints)
    linear, rows = layer("Linear")
    y = F.linear(rows, linear.weight(), linear.bias(), SCALE, ZERO)
    np.testing.assert_array_equal(y.ints, linear(rows).ints)


def test_padding_counts_as_the_zero_point() -> None:
    """An input that is 0 everywhere gives the bias everywhere, at the borders too."""
    for dtype, zero in ((cf.quint8, 0), (cf.quint8, 200), (cf.qint8, -128), (cf.qint8, 100)):
        made, _ = layer("Conv2d")
        x = bytes_of(np.zeros((1, 16, 9, 9)), dtype, 0.5, zero)
        y = made(x).ints
        assert (y == y[:, :, :1, :1]).all()


def test_errors_say_what_to_do() -> None:
    made, x = layer("Conv2d")
    with pytest.raises(TypeError, match=r"input must be a QTensor, not Tensor: use nn\.quantized\.Quantize"):
        made(cf.ones(1, 16, 9, 9))
    with pytest.raises(RuntimeError, match=r"weight has dtype torch\.quint8, but must have torch\.qint8"):
        made.set_weight_bias(bytes_of(np.ones((24, 8, 3, 3))), None)
    with pytest.raises(RuntimeError, match=r"zero point \(=3\) must be 0"):
        made.set_weight_bias(bytes_of(np.ones((24, 8, 3, 3)), cf.qint8, 1.0, 3), None)
    of_inputs = cf.quantize_per_channel(cf.ones(24, 8, 3, 3), np.ones(8), np.zeros(8, int), 1, cf.qint8)
    with pytest.raises(RuntimeError, match="output channels are axis 0"):
        made.set_weight_bias(of_inputs, None)
    with pytest.raises(RuntimeError, match="bias must be finite"):
        made.set_weight_bias(made.weight(), cf.full((24,), float("nan")))
    with pytest.raises(RuntimeError, match="expected input"):
        made(x.on_bytes(lambda t: t[:, :5]))
    made.scale = 0.0
    with pytest.raises(RuntimeError, match=r"scale \(=0.0\) must be a positive"):
        made(x)
    with pytest.raises(RuntimeError, match="64 features"):
        layer("Linear")[0](bytes_of(np.zeros((2, 5))))
    with pytest.raises(RuntimeError, match="qscheme"):
        qnn.MinMaxObserver(qscheme=cf.per_channel_affine)
    with pytest.raises(RuntimeError, match="infinities or NaN"):
        qnn.MinMaxObserver()(cf.tensor([float("inf")]))


@pytest.mark.parametrize("scheme", ["affine", "symmetric"])
@pytest.mark.parametrize("dtype", ["quint8", "qint8"])
def test_observers_choose_as_pytorchs(dtype: str, scheme: str) -> None:
    observers = pytest.importorskip("torch.ao.quantization")
    torch = pytest.importorskip("torch")
    for name, prefix in (("MinMaxObserver", "per_tensor"), ("PerChannelMinMaxObserver", "per_channel")):
        theirs, mine = (
            getattr(room, name)(dtype=getattr(names, dtype), qscheme=getattr(names, f"{prefix}_{scheme}"))
            for room, names in ((observers, torch), (qnn, cf))
        )
        for seed, shift in ((0, 0.0), (1, 3.0), (2, 9.0)):
            x = np.random.default_rng(seed).standard_normal((4, 50)).astype(np.float32) + np.float32(shift)
            theirs(torch.from_numpy(x))
            mine(cf.from_numpy(x))
            for a, b in zip(mine.calculate_qparams(), theirs.calculate_qparams(), strict=True):
                np.testing.assert_array_equal(a.numpy(), b.numpy())


class Branching(nn.Module):
    """A model that is no Sequential, with a layer that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.body = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(8 * 16, 5))

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        x = x + self.body(x).relu()
        return self.head(x + self.body(x))


def test_a_model_quantised() -> None:
    cf.manual_seed(1)
    model = Branching()
    x = cf.randn(16, 3, 8, 8)
    model(x)  # in training mode: the batch norm has statistics
    before = {name: value.clone() for name, value in model.state_dict().items()}
    quantised = qnn.quantize(model, [x[:8], x[8:]])
    model.eval()
    with cf.no_grad():
        y, expected = quantised(x), model(x)
    noise = float(((y - expected) ** 2).mean())
    assert 10 * np.log10(float((expected**2).mean()) / noise) > 20
    kinds = [module._get_name() for module in quantised.modules()]
    assert kinds.count("QuantizedConvReLU2d") == kinds.count("QuantizedConv2d") == 1
    assert kinds.count("QuantizedLinear") == 1
    assert "BatchNorm2d" not in kinds
    assert not quantised.training
    for name, value in model.state_dict().items():
        assert cf.equal(value, before[name]), "the float model is left as it was"


def test_neighbours_hand_on_bytes() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.MaxPool2d(2), nn.Sigmoid(),
        nn.Flatten(), nn.Linear(4 * 9, 3),
    )  # fmt: skip
    made = qnn.quantize(model, [cf.randn(2, 1, 18, 18)])
    assert [module._get_name() for module in made] == [
        "Quantize", "QuantizedConvReLU2d", "OnBytes", "QuantizedConv2d", "DeQuantize", "MaxPool2d", "Sigmoid",
        "Flatten", "Quantize", "QuantizedLinear", "DeQuantize",
    ]  # fmt: skip
    assert made(cf.randn(1, 1, 18, 18)).shape == (1, 3)


def test_models_that_cannot_be_quantised() -> None:
    with pytest.raises(ValueError, match="calibration_batches is empty"):
        qnn.quantize(nn.Linear(3, 2), [])
    with pytest.raises(TypeError, match="model must be a Module"):
        qnn.quantize(3, [cf.ones(1)])  # type: ignore[arg-type]
    model = Branching()
    model.spare = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="was not called on the calibration batches"):
        qnn.quantize(model, [cf.randn(2, 3, 8, 8)])
    lone = qnn.quantize(nn.Linear(3, 2), [cf.randn(4, 3)])
    assert lone(cf.randn(5, 3)).shape == (5, 2)


def test_the_digits_network_reads_as_well_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than one percentage point of the held-out digits is lost."""
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples"))
    example: Any = importlib.import_module("train_digits")
    monkeypatch.setattr(example, "EPOCHS", 3)
    images, labels, test_images, test_labels = example.digits()
    cf.manual_seed(0)
    model = example.network()
    example.train(model, images, labels)
    model.eval()
    quantised = qnn.quantize(model, [images[:256]])

    def correct(reader: Any) -> float:
        with cf.no_grad():
            return float((reader(test_images).argmax(1) == test_labels).float().mean())

    assert correct(model) > 0.9
    assert correct(quantised) > correct(model) - 0.01
