"""A layer beside what could stand in its place, with parameters and multiply-adds on the edges.

Conv2d(64, 64, 5, padding=2)     two 3x3, which see as much
Conv2d(64, 128, 3, padding=1)    a depthwise and a pointwise convolution
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from convforge.draw.block_words import SEPARABLE, SEPARABLE_NOTE
from convforge.draw.blocks import SIZE, beside, chain_graph, chain_of
from convforge.draw.drawing import Drawing
from convforge.errors import ConvValueError
from convforge.explain.layers import as_layer
from convforge.explain.words import Words, language_of
from convforge.problem import ConvLayer

THREES = Words("Kernels of 3 in place of a larger one", "用 3 的卷积核代替大卷积核")
THREES_NOTE = Words("Both see as much of the input along each axis.", "两者在每个方向上的感受野相同。")
IN_PLACE, AS_IT_IS = Words("in its place", "替换后"), Words("the layer", "原来的层")


def blocks(
    layer: Any = None,
    input_size: int | tuple[int, ...] | None = None,
    *,
    language: str | None = None,
    theme: str = "auto",
) -> Drawing:
    """A layer beside what could stand in its place: kernels of 3, or else a depthwise-separable pair.

    layer: a plain dense one, a module or its spelling; Conv2d(64, 64, 5, padding=2) if None. input_size: of
    each axis, 56 if None.

    Raises ValueError for a layer that neither can replace, and what a call with such an input raises.
    """
    said = language_of(language)
    one = as_layer("Conv2d(64, 64, 5, padding=2)" if layer is None else layer)
    size = SIZE if input_size is None else input_size
    shape = (one.in_channels, *((size,) * one.rank if isinstance(size, int) else size))
    threes = _threes(one)
    others, title, note = (threes, THREES, THREES_NOTE) if threes else (_pair(one), SEPARABLE, SEPARABLE_NOTE)
    if not others:
        raise ConvValueError(
            f"layer (={one.text}) has nothing to be replaced by: give a plain layer with groups=1 and a "
            "kernel larger than 1"
        )
    steps, before = chain_of([each.text for each in others], shape), chain_of([one.text], shape)
    return beside(
        title,
        (IN_PLACE(said), chain_graph(steps, shape, said), steps),
        (AS_IT_IS(said), chain_graph(before, shape, said), before),
        note(said),
        said,
        theme,
    )  # fmt: skip


def _threes(layer: ConvLayer) -> tuple[ConvLayer, ...]:
    """Layers of kernel 3 in the place of one equally large and odd along all axes, whose size they keep."""
    kernel = layer.kernel_size[0]
    plain = not layer.transposed and layer.groups == 1 and set(layer.stride) | set(layer.dilation) == {1}
    if not plain or set(layer.kernel_size) != {kernel} or kernel < 5 or kernel % 2 == 0:
        return ()
    if layer.padding not in ("same", (kernel // 2,) * layer.rank):
        return ()
    three = replace(layer, kernel_size=(3,) * layer.rank, padding=(1,) * layer.rank)
    rest = replace(three, in_channels=layer.out_channels)
    return (three, *[rest] * (kernel // 2 - 1))


def _pair(layer: ConvLayer) -> tuple[ConvLayer, ...]:
    """A depthwise layer with the kernel, stride and padding, and a pointwise one with the channels."""
    if layer.transposed or layer.groups != 1 or max(layer.kernel_size) == 1:
        return ()
    ones, zeros = (1,) * layer.rank, (0,) * layer.rank
    depthwise = replace(layer, out_channels=layer.in_channels, groups=layer.in_channels, bias=False)
    pointwise = replace(
        layer, kernel_size=ones, stride=ones, padding=zeros, dilation=ones, padding_mode="zeros"
    )
    return depthwise, pointwise
