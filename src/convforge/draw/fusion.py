"""A convolution and the batch norm behind it, fused to one convolution: the numbers, and the error.

x ─ conv (w, b) ─ batch norm (γ, β, μ, σ²) ─ y          scale = γ / √(σ² + ε)
x ─ conv (w·scale, (b − μ)·scale + β) ────── y
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from convforge.draw.arrays import kernel_box
from convforge.draw.drawing import Drawing
from convforge.draw.layout import Box, column, line, row, titled
from convforge.draw.numbers import Array, short
from convforge.draw.shapes import Area, Cell, Label, Line, Shape
from convforge.draw.subject import Ints, Subject, subject_of
from convforge.errors import ConvValueError
from convforge.explain.words import Words
from convforge.nn.utils.fusion import fuse_conv_bn_weights
from convforge.reference import output

TITLE = Words("Convolution and batch norm, fused", "卷积与批归一化融合")
_TWO = Words("two steps", "两步")
_ONE = Words("one step", "一步")
_CONV, _NORM = Words("convolution", "卷积"), Words("batch norm", "批归一化")
_FUSED = Words("fused convolution", "融合后的卷积")
_BEFORE, _AFTER = Words("kernel before", "融合前的卷积核"), Words("after, × {scale}", "融合后，× {scale}")
_CHANNEL = Words("channel", "通道")
_MORE = Words("… {n} more channels", "…还有 {n} 个通道")
_NOTE = Words(
    "scale = γ / √(σ² + ε),  w′ = w·scale,  b′ = (b − μ)·scale + β. In float32 the outputs of the two differ "
    "by at most {difference}, for values up to {largest}.",
    "scale = γ / √(σ² + ε)，w′ = w·scale，b′ = (b − μ)·scale + β。float32 下两种算法的输出最多相差 "
    "{difference}，而数值最大为 {largest}。",
)
MOST_CHANNELS, MOST_KERNELS = 8, 3
DEFAULT = ("Conv2d(1, 2, 3, padding=1, bias=False)", 5)


@dataclass(frozen=True)
class Norm:
    """The numbers of a batch norm, one for each channel."""

    weight: Array
    bias: Array
    mean: Array
    var: Array
    eps: float

    @property
    def scale(self) -> Array:
        """What it multiplies with."""
        return self.weight / np.sqrt(self.var + self.eps)


def fusion(
    layer: Any = None,
    input_size: Ints | None = None,
    *,
    bn: Any = None,
    language: str | None = None,
    theme: str = "auto",
    numbers: bool = True,
) -> Drawing:
    """The two ways to the same output, with the numbers of each channel and the difference in float32.

    bn: a batch norm with running statistics; by default one with small numbers. numbers: draw them.

    Raises ValueError for a batch norm of other features, or without running statistics.
    """
    subject = subject_of(layer, input_size, default=DEFAULT, language=language, theme=theme, numbers=numbers)
    norm = small_norm(subject.spec.out_channels) if bn is None else norm_of(bn, subject.spec.out_channels)
    weight, bias = fused_weights(subject, norm)
    difference, largest = fusion_error(subject, norm)
    parts = [_flow(subject)]
    if numbers:
        parts += [_table(subject, norm, bias), _kernels(subject, norm, weight)]
    note = subject.say(_NOTE, difference=f"{difference:.1e}".replace("-", "−"), largest=short(largest))
    return subject.drawing(column(*parts, gap=28), TITLE, note)


def small_norm(channels: int) -> Norm:
    """Numbers whose scales are short: variances 0.25, 1, 4, … and no ε."""
    number: Array = np.arange(channels, dtype=np.float64)
    return Norm(
        weight=1.0 + 0.5 * (number % 3.0),
        bias=0.5 * (number % 4.0) - 0.5,
        mean=1.0 + number % 5.0,
        var=4.0 ** (number % 3.0 - 1.0),
        eps=0.0,
    )


def norm_of(bn: Any, channels: int) -> Norm:
    """The numbers of a batch norm module."""
    if getattr(bn, "running_mean", None) is None or getattr(bn, "running_var", None) is None:
        raise ConvValueError(f"bn (={type(bn).__name__}) has no running statistics: give one that keeps them")
    if bn.num_features != channels:
        raise ConvValueError(
            f"bn.num_features (={bn.num_features}) must equal out_channels (={channels}) of the convolution"
        )
    mean, var = (np.asarray(each.detach().numpy(), np.float64) for each in (bn.running_mean, bn.running_var))
    weight, bias = (
        np.full(channels, plain) if each is None else np.asarray(each.detach().numpy(), np.float64)
        for each, plain in ((bn.weight, 1.0), (bn.bias, 0.0))
    )
    return Norm(weight, bias, mean, var, float(bn.eps))


def fused_weights(subject: Subject, norm: Norm) -> tuple[Array, Array]:
    """Weight and bias of the fused convolution, as the library folds them."""
    found = fuse_conv_bn_weights(
        subject.numbers.weight, subject.numbers.bias, norm.mean, norm.var, norm.eps, norm.weight, norm.bias,
        transpose=subject.spec.transposed,
    )  # fmt: skip
    weight, bias = (np.asarray(each.detach().numpy(), np.float64) for each in found)
    return weight, bias


def fusion_error(subject: Subject, norm: Norm) -> tuple[float, float]:
    """(largest difference, largest value) of the two outputs, both computed in float32."""
    spec = replace(subject.spec, dtype=np.dtype(np.float32))
    numbers = subject.numbers
    one, zero = np.float32(1.0), np.float32(0.0)
    x, weight = numbers.x[None].astype(np.float32), numbers.weight.astype(np.float32)
    bias = None if numbers.bias is None else numbers.bias.astype(np.float32)
    shape = (-1, *(1,) * spec.rank)
    mean, var, gamma, beta = (
        each.astype(np.float32).reshape(shape) for each in (norm.mean, norm.var, norm.weight, norm.bias)
    )
    y = output(spec, x, weight, bias)
    two_steps = (y - mean) * (one / np.sqrt(var + np.float32(norm.eps))) * gamma + (beta + zero)
    folded, shift = fused_weights(subject, norm)
    one_step = output(spec, x, folded.astype(np.float32), shift.astype(np.float32))
    return float(np.abs(two_steps - one_step).max()), float(np.abs(one_step).max())


def _chip(text: str, detail: str, role: str, name: str) -> Box:
    title = Label((0, 0), ((text, "text"),), 14, bold=True)
    under = Label((0, 0), ((detail, "muted"),), 12)
    width = max(title.width, under.width) * 1.06 + 32
    area = Area(0, 0, width, 52)
    radius = {"output": 9.0, "kernel": 4.0}.get(role, 2.0)
    shapes: list[Shape] = [Cell(area, role, name, radius=radius)]
    shapes.append(replace(title, at=(width / 2, 18)))
    shapes.append(replace(under, at=(width / 2, 37)))
    return Box(width, 52, tuple(shapes)).anchored(name)


def _flow(subject: Subject) -> Box:
    """x through two boxes, and through one."""
    say = subject.say
    sizes = ["×".join(map(str, shape[1:])) for shape in (subject.spec.input_shape, subject.spec.output_shape)]
    lines: list[Box] = []
    for name, label, chips in (
        ("two", _TWO, [(say(_CONV), "w, b", "kernel"), (say(_NORM), "γ, β, μ, σ²", "gradient")]),
        ("one", _ONE, [(say(_FUSED), "w′, b′", "kernel")]),
    ):
        boxes = [_chip("x", sizes[0], "input", f"{name}-x")]
        boxes += [_chip(text, detail, role, f"{name}-{i}") for i, (text, detail, role) in enumerate(chips)]
        boxes.append(_chip("y", sizes[1], "output", f"{name}-y"))
        whole = row(*boxes, gap=34)
        areas = [whole.anchors[f"{name}-{each}"] for each in ("x", *range(len(chips)), "y")]
        arrows = [
            Line(((a.right + 4, a.center[1]), (b.x - 4, b.center[1])), "link", arrow=True)
            for a, b in pairwise(areas)
        ]
        lines.append(column(line((say(label), "muted"), size=12), whole.with_shapes(arrows), gap=5))
    return column(*lines, gap=16)


def _table(subject: Subject, norm: Norm, bias: Array) -> Box:
    """One line a channel: what the batch norm has, the scale, the bias before and after."""
    before = np.zeros(len(bias)) if subject.numbers.bias is None else subject.numbers.bias
    heads = (subject.say(_CHANNEL), "γ", "β", "μ", "σ²", "scale", "b", "b′")
    columns = (norm.weight, norm.bias, norm.mean, norm.var, norm.scale, before, bias)
    shapes: list[Shape] = []
    count = min(len(bias), MOST_CHANNELS)
    for i, head in enumerate(heads):
        role = "t-kernel" if head in ("scale", "b′") else "muted"
        shapes.append(Label((_column_x(i), 9.0), ((head, role),), 13, "end"))
    shapes.append(Line(((0, 22), (_column_x(len(heads) - 1), 22)), "rule"))
    for channel in range(count):
        y = 36.0 + 22.0 * channel
        shapes.append(Label((_column_x(0), y), ((str(channel), "muted"),), 13, "end"))
        for i, values in enumerate(columns, start=1):
            role = "t-kernel" if heads[i] in ("scale", "b′") else "text"
            name = f"{heads[i]}-{channel}"
            shapes.append(
                Label((_column_x(i), y), ((short(float(values[channel])), role),), 13, "end", name=name)
            )
    height = 36.0 + 22.0 * count
    table = Box(_column_x(len(heads) - 1), height, tuple(shapes))
    if len(bias) > count:
        more = line((subject.say(_MORE, n=len(bias) - count), "muted"), size=12)
        return column(table, more, gap=2)
    return table


def _column_x(number: int) -> float:
    """The right side of a column of the table."""
    return 52.0 + 64.0 * number


def _kernels(subject: Subject, norm: Norm, weight: Array) -> Box:
    """The first kernel of some output channels before and after."""
    spec = subject.spec
    per_group = spec.out_channels // spec.groups
    rows: list[Box] = []
    for channel in range(min(spec.out_channels, MOST_KERNELS)):
        if spec.transposed:
            first, second = channel // per_group * (spec.in_channels // spec.groups), channel % per_group
        else:
            first, second = channel, 0
        before = kernel_box(subject, first, second, cell=34.0, indices=False)
        after = kernel_box(subject, first, second, values=weight, name="fused", base="kernel hot", cell=34.0,
                           indices=False)  # fmt: skip
        scale = short(float(norm.scale[channel]))
        title = f"{subject.say(_CHANNEL)} {channel} · {subject.say(_BEFORE)}"
        named = (
            titled(before, title, "t-kernel"),
            titled(after, subject.say(_AFTER, scale=scale), "t-kernel"),
        )
        if spec.rank == 3:
            rows.append(column(*named, gap=12))
        else:
            rows.append(row(named[0], line(("→", "muted"), size=20), named[1], gap=22))
    return column(*rows, gap=18)
