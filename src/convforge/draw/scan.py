"""A kernel that scans a photograph: the output appears row by row, in the library's own numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from convforge.draw.animation import LAST_FRAME_SECONDS, Animation, Scene, checked_count, framed
from convforge.draw.equation import BIAS
from convforge.draw.grid import connector, frame, grid, shown
from convforge.draw.layout import Box, column, line, row
from convforge.draw.modules import SEED, module_of, picture_channels, run_on_picture
from convforge.draw.moving import INPUT, KERNEL, OUTPUT, sign
from convforge.draw.numbers import short
from convforge.draw.photograph import demo_photograph, photograph_of
from convforge.draw.pixels import (
    Floats,
    photograph_png,
    picture_box,
    scale_box,
    shrunk,
    signed_limit,
    signed_png,
)
from convforge.draw.shapes import Area, Cell, Shape
from convforge.draw.subject import CHANNEL
from convforge.draw.theme import checked_theme
from convforge.errors import ConvValueError
from convforge.explain.layers import as_layer
from convforge.explain.trace import Trace, trace_of
from convforge.explain.words import Language, Words, language_of
from convforge.nn.conv_nd import ConvNd

SCANS = Words(
    "The kernel scans the photograph; every output is the sum of weights times pixels.",
    "卷积核扫过照片，每个输出是权重与像素乘积之和。",
)
SIZES = Words("{before} → {after}", "{before} → {after}")
SHRUNK = Words("photograph shrunk from {was} to {size} pixels", "照片从 {was} 缩小为 {size} 像素")
WINDOW = Words("under the kernel", "卷积核覆盖处")
MORE = Words("+ {n} more channels", "+ 另外 {n} 个通道")
ROW = Words("row {row} of {rows}", "第 {row} 行，共 {rows} 行")
WHOLE = Words("the whole output, zero is neutral", "完整输出，零为中性色")
SHOWN = 300.0
PATCH = 34.0
LARGEST = 160
WIDEST_KERNEL = 7
# Vertical edges: the derivative to the right, after Sobel.
EDGES = ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))


def scan(
    layer: Any = None,
    photo: Any = None,
    *,
    weight: npt.ArrayLike | None = None,
    out_channel: int = 0,
    largest: int = LARGEST,
    frames: int = 24,
    seed: int = SEED,
    seconds: float = 0.25,
    language: str | None = None,
    theme: str = "auto",
) -> Animation:
    """A layer's kernel scans a photograph, and one channel of its output appears row by row.

    layer: a two-dimensional one; a module as it is, a spelling with weights drawn with `seed`; by default
    Sobel's vertical edges. photo: a path, a PIL image or an array; by default a portrait that comes with
    matplotlib. weight: in place of the layer's. largest: pixels a side that the photograph is shrunk to, so
    that single pixels are seen. frames: how often it is stopped on its way.

    Raises ValueError for what is no photograph, too large or broken, and what the layer raises.
    """
    said, checked = language_of(language), checked_theme(theme)
    if layer is None:
        layer, weight = (
            "Conv2d(1, 1, 3, bias=False)",
            np.array(EDGES)[None, None] if weight is None else weight,
        )
    module = module_of(layer, seed=seed, weight=weight)
    if not isinstance(module, ConvNd):
        raise ConvValueError(f"layer (={type(module).__name__}) must be one convolution layer: give a Conv2d")
    if not 0 <= out_channel < module.out_channels:
        raise ConvValueError(
            f"out_channel (={out_channel}) must be from 0 to {module.out_channels - 1}: use out_channel=0"
        )
    if largest < 1 or frames < 1:
        raise ConvValueError(f"largest (={largest}) and frames (={frames}) must be above 0: use 160 and 24")
    checked_count(frames + 1, as_layer(module).text, "use frames=24")
    photograph = photograph_of(demo_photograph() if photo is None else photo, picture_channels(module))
    pixels = shrunk(photograph.pixels, largest)
    result = run_on_picture(module, pixels)[out_channel]
    stage = _Stage(module, pixels, result, out_channel, said)
    height, width = result.shape
    scenes: list[Scene] = []
    stops = np.unique(np.linspace(0, height - 1, frames).round().astype(int))
    for number, y in enumerate(stops):
        # To and fro, so that the eye follows.
        way = (number * 0.29) % 2
        x = round((way if way < 1 else 2 - way) * (width - 1))
        words = line((ROW(said, row=int(y) + 1, rows=height), "muted"), size=13)
        scenes.append(Scene(stage.body((int(y), x)), words, seconds))
    scenes.append(Scene(stage.body(None), line((WHOLE(said), "muted"), size=13), LAST_FRAME_SECONDS))
    before, after = (f"{array.shape[0]}×{array.shape[1]}" for array in (pixels, result))
    subtitle = SIZES(said, before=before, after=after)
    if pixels is not photograph.pixels:
        was = f"{photograph.pixels.shape[0]}×{photograph.pixels.shape[1]}"
        subtitle += f" · {SHRUNK(said, was=was, size=before)}"
    return framed(
        scenes,
        title=as_layer(module).text,
        subtitle=subtitle,
        description=SCANS(said),
        language=said,
        theme=checked,
    )


class _Stage:
    """The photograph, what is under the kernel, and the output as far as it is made."""

    def __init__(
        self, module: ConvNd, pixels: Floats, result: Floats, out_channel: int, said: Language
    ) -> None:
        layer = as_layer(module)
        self.said: Language = said
        self.has_bias = layer.bias
        self.spec = layer.spec(pixels.shape[:2])
        self.trace: Trace = trace_of(self.spec)
        self.pixels, self.result, self.out_channel = pixels, result, out_channel
        self.weight: npt.NDArray[np.float32] = module.weight.detach().numpy()
        self.zoom = SHOWN / max(*pixels.shape[:2], *result.shape)
        self.limit = signed_limit(result)
        self.photograph = picture_box(
            photograph_png(pixels), pixels.shape[1] * self.zoom, pixels.shape[0] * self.zoom,
            INPUT(said), "photograph",
        )  # fmt: skip
        self.output = picture_box(
            signed_png(result, self.limit), result.shape[1] * self.zoom, result.shape[0] * self.zoom,
            OUTPUT(said), "result",
        )  # fmt: skip

    def body(self, at: tuple[int, int] | None) -> Box:
        """All of it while the output at (row, column) is made."""
        scale = scale_box(self.limit, min(self.output.width, 160.0))
        left = column(line((INPUT(self.said), "t-input"), size=12), self.photograph, gap=6)
        name = OUTPUT(self.said)
        if self.spec.out_channels > 1:
            name += f" · {CHANNEL(self.said, c=self.out_channel)}"
        right = column(line((name, "t-output"), size=12), self._revealed(at), scale, gap=6)
        whole = row(left, self._middle(at), right, gap=26, align="start")
        if at is None:
            return whole
        window = self._window(at, whole.anchors["photograph"])
        point = self._point(at, whole.anchors["result"])
        links: list[Shape] = [frame(window, "frame", out=1.0), frame(point, "frame", out=1.0)]
        if "patch" in whole.anchors:
            patch = whole.anchors["patch"]
            links.append(connector((window.right + 3, window.center[1]), (patch.x - 4, patch.center[1])))
        return whole.with_shapes(links)

    def _window(self, at: tuple[int, int], picture: Area) -> Area:
        """What the output reads, on the photograph; padding lies outside it."""
        spans = [
            [contact.position for contact in axis.contacts(i)] or [0]
            for axis, i in zip(self.trace.axes, at, strict=True)
        ]
        if self.spec.transposed:
            spans = [
                [c.source for c in axis.contacts(i) if c.source is not None] or [0]
                for axis, i in zip(self.trace.axes, at, strict=True)
            ]
        (top, bottom), (left, right) = ((min(span), max(span) + 1) for span in spans)
        z = self.zoom
        return Area(picture.x + left * z, picture.y + top * z, (right - left) * z, (bottom - top) * z)

    def _point(self, at: tuple[int, int], picture: Area) -> Area:
        """The output that is made, at least so large that it is seen."""
        z = self.zoom
        side = max(z, 5.0)
        x, y = picture.x + (at[1] + 0.5) * z, picture.y + (at[0] + 0.5) * z
        return Area(x - side / 2, y - side / 2, side, side)

    def _revealed(self, at: tuple[int, int] | None) -> Box:
        """The output, covered below the row that is made."""
        if at is None:
            return self.output
        z, area = self.zoom, self.output.anchors["result"]
        top = (at[0] + 1) * z
        if area.height - top < 0.01:
            return self.output
        cover = Cell(Area(area.x, area.y + top, area.width, area.height - top), "blank", "cover")
        return self.output.with_shapes([cover])

    def _middle(self, at: tuple[int, int] | None) -> Box:
        """The pixels under the kernel, the weights and the sum, of the first input channel that is read."""
        if self.spec.transposed or max(self.spec.kernel_size) > WIDEST_KERNEL:
            return column(line("", size=12), sign("→"), gap=self.output.height / 2 - 30)
        said, cell = self.said, PATCH if max(self.spec.kernel_size) <= 5 else PATCH * 0.8
        channels = self.spec.in_channels // self.spec.groups
        first = self.out_channel // (self.spec.out_channels // self.spec.groups) * channels
        terms = () if at is None else self.trace.terms(self.out_channel, at)
        # A term's source is (channel, row, column), a picture's pixel [row, column, channel].
        values = {
            t.weight[2:]: 0.0 if t.source is None else float(self.pixels[(*t.source[1:], t.source[0])])
            for t in terms
            if t.weight[1] == 0
        }
        axes = tuple(map(shown, self.spec.kernel_size))
        of = f" · {CHANNEL(said, c=first)}" if channels > 1 else ""
        patch = grid(
            "patch",
            axes,
            role=lambda _: "blank" if at is None else "input hot",
            label=lambda p: f"{values[p]:.2f}" if p in values else "",
            cell=cell,
            indices=False,
        )
        kernel = grid(
            "kernel",
            axes,
            role=lambda _: "kernel",
            label=lambda p: short(round(float(self.weight[(self.out_channel, 0, *p)]), 2)),
            cell=cell,
            indices=False,
        )
        value = grid(
            "value",
            ((0,),),
            role=lambda _: "blank" if at is None else "output hot",
            label=lambda _: "" if at is None else short(round(float(self.result[at]), 2)),
            cell=cell,
            width=2 * cell,
            radius=7,
            indices=False,
        )
        more: list[Box] = []
        if channels > 1:
            more.append(line((MORE(said, n=channels - 1), "muted"), size=12))
        if self.has_bias:
            more.append(line((f"+ {BIAS(said)}", "muted"), size=12))
        return column(
            line((WINDOW(said) + of, "t-input"), size=12),
            patch,
            row(sign("∗"), line((KERNEL(said) + of, "t-kernel"), size=12), gap=8),
            kernel,
            *more,
            row(sign("="), value, gap=8),
            gap=7,
        )
