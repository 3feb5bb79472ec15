"""Layers computed on pairs of bf16 numbers in vectors, by the processor's instruction or spelt out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

from convforge.plan.pairs import channels as channels_pairs, gather as pairs
from convforge.plan.prepared import Prepared
from support.families import costing
from support.targets import masked

FAMILIES = (pairs, channels_pairs)
# Without one of these masks, where the processor has it, with vdpbf16ps.
SPELT_OUT = ("avx2", "sse2")


@contextmanager
def served_by(family: ModuleType, mask: str = "host") -> Iterator[None]:
    """Inside the block a family serves all that it can, on any processor: where there is no instruction for
    it, spelt out.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "why_no_instruction", lambda target: None)
        other = channels_pairs if family is pairs else pairs
        with masked(mask), costing(other, float("inf")), costing(family, -1.0):
            yield


def computes_again(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is computed again, since values were seen that are not ordinary."""
    found: list[object] = []
    original = Prepared._compute_plainly

    def compute(self: Prepared, *arguments: Any) -> None:
        found.append(arguments)
        original(self, *arguments)

    monkeypatch.setattr(Prepared, "_compute_plainly", compute)
    return found
