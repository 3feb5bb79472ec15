"""Targets to test every path with, on whatever processor runs the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from convforge import plan
from convforge.target import Target, mask_features

# What each mask leaves of an x86 processor: 512-bit, 256-bit fused, 256-bit without fusing, 128-bit.
MASKS: dict[str, tuple[str, ...]] = {
    "host": (),
    "avx2": ("amx-tile", "avx512f"),
    "no_fma": ("amx-tile", "avx512f", "fma"),
    "sse2": ("amx-tile", "avx512f", "fma", "avx"),
}


@contextmanager
def masked(name: str) -> Iterator[Target]:
    """Plans inside the block are made for the host without some of its features."""
    target = mask_features(*MASKS[name])
    plan.clear_plans()
    try:
        yield target
    finally:
        mask_features()
        plan.clear_plans()
