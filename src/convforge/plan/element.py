"""Elements as a processor computes with them."""

from __future__ import annotations

from dataclasses import replace

from convforge.ir.element import ELEMENTS, Element
from convforge.problem import ConvSpec
from convforge.target import Target


def element_of(spec: ConvSpec, target: Target) -> Element:
    """The element of a convolution's arrays, with the instructions for it that its outputs may use."""
    element = ELEMENTS[spec.dtype.name]
    rounds = element.storage == "bf16" and target.vector_bytes == 64 and "avx512bf16" in target.features
    return replace(element, rounds=rounds)
