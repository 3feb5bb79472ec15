"""The models that learners write about: the same class bodies in both libraries print and load the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.side_by_side import Side, ours, plain, same, theirs


def ghost_module(s: Side) -> Any:
    """The note on nn.Conv2d."""
    torch, nn = s.root, s.nn

    class GhostModule(nn.Module):
        def __init__(self, in_channels, out_channels, s=2, kernel_size=1, stride=1, use_relu=True):
            super(GhostModule, self).__init__()  # noqa: UP008
            intrinsic_channels = out_channels // s
            ghost_channels = intrinsic_channels * (s - 1)
            self.primary_conv = nn.Sequential(
                nn.Conv2d(
                    in_channels=in_channels, out_channels=intrinsic_channels, kernel_size=kernel_size,
                    stride=stride, padding=kernel_size // 2, bias=False,
                ),
                nn.BatchNorm2d(intrinsic_channels),
                nn.ReLU(inplace=True) if use_relu else nn.Sequential(),
            )  # fmt: skip
            self.cheap_op = conv3x3_bn_relu(intrinsic_channels, ghost_channels, stride, intrinsic_channels)

        def forward(self, x):
            y = self.primary_conv(x)
            z = self.cheap_op(y)
            return torch.cat([y, z], dim=1)

    def conv3x3_bn_relu(in_channels, out_channels, stride, groups=1):
        return nn.Sequential(
            nn.Conv2d(
                in_channels=in_channels, out_channels=out_channels, kernel_size=3, stride=stride,
                padding=1, groups=groups, bias=False,
            ),
            nn.BatchNorm2d(out_channels),
            nn.ReLU6(inplace=True),
        )  # fmt: skip

    return nn.Sequential(GhostModule(3, 16), GhostModule(16, 8, kernel_size=3, use_relu=False))


def alexnet(s: Side) -> Any:
    """The note on layers: AlexNet with its grouped convolutions."""
    nn = s.nn
    return nn.Sequential(
        nn.Conv2d(3, 8, kernel_size=11, stride=4, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        nn.Conv2d(8, 16, kernel_size=5, padding=2, groups=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        nn.Conv2d(16, 12, kernel_size=3, padding=1, groups=2), nn.ReLU(), nn.AdaptiveAvgPool2d((2, 2)),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 10), nn.LogSoftmax(dim=1),
    )  # fmt: skip


def parameters_note(s: Side) -> Any:
    """The note on the parameters of nn.Conv2d: every layer it makes."""
    nn = s.nn
    return nn.ModuleList(
        [
            nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3),
            nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3),
            nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3, stride=2),
            nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3, padding=1),
            nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3, dilation=2),
            nn.Conv2d(in_channels=3, out_channels=6, kernel_size=3, groups=3),
            nn.Conv2d(in_channels=3, out_channels=6, kernel_size=3, bias=False, padding="same"),
            nn.Conv2d(in_channels=3, out_channels=6, kernel_size=3, padding_mode="reflect", padding=1),
            nn.Conv2d(16, 33, (3, 5), stride=(2, 1), padding=(4, 2), dilation=(3, 1)),
            nn.ConvTranspose2d(3, 1, 3, stride=2),
            nn.ConvTranspose2d(4, 2, 3, stride=2, output_padding=1, groups=2, bias=False),
            nn.Conv1d(16, 33, 3, stride=2),
            nn.Conv3d(16, 33, (3, 5, 2), stride=(2, 1, 1), padding=(4, 2, 0)),
        ]
    )


def deep(s: Side) -> Any:
    """Equal blocks in a list, in a dict, in a list."""
    nn = s.nn

    def block() -> Any:
        return nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.SiLU())

    stages = nn.ModuleList([nn.ModuleList([block() for _ in range(3)]) for _ in range(2)])
    return nn.ModuleDict(
        {"stages": stages, "head": nn.ModuleList([nn.Linear(4, 2), nn.Linear(4, 2), nn.ReLU()])}
    )


MODELS = [ghost_module, alexnet, parameters_note, deep]


@pytest.mark.parametrize("model", MODELS)
def test_prints_the_same(model: Any) -> None:
    same(lambda s: repr(model(s)))


@pytest.mark.parametrize("model", MODELS)
def test_the_same_seed_gives_the_same_state(model: Any) -> None:
    def state(s: Side) -> Any:
        s.root.manual_seed(1)
        return model(s).state_dict()

    same(lambda s: [(k, list(v.shape), str(v.dtype)) for k, v in state(s).items()])
    same(lambda s: {k: v for k, v in state(s).items() if v.ndim == 4})
    same(lambda s: state(s)._metadata)


@pytest.mark.parametrize(("model", "shape"), [(ghost_module, (2, 3, 16, 16)), (alexnet, (2, 3, 64, 64))])
@pytest.mark.parametrize("train", [False, True])
def test_the_same_weights_give_the_same_output(model: Any, shape: tuple[int, ...], train: bool) -> None:
    pytest.importorskip("torch")
    here, there = ours(), theirs()
    assert there is not None
    mine, other = model(here), model(there)
    mine.load_state_dict(other.state_dict())
    if not train or model is alexnet:  # AlexNet has dropout: nothing to compare while training
        mine.eval()
        other.eval()
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    out, expected = mine(here.root.from_numpy(x)), other(there.root.from_numpy(x))
    assert tuple(out.shape) == tuple(expected.shape)
    np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy(), rtol=1e-4, atol=1e-5)
    for (name, a), (_, b) in zip(mine.named_buffers(), other.named_buffers()):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5, err_msg=name)


def fuse_of_the_note(s: Side) -> Any:
    """The note on fusing: its method, word for word but for the class around it."""
    torch, nn = s.root, s.nn

    def fuse_conv_bn(conv, bn):
        std = (bn.running_var + bn.eps).sqrt()
        bias = bn.bias - bn.running_mean * bn.weight / std
        t = (bn.weight / std).reshape(-1, 1, 1, 1)
        weights = conv.weight * t
        bn = nn.Identity()
        conv = nn.Conv2d(
            in_channels=conv.in_channels, out_channels=conv.out_channels, kernel_size=conv.kernel_size,
            stride=conv.stride, padding=conv.padding, dilation=conv.dilation, groups=conv.groups, bias=True,
            padding_mode=conv.padding_mode,
        )  # fmt: skip
        conv.weight = torch.nn.Parameter(weights)
        conv.bias = torch.nn.Parameter(bias)
        return conv

    return fuse_conv_bn


@pytest.mark.parametrize("groups", [1, 2])
def test_the_fusion_of_the_note(groups: int) -> None:
    s = ours()
    rng = np.random.default_rng(1)
    conv, bn = s.nn.Conv2d(4, 6, 3, groups=groups, bias=False), s.nn.BatchNorm2d(6).eval()
    bn.running_mean.data = s.tensor(rng.normal(size=6).astype(np.float32))
    bn.running_var.data = s.tensor(rng.uniform(0.5, 2, size=6).astype(np.float32))
    by_hand, fused = fuse_of_the_note(s)(conv, bn), s.nn.utils.fuse_conv_bn(conv, bn)
    assert repr(by_hand) == repr(fused)
    x = s.tensor(rng.normal(size=(1, 4, 8, 8)).astype(np.float32))
    for layer in (by_hand, fused):
        np.testing.assert_allclose(
            layer(x).detach().numpy(), bn(conv(x)).detach().numpy(), rtol=1e-4, atol=1e-5
        )
        assert [p.requires_grad for p in layer.parameters()] == [True, True]


def test_weights_are_set_as_the_notes_do() -> None:
    def code(s: Side) -> Any:
        conv = s.nn.Conv2d(1, 1, 2, bias=False)
        conv.weight.data = s.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        first = plain(conv(s.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])))
        conv.weight = s.root.nn.Parameter(conv.weight * 2)
        return first, plain(conv(s.tensor([[[[1.0, 0.0], [0.0, 1.0]]]]))), repr(conv.weight)

    same(code)
