"""Receptive fields of whole models against the gradients of the models themselves."""

from __future__ import annotations

import numpy as np
import pytest

import convforge as torch
from convforge import nn
from convforge.explain import trace_model
from convforge.nn import functional as F
from support.nets import NETS

# Maxima pass gradients to one input of a window, and normalisation to all: left to the sizes.
SMOOTH = (
    "Ghost",
    "UNet",
    "Inception",
    "Dense",
    "SqueezeExcite",
    "Shuffle",
    "wavenet",
    "volume",
    "Shared",
)


def positive(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.abs() * 0.2 + 0.05)
    return model.eval()


def check(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Gradients of outputs in the middle of all axes, along each axis; how many were compared."""
    seen = trace_model(model, shape).root.seen
    torch.manual_seed(1)
    x = (torch.rand(*shape) + 0.5).requires_grad_()
    y = model(x)
    compared = 0
    for each in seen:
        assert each.field is not None, each.reason
        size = shape[each.axis + 2]
        positions = [0] if each.dim is None else range(y.shape[each.dim] // 2, y.shape[each.dim] // 2 + 4)
        for position in positions:
            if each.dim is not None and position >= y.shape[each.dim]:
                continue
            index = [size // 2 for size in y.shape]
            index[1] = slice(None)
            index[0] = 0
            if each.dim is not None:
                index[each.dim] = position
            # Channels weighed apart: those of a softmax add up to a constant.
            line = y[tuple(index)]
            (grad,) = torch.autograd.grad((line * torch.arange(1, len(line) + 1)).sum(), x, retain_graph=True)
            axes = tuple(axis for axis in range(x.ndim) if axis != each.axis + 2)
            found = np.flatnonzero(np.abs(grad.numpy()).sum(axes))
            expected = each.field.interval(position)
            if expected is None:
                assert not len(found)
                continue
            assert (found[0], found[-1]) == (max(expected[0], 0), min(expected[1], size - 1))
            compared += 1
    return compared


@pytest.mark.parametrize("name", SMOOTH)
def test_nets(name) -> None:
    builder, shapes = NETS[name]
    torch.manual_seed(0)
    assert check(positive(builder()), shapes[0]) >= 3


class Does(nn.Module):
    """One function between two layers."""

    def __init__(self, function) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.LazyConv2d(1, (1, 2))
        self.function = function

    def forward(self, x):
        return self.second(self.function(self.first(x)))


@pytest.mark.parametrize(
    "function",
    [
        lambda y: y[:, :, 2:-1, ::2],
        lambda y: y[:, :2, 1:],
        lambda y: y.permute(0, 1, 3, 2),
        lambda y: F.pixel_shuffle(y, 2),
        lambda y: F.pixel_unshuffle(y, 2),
        lambda y: F.interpolate(y, scale_factor=3),
        lambda y: F.interpolate(y, scale_factor=2, mode="bilinear"),
        lambda y: F.interpolate(y, scale_factor=3, mode="bilinear"),
        lambda y: F.interpolate(y, scale_factor=4, mode="bilinear"),
        lambda y: F.pad(y, (1, 2, 3, -1)),
        lambda y: F.avg_pool2d(y, (2, 3), (2, 1), (1, 0)),
        lambda y: F.adaptive_avg_pool2d(y, (6, 18)),
        lambda y: y.repeat_interleave(2, dim=3),
        lambda y: y.reshape(1, 4, 9, 2, 18).sum(3),
        lambda y: torch.cat([y, torch.roll(y, 0, 2)], 1),
        lambda y: torch.stack([y, y * 2], 2).flatten(1, 2),
        lambda y: y + y.mean((2, 3), keepdim=True),
        lambda y: y + y[:, :, 4:5],
        lambda y: y + F.avg_pool2d(y, 18),
        lambda y: y[:, :, [[1, 0], [3, 2], [5, 4]]].sum(3),
        lambda y: y.unsqueeze(1).squeeze(1).transpose(2, 3).contiguous(),
        lambda y: torch.cat(y.split(2, 1)[::-1], 1),
        lambda y: y[:, :, :-1] + y[:, :, 1:],
        lambda y: F.conv_transpose2d(y, torch.ones(4, 2, 3, 2), stride=(2, 1), padding=(1, 0)),
        lambda y: torch.sigmoid(y.narrow(3, 4, 8).unbind(2)[5]).unsqueeze(2),
        lambda y: torch.where(y > 0, y, torch.zeros(1)).clamp(min=0.0) ** 2,
    ],
)
def test_functions(function) -> None:
    model = Does(function)
    model(torch.ones(1, 1, 20, 20))  # gives the lazy layer its shape
    assert check(positive(model), (1, 1, 20, 20)) >= 3


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda y: F.interpolate(y, size=(25, 25)), "nearest"),
        (lambda y: F.adaptive_avg_pool2d(y, 5), "different sizes"),
        (lambda y: y.flatten(2)[:, :, None], "flattened"),
        (lambda y: y + F.interpolate(y[:, :, ::2, ::2], size=(18, 18), mode="bicubic"), "bicubic"),
        (lambda y: y + y.transpose(2, 3), "different dimensions"),
        (lambda y: y[:, :, :9] + F.avg_pool2d(y, (2, 1)), "jumps 1, 2"),
    ],
)
def test_what_is_not_described_is_named(function, words) -> None:
    seen = trace_model(Does(function), (1, 1, 20, 20)).root.seen
    reasons = [str(each.reason) for each in seen if each.field is None]
    assert any(words in reason for reason in reasons), reasons
