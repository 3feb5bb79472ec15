"""The text that `python -m benchmarks layers` prints."""

from __future__ import annotations

import math
from typing import Any

from benchmarks.arrays import CHECKED_FLOPS, CHECKED_IMAGES
from benchmarks.contract import OUTPUT_SAMPLES, PROMISED, WEIGHT_SAMPLES
from benchmarks.results import (
    BEST,
    LARGE_FLOPS,
    OURS,
    REFERENCE,
    Row,
    compare,
    limit_share,
    peak_share,
    slower_than,
    variants_of,
    worst_error,
)
from benchmarks.settings import Settings

LABEL_WIDTH = 34
CELL_WIDTH = 18
SLOW = 0.4
BUSY = 0.05


def conditions(machine: dict[str, Any], settings: Settings) -> str:
    """One line: product, dtype, batch, threads, processor, what it is held to."""
    what = "grad-input + grad-weight, " if settings.product == "gradients" else ""
    held = "" if settings.isa == "native" else f", held to {settings.isa}"
    threads = f"{settings.threads} thread{'' if settings.threads == 1 else 's'}"
    return (
        f"{what}{settings.dtype}, precision {settings.precision}, batch {settings.batch}, {threads} on "
        f"{machine['processor']}{held}"
    )


def heading(machine: dict[str, Any], settings: Settings) -> str:
    """What is measured on what, and what every figure of the table means."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    busy = machine["busy_share"] or 0
    lines = [conditions(machine, settings), versions]
    lines += [f"left out: {library}: {why}" for library, why in machine["left_out"].items()]
    if busy > BUSY:
        lines.append(f"WARNING: other programs use {busy:.0%} of the processors: no figure here counts")
    lines += [
        machine["limits"],
        "A cell: shortest time in µs, GFLOP/s, share of the peak.  "
        "/torch, /best: our speed / the peer's, of the fp32 peers.",
        "limit: the layer's limit / our time. The limit is the larger of operations at the FMA peak (a) and",
        "  bytes of input, weights and output at the triad's rate in the nearest memory that holds them all",
        "  (2, L, M as above).",
        "error: ours against float64, norm of the difference / norm.",
        explain_allowed(settings),
    ]
    if settings.batch > CHECKED_IMAGES:
        lines.append(
            f"  Where a product has over {CHECKED_FLOPS / 1e9:g} GFLOP, errors are of {CHECKED_IMAGES} images"
        )
    return "\n".join(lines) + "\n"


def explain_allowed(settings: Settings) -> str:
    """What the column `allowed` holds."""
    if settings.dtype != "float32":
        return f"There is no contract for {settings.dtype}."
    if settings.precision in PROMISED:
        return f"allowed: what {settings.precision!r} promises; ! where ours is above."
    samples = f"{OUTPUT_SAMPLES} outputs"
    if settings.product == "gradients":
        samples = f"{OUTPUT_SAMPLES} elements of grad-input, {WEIGHT_SAMPLES} of grad-weight"
    return f"allowed: twice that of a plain fp32 FMA loop (measured on {samples}); ! where ours is above."


def column_heads(columns: list[str]) -> str:
    cells = "".join(f"{name:>{CELL_WIDTH}}" for name in columns)
    return (
        f"{'layer':<{LABEL_WIDTH}}{'MFLOP':>8}{cells}  {'limit':>6}  {'/torch':>6} {'/best':>6}  "
        f"{'error':>7} {'allowed':>8}  best peer"
    )


def line(row: Row, columns: list[str], peak_gflops: float) -> str:
    cells = "".join(f"{cell(row, name, peak_gflops):>{CELL_WIDTH}}" for name in columns)
    best = row.best_peer()
    ratios = f"{ratio(row.speed_against(REFERENCE))} {ratio(row.speed_against(best))}"
    return (
        f"{row.label:<{LABEL_WIDTH}}{row.flops / 1e6:>8.1f}{cells}  {limit(row):>6}  {ratios}  "
        f"{errors(row)}  {best or '-'}"
    )


def cell(row: Row, variant: str, peak_gflops: float) -> str:
    if variant not in row.timings:
        return "not run" if variant in row.missing else "-"
    timing, gflops = row.timings[variant], row.gflops(variant)
    microseconds = f"{timing.min_s * 1e6:.1f}" if timing.min_s < 1e-2 else f"{timing.min_s * 1e6:.0f}"
    return f"{microseconds} {gflops:>4.0f} {gflops / peak_gflops:>4.0%}"


def limit(row: Row) -> str:
    """Our share of the limit, and what sets the limit."""
    share = row.limit_share(OURS)
    return "-" if share is None or row.limit is None else f"{share:.0%} {row.limit.sign}"


def errors(row: Row) -> str:
    """Our error and the allowed one, of the part of the answer that is nearest to its contract."""
    worst = row.worst_part()
    if worst is not None:
        return f"{worst[0]:>7.1e}{'!' if row.breaks_contract else ' '}{worst[1]:>8.1e}"
    ours = f"{row.timings[OURS].relative_error:.1e}" if OURS in row.timings else "-"
    return f"{ours:>7} {'-':>8}"


def ratio(value: float | None) -> str:
    return f"{value:>6.2f}" if value is not None else f"{'-':>6}"


def share_text(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0%}"


def summary(rows: list[Row], peak_gflops: float) -> str:
    """Means, extremes, slow layers, shares of the peak and the limit, errors."""
    peers = [name for name in variants_of(rows) if name != OURS]
    lines = [f"{'our speed against':<18}{'layers':>7}{'geo. mean':>11}{'faster on':>11}  lowest; highest"]
    for peer in [*peers, *([BEST] if peers else [])]:
        found = compare(rows, peer)
        if found is not None:
            lines.append(
                f"{peer:<18}{found.layers:>7}{found.geometric_mean:>10.2f}x{found.wins:>11}"
                f"  {found.lowest[1]:.2f}x {found.lowest[0]}; {found.highest[1]:.2f}x {found.highest[0]}"
            )
    slow = slower_than(rows, REFERENCE, SLOW)
    listed = ", ".join(f"{label} {speed:.2f}x" for label, speed in slow) or "none"
    lines += ["", f"layers under {SLOW}x {REFERENCE}: {listed}"]
    broken = [row.label for row in rows if row.breaks_contract]
    if any(row.allowed_errors for row in rows):
        lines.append(f"layers whose error is above the allowed one: {', '.join(broken) or 'none'}")
    lines.append("")
    lines.append(
        f"{'':<18}{'share of peak*':>15}{'share of limit*':>17}{'worst error':>13}{'slowest first call':>20}"
    )
    for name in variants_of(rows):
        first_s = max(row.timings[name].first_call_s for row in rows if name in row.timings)
        lines.append(
            f"{name:<18}{share_text(peak_share(rows, name, peak_gflops)):>15}"
            f"{share_text(limit_share(rows, name)):>17}{worst_error(rows, name):>13.1e}"
            f"{first_s * 1e3:>17.1f} ms"
        )
    lines.append(f"* geometric mean over layers above {LARGE_FLOPS / 1e9:.1f} GFLOP")
    for row in rows:
        lines += [f"not run: {row.label}: {library}: {reason}" for library, reason in row.missing.items()]
    return "\n".join(lines)
