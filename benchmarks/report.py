"""The text that `python -m benchmarks layers` prints."""

from __future__ import annotations

import math
from typing import Any

from benchmarks.results import (
    LARGE_FLOPS,
    OURS,
    REFERENCE,
    Row,
    compare,
    peak_share,
    slower_than,
    variants_of,
    worst_error,
)
from benchmarks.settings import Settings

# Which columns a library may fill, in order.
VARIANTS = {"torch": ("torch", "torch-cl")}
LABEL_WIDTH = 34
CELL_WIDTH = 18
SLOW = 0.4
BUSY = 0.05


def conditions(machine: dict[str, Any], settings: Settings) -> str:
    """One line: dtype, batch, threads, processor."""
    return f"{settings.dtype}, batch {settings.batch}, {settings.threads} threads on {machine['processor']}"


def heading(machine: dict[str, Any], peak_gflops: float, settings: Settings) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    busy = machine["busy_share"] or 0
    warning = f"WARNING: other programs use {busy:.0%} of the processors: no figure here counts\n"
    return (
        f"{conditions(machine, settings)}\n{versions}\n"
        f"{warning if busy > BUSY else ''}FMA peak measured: {peak_gflops:.0f} GFLOP/s\n"
        "A cell: shortest time in µs, GFLOP/s, share of the peak.  "
        "/torch, /best: our speed / the peer's.\n"
        "error: ours against float64, norm of the difference / norm.\n"
    )


def columns(libraries: list[str]) -> list[str]:
    return [variant for library in libraries for variant in VARIANTS.get(library, (library,))]


def column_heads(libraries: list[str]) -> str:
    cells = "".join(f"{name:>{CELL_WIDTH}}" for name in columns(libraries))
    return f"{'layer':<{LABEL_WIDTH}}{'MFLOP':>8}{cells}  {'/torch':>6} {'/best':>6}  {'error':>6}  best peer"


def line(row: Row, libraries: list[str], peak_gflops: float) -> str:
    cells = "".join(f"{cell(row, name, peak_gflops):>{CELL_WIDTH}}" for name in columns(libraries))
    best = row.best_peer()
    ratios = f"{ratio(row.speed_against(REFERENCE))} {ratio(row.speed_against(best))}"
    error = f"{row.timings[OURS].relative_error:>6.0e}" if OURS in row.timings else f"{'-':>6}"
    return f"{row.label:<{LABEL_WIDTH}}{row.flops / 1e6:>8.1f}{cells}  {ratios}  {error}  {best or '-'}"


def cell(row: Row, variant: str, peak_gflops: float) -> str:
    if variant not in row.timings:
        return "not run" if variant in row.missing else "-"
    timing, gflops = row.timings[variant], row.gflops(variant)
    microseconds = f"{timing.min_s * 1e6:.1f}" if timing.min_s < 1e-2 else f"{timing.min_s * 1e6:.0f}"
    return f"{microseconds} {gflops:>4.0f} {gflops / peak_gflops:>4.0%}"


def ratio(value: float | None) -> str:
    return f"{value:>6.2f}" if value is not None else f"{'-':>6}"


def summary(rows: list[Row], peak_gflops: float) -> str:
    """Means, extremes, slow layers, shares of the peak, errors."""
    peers = [name for name in variants_of(rows) if name != OURS]
    lines = [f"{'our speed against':<18}{'layers':>7}{'geo. mean':>11}{'faster on':>11}  lowest; highest"]
    for peer in [*peers, *(["best peer"] if peers else [])]:
        found = compare(rows, peer)
        if found is not None:
            lines.append(
                f"{peer:<18}{found.layers:>7}{found.geometric_mean:>10.2f}x{found.wins:>11}"
                f"  {found.lowest[1]:.2f}x {found.lowest[0]}; {found.highest[1]:.2f}x {found.highest[0]}"
            )
    slow = slower_than(rows, REFERENCE, SLOW)
    listed = ", ".join(f"{label} {speed:.2f}x" for label, speed in slow) or "none"
    lines += ["", f"layers under {SLOW}x {REFERENCE}: {listed}", ""]
    lines.append(f"{'':<18}{'share of peak*':>15}{'worst error':>13}{'slowest first call':>20}")
    for name in variants_of(rows):
        first_s = max(row.timings[name].first_call_s for row in rows if name in row.timings)
        share = peak_share(rows, name, peak_gflops)
        lines.append(
            f"{name:<18}{'-' if math.isnan(share) else f'{share:.0%}':>15}{worst_error(rows, name):>13.1e}"
            f"{first_s * 1e3:>17.1f} ms"
        )
    lines.append(f"* geometric mean over layers above {LARGE_FLOPS / 1e9:.1f} GFLOP")
    for row in rows:
        lines += [f"not run: {row.label}: {library}: {reason}" for library, reason in row.missing.items()]
    return "\n".join(lines)
