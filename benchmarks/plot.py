"""The picture of a run: our speed against every peer, layer by layer, and the share of the peak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.results import BEST, OURS, REFERENCE, Row, compare, variants_of

# Okabe and Ito's colours, which colour-blind readers can tell apart; ours is the strong one.
COLOURS = {
    OURS: "#D55E00",
    "torch": "#0072B2",
    "torch-cl": "#56B4E9",
    "onnxruntime": "#009E73",
    "openvino": "#8A6FB0",
    "openvino-bf16": "#C9A9E0",
}
NAMES = {
    OURS: "convforge",
    "torch": "PyTorch NCHW",
    "torch-cl": "PyTorch channels-last",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO fp32",
    "openvino-bf16": "OpenVINO bf16",
}
INK = "#222222"
QUIET = "#8C8C8C"
ROW_INCHES = 0.185


def draw(rows: list[Row], peak_gflops: float, conditions: str, path: Path) -> None:
    """Writes the picture; its format follows the suffix of `path`. Layers keep the table's order."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    height = 2.6 + ROW_INCHES * len(rows)
    style = {"font.family": "DejaVu Sans", "font.size": 8, "text.color": INK, "axes.labelcolor": INK}
    with mpl.rc_context(style):
        figure, (speed, share) = plt.subplots(
            1, 2, figsize=(11, height), sharey=True, width_ratios=(2.1, 1), layout="constrained"
        )
        draw_speeds(speed, rows)
        draw_shares(share, rows, peak_gflops)
        label_rows(speed, rows)
        figure.suptitle("Convolution layers, one by one", fontsize=15, fontweight="bold", x=0.01, ha="left")
        speed.set_title(subtitle(rows), loc="left", fontsize=9, color=INK, pad=26)
        share.set_title("bar: convforge\ntick: the best peer", loc="left", fontsize=9, color=INK, pad=8)
        figure.supxlabel(conditions, fontsize=7.5, color=QUIET)
        figure.savefig(path, dpi=160)
        plt.close(figure)


def draw_speeds(axes: Any, rows: list[Row]) -> None:
    """Left: a dot a library, its speed in units of PyTorch NCHW's, on a doubling scale."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for place, row in enumerate(rows):
        if REFERENCE not in row.timings:
            continue
        reference_s = row.timings[REFERENCE].min_s
        speeds = {name: reference_s / timing.min_s for name, timing in row.timings.items()}
        axes.plot(
            [min(speeds.values()), max(speeds.values())], [place, place], color="#E3E3E3", lw=1.2, zorder=1
        )
        for name, speed in speeds.items():
            ours = name == OURS
            axes.scatter(
                speed,
                place,
                s=44 if ours else 20,
                color=COLOURS.get(name, QUIET),
                edgecolor="white",
                linewidth=0.6,
                zorder=4 if ours else 3,
            )
    axes.axvline(1, color=COLOURS[REFERENCE], lw=1, alpha=0.6, zorder=0)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(LogLocator(base=2))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.set_xlabel("speed in units of PyTorch NCHW's  (right is faster)")
    finish(axes)
    axes.legend(
        handles=[handle(name) for name in variants_of(rows)],
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=5,
        frameon=False,
        handletextpad=0.1,
        columnspacing=1.2,
        borderaxespad=0.2,
    )


def draw_shares(axes: Any, rows: list[Row], peak_gflops: float) -> None:
    """Right: our share of the FMA peak as a bar, the best peer's as a tick."""
    for place, row in enumerate(rows):
        if OURS in row.timings:
            axes.barh(place, row.gflops(OURS) / peak_gflops, height=0.62, color=COLOURS[OURS], alpha=0.85)
        best = row.best_peer()
        if best is not None:
            share = row.gflops(best) / peak_gflops
            axes.plot([share, share], [place - 0.42, place + 0.42], color=INK, lw=1.4, solid_capstyle="butt")
    axes.axvline(1, color=QUIET, lw=0.8, ls=(0, (4, 3)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlim(left=0)
    axes.set_xlabel(f"share of the FMA peak, {peak_gflops:.0f} GFLOP/s")
    finish(axes)


def finish(axes: Any) -> None:
    """Quiet axes: vertical guides only."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#BBBBBB")
    axes.tick_params(axis="both", length=0, colors=INK)
    axes.grid(axis="x", color="#EDEDED", lw=0.8)
    axes.set_axisbelow(True)


def label_rows(axes: Any, rows: list[Row]) -> None:
    """Layer names, with a band behind every other network."""
    axes.set_yticks(range(len(rows)), [row.label.replace(" ", "  ") for row in rows], fontsize=7.5)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    nets = [row.label.split()[0] for row in rows]
    band = False
    for place, net in enumerate(nets):
        band = band != (place > 0 and net != nets[place - 1])
        if band:
            for panel in axes.figure.axes:
                panel.axhspan(place - 0.5, place + 0.5, color="#F6F6F4", zorder=-2, lw=0)


def handle(name: str) -> Any:
    """The legend's dot."""
    from matplotlib.lines import Line2D

    size = 7 if name == OURS else 5
    return Line2D(
        [],
        [],
        ls="",
        marker="o",
        ms=size,
        mec="white",
        color=COLOURS.get(name, QUIET),
        label=NAMES.get(name, name),
    )


def subtitle(rows: list[Row]) -> str:
    """The two means that sum the picture up."""
    parts: list[str] = []
    for peer, words in ((REFERENCE, "PyTorch NCHW"), (BEST, "the best peer of each layer")):
        found = compare(rows, peer)
        if found is not None:
            parts.append(f"{found.geometric_mean:.2f}× {words}")
    return f"convforge, geometric mean: {', '.join(parts)}" if parts else ""
