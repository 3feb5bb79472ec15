"""Tensors from what other libraries hold arrays in, and PyTorch's names for types in messages."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from ..autograd.tensor import Tensor, from_data


def to_tensor(value: Any) -> Tensor | None:
    """`value` as a Tensor, sharing memory where it can; None if it holds no array.

    value: a Tensor, a NumPy array or scalar, or an object with `__array__` or `__dlpack__`
    (a PyTorch tensor: also one that requires a gradient, or of bfloat16).
    """
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return from_data(np.asarray(value))
    if isinstance(value, type) or not (hasattr(value, "__array__") or hasattr(value, "__dlpack__")):
        return None
    if hasattr(value, "detach"):
        value = value.detach()
    if str(getattr(value, "dtype", "")) == "torch.bfloat16":
        # NumPy's protocols have no bfloat16; float32 holds every one of its values.
        return from_data(np.asarray(value.float()).astype(ml_dtypes.bfloat16))
    return from_data(np.asarray(value) if hasattr(value, "__array__") else np.from_dlpack(value))


def typename(value: Any) -> str:
    """How PyTorch's messages name the type of `value`: 'int', 'torch.FloatTensor', 'numpy.ndarray'."""
    if isinstance(value, Tensor):
        return value.dtype.tensor_type
    kind: type = value if isinstance(value, type) else type(value)
    if kind.__module__ in ("builtins", ""):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"
