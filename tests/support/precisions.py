"""Families and plans that show which precision was asked for."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pytest

from convforge import plan
from convforge.plan import cache, planner
from convforge.plan.direct import gather as direct
from convforge.plan.grad_weight.planner import GradWeight, plan_grad_weight
from convforge.plan.request import GradWeightRequest, OutputPlan, OutputRequest

Asked = list[tuple[str, str, str]]


def record_requests(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """A list that grows by ("output" or "grad_weight", dtype, precision) with every plan that is made."""
    asked: Asked = []

    class Recorder:
        NAME = "recorder"

        def why_illegal(self, request: OutputRequest, target: Any) -> str:
            asked.append(("output", request.spec.dtype.name, request.precision))
            return "it only looks on"

    def recording(request: GradWeightRequest, target: Any, threads: int) -> GradWeight:
        asked.append(("grad_weight", request.spec.dtype.name, request.precision))
        return plan_grad_weight(request, target, threads)

    plan.clear_plans()
    monkeypatch.setattr(planner, "FAMILIES", (Recorder(), *planner.FAMILIES))
    monkeypatch.setattr(cache, "plan_grad_weight", recording)
    return asked


class DoublingFamily:
    """Serves `precision` alone, cheapest, and shows it: it packs twice the weights, as alike as it can."""

    NAME = "doubling"

    def __init__(self, precision: str) -> None:
        self._precision = precision

    def why_illegal(self, request: OutputRequest, target: Any) -> str | None:
        return None if request.precision == self._precision else "another precision is asked for"

    def cost_cycles(self, request: OutputRequest, target: Any) -> float:
        return 0.0

    def plan(self, request: OutputRequest, target: Any, threads: int) -> OutputPlan:
        return _DoublingPlan(direct.plan(request, target, threads))


class _DoublingPlan:
    def __init__(self, plain: OutputPlan) -> None:
        self._plain, self.threads = plain, plain.threads
        self.weights = _DoublingPacking(plain.weights)

    def __call__(self, *addresses: int) -> None:
        self._plain(*addresses)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)


class _DoublingPacking:
    def __init__(self, plain: Any) -> None:
        self._plain = plain

    @property
    def signature(self) -> Hashable:
        return self._plain.signature

    def pack(self, weight: np.ndarray[Any, Any], threads: int) -> Any:
        return self._plain.pack(2 * weight, threads)

    def pack_bias(self, bias: np.ndarray[Any, Any]) -> Any:
        return self._plain.pack_bias(2 * bias)
