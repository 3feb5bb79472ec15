"""`python -m benchmarks small`: the fixed cost of a call, Conv2d(3, 4, 3, padding=1) on 1x3x8x8.

Module call without gradient, ours against PyTorch, each in a process of its own, turn by turn.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

PROGRAM = """
import time
import {library} as torch
from {library} import nn
torch.set_num_threads({threads})
torch.set_grad_enabled(False)
layer = nn.Conv2d(3, 4, 3, padding=1).eval()
x = torch.randn(1, 3, 8, 8)
for _ in range(2000):
    layer(x)
best = []
for _ in range({samples}):
    start = time.perf_counter()
    for _ in range(500):
        layer(x)
    best.append((time.perf_counter() - start) / 500)
best.sort()
print(best[0], best[len(best) // 2])
"""
LIBRARIES = ("convforge", "torch")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=1, help="of both libraries (1)")
    parser.add_argument("--processes", type=int, default=5, help="processes of each library (5)")
    parser.add_argument("--quick", action="store_true", help="one process of each")


def run(options: argparse.Namespace) -> int:
    """Prints the shortest and the median time of each library, and their ratio."""
    times: dict[str, list[tuple[float, float]]] = {library: [] for library in LIBRARIES}
    for _ in range(1 if options.quick else options.processes):
        for library in LIBRARIES:
            times[library].append(one_process(library, options.threads))
    print(f"Conv2d(3, 4, 3, padding=1) on 1x3x8x8, float32, {options.threads} thread(s), no gradient")
    for library, pairs in times.items():
        shortest_us = min(pair[0] for pair in pairs) * 1e6
        median_us = statistics.median(pair[1] for pair in pairs) * 1e6
        print(f"{library:<12} shortest {shortest_us:6.2f} µs   median {median_us:6.2f} µs")
    ours, theirs = (min(pair[0] for pair in times[library]) for library in LIBRARIES)
    print(f"speed against PyTorch: {theirs / ours:.2f}x")
    return 0


def one_process(library: str, threads: int, samples: int = 60) -> tuple[float, float]:
    """(shortest, median) seconds of a call, measured in a fresh process."""
    program = PROGRAM.format(library=library, threads=threads, samples=samples)
    answer = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    shortest, median = answer.split()
    return float(shortest), float(median)
