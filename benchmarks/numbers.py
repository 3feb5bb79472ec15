"""`python -m benchmarks numbers`: every run behind the goals of speed, and at the end means beside goals.

Seven runs over the table of layers; half an hour at one number of threads.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

from benchmarks import layers_command
from benchmarks.isa import why_impossible
from benchmarks.layer_table import TABLES
from benchmarks.layers_command import host_features
from benchmarks.machine import cores
from benchmarks.results import BEST, OURS, REFERENCE, Row, compare, limit_share

ALL_PEERS = "torch,onnxruntime,openvino"
LIMIT_GOAL = 0.7


@dataclass(frozen=True, slots=True)
class Run:
    """One run of `layers` or `backward`."""

    precision: str = "highest"
    isa: str = "native"
    product: str = "output"
    batch: int = 1
    peers: str = ALL_PEERS

    @property
    def name(self) -> str:
        """Short, for titles and files."""
        return f"{self.product}-{self.precision}-{self.isa}-batch{self.batch}"


@dataclass(frozen=True, slots=True)
class Goal:
    """Our speed in units of a peer's: the mean over the layers, and the worst layer, at least."""

    text: str
    run: Run
    peer: str
    mean: float
    worst: float


HIGHEST, HIGH, MEDIUM = Run(), Run("high"), Run("medium")
GRADIENTS = Run(product="gradients", batch=16, peers="torch")
AVX512, AVX512_HIGH = Run(isa="avx512"), Run("high", isa="avx512")
AVX2 = Run(isa="avx2", peers="torch")
GOALS = (
    Goal("highest, best fp32 peer", HIGHEST, BEST, 1.5, 0.9),
    Goal("highest, PyTorch NCHW", HIGHEST, REFERENCE, 2.5, 1.0),
    Goal("high, best fp32 peer", HIGH, BEST, 2.2, 1.0),
    Goal("medium, OpenVINO's default (bf16)", MEDIUM, "openvino-bf16", 1.3, 0.9),
    Goal("gradients, batch 16, PyTorch's better layout", GRADIENTS, BEST, 2.0, 1.0),
    Goal("without AMX, highest, best fp32 peer", AVX512, BEST, 1.15, 0.85),
    Goal("without AMX, high, best fp32 peer", AVX512_HIGH, BEST, 1.5, 0.9),
    Goal("AVX2, highest, PyTorch's better layout", AVX2, BEST, 1.1, 0.8),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads",
        type=layers_command.counts,
        default=[cores()],
        metavar="N[,N]",
        help="all runs at each number",
    )
    parser.add_argument("--filter", metavar="WORDS", help="only layers whose name has one of these words")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures of each run beside this")
    parser.add_argument("--quick", action="store_true", help="one short round: shows that it works")
    parser.add_argument("--budget", type=float, metavar="S", help="seconds a variant and layer (0.25)")


def run(options: argparse.Namespace) -> int:
    """Prints the tables of all runs, then the goals; exit status as `layers`: a missed goal is no failure."""
    features = host_features()
    tables: dict[Run, dict[int, list[Row]]] = {}
    for each in dict.fromkeys(goal.run for goal in GOALS):
        print(f"== {each.name}", flush=True)
        reason = why_impossible(each.isa, features)
        if reason:
            print(f"{reason}\n")
            continue
        tables[each] = layers_command.measure(options_of(each, options), each.product)
    for threads in options.threads:
        print(summary({each: found[threads] for each, found in tables.items()}, threads))
    return layers_command.status(
        [row for found in tables.values() for rows in found.values() for row in rows]
    )


def options_of(each: Run, options: argparse.Namespace) -> argparse.Namespace:
    """What `layers` is asked for."""
    path = options.json and options.json.with_name(f"{options.json.stem}-{each.name}{options.json.suffix}")
    chosen = {
        "precision": each.precision,
        "isa": each.isa,
        "batch": each.batch,
        "peers": each.peers,
        "dtype": "float32",
        "table": TABLES[0],
        "json": path,
        "plot": None,
    }
    return argparse.Namespace(**vars(options) | chosen)


def summary(tables: dict[Run, list[Row]], threads: int) -> str:
    """Each goal with what was measured; ! marks what is below."""
    lines = [
        f"== our speed / the peer's at {threads} thread{'' if threads == 1 else 's'} (! below the goal)",
        f"{'':<46}{'mean':>8}{'goal':>8}{'worst':>9}{'goal':>7}  worst layer",
    ]
    for goal in GOALS:
        found = compare(tables.get(goal.run, []), goal.peer)
        if found is None:
            lines.append(
                f"{goal.text:<46}{'-':>7} {goal.mean:>8.2f}{'-':>8} {goal.worst:>7.2f}  not measured here"
            )
            continue
        mean, (layer, worst) = found.geometric_mean, found.lowest
        lines.append(
            f"{goal.text:<46}{mean:>7.2f}{mark(mean, goal.mean)}{goal.mean:>8.2f}"
            f"{worst:>8.2f}{mark(worst, goal.worst)}{goal.worst:>7.2f}  {layer}"
        )
    share = limit_share(tables.get(HIGHEST, []), OURS)
    measured = f"{'-':>7} " if math.isnan(share) else f"{share:>7.0%}{mark(share, LIMIT_GOAL)}"
    lines.append(f"{'share of the limit, highest':<46}{measured}{LIMIT_GOAL:>8.0%}")
    broken = [
        f"{row.label} ({each.name})" for each, rows in tables.items() for row in rows if row.breaks_contract
    ]
    lines.append(f"errors above the contract: {', '.join(broken) or 'none'}\n")
    return "\n".join(lines)


def mark(value: float, goal: float) -> str:
    return " " if value >= goal else "!"
