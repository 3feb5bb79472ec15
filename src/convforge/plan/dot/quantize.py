"""Quantises arrays at one scale."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge import reference
from convforge.kernels.contract import fill
from convforge.kernels.dot.contract import QUANTIZE_PARAMETERS, QuantizeKernel
from convforge.plan.fallback import executable_memory_refused
from convforge.plan.job import Job
from convforge.problem.quantization import limits
from convforge.runtime import address_of, get_num_threads
from convforge.target import Target

Array = NDArray[Any]

# Elements of one task: 256 KB of float32.
_CHUNK = 1 << 16


def quantized(x: Array, scale: float, zero_point: int, dtype: np.dtype[Any]) -> Array:
    """float32 x as bytes of a dtype: clamp(round(x / scale + zero_point)), without gaps."""
    target = Target.host()
    if executable_memory_refused() or not target.fused or x.size == 0:
        return reference.quantized(x, scale, zero_point, dtype)
    x = np.require(x, None, ["C", "A"])
    y = np.empty(x.shape, dtype)
    parameters = fill(QUANTIZE_PARAMETERS, {"count": x.size, "chunk": _CHUNK})
    scales = np.array([np.float32(1) / np.float32(scale), zero_point, *limits(dtype)], np.float32)
    tasks = -(-x.size // _CHUNK)
    addresses = address_of(parameters), address_of(x), 0, address_of(scales), address_of(y)
    _job(target).run(tasks, min(tasks, get_num_threads()), 64, *addresses)
    return y


@lru_cache(maxsize=4)
def _job(target: Target) -> Job:
    return Job(QuantizeKernel(target.vector_bytes // 4), target)
