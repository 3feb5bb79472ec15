"""Repeating a call until its time is known."""

from __future__ import annotations

import time
from collections.abc import Callable

SAMPLE_S = 100e-6
"""Shortest sample: the clock costs 50 ns, so shorter calls are timed several at a time."""


def sample_seconds(call: Callable[[], object], budget_s: float, *, samples_min: int = 3) -> list[float]:
    """Seconds of one call, measured again and again for `budget_s` and at least `samples_min` times."""
    clock = time.perf_counter
    start = clock()
    call()
    first_s = clock() - start
    inner = max(1, min(10_000, int(SAMPLE_S / max(first_s, 1e-9))))
    repeat = range(inner)
    samples: list[float] = []
    deadline = clock() + budget_s
    while len(samples) < samples_min or clock() < deadline:
        start = clock()
        for _ in repeat:
            call()
        samples.append((clock() - start) / inner)
    return samples


def wait_until_idle(*, quiet_s: float = 0.01, limit_s: float = 2.0) -> bool:
    """Sleeps until no thread of this process runs, so that the next library has the machine alone.

    Thread pools spin for a while after a call (libgomp a few ms, others up to 200 ms), which is part of how
    fast they are: they keep their own waiting policy, and are given the time to fall asleep.

    Returns False where they still run after `limit_s`.
    """
    deadline = time.perf_counter() + limit_s
    while time.perf_counter() < deadline:
        before_s = time.process_time()
        time.sleep(quiet_s)
        if time.process_time() - before_s < 0.1 * quiet_s:
            return True
    return False
