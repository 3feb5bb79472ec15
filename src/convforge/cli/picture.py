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

INK = "#1F2430"
QUIET = "#7A7F8A"
PAPER = "#FFFFFF"
SIGNED = "RdBu_r"
MOST_MAPS = 16
WIDEST_KERNEL = 7
WIDTH_INCHES = 12.0
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


def draw(scene: Scene, file: BinaryIO, file_format: str) -> None:
    """Writes the picture. file_format: png, jpg, svg, pdf, …

    before | the weight, if it is small | after: an image for 1 or 3 channels, else a grid of feature maps.
    """
    import warnings

    import matplotlib as mpl
    from matplotlib.figure import Figure

    kernels = scene.kernels if fit_to_draw(scene.kernels) else ()
    height, width, _ = scene.before.shape
    panel = 5.0
    # Tall and wide photographs keep a picture of readable proportions.
    body = min(max(panel * height / width, 2.6), 7.5)
    style: dict[Any, Any] = {
        "font.family": fonts(),
        "font.size": 9,
        "text.color": INK,
        "axes.edgecolor": "#D5D8DE",
    }
    with mpl.rc_context(style), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # letters that no installed font has become boxes
        notes = 0.2 * len(scene.notes) + 0.2
        figure = Figure(figsize=(WIDTH_INCHES, body + 1.2 + notes), facecolor=PAPER, layout="constrained")
        parts: Any = figure.subfigures(3, 1, height_ratios=(0.55, body + 0.65, notes))
        head, middle, foot = parts
        head.text(0.012, 0.42, scene.title, fontsize=15, fontweight="bold", va="center", parse_math=False)
        ratios = (1, 0.28, 1.12) if kernels else (1, 1.12)
        axes = middle.subfigures(1, len(ratios), width_ratios=ratios)
        draw_before(axes[0], scene)
        if kernels:
            draw_kernels(axes[1], kernels)
        draw_after(axes[-1], scene)
        for line, text in enumerate(scene.notes):
            place = 1 - (line + 0.5) / (len(scene.notes) + 0.6)
            foot.text(0.014, place, text, fontsize=8.5, color=QUIET, va="center", parse_math=False)
        figure.savefig(file, format=file_format, dpi=150)


def fonts() -> list[str]:
    """DejaVu Sans, and a family with Chinese letters where one is installed."""
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *[name for name in CHINESE if name in installed][:1]]


def draw_before(panel: Any, scene: Scene) -> None:
    """The photograph as the layer sees it."""
    axes = panel.subplots()
    shown = scene.before
    if shown.shape[2] in (1, 2):
        axes.imshow(shown[..., 0], cmap="gray", vmin=0, vmax=1)
    else:
        axes.imshow(np.clip(shown, 0, 1))
    finish(axes, "before", scene.before_caption)


def draw_after(panel: Any, scene: Scene) -> None:
    """The result, with a scale that says what black and white stand for."""
    count = len(scene.after)
    low, high = value_range(scene.after, scene.shows)
    if count == 3:
        axes = panel.subplots()
        axes.imshow(np.clip((scene.after.transpose(1, 2, 0) - low) / (high - low), 0, 1))
        finish(axes, "after", scene.after_caption)
        return
    if count == 1:
        axes = panel.subplots()
        shown = axes.imshow(scene.after[0], cmap="gray", vmin=low, vmax=high)
        finish(axes, "after", scene.after_caption)
        grid = [axes]
    else:
        drawn = min(count, MOST_MAPS)
        columns = int(np.ceil(np.sqrt(drawn)))
        rows = -(-drawn // columns)
        grid = list(np.ravel(panel.subplots(rows, columns, squeeze=False)))
        shown = None
        for place, axes in enumerate(grid):
            axes.axis("off")
            if place < drawn:
                shown = axes.imshow(scene.after[place], cmap="gray", vmin=low, vmax=high)
                axes.set_title(f"{place}", fontsize=7, color=QUIET, pad=2)
        more = f", the first {drawn}" if count > drawn else ""
        panel.suptitle(
            f"after   {scene.after_caption}{more}", fontsize=9, x=0.02, ha="left", parse_math=False
        )
    if scene.shows != "image":
        bar = panel.colorbar(shown, ax=grid, shrink=0.75, aspect=30, pad=0.02)
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0, labelsize=7, colors=QUIET)


def finish(axes: Any, word: str, caption: str) -> None:
    """A frame without ticks, a bold word and a caption above it."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(f"{word}   {caption}", loc="left", fontsize=9, parse_math=False)


def fit_to_draw(grids: tuple[Array, ...]) -> bool:
    """Whether there are few enough weights to be read."""
    return 0 < len(grids) <= 4 and max(grids[0].shape) <= WIDEST_KERNEL


def draw_kernels(panel: Any, grids: tuple[Array, ...]) -> None:
    """Each input channel's weights on one signed scale, with numbers where they fit."""
    limit = max(float(np.abs(grid).max()) for grid in grids) or 1.0
    names = {3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}.get(
        len(grids), ("",) * len(grids)
    )
    panels = np.ravel(panel.subplots(len(grids), 1, squeeze=False))
    panel.suptitle("weights", fontsize=9, y=1.0)
    for axes, grid, name in zip(panels, grids, names, strict=True):
        axes.imshow(grid, cmap=SIGNED, vmin=-limit, vmax=limit)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(name, fontsize=8, color=QUIET, labelpad=2)
        if max(grid.shape) > 4:
            continue
        for (row, column), value in np.ndenumerate(grid):
            colour = PAPER if abs(value) > 0.6 * limit else INK
            text = f"{value:.2g}" if float(value).is_integer() else f"{value:.2f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=6.5, color=colour)
