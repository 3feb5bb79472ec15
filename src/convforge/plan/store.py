"""Packed weights of one layer, shared by all input shapes that it meets."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from numpy.typing import NDArray

from convforge.plan.arrays import readable
from convforge.plan.request import OutputPlan

Array = NDArray[Any]
Packed = tuple[Array, "Array | None"]


class WeightStore:
    """Keeps what was packed for the present key: one entry for each way of packing that a shape asked for.

    Shapes mostly agree on the way, so a layer that alternates between sizes packs once.
    """

    def __init__(self) -> None:
        self._kept: tuple[Hashable, dict[Hashable, Packed]] = (None, {})

    def fetch(self, key: Hashable, plan: OutputPlan, weight: Array, bias: Array | None) -> Packed:
        """Packed weight and bias; packed anew where the key is None or has changed."""
        if key is None:
            return _pack(plan, weight, bias)
        kept = self._kept
        if kept[0] != key:
            # One assignment: a thread that packs for the old key goes on filling the old dictionary.
            self._kept = kept = (key, {})
        packed = kept[1]
        signature = (type(plan.weights), plan.weights.signature, bias is not None)
        if signature not in packed:
            packed[signature] = _pack(plan, weight, bias)
        return packed[signature]


def _pack(plan: OutputPlan, weight: Array, bias: Array | None) -> Packed:
    packed_bias = None if bias is None else plan.weights.pack_bias(bias)
    return plan.weights.pack(readable(weight), plan.threads), packed_bias
