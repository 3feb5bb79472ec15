"""Chooses the family and schedule that compute an output: the cheapest of those that can, without a clock,
unless a tuner has measured them.

A new kernel family is a file in a room of kernels/ that emits it, a file in the room of that name here with
`NAME`, `why_illegal`, `cost_cycles` and `plan`, and its name in FAMILIES. A family that also has
`candidates`, and whose `plan` takes one of them as `schedule`, can be tuned (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from convforge.plan.depthwise import (
    large as depthwise_large,
    map as depthwise_map,
    phases as depthwise_phases,
    planes as depthwise,
    rows as depthwise_rows,
)
from convforge.plan.direct import channels, gather as direct
from convforge.plan.fft import spectrum as fft
from convforge.plan.pairs import channels as channels_pairs, gather as pairs
from convforge.plan.request import OutputPlan, OutputRequest
from convforge.plan.search import tuned
from convforge.plan.split_bf16 import products as split_bf16, taps as split_bf16_taps
from convforge.plan.winograd import tiles as winograd, unit as winograd_unit
from convforge.schedule import Order, Schedule
from convforge.target import Target


class Family(Protocol):
    """What a family's file offers. May also have

    candidates(request, target, threads) -> list[Schedule]: schedules worth trying, its own first; which ones
    have which `order` may depend on the sizes of a request only, not on batch, threads or strides.
    """

    @property
    def NAME(self) -> str:  # noqa: N802 - a module's constant
        """Its name, as explanations print it."""
        ...

    def why_illegal(self, request: OutputRequest, target: Target) -> str | None:
        """The reason why it cannot serve a request on a processor, or None."""
        ...

    def cost_cycles(self, request: OutputRequest, target: Target) -> float:
        """Cycles of one core that it should take."""
        ...

    def plan(self, request: OutputRequest, target: Target, threads: int) -> OutputPlan:
        """Schedule a legal request. With `candidates`: has one more argument, `schedule`, None by default."""
        ...


FAMILIES: tuple[Family, ...] = (
    depthwise_map,
    depthwise_rows,
    depthwise,
    depthwise_large,
    depthwise_phases,
    winograd,
    winograd_unit,
    split_bf16,
    split_bf16_taps,
    fft,
    channels_pairs,
    pairs,
    channels,
    direct,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the planner thinks of one family: its expected cycles, or why it cannot serve."""

    family: str
    cycles: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Choice:
    """A family with one of its candidates; `schedule` None where it offers none, and so decides by itself."""

    family: Family
    schedule: Schedule | None

    @property
    def order(self) -> Order:
        """Choices of equal order give the same bits."""
        return (self.family.NAME,) if self.schedule is None else self.schedule.order

    def plan(self, request: OutputRequest, target: Target, threads: int) -> OutputPlan:
        """The plan of this choice."""
        if self.schedule is None:
            return self.family.plan(request, target, threads)
        return cast(Any, self.family).plan(request, target, threads, self.schedule)

    def __str__(self) -> str:
        return self.family.NAME if self.schedule is None else f"{self.family.NAME} {self.schedule}"


def verdicts(request: OutputRequest, target: Target) -> list[Verdict]:
    """One verdict for each family, in the order of FAMILIES."""
    found: list[Verdict] = []
    for family in FAMILIES:
        reason = family.why_illegal(request, target)
        cycles = None if reason else family.cost_cycles(request, target)
        found.append(Verdict(family.NAME, cycles, reason))
    return found


def plan_output(request: OutputRequest, target: Target, threads: int) -> OutputPlan:
    """The plan of what was measured to be best, else of the cheapest legal family; the first of equals."""
    choice = tuned_choice(request, target, threads)
    if choice is not None:
        return choice.plan(request, target, threads)
    return _ranked(request, target)[0].plan(request, target, threads)


def choices(request: OutputRequest, target: Target, threads: int) -> list[Choice]:
    """All that can be tried, each family's own choice before its others, the planner's before all."""
    found: list[Choice] = []
    for family in _ranked(request, target):
        offer: Callable[..., Sequence[Schedule]] | None = getattr(family, "candidates", None)
        schedules = [None] if offer is None else offer(request, target, threads)
        found += [Choice(family, schedule) for schedule in schedules]
    return found


def tuned_choice(request: OutputRequest, target: Target, threads: int) -> Choice | None:
    """What a tuner has stored for a request; where it has but the order of the sums, the first such choice.

    None where nothing is stored, or what is stored is no candidate (any more).
    """
    if tuned.nothing_stored():
        return None
    order = tuned.read_order(request, target)
    stored = tuned.read_choice(request, target, threads)
    if order is None and stored is None:
        return None
    offered = choices(request, target, threads)
    order = order or offered[0].order
    same = [choice for choice in offered if choice.order == order]
    for choice in same:
        if str(choice) == stored:
            return choice
    return same[0] if same else None


def _ranked(request: OutputRequest, target: Target) -> list[Family]:
    """The legal families, cheapest first for contiguous arrays: strides of others must not choose a family
    that adds up in another order.
    """
    if request.every_tap:
        return [direct]
    legal = [f for f in FAMILIES if f.why_illegal(request, target) is None]
    assert legal, "the direct family serves every request"
    alike = request.without_gaps
    return legal if len(legal) == 1 else sorted(legal, key=lambda f: f.cost_cycles(alike, target))
