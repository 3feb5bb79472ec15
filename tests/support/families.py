"""Families that tests want to serve a layer, whatever they cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest

from convforge import plan


@contextmanager
def costing(family: ModuleType, cycles: float) -> Iterator[None]:
    """Inside the block every plan of a family costs so many cycles: 0 to be chosen, infinity not to be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(family, "cost_cycles", lambda request, target: cycles)
        plan.clear_plans()
        try:
            yield
        finally:
            plan.clear_plans()
