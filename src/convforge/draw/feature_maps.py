"""What a layer makes of a photograph, in the library's own numbers.

feature_maps          the photograph before, the output's channels after, all on one signed scale
receptive_field_on    what one output of a stack of layers sees, drawn on the photograph
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from convforge.autograd.tensor import from_data
from convforge.draw.drawing import Drawing, finished
from convforge.draw.grid import frame
from convforge.draw.layout import Box, column, flow, line, row
from convforge.draw.modules import SEED, convolutions, module_of, picture_channels, run_on_picture
from convforge.draw.moving import INPUT, OUTPUT
from convforge.draw.photograph import demo_photograph, photograph_of
from convforge.draw.pixels import (
    Floats,
    heat_png,
    photograph_png,
    picture_box,
    scale_box,
    shrunk,
    signed_limit,
    signed_png,
)
from convforge.draw.shapes import Area, Picture, Shape
from convforge.draw.subject import CHANNEL
from convforge.draw.theme import checked_theme
from convforge.errors import ConvTypeError, ConvValueError
from convforge.explain.layers import as_layer
from convforge.explain.receptive_field import receptive_field, windows_of
from convforge.explain.words import Language, Words, language_of
from convforge.nn.conv_nd import ConvNd
from convforge.nn.module import Module
from convforge.problem import ConvLayer

TITLE = Words("Before and after", "卷积前后")
FIELD_TITLE = Words("Receptive field on a photograph", "照片上的感受野")
SIZES = Words("{before} → {after}", "{before} → {after}")
SHRUNK = Words("photograph shrunk from {was} to {size}", "照片从 {was} 缩小为 {size}")
ONE_SCALE = Words(
    "All channels share one scale: the same colour is the same number, and zero is neutral.",
    "所有通道共用一个色标：颜色相同则数值相同，零为中性色。",
)
SOME = Words("{shown} of {all} channels", "{all} 个通道中的 {shown} 个")
FIELD = Words(
    "Output ({place}) of {size} sees rows {top} to {bottom}, columns {left} to {right}: {high}×{wide}.",
    "输出 {size} 中的 ({place}) 看到第 {top} 至 {bottom} 行、第 {left} 至 {right} 列：{high}×{wide}。",
)
OUTSIDE = Words("What lies outside the photograph is padding.", "照片以外的部分是填充。")
HEAT = Words(
    "Warmth: the size of the output's gradient there, {share} of it within {inner} of the field's area.",
    "暖色深浅：输出对该处的梯度大小；其中 {share} 集中在感受野 {inner} 的面积内。",
)
BEFORE_WIDTH, MOST_MAP_WIDTH, MAPS_WIDTH = 320.0, 320.0, 640.0
LARGEST = 384
MOST_MAPS = 16
FIELD_SHOWN = 460.0
MOST_LAYERS = 200


def feature_maps(
    layer: Any,
    photo: Any = None,
    *,
    channels: Sequence[int] | None = None,
    weight: npt.ArrayLike | None = None,
    largest: int = LARGEST,
    seed: int = SEED,
    language: str | None = None,
    theme: str = "auto",
) -> Drawing:
    """A photograph before a layer, and the channels of its output after it, on one shared signed scale.

    layer: a module or a stack of them as it is, or a layer's spelling with weights drawn with `seed`.
    photo: a path, a PIL image, an array, or None for a portrait that comes with matplotlib; it is given as
    many channels as the layer takes. channels: of the output, the first 16 if not given. weight: in place of
    the layer's. largest: pixels a side that the photograph is shrunk to.

    Raises ValueError for what is no photograph, too large or broken, for channels that are not there, and
    what the layer raises.
    """
    said, checked = language_of(language), checked_theme(theme)
    if largest < 1:
        raise ConvValueError(f"largest (={largest}) must be above 0: use largest={LARGEST}")
    module = module_of(layer, seed=seed, weight=weight)
    photograph = photograph_of(demo_photograph() if photo is None else photo, picture_channels(module))
    pixels = shrunk(photograph.pixels, largest)
    maps = run_on_picture(module, pixels)
    chosen = _chosen(channels, len(maps))
    limit = signed_limit(maps[chosen])
    zoom = min(BEFORE_WIDTH / pixels.shape[1], 2 * BEFORE_WIDTH / pixels.shape[0])
    before = picture_box(
        photograph_png(pixels), pixels.shape[1] * zoom, pixels.shape[0] * zoom, INPUT(said), "photograph"
    )
    size = _size_text((pixels.shape[2], *pixels.shape[:2]))
    left = column(
        line((INPUT(said), "t-input"), size=14, bold=True),
        line((size, "muted"), size=12),
        before,
        gap=6,
    )
    few = line((SOME(said, shown=len(chosen), all=len(maps)), "muted"), size=12)
    right = column(
        line((OUTPUT(said), "t-output"), size=14, bold=True),
        line((_size_text(maps.shape), "muted"), size=12) if len(chosen) == len(maps) else few,
        _maps(maps, chosen, limit, said),
        scale_box(limit, 200.0),
        gap=6,
    )
    subtitle = SIZES(said, before=size, after=_size_text(maps.shape))
    if pixels is not photograph.pixels:
        was, now = (_size_text(array.shape[:2]) for array in (photograph.pixels, pixels))
        subtitle += f" · {SHRUNK(said, was=was, size=now)}"
    name = as_layer(module).text if isinstance(module, ConvNd) else type(module).__name__
    return finished(
        row(left, right, gap=34, align="start"),
        title=f"{TITLE(said)} · {name}",
        subtitle=subtitle,
        note=ONE_SCALE(said),
        language=said,
        theme=checked,
    )


def _chosen(channels: Sequence[int] | None, count: int) -> list[int]:
    """The channels to show. Raises ValueError for those that are not there."""
    if channels is None:
        return list(range(min(count, MOST_MAPS)))
    chosen = list(channels)
    wrong = [channel for channel in chosen if not 0 <= channel < count]
    if wrong or not chosen:
        named = f"channels (={wrong[0]})" if wrong else "channels (=[])"
        raise ConvValueError(f"{named} must be from 0 to {count - 1}, the output's: use channels=[0]")
    return chosen


def _maps(maps: Floats, chosen: list[int], limit: float, said: Language) -> Box:
    """The channels in a grid that is about as wide as high."""
    columns = ceil(sqrt(len(chosen)))
    height, width = maps.shape[1:]
    side = min(MOST_MAP_WIDTH, (MAPS_WIDTH - 10 * (columns - 1)) / columns)
    zoom = min(side / width, side * 1.5 / height)
    boxes: list[Box] = []
    for channel in chosen:
        name = CHANNEL(said, c=channel)
        picture = picture_box(
            signed_png(maps[channel], limit), width * zoom, height * zoom, name, f"map-{channel}"
        )
        boxes.append(column(line((name, "muted"), size=11), picture, gap=3))
    return flow(boxes, columns * (max(box.width for box in boxes) + 10), gap=10, line_gap=10)


def _size_text(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def receptive_field_on(
    photo: Any,
    layers: Any,
    position: tuple[int, int] | None = None,
    *,
    heat: bool = False,
    largest: int = LARGEST,
    language: str | None = None,
    theme: str = "auto",
) -> Drawing:
    """What one output position of a stack of layers sees of a photograph, exactly, drawn on it.

    photo: as of `feature_maps`. layers: modules, spellings or values of two-dimensional layers, the first
    first, or a Sequential of convolutions and activations. position: (row, column) of the output, its middle
    if not given. heat: also the size of the output's gradient, pixel by pixel (what Luo et al. call the
    effective receptive field): of modules with their own weights, of spellings with all weights equal.

    Raises ValueError for a position outside the output, for layers that are not convolutions, and what the
    layers raise.
    Source: Luo, Li, Urtasun & Zemel, Understanding the Effective Receptive Field, 2016.
    """
    said, checked = language_of(language), checked_theme(theme)
    stack = _stack(layers)
    values = [as_layer(layer) for layer in stack if not _is_pointwise(layer)]
    photograph = photograph_of(demo_photograph() if photo is None else photo, 3)
    pixels = shrunk(photograph.pixels, largest)
    sizes = [pixels.shape[:2]]
    for value in values:
        if value.rank != 2:
            raise ConvValueError(f"{value.text}: a photograph has 2 axes: use {value.name[:-2]}2d")
        sizes.append(value.spec(sizes[-1]).output_size)
    output = sizes[-1]
    at = tuple((size - 1) // 2 for size in output) if position is None else tuple(position)
    if len(at) != 2 or not all(0 <= i < size for i, size in zip(at, output)):
        raise ConvValueError(
            f"position (={at}) must be a (row, column) of the output, which is {_size_text(output)}: use "
            f"position=({(output[0] - 1) // 2}, {(output[1] - 1) // 2})"
        )
    windows = [windows_of(value, size) for value, size in zip(values, sizes)]
    fields = [receptive_field(window[axis] for window in windows) for axis in range(2)]
    spans = [field.interval(i) for field, i in zip(fields, at, strict=True)]
    if spans[0] is None or spans[1] is None:
        raise ConvValueError(f"position (={at}) reads nothing of the input: choose another")
    (top, bottom), (left, right) = spans[0], spans[1]
    notes = [
        FIELD(
            said, place=f"{at[0]}, {at[1]}", size=_size_text(output), top=_signed(top),
            bottom=_signed(bottom), left=_signed(left), right=_signed(right), high=bottom - top + 1,
            wide=right - left + 1,
        )
    ]  # fmt: skip
    inside = top >= 0 and bottom < pixels.shape[0] and left >= 0 and right < pixels.shape[1]
    if not inside:
        notes.append(OUTSIDE(said))
    weights = None
    if heat:
        weights = gradient_size(stack, pixels.shape[:2], (at[0], at[1]))
        inner, share = _concentration(weights, (bottom - top + 1) * (right - left + 1))
        notes.append(HEAT(said, share=f"{share:.0%}", inner=f"{inner:.0%}"))
    return finished(
        _field_box(pixels, weights, (top, bottom, left, right), said),
        title=FIELD_TITLE(said),
        subtitle=" → ".join(value.text for value in values[:4]) + (" → …" if len(values) > 4 else ""),
        note=(" " if said == "en" else "").join(notes),
        language=said,
        theme=checked,
    )


def _signed(value: int) -> str:
    return str(value).replace("-", "−")


def _field_box(
    pixels: Floats, weights: Floats | None, field: tuple[int, int, int, int], said: Language
) -> Box:
    """The photograph, room around it for a field that reaches beyond, the heat, and the field's frame."""
    height, width = pixels.shape[:2]
    top, bottom, left, right = field
    # A field may be far larger than the photograph: three quarters of its side are room enough to see that.
    room = round(0.75 * max(height, width))
    up, down = min(max(-top, 0), room), min(max(bottom + 1 - height, 0), room)
    west, east = min(max(-left, 0), room), min(max(right + 1 - width, 0), room)
    zoom = FIELD_SHOWN / max(height + up + down, width + west + east)
    area = Area(west * zoom, up * zoom, width * zoom, height * zoom)
    shapes: list[Shape] = [Picture(area, photograph_png(pixels), INPUT(said), "photograph")]
    if weights is not None:
        shapes.append(Picture(area, heat_png(weights), "", "heat"))
    whole = Area(
        area.x + max(left, -west) * zoom,
        area.y + max(top, -up) * zoom,
        (min(right + 1, width + east) - max(left, -west)) * zoom,
        (min(bottom + 1, height + down) - max(top, -up)) * zoom,
    )
    # A light line within a dark one is seen on any photograph.
    shapes += [frame(whole, "halo", out=1.2), frame(whole, "field", out=1.2)]
    box_width, box_height = (width + west + east) * zoom, (height + up + down) * zoom
    return Box(box_width, box_height, tuple(shapes), {"photograph": area, "field": whole})


