"""For each rule something that breaks it and something that keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from convforge import nn


@dataclass(frozen=True)
class Planted:
    """`bad` and `good` make what is advised on: on inputs of `size`."""

    rule: str
    bad: Callable[[], Any]
    good: Callable[[], Any]
    size: Any
    small_device: bool = False


def _norm(bias: bool, training: bool) -> Any:
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=bias), nn.BatchNorm2d(8), nn.ReLU()).train(
        training
    )


GRID = "Conv2d(4, 4, 3, padding={d}, dilation={d})"

PLANTED = [
    Planted(
        "in-channels",
        lambda: "Conv2d(3, 8, 3, padding=1)",
        lambda: "Conv2d(4, 8, 3, padding=1)",
        (4, 9, 9),
    ),
    Planted(
        "in-channels",
        lambda: ["Conv2d(3, 8, 3, padding=1)", "Conv2d(16, 8, 3, padding=1)"],
        lambda: ["Conv2d(3, 8, 3, padding=1)", "Conv2d(8, 8, 3, padding=1)"],
        20,
    ),
    Planted(
        "channels-grow",
        lambda: ["Conv2d(3, 64, 3, padding=1)", "Conv2d(64, 32, 3, stride=2, padding=1)"],
        lambda: ["Conv2d(3, 64, 3, padding=1)", "Conv2d(64, 128, 3, stride=2, padding=1)"],
        21,
    ),
    Planted(
        "two-3x3",
        lambda: "Conv2d(8, 8, 5, padding=2)",
        lambda: "Conv2d(8, 8, 3, padding=1)",
        (14, 15),
    ),
    Planted(
        "two-3x3",
        lambda: "Conv2d(8, 8, 7, stride=2, padding=3, bias=False)",
        lambda: "Conv2d(3, 64, 7, stride=2, padding=3)",  # a first layer: three 3x3 would have more weights
        (230, 225),
    ),
    Planted(
        "two-3x3",
        lambda: "Conv3d(4, 4, 5)",
        lambda: "Conv3d(4, 4, 5, groups=4)",
        (9, 9, 9),
    ),
    Planted(
        "large-kernel",
        lambda: "Conv2d(3, 16, 7, padding=3)",
        lambda: "Conv2d(3, 16, 3, padding=1)",
        (32, 32),
    ),
    Planted(
        "even-kernel",
        lambda: "Conv2d(4, 4, 4, padding='same')",
        lambda: "Conv2d(4, 4, 5, padding='same')",
        12,
    ),
    Planted(
        "even-kernel",
        lambda: "Conv2d(4, 4, (2, 3), padding=1)",
        lambda: "Conv2d(4, 4, 2, stride=2)",
        (12, 10),
    ),
    Planted(
        "stride-two",
        lambda: "Conv2d(3, 8, 11, stride=4, padding=2)",
        lambda: "Conv2d(3, 8, 16, stride=16)",
        (224, 224),
    ),
    Planted(
        "stride-two",
        lambda: "Conv1d(3, 8, 5, stride=3, padding=2)",
        lambda: "Conv1d(3, 8, 5, stride=2, padding=2)",
        31,
    ),
    Planted(
        "dropped-rows",
        lambda: "Conv2d(3, 8, 3, stride=2)",
        lambda: "Conv2d(3, 8, 3, stride=2, padding=1)",
        (14, 15),
    ),
    Planted(
        "dropped-rows",
        lambda: "Conv2d(3, 8, 2, stride=2)",
        lambda: "Conv2d(3, 8, 3, stride=2, padding=1)",
        (15, 14),
    ),
    Planted(
        "gaps",
        lambda: "Conv2d(8, 16, 1, stride=2)",
        lambda: "Conv2d(8, 16, 2, stride=2)",
        (14, 14),
    ),
    Planted(
        "keep-size",
        lambda: "Conv2d(3, 8, 3)",
        lambda: "Conv2d(3, 8, 3, padding=1)",
        (14, 11),
    ),
    Planted(
        "keep-size",
        lambda: "Conv1d(3, 8, 3, padding=5, dilation=2)",
        lambda: "Conv1d(3, 8, 3, padding=2, dilation=2)",
        14,
    ),
    Planted(
        "dilation-for-context",
        lambda: "Conv2d(16, 16, 9, padding=4)",
        lambda: "Conv2d(16, 16, 3, padding=4, dilation=4)",
        (30, 31),
    ),
    Planted(
        "gridding",
        lambda: [GRID.format(d=2)] * 3,
        lambda: [GRID.format(d=d) for d in (1, 2, 3)],
        (24, 20),
    ),
    Planted(
        "gridding",
        lambda: [GRID.format(d=d) for d in (4, 4)],
        lambda: [GRID.format(d=4)],
        (40, 40),
    ),
    Planted(
        "dilated-on-padding",
        lambda: "Conv2d(4, 4, 3, padding=12, dilation=12)",
        lambda: "Conv2d(4, 4, 3, padding=2, dilation=2)",
        (14, 14),
    ),
    Planted(
        "field-within-input",
        lambda: "Conv2d(4, 4, 9, padding=4)",
        lambda: "Conv2d(4, 4, 5, padding=2)",
        (6, 7),
    ),
    Planted(
        "field-within-input",
        lambda: ["Conv2d(4, 4, 3, padding=1)"] * 6,
        lambda: ["Conv2d(4, 4, 3, padding=1)"] * 4,
        (9, 10),
    ),
    Planted(
        "depthwise-separable",
        lambda: "Conv2d(32, 64, 3, padding=1)",
        lambda: "Conv2d(32, 32, 3, padding=1, groups=32), Conv2d(32, 64, 1)",
        (14, 14),
        small_device=True,
    ),
    Planted(
        "bias-before-norm",
        lambda: _norm(True, True),
        lambda: _norm(False, True),
        (9, 9),
    ),
    Planted(
        "fuse-norm",
        lambda: _norm(False, False),
        lambda: _norm(False, True),
        (3, 9, 9),
    ),
    Planted(
        "uneven-overlap",
        lambda: "ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)",
        lambda: "ConvTranspose2d(8, 4, 4, stride=2, padding=1)",
        (7, 8),
    ),
    Planted(
        "uneven-overlap",
        lambda: "ConvTranspose1d(8, 4, 5, stride=3)",
        lambda: "ConvTranspose1d(8, 4, 3, stride=3)",
        9,
    ),
]
