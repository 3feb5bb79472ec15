"""What this processor can do at most: measured in a tenth of a second, kept beside the compiled kernels."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from convforge.kernels.contract import fill
from convforge.kernels.probe import CHAINS, PROBE_PARAMETERS, ProbeKernel
from convforge.plan.job import Job
from convforge.runtime import address_of, generator_version, get_num_threads, notes
from convforge.target import Target

# Sizes at which reading is measured: in the second-level caches, in the third, in memory.
_READ_BYTES = (1 << 19, 6 << 20, 96 << 20)
_TRIES = 12
_MULTIPLY_ROUNDS = 40_000


@dataclass(frozen=True, slots=True)
class Machine:
    """The limits of `threads` threads together.

    flops_per_s: float32 multiplications and additions, in registers. read_bytes_per_s: (size, rate) of
    memory that is read again and again, smallest size first.
    """

    threads: int
    flops_per_s: float
    read_bytes_per_s: tuple[tuple[int, float], ...]

    def bytes_per_s(self, size_bytes: int) -> float:
        """The rate of reading memory of about this size."""
        for size, rate in self.read_bytes_per_s:
            if size_bytes <= size:
                return rate
        return self.read_bytes_per_s[-1][1]

    def model_cycles_per_s(self, target: Target) -> float:
        """Cycles a second of one core, as cost models count them: two vector multiply-adds each."""
        return self.flops_per_s / self.threads / (2 * 2 * target.vector_bytes // 4)


def known_machine(*, measure: bool) -> Machine | None:
    """The limits for the present number of threads; None where they were not measured yet, and may not be.

    measure: try again, and keep the best of all tries: what others do on the machine makes limits low only.
    """
    target, threads = Target.host(), get_num_threads()
    version = generator_version("plan", "schedule")
    key = f"machine|{target.triple}|{target.feature_string}|{threads} threads|{version}"
    known = None if notes.is_empty() else _decoded(notes.read(key), threads)
    if not measure:
        return known
    found = measure_machine(target, threads)
    if known is not None:
        found = _better(known, found)
    if found != known:
        notes.write(key, [found.flops_per_s, found.read_bytes_per_s])
    return found


def _better(a: Machine, b: Machine) -> Machine:
    rates = zip(a.read_bytes_per_s, b.read_bytes_per_s, strict=True)
    return Machine(a.threads, max(a.flops_per_s, b.flops_per_s), tuple(max(pair) for pair in rates))


def _decoded(note: Any, threads: int) -> Machine | None:
    try:
        flops, reads = note
        rates = tuple((int(size), float(rate)) for size, rate in reads)
        known_sizes = tuple(size for size, _ in rates) == _READ_BYTES
        return Machine(threads, float(flops), rates) if known_sizes else None
    except (TypeError, ValueError):
        return None


def measure_machine(target: Target, threads: int) -> Machine:
    """Measure: the shortest of some tries of each."""
    lanes = target.vector_bytes // 4
    rates: list[tuple[int, float]] = []
    for size in _READ_BYTES:
        step = CHAINS["read"] * lanes
        chunk = max(1, size // 4 // threads // step) * step
        rounds = max(1, (4 << 20) // size)
        seconds = _seconds("read", target, threads, rounds, chunk)
        rates.append((size, 4 * chunk * threads * rounds / seconds))
    seconds = _seconds("multiply", target, threads, _MULTIPLY_ROUNDS, 0)
    operations = 2 * lanes * CHAINS["multiply"] * _MULTIPLY_ROUNDS * threads
    return Machine(threads, operations / seconds, tuple(rates))


def _seconds(
    kind: Literal["multiply", "read"], target: Target, threads: int, rounds: int, chunk: int
) -> float:
    kernel = ProbeKernel(kind, target.vector_bytes // 4, target.fused)
    job = Job(kernel, target)
    # Zeros: multiplied as fast as other numbers, and never denormal. Written, so that there is memory.
    x = np.full(max(chunk * threads, kernel.lanes), 0, np.float32)
    y = np.empty(CHAINS[kind] * kernel.lanes * threads, np.float32)
    parameters = fill(PROBE_PARAMETERS, {"rounds": rounds, "chunk": chunk})
    best_s = float("inf")
    for _ in range(_TRIES):
        start = time.perf_counter()
        job.run(threads, threads, 64, address_of(parameters), address_of(x), 0, 0, address_of(y))
        best_s = min(best_s, time.perf_counter() - start)
    return best_s
