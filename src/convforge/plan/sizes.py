"""Strides and sizes as kernels count them."""

from __future__ import annotations

from convforge.problem import ConvSpec


def element_steps(strides: tuple[int, ...], spec: ConvSpec) -> tuple[int, ...]:
    """Byte strides (batch, channel, *spatial) as element strides of five axes, missing leading ones 0."""
    size = spec.dtype.itemsize
    steps = [s // size for s in strides]
    return (steps[0], steps[1], *[0] * (3 - spec.rank), *steps[2:])


def aligned(size: int) -> int:
    """The size rounded up to a whole cache line."""
    return -(-size // 64) * 64
