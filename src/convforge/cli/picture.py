"""Draws a photograph before and after a layer, with the layer's weights between them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from convforge.cli.failure import CliError
from convforge.cli.filters import Shows

Array = npt.NDArray[np.float32]
Box = tuple[float, float, float, float]
"""left, top, width, height in inches."""

INK = "#1F2430"
QUIET = "#7A7F8A"
PAPER = "#FFFFFF"
SIGNED = "RdBu_r"
MOST_MAPS = 16
WIDEST_KERNEL = 7
CHANNEL_NAMES = {3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}

# Inches. A picture is as tall as its photograph asks, within bounds that keep it readable.
MARGIN = 0.4
PANEL_WIDTH = 4.8
PANEL_HEIGHTS = (2.4, 6.6)
GAP = 0.45
KERNEL_WIDTH = 1.1
SCALE_WIDTH = 0.75
TITLE_HEIGHT = 0.75
CAPTION_HEIGHT = 0.55
LINE_HEIGHT = 0.2
NARROWEST = 8.0
# Families that have Chinese letters, for file names; the first that is installed is used after DejaVu.
CHINESE = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "PingFang SC",
    "Microsoft YaHei",
    "SimHei",
)


@dataclass(frozen=True, slots=True)
class Scene:
    """What is drawn. before: (height, width, channels) in 0…1; after: (channels, height, width), any range.

    kernels: the first output channel's weights, (kh, kw) for each input channel that it reads.
    """

    title: str
    before: Array
    before_caption: str
    after: Array
    after_caption: str
    kernels: tuple[Array, ...]
    shows: Shows
    notes: tuple[str, ...]


def need_matplotlib() -> None:
    """CliError that names the extra where matplotlib is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        raise CliError("drawing needs matplotlib: pip install 'convforge[image]'")


def value_range(after: Array, shows: Shows) -> tuple[float, float]:
    """The numbers drawn as black and white.

    Half a percent at either end is clipped unless the result is an image, so that one bright edge does not
    turn the rest grey.
    """
    if shows == "image":
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(after, (0.5, 99.5)))
    if shows == "signed":
        high = max(abs(low), abs(high))
        low = -high
    elif shows == "magnitude":
        low = 0.0
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def to_image(after: Array, shows: Shows) -> npt.NDArray[np.uint8]:
    """The result alone, at its own size: (height, width) for one channel, (height, width, 3) for three.

    Other channel counts are laid side by side in one grey picture.
    """
    low, high = value_range(after, shows)
    levels = np.clip((after - low) / (high - low) * 255 + 0.5, 0, 255).astype(np.uint8)
    if len(levels) == 3:
        return np.ascontiguousarray(levels.transpose(1, 2, 0))
    return np.ascontiguousarray(np.hstack(list(levels)))


@dataclass(frozen=True, slots=True)
class Sheet:
    """A figure on which things are placed in inches from the upper left corner."""

    figure: Any
    width: float
    height: float

    def axes(self, left: float, top: float, width: float, height: float) -> Any:
        """Axes of this size, without ticks."""
        place = (
            left / self.width,
            1 - (top + height) / self.height,
            width / self.width,
            height / self.height,
        )
        axes = self.figure.add_axes(place)
        axes.set_xticks([])
        axes.set_yticks([])
        return axes

    def text(self, left: float, top: float, words: str, **style: Any) -> None:
        """Words as they are: a dollar sign in a file name is not a formula."""
        style = {"va": "top", "parse_math": False, "color": INK} | style
        self.figure.text(left / self.width, 1 - top / self.height, words, **style)


def draw(scene: Scene, file: BinaryIO, file_format: str) -> None:
    """Writes the picture. file_format: png, jpg, svg, pdf, …

    before | the weights, if they are few | after: an image for 1 or 3 channels, else a grid of feature maps.
    """
    import warnings

    import matplotlib as mpl
    from matplotlib.figure import Figure

    aspect = scene.before.shape[0] / scene.before.shape[1]
    panel_height = min(max(PANEL_WIDTH * aspect, PANEL_HEIGHTS[0]), PANEL_HEIGHTS[1])
    panel_width = min(PANEL_WIDTH, max(panel_height / aspect, 2.8))
    kernels = scene.kernels if fit_to_draw(scene.kernels, panel_height) else ()
    middle = KERNEL_WIDTH + GAP if kernels else 0.0
    width = max(2 * MARGIN + 2 * panel_width + GAP + middle + SCALE_WIDTH, NARROWEST)
    top = TITLE_HEIGHT + CAPTION_HEIGHT
    height = top + panel_height + LINE_HEIGHT * (len(scene.notes) + 1.5)
    style: dict[Any, Any] = {"font.family": fonts(), "font.size": 9, "axes.edgecolor": "#D5D8DE"}
    with mpl.rc_context(style), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # letters that no installed font has become boxes
        sheet = Sheet(Figure(figsize=(width, height), facecolor=PAPER), width, height)
        # A bold letter is about 0.68 of its size wide: a long layer gets a smaller title.
        size = min(16.0, 72 * (width - 2 * MARGIN) / (0.68 * max(1, len(scene.title))))
        sheet.text(MARGIN, 0.3, scene.title, fontsize=size, fontweight="bold")
        draw_before(sheet, scene, (MARGIN, top, panel_width, panel_height))
        if kernels:
            draw_kernels(sheet, kernels, (MARGIN + panel_width + GAP, top, KERNEL_WIDTH, panel_height))
        left = MARGIN + panel_width + GAP + middle
        draw_after(sheet, scene, (left, top, panel_width, panel_height))
        for number, line in enumerate(scene.notes):
            below = top + panel_height + LINE_HEIGHT * (number + 0.9)
            sheet.text(MARGIN, below, line, fontsize=8.5, color=QUIET)
        sheet.figure.savefig(file, format=file_format, dpi=150)


