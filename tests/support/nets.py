"""Small nets of the kinds that people build, by name: a builder and the shapes of the inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import convforge as torch
from convforge import nn
from convforge.nn import functional as F

Shapes = tuple[tuple[int, ...], ...]
NETS: dict[str, tuple[Callable[[], nn.Module], Shapes]] = {}


def net(*shapes: tuple[int, ...]) -> Callable[[Any], Any]:
    """Registers a builder under its name with the shapes of its inputs."""

    def registered(builder: Any) -> Any:
        NETS[builder.__name__] = (builder, shapes)
        return builder

    return registered


def conv_bn(i: int, o: int, k: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=False),
        nn.BatchNorm2d(o),
        nn.ReLU(inplace=True),
    )


class Basic(nn.Module):
    """ResNet's block of two."""

    def __init__(self, i: int, o: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(i, o, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(o)
        self.conv2 = nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(o)
        self.relu = nn.ReLU(inplace=True)
        self.down = (
            nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o)) if i != o else None
        )

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += x if self.down is None else self.down(x)
        return self.relu(y)


@net((2, 3, 32, 32))
def resnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 7, 2, 3), nn.MaxPool2d(3, 2, 1), Basic(8, 8), Basic(8, 16, 2), Basic(16, 16),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip


@net((2, 3, 16, 16))
class Ghost(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.primary = conv_bn(3, 8, 1)
        self.cheap = conv_bn(8, 8, 3, groups=8)

    def forward(self, x):
        y = self.primary(x)
        return torch.cat([y, self.cheap(y)], dim=1)


@net((1, 3, 24, 40))
class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
        self.mid = nn.Conv2d(8, 8, 3, padding=2, dilation=2)
        self.up, self.out = nn.ConvTranspose2d(8, 4, 2, stride=2), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        a = F.relu(self.a(x))
        b = torch.relu(self.mid(F.relu(self.b(F.avg_pool2d(a, 2)))))
        return self.out(torch.cat((self.up(b), a), 1)).softmax(1)


@net((1, 3, 17, 17))
class Inception(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 2, 1)
        self.three = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Conv2d(2, 4, (1, 3), padding=(0, 1)))
        self.five = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.Conv2d(2, 4, (3, 1), padding=(1, 0)))
        self.pool = nn.Sequential(nn.AvgPool2d(3, 1, 1), nn.Conv2d(3, 2, 1))

    def forward(self, x):
        return torch.cat([branch(x) for branch in (self.one, self.three, self.five, self.pool)], 1)


@net((2, 4, 9, 9))
class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(4 + 3 * n, 3, 3, padding=1) for n in range(3)])

    def forward(self, x):
        seen = [x]
        for layer in self.layers:
            seen.append(F.leaky_relu(layer(torch.cat(seen, 1)), 0.1))
        return torch.cat(seen, 1)


@net((2, 4, 12, 12))
class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, padding=1)
        self.gate = nn.Sequential(nn.Linear(8, 2), nn.SiLU(), nn.Linear(2, 8), nn.Sigmoid())

    def forward(self, x):
        y = self.conv(x)
        return y * self.gate(y.mean((2, 3)))[:, :, None, None]


@net((2, 3, 14, 14))
class Functional(nn.Module):
    """Weights of its own, and functions."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(6, 3, 3, 3))
        self.register_buffer("scale", torch.ones(6, 1, 1))

    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        y = F.conv2d(F.pad(x, (1, 2, 0, 1)), weight, stride=2) * self.scale
        y = F.interpolate(F.max_pool2d(y, 2, stride=1), scale_factor=2)
        y = F.group_norm(y, 3)
        return F.normalize(F.dropout(y, 0.5, self.training).flatten(2).transpose(1, 2), dim=-1)


@net((2, 8, 10, 10))
class Shuffle(nn.Module):
    """Channels split, shuffled by hand; pixels shuffled by layers."""

    def __init__(self) -> None:
        super().__init__()
        self.dw = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.up, self.down = nn.PixelShuffle(2), nn.PixelUnshuffle(2)

    def forward(self, x):
        a, b = x.chunk(2, dim=1)
        n, c, h, w = x.shape
        y = torch.cat([a, self.dw(b)], 1).view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.down(self.up(y))[:, :, 1:-1, ::2]


@net((2, 3, 16, 16))
class Transformer(nn.Module):
    """Patches, attention, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, stride=4)
        self.norm, self.qkv, self.proj = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))

    def forward(self, x):
        t = self.patch(x).flatten(2).permute(0, 2, 1)
        t = torch.cat([self.token.expand(t.shape[0], -1, -1), t], dim=1)
        n, length, width = t.size()
        q, k, v = self.qkv(self.norm(t)).reshape(n, length, 3, 2, width // 2 // 1).permute(2, 0, 3, 1, 4)
        attended = (q @ k.transpose(-2, -1) * 0.5).softmax(-1) @ v
        t = t + self.proj(attended.transpose(1, 2).reshape(n, length, width))
        return t[:, 0]


@net((1, 2, 64))
def wavenet() -> nn.Module:
    return nn.Sequential(
        *[nn.Conv1d(2 if not n else 4, 4, 2, dilation=2**n, padding="causal") for n in range(4)], nn.Tanh()
    )


@net((1, 2, 7, 8, 9))
def volume() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(2, 4, 3, padding=1), nn.BatchNorm3d(4), nn.AvgPool3d(2), nn.ConvTranspose3d(4, 1, 3, 2)
    )


@net((2, 3, 15, 15))
def lazy() -> nn.Module:
    return nn.Sequential(
        nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU6(), nn.Flatten(), nn.LazyLinear(5)
    )


@net((1, 3, 8, 8), (1, 3, 4, 4))
class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.ConvTranspose2d(3, 4, 2, stride=2)

    def forward(self, x, y):
        return {"sum": self.a(x) + self.b(y), "both": (x, y)}


@net((1, 3, 12, 12))
class Shared(nn.Module):
    """A layer that is called twice, tied weights, and one that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.twin, self.spare = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3), nn.Linear(4, 4)
        self.twin.weight = self.conv.weight
        self.calls = 0
        self.log: list[Any] = []

    def forward(self, x):
        self.calls += 1
        self.log.append(x)
        return self.twin(self.conv(self.conv(x)))
