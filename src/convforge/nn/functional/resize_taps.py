"""Which input elements, with which weights, make each element of a resized axis.

All arithmetic on positions is done in the dtype of the data (float32 for half precision), because PyTorch
does so and the rounding decides which neighbour is nearest.
Source: ATen/native/UpSample.h, ATen/native/cpu/UpSampleKernel.cpp.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convforge.nn.functional.precision import Array

Taps = tuple[Array, Array | None]
"""index (taps, out), and weight (taps, out) or None for ones."""


def _scale(kind: Any, size: int, out: int, align_corners: bool, scale: float | None) -> Any:
    """Input elements per output element."""
    if align_corners:
        return kind(size - 1) / kind(out - 1) if out > 1 else kind(0)
    return kind(1.0 / scale) if scale is not None and scale > 0 else kind(size) / kind(out)


def _positions(kind: Any, out: int, step: Any, align_corners: bool) -> Array:
    """Where each output element stands in the input, in input elements."""
    positions = np.arange(out, dtype=kind)
    if align_corners:
        return positions * step
    return step * (positions + kind(0.5)) - kind(0.5)


def nearest_taps(kind: Any, size: int, out: int, scale: float | None, exact: bool, small: bool) -> Taps:
    """One tap: floor(o · scale), or with `exact` the element whose centre is nearest.

    small: as PyTorch's kernel of small pictures, which takes the same size and the double one as such,
    whatever scale led to them (nearest_idx), and places centres in float32. Its others place them as linear
    ones do, half an element lower by one multiply-add, and up again.
    """
    if small and exact:
        kind = np.float32
    if small and not exact and out in (size, 2 * size):
        return (np.arange(out, dtype=np.int64) * size // out)[None], None
    step = _scale(kind, size, out, False, scale)
    positions = np.arange(out, dtype=kind)
    real = (positions + kind(0.5)) * step if exact else positions * step
    if exact and not small:
        lower = (positions + kind(0.5)).astype(np.float64) * np.float64(step) - 0.5
        real = lower.astype(kind) + kind(0.5)
    index = np.floor(real.astype(np.float32)).astype(np.int64)
    return index.clip(0, size - 1)[None], None


def linear_taps(kind: Any, size: int, out: int, align_corners: bool, scale: float | None) -> Taps:
    """Two taps: the neighbours below and above."""
    if size == out:
        return np.arange(out, dtype=np.int64)[None], None
    step = _scale(kind, size, out, align_corners, scale)
    real = np.maximum(_positions(kind, out, step, align_corners), kind(0))
    below = np.minimum(real.astype(np.int64), size - 1)
    above = below + (below < size - 1)
    share = (real - below.astype(kind)).clip(kind(0), kind(1))
    return np.stack([below, above]), np.stack([kind(1) - share, share])


def _cubic_weights(t: Array, a: float) -> list[Array]:
    """Keys' cubic convolution, for neighbours at -1 - t, -t, 1 - t and 2 - t."""

    def near(x: Array) -> Array:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Array) -> Array:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def cubic_taps(kind: Any, size: int, out: int, align_corners: bool, scale: float | None) -> Taps:
    """Four taps, a = -0.75; beyond the ends the outermost element is repeated."""
    step = _scale(kind, size, out, align_corners, scale)
    real = _positions(kind, out, step, align_corners)
    base = np.minimum(np.floor(real).astype(np.int64), size - 1)
    share = (real - base.astype(kind)).clip(kind(0), kind(1))
    index = np.stack([(base + offset).clip(0, size - 1) for offset in (-1, 0, 1, 2)])
    return index, np.stack(_cubic_weights(share, -0.75)).astype(kind)


def _filter(mode: str, x: Array) -> Array:
    """The interpolation kernel of an antialiased mode."""
    size = np.abs(x)
    if mode == "bilinear":
        return np.maximum(1 - size, 0)
    if mode == "lanczos":
        return np.where(size < 3, np.sinc(x) * np.sinc(x / 3), 0)
    a = -0.5
    near = ((a + 2) * size - (a + 3)) * size * size + 1
    far = (((size - 5) * size + 8) * size - 4) * a
    return np.where(size < 1, near, np.where(size < 2, far, 0))


def antialiased_taps(
    kind: Any, size: int, out: int, align_corners: bool, scale: float | None, mode: str
) -> Taps:
    """As many taps as the kernel, widened to the step, covers; weights sum to 1."""
    step = _scale(kind, size, out, align_corners, scale)
    reach = {"bilinear": 1, "bicubic": 2, "lanczos": 3}[mode]
    support = reach * step if step >= 1 else kind(reach)
    shrink = 1 / step if step >= 1 else kind(1)
    centre = step * (np.arange(out, dtype=kind) + kind(0.5))
    first = np.maximum((centre - support + kind(0.5)).astype(np.int64), 0)
    last = np.minimum((centre + support + kind(0.5)).astype(np.int64), size)
    taps = max(1, int((last - first).max(initial=1)))
    offsets = np.arange(taps, dtype=np.int64)[:, None]
    weight = _filter(mode, (offsets + first - centre + kind(0.5)) * shrink).astype(kind)
    weight = np.where(offsets < last - first, weight, kind(0))
    total = weight.sum(axis=0)
    weight = np.where(total != 0, weight / np.where(total == 0, 1, total), 0).astype(kind)
    # Taps beyond the last read it with weight 0.
    return np.minimum(first + offsets, np.maximum(last - 1, 0)), weight