def _stack(layers: Any) -> list[Any]:
    """The layers one by one. Raises ValueError or TypeError for what is no stack of convolutions."""
    if isinstance(layers, str | ConvLayer | ConvNd):
        found = [layers]
    elif isinstance(layers, Iterable):
        found = list(layers)
    else:
        raise ConvTypeError(
            f'layers (={type(layers).__name__}) must be layers: give ["Conv2d(3, 8, 3)", …] or a Sequential'
        )
    if not 0 < len(found) <= MOST_LAYERS:
        raise ConvValueError(f"layers: {len(found)} of them: give 1 to {MOST_LAYERS}")
    if all(map(_is_pointwise, found)):
        raise ConvValueError("layers: none is a convolution: give a Conv2d among them")
    return found


def _is_pointwise(layer: Any) -> bool:
    """An activation or normalisation, which moves nothing: each output reads its own place alone."""
    if not isinstance(layer, Module) or isinstance(layer, ConvNd):
        return False
    module = type(layer).__module__.rpartition(".")[2]
    if module not in ("activation", "rectifier", "smooth", "norm", "dropout", "identity"):
        raise ConvValueError(
            f"layers: {type(layer).__name__} is neither a convolution nor an activation: give only these"
        )
    return True


def gradient_size(layers: Sequence[Any], size: tuple[int, ...], at: tuple[int, int]) -> Floats:
    """|∂ output / ∂ input| summed over input channels, (height, width), 0 to 1.

    Of modules with their weights, the sum of all output channels at the position; of spellings one channel
    with equal weights: then it counts the ways from a pixel to the output.
    """
    modules: list[Module] = []
    for layer in layers:
        if isinstance(layer, Module):
            modules.append(layer)
            continue
        value = as_layer(layer)
        alone = ConvLayer(
            value.transposed, 1, 1, value.kernel_size, value.stride, value.padding, value.dilation,
            value.output_padding, 1, False, value.padding_mode,
        )  # fmt: skip
        taps = alone.kernel_size[0] * alone.kernel_size[1]
        modules.append(module_of(alone, weight=np.full(alone.weight_shape, 1 / taps)))
    found = [part for module in modules for part in convolutions(module)]
    rng = np.random.default_rng(0)
    x = from_data(rng.random((1, found[0].in_channels, *size), np.float32)).requires_grad_()
    y = x
    for module in modules:
        y = module(y)
    y[0, :, at[0], at[1]].sum().backward()
    assert x.grad is not None
    gradient = np.abs(np.asarray(x.grad.numpy(), np.float32)[0]).sum(0)
    largest = float(gradient.max())
    return gradient / largest if largest else gradient


def _concentration(weights: Floats, field: int) -> tuple[float, float]:
    """(share of the field's area, share of the gradient) of the smallest area with 95 % of the gradient."""
    ordered = np.sort(weights.ravel())[::-1].astype(np.float64)
    total = ordered.sum()
    if not total:
        return 1.0, 0.0
    count = int(np.searchsorted(np.cumsum(ordered), 0.95 * total)) + 1
    return count / field, 0.95
