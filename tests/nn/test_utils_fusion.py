"""Fused layers against the layer and its batch norm one after the other, and against PyTorch's fusion."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from support.side_by_side import ours

KINDS = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]


def pair(kind: str, groups: int, bias: bool, affine: bool = True, seed: int = 3) -> tuple[Any, Any, Any]:
    """A layer 4 -> 6, a batch norm with statistics that are neither 0 nor 1, and an input."""
    s = ours()
    rng = np.random.default_rng(seed)
    rank = int(kind[-2])
    conv = getattr(s.nn, kind)(4, 6, 3, stride=2, padding=1, groups=groups, bias=bias)
    bn = getattr(s.nn, f"BatchNorm{rank}d")(6, affine=affine)
    for tensor in (*conv.parameters(), *bn.parameters(), bn.running_mean):
        tensor.data = s.tensor(rng.normal(size=tuple(tensor.shape)).astype(np.float32))
    bn.running_var.data = s.tensor(rng.uniform(0.3, 3, size=6).astype(np.float32))
    x = s.tensor(rng.normal(size=(2, 4, *(7,) * rank)).astype(np.float32))
    return conv.eval(), bn.eval(), x


def difference(a: Any, b: Any) -> float:
    a, b = a.detach().numpy(), b.detach().numpy()
    assert a.shape == b.shape
    return float(np.abs(a - b).max() / np.abs(b).max())


@pytest.mark.parametrize(("kind", "groups", "bias"), [*itertools.product(KINDS, (1, 2), (True, False))])
def test_fused_equals_conv_then_bn(kind: str, groups: int, bias: bool) -> None:
    conv, bn, x = pair(kind, groups, bias)
    utils = ours().nn.utils
    for fuse in (utils.fuse_conv_bn, utils.fuse_conv_bn_eval):
        fused = fuse(conv, bn)
        assert difference(fused(x), bn(conv(x))) < 1e-5
        assert type(fused) is type(conv)
        assert (conv.bias is None) is not bias  # the given layer is left as it was
    assert fused.weight is not conv.weight


def test_batch_norm_without_scale_and_shift() -> None:
    conv, bn, x = pair("Conv2d", 2, False, affine=False)
    assert difference(ours().nn.utils.fuse_conv_bn(conv, bn)(x), bn(conv(x))) < 1e-5


def test_which_parameters_take_gradients() -> None:
    utils = ours().nn.utils
    conv, bn, _ = pair("Conv2d", 1, False)
    assert [p.requires_grad for p in utils.fuse_conv_bn(conv, bn).parameters()] == [True, True]
    # PyTorch's: a bias that was not there before does not.
    assert [p.requires_grad for p in utils.fuse_conv_bn_eval(conv, bn).parameters()] == [True, False]


def test_dtype_is_kept() -> None:
    conv, bn, _ = pair("Conv2d", 1, True)
    fused = ours().nn.utils.fuse_conv_bn(conv.double(), bn)
    assert str(fused.weight.dtype) == str(fused.bias.dtype) == "torch.float64"


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_weights_as_pytorch_fuses_them(transpose: bool, bias: bool) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    w = rng.normal(size=(3, 4, 2, 2)).astype(np.float32)
    n = w.shape[1] if transpose else w.shape[0]
    b, mean, gamma, beta = rng.normal(size=(4, n)).astype(np.float32)
    var = rng.uniform(0.5, 2, size=n).astype(np.float32)
    given = (w, b if bias else None, mean, var, 1e-5, gamma, beta)
    mine = ours().nn.utils.fuse_conv_bn_weights(*map(tensor_or_same, given), transpose)
    tensors = (torch.from_numpy(v) if isinstance(v, np.ndarray) else v for v in given)
    theirs = torch.nn.utils.fuse_conv_bn_weights(*tensors, transpose)
    for a, e in zip(mine, theirs):
        np.testing.assert_allclose(a.detach().numpy(), e.detach().numpy(), rtol=1e-5, atol=1e-6)


def tensor_or_same(value: Any) -> Any:
    return ours().root.from_numpy(value) if isinstance(value, np.ndarray) else value


def test_grouped_transposed_where_pytorch_fails() -> None:
    """PyTorch's transpose=True gives every group the same scales, or does not broadcast."""
    torch = pytest.importorskip("torch")
    conv = torch.nn.ConvTranspose2d(4, 6, 3, groups=2).eval()
    with pytest.raises(RuntimeError):
        torch.nn.utils.fuse_conv_bn_eval(conv, torch.nn.BatchNorm2d(6).eval(), transpose=True)
    conv, bn, x = pair("ConvTranspose2d", 2, True)
    fused = ours().nn.utils.fuse_conv_bn_eval(conv, bn, transpose=True)
    assert difference(fused(x), bn(conv(x))) < 1e-5


@pytest.mark.parametrize("features", [5, 1])
def test_linear(features: int) -> None:
    s = ours()
    rng = np.random.default_rng(7)
    linear, bn = s.nn.Linear(3, 5).eval(), s.nn.BatchNorm1d(features).eval()
    bn.running_mean.data = s.tensor(rng.normal(size=features).astype(np.float32))
    bn.running_var.data = s.tensor(rng.uniform(0.5, 2, size=features).astype(np.float32))
    x = s.tensor(rng.normal(size=(4, 3)).astype(np.float32))
    expected = bn(linear(x)) if features == 5 else bn(linear(x).reshape(-1, 1)).reshape(4, 5)
    assert difference(s.nn.utils.fuse_linear_bn_eval(linear, bn)(x), expected) < 1e-5


def test_refusals() -> None:
    s = ours()
    utils = s.nn.utils
    conv, bn, _ = pair("Conv2d", 1, True)
    with pytest.raises(AssertionError, match=r"Fusion only for eval!"):
        utils.fuse_conv_bn_eval(conv.train(), bn)
    conv.eval()
    with pytest.raises(ValueError, match=r"bn.num_features \(=5\) must equal conv.out_channels \(=6\)"):
        utils.fuse_conv_bn(conv, s.nn.BatchNorm2d(5))
    with pytest.raises(ValueError, match=r"transpose \(=True\) does not fit Conv2d"):
        utils.fuse_conv_bn_eval(conv, bn, transpose=True)
    without = s.nn.BatchNorm2d(6, track_running_stats=False).eval()
    with pytest.raises(ValueError, match=r"no running statistics"):
        utils.fuse_conv_bn(conv, without)
    with pytest.raises(AssertionError, match=r"must not be None"):
        utils.fuse_conv_bn_eval(conv, without)
    with pytest.raises(AssertionError, match=r"linear.out_features=5 and bn.num_features=4"):
        utils.fuse_linear_bn_eval(s.nn.Linear(3, 5).eval(), s.nn.BatchNorm1d(4).eval())
    weight, mean = s.tensor(np.ones((4, 3, 1, 1))), s.tensor(np.ones(7))
    for transpose in (False, True):
        with pytest.raises(ValueError, match=r"does not fit bn_rm of 7 features"):
            utils.fuse_conv_bn_weights(weight, None, mean, mean, 1e-5, None, None, transpose)
