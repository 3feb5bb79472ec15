"""The race on synthetic clocks: noise, drift, and machines that are slow for a while."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from convforge.plan.search.race import DUEL_ROUNDS, ROUNDS, race


class Clock:
    """Contenders with known times, on a machine whose speed changes as samples go by."""

    def __init__(self, times: list[float], seed: int, noise: float, slowdown: Callable[[int], float]) -> None:
        self.random, self.noise, self.slowdown = random.Random(seed), noise, slowdown
        self.samples = [0] * len(times)
        self.contenders = [self._contender(i, time) for i, time in enumerate(times)]

    def _contender(self, number: int, time: float) -> Callable[[], float]:
        def sample() -> float:
            now = sum(self.samples)
            self.samples[number] += 1
            spike = 3.0 if self.random.random() < 0.02 else 1.0
            return time * self.slowdown(now) * spike * (1 + self.noise * self.random.random())

        return sample


SLOWDOWNS: dict[str, Callable[[int], float]] = {
    "steady": lambda now: 1.0,
    "warming up": lambda now: 1 + 2 / (1 + now),
    "throttling": lambda now: 1 + now / 40,
    "a neighbour comes and goes": lambda now: 2.0 if now // 30 % 2 else 1.0,
}


@pytest.mark.parametrize("name", SLOWDOWNS)
@pytest.mark.parametrize("seed", range(10))
def test_the_fastest_wins_whatever_the_machine_does(name: str, seed: int) -> None:
    clock = Clock([1.0, 1.3, 0.8, 1.1, 2.0], seed, 0.05, SLOWDOWNS[name])
    outcome = race(clock.contenders, budget_s=1e9)
    assert outcome.winner == 2
    assert 0.7 < outcome.ratio < 0.9


@pytest.mark.parametrize("seed", range(20))
def test_the_first_one_stays_unless_it_is_clearly_beaten(seed: int) -> None:
    clock = Clock([1.0, 1.0, 1.01, 0.999, 1.0], seed, 0.01, SLOWDOWNS["steady"])
    assert race(clock.contenders, budget_s=1e9).winner == 0


def test_who_is_far_behind_is_not_sampled_to_the_end() -> None:
    clock = Clock([1.0, 0.9, 5.0], 0, 0.0, SLOWDOWNS["steady"])
    race(clock.contenders, budget_s=1e9)
    assert clock.samples[2] == 3
    assert clock.samples[1] == ROUNDS + DUEL_ROUNDS


def test_a_small_budget_still_samples_everyone_and_decides_by_a_duel() -> None:
    clock = Clock([1.0, 0.9, 0.5], 0, 0.0, SLOWDOWNS["steady"])
    assert race(clock.contenders, budget_s=0.0).winner == 2
    assert clock.samples[1] == 1
    assert clock.samples[2] == 1 + DUEL_ROUNDS


def test_one_contender_wins() -> None:
    outcome = race([lambda: 2.0], budget_s=1.0)
    assert (outcome.winner, outcome.ratio, outcome.first_s) == (0, 1.0, 2.0)
