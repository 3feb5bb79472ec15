"""What was measured, as values: a timing, a layer's row, and the ratios read from rows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.limit import Limit

OURS = "convforge"
REFERENCE = "torch"
"""The peer in the way most people call it: PyTorch, contiguous NC…"""

BEST = "best fp32 peer"
"""Stands for the fastest peer of each layer."""

BELOW_FP32 = ("openvino-bf16",)
"""Variants that do not compute in float32: measured, but never the best peer."""

LARGE_FLOPS = 1e8
"""Layers above 0.1 GFLOP are bound by arithmetic; their shares of peak and limit are averaged."""


@dataclass(slots=True)
class Timing:
    """One variant on one layer; an error for each part of the answer (the output, or two gradients)."""

    errors: list[float]
    first_call_s: float
    samples_s: list[float] = field(default_factory=list)

    @property
    def relative_error(self) -> float:
        return max(self.errors)

    @property
    def min_s(self) -> float:
        return min(self.samples_s)

    @property
    def median_s(self) -> float:
        return statistics.median(self.samples_s)


@dataclass(slots=True)
class Row:
    """All variants on one layer; `missing` says why a library has none.

    `allowed_errors` are the contract's for the parts of our answer, empty where it has none.
    """

    label: str
    flops: int
    timings: dict[str, Timing] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    limit: Limit | None = None
    plain_errors: list[float] = field(default_factory=list)
    allowed_errors: list[float] = field(default_factory=list)

    def gflops(self, variant: str) -> float:
        """Billions of nominal operations a second, by the shortest time."""
        return self.flops / self.timings[variant].min_s / 1e9

    def best_peer(self) -> str | None:
        """The fastest fp32 variant that is not ours."""
        peers = [name for name in self.timings if name != OURS and name not in BELOW_FP32]
        return min(peers, key=lambda name: self.timings[name].min_s) if peers else None

    def speed_against(self, peer: str | None) -> float | None:
        """Our speed in units of a peer's: 2.0 is twice as fast."""
        if peer is None or peer not in self.timings or OURS not in self.timings:
            return None
        return self.timings[peer].min_s / self.timings[OURS].min_s

    def limit_share(self, variant: str) -> float | None:
        """How near the shortest time comes to the layer's limit: 1.0 is there."""
        if self.limit is None or variant not in self.timings:
            return None
        return self.limit.seconds / self.timings[variant].min_s

    def worst_part(self) -> tuple[float, float] | None:
        """(our error, the allowed one) of the part of the answer that is nearest to its contract."""
        if not self.allowed_errors or OURS not in self.timings:
            return None
        pairs = zip(self.timings[OURS].errors, self.allowed_errors, strict=True)
        return max(pairs, key=lambda pair: pair[0] / pair[1])

    @property
    def breaks_contract(self) -> bool:
        """Whether a part of our answer is further from float64 than its precision promises."""
        worst = self.worst_part()
        return worst is not None and not worst[0] <= worst[1]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Our speed against one peer over all layers that both ran."""

    peer: str
    layers: int
    geometric_mean: float
    lowest: tuple[str, float]
    highest: tuple[str, float]
    wins: int


def geometric_mean(values: Iterable[float]) -> float:
    """exp of the mean of the logs; NaN of nothing."""
    logs = [math.log(value) for value in values]
    return math.exp(math.fsum(logs) / len(logs)) if logs else math.nan


def compare(rows: list[Row], peer: str) -> Comparison | None:
    """Our speed against `peer`, or against the fastest of a layer for BEST."""
    ratios = {
        row.label: ratio
        for row in rows
        if (ratio := row.speed_against(row.best_peer() if peer == BEST else peer)) is not None
    }
    if not ratios:
        return None
    return Comparison(
        peer=peer,
        layers=len(ratios),
        geometric_mean=geometric_mean(ratios.values()),
        lowest=min(ratios.items(), key=lambda item: item[1]),
        highest=max(ratios.items(), key=lambda item: item[1]),
        wins=sum(ratio >= 1 for ratio in ratios.values()),
    )


def slower_than(rows: list[Row], peer: str, ratio: float) -> list[tuple[str, float]]:
    """Layers on which our speed is under `ratio` of the peer's, slowest first."""
    found = [(row.label, speed) for row in rows if (speed := row.speed_against(peer)) is not None]
    return sorted([item for item in found if item[1] < ratio], key=lambda item: item[1])


def variants_of(rows: list[Row]) -> list[str]:
    """Every variant that ran, ours first, then in the order of appearance."""
    names = dict.fromkeys(name for row in rows for name in row.timings)
    return sorted(names, key=lambda name: name != OURS)


def peak_share(rows: list[Row], variant: str, peak_gflops: float) -> float:
    """Geometric mean share of the FMA peak over layers above 0.1 GFLOP; NaN if there are none."""
    return geometric_mean(
        row.gflops(variant) / peak_gflops
        for row in rows
        if variant in row.timings and row.flops > LARGE_FLOPS
    )


def limit_share(rows: list[Row], variant: str) -> float:
    """Geometric mean share of the limit over layers above 0.1 GFLOP; NaN if there are none."""
    return geometric_mean(
        share for row in rows if row.flops > LARGE_FLOPS and (share := row.limit_share(variant)) is not None
    )


def worst_error(rows: list[Row], variant: str) -> float:
    """Largest relative error against float64 over the layers."""
    return max(
        (row.timings[variant].relative_error for row in rows if variant in row.timings), default=math.nan
    )


def as_json(row: Row) -> dict[str, Any]:
    """The row's figures by name, times in seconds."""
    best = row.best_peer()
    return {
        "layer": row.label,
        "flops": row.flops,
        "variants": {
            name: {
                "min_s": timing.min_s,
                "median_s": timing.median_s,
                "samples": len(timing.samples_s),
                "first_call_s": timing.first_call_s,
                "errors": timing.errors,
                "gflops": row.gflops(name),
                "limit_share": row.limit_share(name),
            }
            for name, timing in row.timings.items()
        },
        "missing": row.missing,
        "limit_s": row.limit and row.limit.seconds,
        "limit_by": row.limit and row.limit.sign,
        "plain_errors": row.plain_errors,
        "allowed_errors": row.allowed_errors,
        "breaks_contract": row.breaks_contract,
        "best_peer": best,
        "speed_against_best_peer": row.speed_against(best),
        "speed_against_torch": row.speed_against(REFERENCE),
    }
