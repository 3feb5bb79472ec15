"""The drawings of the site by name: each a call of the library, as a reader would write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import convforge
from convforge import draw, nn
from convforge.draw import animation, blocks, feature_maps, receptive_field_on
from convforge.draw.filters import named_filter


def by_hand() -> nn.Conv1d:
    """The notes' layer: weights 0.1, 0.2, 0.3, no bias."""
    layer = nn.Conv1d(1, 1, 3, bias=False)
    layer.weight.data = convforge.tensor([[[0.1, 0.2, 0.3]]])
    return layer


DILATED = ["Conv1d(1, 1, 3, padding=2, dilation=2)"] * 3
MIXED = [f"Conv1d(1, 1, 3, padding={d}, dilation={d})" for d in (1, 2, 3)]
VGG = [
    text
    for inputs in (3, 8, 8)
    for text in (f"Conv2d({inputs}, 8, 3, padding=1)", "Conv2d(8, 8, 3, stride=2, padding=1)")
]

GALLERY: dict[str, Callable[..., draw.Drawing | draw.Animation]] = {
    "by-hand": lambda **said: draw.cell(by_hand(), 16, x=np.arange(16.0)[None], at=0, **said),
    "by-hand-moving": lambda **said: animation(
        "sliding", layer=by_hand(), input_size=8, x=np.arange(8.0)[None], **said
    ),
    "one-pixel": lambda **said: draw.cell("Conv2d(1, 1, 3, bias=False)", 5, at=(1, 1), **said),
    "three-channels": lambda **said: draw.cell("Conv2d(3, 2, 2)", 3, at=(0, 0), **said),
    "size-floor": lambda **said: draw.size_formula("Conv1d(1, 1, 3, stride=2)", 8, **said),
    "size-padding": lambda **said: draw.size_formula("Conv1d(1, 1, 3, padding=1)", 7, **said),
    "padding-modes": draw.padding,
    "padding-sides": lambda **said: draw.padding("Conv2d(1, 1, 3, padding=((0, 2), (1, 1)))", (4, 5), **said),
    "dilation": lambda **said: draw.dilation("Conv2d(1, 1, 3, dilation=3)", 7, **said),
    "dilation-moving": lambda **said: animation("dilation", layer="Conv1d(1, 1, 3)", **said),
    "gridding": lambda **said: draw.receptive_field(DILATED, 15, at=7, **said),
    "no-gridding": lambda **said: draw.receptive_field(MIXED, 15, at=7, **said),
    "field-on-photograph": lambda **said: receptive_field_on(None, VGG, heat=True, largest=160, **said),
    "groups": lambda **said: draw.groups("Conv2d(6, 6, 3, groups=3)", 8, **said),
    "groups-moving": lambda **said: animation("groups", layer="Conv2d(6, 6, 3)", **said),
    "cell-1d": lambda **said: draw.cell("Conv1d(1, 1, 3)", 6, at=1, **said),
    "cell-3d": lambda **said: draw.cell("Conv3d(1, 1, 2)", 3, at=(0, 1, 1), **said),
    "matrix": lambda **said: draw.matrix("Conv2d(1, 1, 3, bias=False)", 4, **said),
    "matrix-transposed": lambda **said: draw.matrix("ConvTranspose2d(1, 1, 3, bias=False)", 2, **said),
    "transposed-ways": lambda **said: draw.transposed("ConvTranspose2d(1, 1, 3, stride=2)", 2, **said),
    "transposed-moving": lambda **said: animation(
        "transposed", layer="ConvTranspose2d(1, 1, 3, stride=2)", input_size=2, **said
    ),
    "output-padding": lambda **said: draw.output_padding("ConvTranspose1d(1, 1, 3, stride=2)", 3, **said),
    "overlap": lambda **said: draw.overlap("ConvTranspose2d(1, 1, 3, stride=2)", 5, **said),
    "no-overlap": lambda **said: draw.overlap("ConvTranspose2d(1, 1, 4, stride=2, padding=1)", 5, **said),
    "maps": lambda **said: feature_maps("Conv2d(3, 2, 3)", largest=192, **said),
    "laplacian": lambda **said: feature_maps(
        "Conv2d(1, 1, 3, bias=False)", weight=weight_of("laplacian"), largest=192, **said
    ),
    "scan": lambda **said: animation(
        "scan", layer="Conv2d(1, 1, 3, bias=False)", weight=weight_of("sobel-x"), **said
    ),
    "fusion": draw.fusion,
    "gradient": lambda **said: draw.gradient("Conv1d(1, 1, 3, bias=False)", 6, **said),
    "ghost": lambda **said: blocks.ghost(3, 16, input_size=32, **said),
    "separable": lambda **said: blocks.separable(64, 128, **said),
    "two-for-five": lambda **said: blocks.two_for_five(64, **said),
}


def weight_of(name: str) -> Any:
    """A known filter as the weight of a layer of one channel."""
    (grid,) = named_filter(name, (3, 3)).grids
    return grid[None, None]
