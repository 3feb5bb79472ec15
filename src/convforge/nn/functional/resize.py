"""Resizing by nearest neighbour, linear and cubic interpolation, axis by axis."""

from __future__ import annotations

import operator
import warnings
from typing import Any

import numpy as np

from convforge.autograd.arrays import array_api
from convforge.autograd.tensor import Tensor, from_data
from convforge.nn.functional.adaptive_pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
)
from convforge.nn.functional.axis_gather import AxisGather, Chain
from convforge.nn.functional.linear_map import apply_map
from convforge.nn.functional.precision import widen
from convforge.nn.functional.refusal import require_floating
from convforge.nn.functional.resize_bytes import resize_bytes
from convforge.nn.functional.resize_taps import Taps, antialiased_taps, cubic_taps, linear_taps, nearest_taps

__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]

_RANKS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
_MODES = ("nearest", "nearest-exact", "area", *_RANKS, "lanczos")
_LARGEST = 2**40
# PyTorch resizes images whose sides add up to no more than this with another kernel, which finds some
# neighbours
# in another way (UpSampleKernel.cpp, _use_vectorized_kernel_cond_2d).
_SMALL = 128


def _per_axis(name: str, value: Any, input: Tensor) -> list[Any]:
    rank = input.ndim - 2
    if not isinstance(value, (tuple, list)):
        return [value] * rank
    if len(value) != rank:
        raise ValueError(
            f"Input and {name} must have the same number of spatial dimensions, but got input with "
            "spatial dimensions "
            f"of {list(input.shape[2:])} and {name} of {tuple(value)}. Please provide input tensor in "
            f"(N, C, d1, d2, ...,dK) format and {name} in (o1, o2, ...,oK) format."
        )
    return list(value)


def _sizes(
    input: Tensor, size: Any, scale_factor: Any, recompute: bool | None, mode: str
) -> tuple[list[int], list[float | None]]:
    """Return the output's sizes, and for each axis the given scale, or None where the sizes decide."""
    rank = input.ndim - 2
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is not None:
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        given = _per_axis("output size", size, input)
        try:
            outs = [operator.index(number) for number in given]
        except TypeError:
            raise TypeError(
                "expected size to be one of int or Tuple[int] or Tuple[int, int] or Tuple[int, int, "
                f"int], but got size {size!r}"
            ) from None
        return outs, [None] * rank
    if scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    scales = [float(scale) for scale in _per_axis("scale_factor", scale_factor, input)]
    outs = []
    for length, scale in zip(input.shape[2:], scales):
        product = length * scale
        if not abs(product) < _LARGEST:
            raise RuntimeError(f"interpolate(): scale_factor (={scale_factor!r}) is out of range")
        outs.append(int(product))
    # 'area' knows sizes only.
    return outs, [None] * rank if recompute or mode == "area" else list(scales)


def _node_name(mode: str, rank: int, antialias: bool) -> str:
    kind = {
        "nearest": "Nearest", "nearest-exact": "NearestExact", "bicubic": "Bicubic", "linear": "Linear",
        "bilinear": "Bilinear", "trilinear": "Trilinear", "lanczos": "Lanczos",
    }[mode]  # fmt: skip
    return f"Upsample{kind}{rank}D{'Aa' if antialias else ''}Backward0"


def _kernel(mode: str, rank: int, antialias: bool) -> str:
    """PyTorch's kernel, as its errors name it."""
    if antialias:
        return "compute_index_ranges_weights"
    kind = "nearest" if mode == "nearest-exact" else mode
    if rank == 2 and kind in ("nearest", "bilinear"):
        return f"upsample_{kind}2d_channels_last"
    kind = {"bicubic": "cubic", "bilinear": "linear", "trilinear": "linear"}.get(kind, kind)
    return f"compute_indices_weights_{kind}"


@array_api
def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize the spatial axes to `size`, or by `scale_factor`.

    input: (N, C, L), (N, C, H, W) or (N, C, D, H, W)
    mode: nearest, nearest-exact, area (any rank), linear (L), bilinear, bicubic, lanczos (H, W), trilinear
    (D, H, W)
    align_corners: whether the corner elements, rather than the corners of the corner elements, stay in place
    Bytes (uint8) are taken too, but for linear and trilinear; sums are then rounded to bytes.
    1 3 to size 4 -> nearest 1 1 3 3 · linear 1 1.5 2.5 3 · linear, align_corners 1 1.67 2.33 3

    Raises ValueError where arguments contradict each other, NotImplementedError where the mode does not
    fit the rank,
    RuntimeError where a size is not positive.
    """
    if mode not in _MODES:
        raise NotImplementedError(f"interpolate(): mode (={mode!r}) must be one of {', '.join(_MODES)}")
    if mode in ("nearest", "area", "nearest-exact") and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | "
            "bicubic | trilinear"
        )
    outs, scales = _sizes(input, size, scale_factor, recompute_scale_factor, mode)
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and input.ndim == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a "
            "4-D tensor as input"
        )
    rank = input.ndim - 2
    if rank not in (1, 2, 3) or _RANKS.get(mode, 2 if mode == "lanczos" else rank) != rank:
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported "
            f"(got {input.ndim}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | "
            f"lanczos | area | nearest-exact (got {mode})"
        )
    if mode == "lanczos" and (align_corners or not antialias):
        raise ValueError("Lanczos mode requires antialias=True and does not support align_corners=True")
    if mode == "area":
        pool = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[rank - 1]
        return pool(input, outs)
    if min([*input.shape[1:], *outs]) < 1:
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input {list(input.shape[2:])} "
            f"and output {outs}"
        )
    is_bytes = input._data.dtype == np.uint8 and mode not in ("linear", "trilinear")
    if not is_bytes:
        require_floating(_kernel(mode, rank, antialias), input)
    # PyTorch places bytes in float32 where it copies them, in float64 where it weighs them.
    byte_kind = np.float32 if mode in ("nearest", "nearest-exact") else np.float64
    kind = byte_kind if is_bytes else widen(input._data[:0]).dtype.type
    taps: list[Taps] = []
    for axis in range(rank):
        length, out, scale = input.shape[2 + axis], outs[axis], scales[axis]
        if mode in ("nearest", "nearest-exact"):
            small = rank == 2 and sum(outs) <= _SMALL
            taps.append(nearest_taps(kind, length, out, scale, mode == "nearest-exact", small))
        elif length == out and (antialias or is_bytes):
            # These kernels leave such an axis alone, whatever its scale.
            taps.append((np.arange(out, dtype=np.int64)[None], None))
        elif antialias:
            taps.append(antialiased_taps(kind, length, out, bool(align_corners), scale, mode))
        elif mode == "bicubic":
            taps.append(cubic_taps(kind, length, out, bool(align_corners), scale))
        else:
            taps.append(linear_taps(kind, length, out, bool(align_corners), scale))
    # The last axis first, as PyTorch sums.
    order = range(rank - 1, -1, -1)
    if is_bytes:
        return from_data(resize_bytes(input._data, [(2 + axis, taps[axis]) for axis in order]))
    gathers = tuple(AxisGather(2 + axis, input.shape[2 + axis], *taps[axis]) for axis in order)
    return apply_map(input, Chain(gathers), _node_name(mode, rank, antialias))


def upsample(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """`interpolate` by its old name."""
    warnings.warn(
        "`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2
    )
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """`interpolate` by nearest neighbour, by its old name."""
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """`interpolate` bilinearly with aligned corners, by its old name."""
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
