"""Which arrays kernels can take as they are, and what becomes of the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.problem import ConvSpec
from convforge.target import Target

Array = NDArray[Any]


class _Memory:
    """Memory as NumPy's array interface describes it (version 3)."""

    def __init__(
        self, address: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype[np.generic]
    ) -> None:
        self.__array_interface__ = {
            "version": 3,
            "data": (address, False),
            "shape": shape,
            "strides": strides,
            "typestr": dtype.str,
        }


def array_at(
    address: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype[np.generic]
) -> Array:
    """The array whose first element lies at an address; the caller keeps its memory alive."""
    return np.asarray(_Memory(address, shape, strides, dtype))


def readable(array: Array) -> Array:
    """The array itself, or a copy where its elements lie on addresses that no whole element can have."""
    return array if array.flags.aligned else array.copy()


def is_writable(out: Array, *inputs: Array | None) -> bool:
    """Whether a kernel may write its result there: whole elements, and none that it still reads."""
    return out.flags.aligned and not any(i is not None and np.may_share_memory(out, i) for i in inputs)


def has_finite_sum(weight: Array) -> bool:
    """False where weights have an infinity or NaN; or such magnitudes that it does not matter what this says.

    2.4 million weights take 0.8 ms, `np.isfinite` of each 0.9 and memory for the answers.
    """
    if weight.dtype.kind in "iu":
        return True
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(weight.sum(dtype=np.float32 if weight.dtype.itemsize == 2 else None)))


def kept(result: Array, out: Array | None) -> Array:
    """The result in `out` if given, else contiguous."""
    if out is None:
        return result if result.flags.c_contiguous else np.ascontiguousarray(result)
    out[...] = result
    return out


def folding_spec(spec: ConvSpec) -> ConvSpec:
    """The spec for sums that are folded afterwards: in fp32 where a half type would round before the fold."""
    if spec.dtype.itemsize == 2 and spec.dtype.kind not in "iu":
        return replace(spec, dtype=np.dtype(np.float32))
    return spec


def wide_spec(spec: ConvSpec) -> ConvSpec:
    """The spec in fp32 where the processor has no instruction for fp16; else the spec itself."""
    if spec.dtype == np.float16 and not Target.host().has_half:
        return replace(spec, dtype=np.dtype(np.float32))
    return spec
