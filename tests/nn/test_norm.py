"""Normalisation against PyTorch: values, gradients, running statistics, state dicts, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.beside_torch import compare, normal, our_functional, ours, same_error, same_text

SHAPES = [(6, 3), (4, 3, 5), (2, 3, 4, 5), (2, 3, 2, 3, 4), (7, 3, 1, 1)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm(shape: tuple[int, ...], dtype: str, affine: bool) -> None:
    x = normal(*shape, dtype=dtype) * 3 + 1
    x = x.astype(dtype)
    parameters = [normal(3, seed=1, dtype=dtype), normal(3, seed=2, dtype=dtype)] if affine else []
    exact = dtype == "float64"
    compare(lambda F, x, *p: F.batch_norm(x, None, None, *p, training=True), x, *parameters, double=exact)
    mean, variance = normal(3, seed=3, dtype=dtype), np.abs(normal(3, seed=4, dtype=dtype))

    def evaluated(F: Any, x: Any, *p: Any) -> Any:
        wrap = type(x.detach())
        del wrap
        like = [x.new_tensor(each.tolist()) for each in (mean, variance)]
        return F.batch_norm(x, *like, *p)

    compare(evaluated, x, *parameters, double=exact)


@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
@pytest.mark.parametrize("tracked", [True, False])
def test_batch_norm_layer_trains_and_evaluates(momentum: float | None, tracked: bool) -> None:
    torch = pytest.importorskip("torch")
    mine = ours.nn.BatchNorm2d(3, momentum=momentum, track_running_stats=tracked)
    expected = torch.nn.BatchNorm2d(3, momentum=momentum, track_running_stats=tracked)
    for step in range(3):
        x = (normal(4, 3, 5, 5, seed=step, dtype="float32") * (step + 1) + step).astype("float32")
        a, b = mine(ours.from_numpy(x)), expected(torch.from_numpy(x))
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5, atol=1e-5)
    for key, value in expected.state_dict().items():
        np.testing.assert_allclose(mine.state_dict()[key].numpy(), value.numpy(), rtol=1e-5, atol=1e-6)
    mine.eval()
    expected.eval()
    x = normal(2, 3, 5, 5, seed=9, dtype="float32")
    a, b = mine(ours.from_numpy(x)), expected(torch.from_numpy(x))
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_state_dict_of_version_one_loads() -> None:
    layer = ours.nn.BatchNorm2d(3)
    state = layer.state_dict()
    del state["num_batches_tracked"]
    state._metadata[""]["version"] = 1
    layer.load_state_dict(state)
    state._metadata[""]["version"] = 2
    with pytest.raises(RuntimeError, match="num_batches_tracked"):
        layer.load_state_dict(state)


def test_large_mean_does_not_lose_the_variance() -> None:
    x = (normal(64, 2, 16, 16) + 1000).astype("float32")
    y = our_functional.batch_norm(x, None, None, training=True)
    np.testing.assert_allclose(y.std(axis=(0, 2, 3)), 1, rtol=1e-3)


@pytest.mark.parametrize("shape", [(2, 6), (2, 6, 3), (2, 6, 3, 4)])
def test_group_norm(shape: tuple[int, ...]) -> None:
    compare(lambda F, x, w, b: F.group_norm(x, 2, w, b), normal(*shape), normal(6, seed=1), normal(6, seed=2))


@pytest.mark.parametrize("trailing", [(5,), (4, 5), (3, 4, 5)])
def test_layer_norm(trailing: tuple[int, ...]) -> None:
    x = normal(2, 3, 4, 5)
    compare(
        lambda F, x, w, b: F.layer_norm(x, trailing, w, b),
        x,
        normal(*trailing, seed=1),
        normal(*trailing, seed=2),
    )
    compare(lambda F, x: F.layer_norm(x, trailing), x)
    compare(lambda F, x, w: F.rms_norm(x, trailing, w), x, normal(*trailing, seed=1))


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5)])
def test_instance_norm(shape: tuple[int, ...]) -> None:
    compare(
        lambda F, x, w, b: F.instance_norm(x, None, None, w, b),
        normal(*shape),
        normal(3, seed=1),
        normal(3, seed=2),
    )


def test_instance_norm_layer_tracks() -> None:
    torch = pytest.importorskip("torch")
    mine = ours.nn.InstanceNorm2d(3, affine=True, track_running_stats=True)
    expected = torch.nn.InstanceNorm2d(3, affine=True, track_running_stats=True)
    x = normal(2, 3, 4, 4, dtype="float32")
    for _ in range(2):
        mine(ours.from_numpy(x)), expected(torch.from_numpy(x))
    for key, value in expected.state_dict().items():
        np.testing.assert_allclose(mine.state_dict()[key].numpy(), value.numpy(), rtol=1e-5, atol=1e-6)
    a, b = mine.eval()(ours.from_numpy(x[0])), expected.eval()(torch.from_numpy(x[0]))
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_normalize_and_local_response() -> None:
    for p in (1.0, 2.0, 3.0, float("inf")):
        compare(lambda F, x, p=p: F.normalize(x, p), normal(3, 4), double=False)
    compare(lambda F, x: F.local_response_norm(x, 3), normal(2, 5, 4))
    compare(lambda F, x: F.local_response_norm(x, 2), normal(2, 5, 4, 3))


def test_empty_batch() -> None:
    compare(lambda F, x: F.batch_norm(x, None, None, training=True), np.zeros((0, 3, 4, 4)), double=False)
    compare(lambda F, x: F.layer_norm(x, (4,)), np.zeros((0, 4)), double=False)


@pytest.mark.parametrize(
    "text",
    [
        "BatchNorm1d(4)",
        "BatchNorm2d(8)",
        "BatchNorm3d(2, eps=0.001, momentum=None)",
        "BatchNorm2d(8, affine=False)",
        "BatchNorm2d(8, track_running_stats=False)",
        "GroupNorm(2, 4)",
        "LayerNorm(4)",
        "LayerNorm((2, 3), bias=False)",
        "InstanceNorm2d(3)",
        "InstanceNorm1d(3, affine=True, track_running_stats=True)",
        "RMSNorm(3)",
        "LocalResponseNorm(2)",
    ],
)
def test_layers_print(text: str) -> None:
    same_text(lambda nn: eval(f"nn.{text}", {"nn": nn}))


def test_lazy_batch_norm() -> None:
    layer = ours.nn.LazyBatchNorm2d()
    layer(ours.zeros(2, 5, 3, 3))
    assert type(layer) is ours.nn.BatchNorm2d
    assert layer.num_features == 5
    assert layer.running_var.tolist() == [1.0] * 5 or int(layer.num_batches_tracked) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda root, F: root.nn.BatchNorm2d(3)(root.zeros(2, 3, 4)),
        lambda root, F: root.nn.BatchNorm1d(3)(root.zeros(2, 3, 4, 4)),
        lambda root, F: root.nn.BatchNorm2d(3)(root.zeros(2, 4, 4, 4)),
        lambda root, F: root.nn.BatchNorm2d(3)(root.zeros(1, 3, 1, 1)),
        lambda root, F: root.nn.BatchNorm2d(3, eps=0.0)(root.zeros(2, 3, 2, 2)),
        lambda root, F: F.batch_norm(root.zeros(2, 3), None, None),
        lambda root, F: F.batch_norm(root.zeros(2, 3), root.zeros(4), root.ones(4)),
        lambda root, F: F.batch_norm(root.zeros(2, 3, dtype=root.float64), root.zeros(3), root.ones(3)),
        lambda root, F: F.group_norm(root.zeros(2, 3, 4), 2),
        lambda root, F: F.layer_norm(root.zeros(2, 3), (4,)),
        lambda root, F: F.layer_norm(root.zeros(2, 3), ()),
        lambda root, F: F.instance_norm(root.zeros(2, 3, 1)),
        lambda root, F: root.nn.GroupNorm(2, 3),
        lambda root, F: root.nn.InstanceNorm2d(3, affine=True)(root.zeros(2, 4, 4, 4)),
    ],
)
def test_errors(call: Any) -> None:
    same_error(call)
