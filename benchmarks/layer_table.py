"""The layers that are measured: `layers.json` and others as frozen values, with their arithmetic."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
# The layers of the goals; those with kernels of 31 taps and more.
TABLES = ("layers", "long_kernels", "more_layers", "further_layers")


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution out of a published network, at the size it has there."""

    net: str
    name: str
    op: str  # "conv" or "conv_transpose"
    ndim: int
    cin: int
    cout: int
    spatial: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    output_padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def label(self) -> str:
        """`net name`, unique in the table."""
        return f"{self.net} {self.name}"

    @property
    def transposed(self) -> bool:
        return self.op == "conv_transpose"

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """PyTorch's: (cout, cin / groups, *kernel), or cin first if transposed."""
        if self.transposed:
            return (self.cin, self.cout // self.groups, *self.kernel)
        return (self.cout, self.cin // self.groups, *self.kernel)

    def input_shape(self, batch: int) -> tuple[int, ...]:
        return (batch, self.cin, *self.spatial)

    def output_shape(self, batch: int) -> tuple[int, ...]:
        """Source: the size formulas in PyTorch's documentation of Conv2d and ConvTranspose2d."""
        axes = zip(
            self.spatial,
            self.kernel,
            self.stride,
            self.padding,
            self.output_padding,
            self.dilation,
            strict=True,
        )
        if self.transposed:
            size = [(i - 1) * s - 2 * p + d * (k - 1) + o + 1 for i, k, s, p, o, d in axes]
        else:
            size = [(i + 2 * p - d * (k - 1) - 1) // s + 1 for i, k, s, p, _, d in axes]
        return (batch, self.cout, *size)

    def flops(self, batch: int) -> int:
        """Multiplications and additions, two for a tap: nominal, so taps on padding count too."""
        where = self.spatial if self.transposed else self.output_shape(batch)[2:]
        return 2 * batch * prod(where) * prod(self.kernel) * self.cin * self.cout // self.groups

    def bytes(self, batch: int, itemsize: int) -> int:
        """Of input, weights, bias and output."""
        shapes = (self.input_shape(batch), self.weight_shape, (self.cout,), self.output_shape(batch))
        return itemsize * sum(prod(shape) for shape in shapes)

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of `nn.Conv*d` or `nn.ConvTranspose*d`."""
        arguments: dict[str, Any] = {
            "in_channels": self.cin,
            "out_channels": self.cout,
            "kernel_size": self.kernel,
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }
        if self.transposed:
            arguments["output_padding"] = self.output_padding
        return arguments

    def module_name(self) -> str:
        """`Conv2d`, `ConvTranspose2d`, …"""
        return f"{'ConvTranspose' if self.transposed else 'Conv'}{self.ndim}d"


def load_layers(name_contains: str | None = None, table: str = TABLES[0]) -> list[Layer]:
    """A table in its own order; only the layers whose label contains one of the comma-separated words."""
    rows = json.loads((FOLDER / f"{table}.json").read_text(encoding="utf-8"))
    layers = [
        Layer(**{key: tuple(value) if isinstance(value, list) else value for key, value in row.items()})
        for row in rows
    ]
    if name_contains is None:
        return layers
    words = [word.strip() for word in name_contains.split(",") if word.strip()]
    chosen = [layer for layer in layers if any(word in layer.label for word in words)]
    if not chosen:
        raise SystemExit(f"--filter {name_contains!r} matches no layer; nets: {', '.join(nets(layers))}")
    return chosen


def nets(layers: list[Layer]) -> list[str]:
    """Names of the networks, in table order."""
    return list(dict.fromkeys(layer.net for layer in layers))


def make_arrays(layer: Layer, batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Input, weight and bias in float32: standard normal, the weight scaled to keep the output's variance.

    The same layer and batch give the same numbers in every process and run.
    """
    generator = np.random.default_rng([batch, *layer.label.encode()])
    taps = prod(layer.kernel) * layer.cin // layer.groups
    x = generator.standard_normal(layer.input_shape(batch), dtype=np.float32)
    weight = generator.standard_normal(layer.weight_shape, dtype=np.float32) / np.float32(taps**0.5)
    bias = generator.standard_normal(layer.cout, dtype=np.float32)
    return x, weight, bias


def make_grad(layer: Layer, batch: int) -> np.ndarray:
    """The output's gradient in float32: standard normal, the same in every process and run."""
    generator = np.random.default_rng([1, batch, *layer.label.encode()])
    return generator.standard_normal(layer.output_shape(batch), dtype=np.float32)