def fonts() -> list[str]:
    """DejaVu Sans, and a family with Chinese letters where one is installed."""
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *[name for name in CHINESE if name in installed][:1]]


def caption(sheet: Sheet, left: float, top: float, word: str, words: str) -> None:
    """A bold word, and a quiet line below it, over a panel."""
    sheet.text(left, top - 0.47, word, fontsize=10, fontweight="bold")
    sheet.text(left, top - 0.26, words, fontsize=8.5, color=QUIET)


def draw_before(sheet: Sheet, scene: Scene, box: Box) -> None:
    """The photograph as the layer sees it; two channels are grey and alpha."""
    shown = scene.before[..., 0] if scene.before.shape[2] < 3 else np.clip(scene.before, 0, 1)
    caption(sheet, box[0], box[1], "before", scene.before_caption)
    axes = sheet.axes(*box)
    axes.imshow(shown, cmap="gray", vmin=0, vmax=1)
    axes.set_anchor("NW")


def draw_after(sheet: Sheet, scene: Scene, box: Box) -> None:
    """The result, with a scale that says what black and white stand for."""
    left, top, width, height = box
    low, high = value_range(scene.after, scene.shows)
    count = len(scene.after)
    shown = None
    if count == 3:
        axes = sheet.axes(*box)
        axes.imshow(np.clip((scene.after.transpose(1, 2, 0) - low) / (high - low), 0, 1))
        axes.set_anchor("NW")
        drawn = 3
    else:
        drawn = min(count, MOST_MAPS)
        columns = int(np.ceil(np.sqrt(drawn)))
        rows = -(-drawn // columns)
        gap = 0.0 if drawn == 1 else 0.08
        cell = ((width + gap) / columns - gap, (height + gap) / rows - gap)
        for number in range(drawn):
            row, column = divmod(number, columns)
            place = (left + column * (cell[0] + gap), top + row * (cell[1] + gap))
            axes = sheet.axes(*place, *cell)
            shown = axes.imshow(scene.after[number], cmap="gray", vmin=low, vmax=high)
            axes.set_anchor("NW")
    more = f", channels 0 to {drawn - 1}" if count > drawn else ""
    caption(sheet, left, top, "after", f"{scene.after_caption}{more}")
    if shown is not None and scene.shows != "image":
        bar = sheet.figure.colorbar(shown, cax=sheet.axes(left + width + 0.14, top, 0.09, height))
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0, labelsize=7.5, colors=QUIET)


def fit_to_draw(grids: tuple[Array, ...], height: float) -> bool:
    """Whether there are few enough weights to be read."""
    return 0 < len(grids) <= height / (KERNEL_WIDTH + 0.3) and max(grids[0].shape) <= WIDEST_KERNEL


def draw_kernels(sheet: Sheet, grids: tuple[Array, ...], box: Box) -> None:
    """Each input channel's weights on one signed scale, with numbers where they fit."""
    left, top, width, _ = box
    limit = max(float(np.abs(grid).max()) for grid in grids) or 1.0
    names = CHANNEL_NAMES.get(len(grids), ("",) * len(grids))
    caption(sheet, left, top, "weights", "of channel 0")
    for number, (grid, name) in enumerate(zip(grids, names, strict=True)):
        axes = sheet.axes(left, top + number * (width + 0.3), width, width)
        axes.imshow(grid, cmap=SIGNED, vmin=-limit, vmax=limit)
        axes.set_anchor("N")
        axes.set_xlabel(name, fontsize=8, color=QUIET, labelpad=2)
        if max(grid.shape) > 4:
            continue
        for (row, column), value in np.ndenumerate(grid):
            colour = PAPER if abs(value) > 0.6 * limit else INK
            words = f"{value:.0f}" if float(value).is_integer() else f"{value:.2f}"
            axes.text(column, row, words, ha="center", va="center", fontsize=7, color=colour)
