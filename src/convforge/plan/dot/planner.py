"""Chooses between the quantised families, by cost."""

from __future__ import annotations

from functools import lru_cache

from convforge.plan.cache import PLAN_LIMIT
from convforge.plan.dot import gather as dot, unit as dot_unit
from convforge.plan.dot.gather import DotPlan
from convforge.plan.dot.unit import DotTilesPlan
from convforge.plan.planner import Verdict
from convforge.plan.request import DotRequest
from convforge.runtime import get_num_threads
from convforge.target import Target


def dot_plan(request: DotRequest) -> DotPlan | DotTilesPlan:
    """The plan for the host and the present number of threads."""
    return _dot_plan(request, get_num_threads(), Target.host())


def dot_verdicts(request: DotRequest, target: Target) -> list[Verdict]:
    """What is thought of each family, the cheapest first."""
    on_vectors = Verdict(dot.NAME, dot.cost_cycles(request, target), None)
    reason = dot_unit.why_illegal(request, target)
    if reason is not None:
        return [on_vectors, Verdict(dot_unit.NAME, None, reason)]
    on_tiles = Verdict(dot_unit.NAME, dot_unit.cost_cycles(request, target), None)
    return sorted([on_vectors, on_tiles], key=lambda verdict: verdict.cycles or 0.0)


@lru_cache(maxsize=PLAN_LIMIT)
def _dot_plan(request: DotRequest, threads: int, target: Target) -> DotPlan | DotTilesPlan:
    legal = dot_unit.why_illegal(request, target) is None
    if legal and dot_verdicts(request, target)[0].family == dot_unit.NAME:
        return DotTilesPlan(request, target, threads)
    return DotPlan(request, target, threads)
