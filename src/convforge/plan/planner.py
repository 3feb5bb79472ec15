"""Chooses the family that computes an output: the cheapest of those that can, without a clock.

A new kernel family is a file in kernels/ that emits it, a file beside this one with `NAME`, `why_illegal`,
`cost_cycles` and `plan`, and its name in FAMILIES.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from convforge.plan import channels, depthwise, depthwise_large, depthwise_map, depthwise_rows, direct
from convforge.plan.request import OutputPlan, OutputRequest
from convforge.target import Target


class Family(Protocol):
    """What a family's file offers."""

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
        """Schedule a legal request."""
        ...


FAMILIES: tuple[Family, ...] = (depthwise_map, depthwise_rows, depthwise, depthwise_large, channels, direct)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the planner thinks of one family: its expected cycles, or why it cannot serve."""

    family: str
    cycles: float | None
    reason: str | None


def verdicts(request: OutputRequest, target: Target) -> list[Verdict]:
    """One verdict for each family, in the order of FAMILIES."""
    found: list[Verdict] = []
    for family in FAMILIES:
        reason = family.why_illegal(request, target)
        cycles = None if reason else family.cost_cycles(request, target)
        found.append(Verdict(family.NAME, cycles, reason))
    return found


def plan_output(request: OutputRequest, target: Target, threads: int) -> OutputPlan:
    """The plan of the cheapest legal family; the first of equals."""
    legal = [f for f in FAMILIES if f.why_illegal(request, target) is None]
    assert legal, "the direct family serves every request"
    best = legal[0] if len(legal) == 1 else min(legal, key=lambda f: f.cost_cycles(request, target))
    return best.plan(request, target, threads)
