"""Uninitialised memory for parameters and buffers, in the dtype that a layer was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from convforge.autograd.device import require_cpu
from convforge.autograd.dtype import get_default_dtype, resolve
from convforge.autograd.tensor import Tensor, from_data


def empty(*sizes: int, device: Any = None, dtype: Any = None) -> Tensor:
    """Return a tensor of these sizes with any values in it; dtype None is the default dtype.

    Raises RuntimeError where a size is negative or the device is not the CPU.
    """
    require_cpu(device)
    if min(sizes) < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(sizes)}: {list(sizes)}")
    element = get_default_dtype() if dtype is None else resolve(dtype)
    return from_data(np.empty(sizes, element.numpy))
