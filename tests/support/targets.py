"""Targets to test every path with, on whatever processor runs the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from convforge import plan
from convforge.target import Target

# What each mask leaves of an x86 processor: 512-bit, 256-bit fused, 256-bit without fusing, 128-bit.
MASKS: dict[str, tuple[str, ...]] = {
    "host": (),
    "avx2": ("avx512f",),
    "no_fma": ("avx512f", "fma"),
    "sse2": ("avx512f", "fma", "avx"),
}


@contextmanager
def masked(name: str) -> Iterator[Target]:
    """Plans inside the block are made for the host without some of its features."""
    target = Target.host().without(*MASKS[name])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Target, "host", staticmethod(lambda: target))
        plan.clear_plans()
        yield target
    plan.clear_plans()
