"""Changing the element type: `to`, `float()`, `long()`, …, and `clone` and `contiguous`."""

# ruff: noqa: ARG001 - PyTorch's signatures are kept whole

from __future__ import annotations

from typing import Any

import numpy as np

from . import dtype as types
from .device import Device, require_cpu
from .dtype import DType, resolve
from .node import Node, attach
from .quiet import quiet
from .tensor import Tensor, from_data, recording


def convert(array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """The array in `dtype`, a copy. Complex to real drops the imaginary part, without NumPy's warning."""
    if array.dtype.kind == "c" and dtype.kind not in "cb":
        array = array.real
    if array.dtype == np.float64 and dtype == np.float16:
        # PyTorch makes a half of a float: two roundings, which for 1 in 16,000 numbers are not NumPy's one.
        array = quiet.run(array.astype, np.dtype(np.float32))
    return quiet.run(array.astype, dtype)


def cast(input: Tensor, dtype: np.dtype[Any]) -> Tensor:
    """The tensor in another element type; itself if it has that one."""
    if input._data.dtype == dtype:
        return input
    out = from_data(convert(input._data, dtype))
    if dtype.kind in "biu":
        return out
    if recording(input):
        attach(out, "ToCopyBackward0", _cast_backward, (input,)).source = input._data.dtype
    return out


def _cast_backward(node: Any, grad: Tensor) -> Tensor:
    if grad._data.dtype.kind == "c" and node.source.kind != "c":
        grad = grad.real
    return cast(grad, node.source)


def to(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """to(dtype), to(device), to(device, dtype), to(other), each with non_blocking, copy, memory_format.

    Returns the tensor itself where nothing changes, unless copy=True.
    """
    target: DType | None = None
    given = [*args]
    dtype, device, other = kwargs.pop("dtype", None), kwargs.pop("device", None), kwargs.pop("other", None)
    copy = kwargs.pop("copy", False)
    kwargs.pop("non_blocking", None)
    kwargs.pop("memory_format", None)
    if kwargs:
        raise TypeError(f"to() got an unexpected keyword argument '{next(iter(kwargs))}'")
    for value in given:
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, Tensor):
            other = value
        elif isinstance(value, (str, Device)):
            device = value
        else:
            dtype = value
    if len(given) > 1 and isinstance(given[-1], bool) and len([v for v in given if isinstance(v, bool)]) == 2:
        copy = given[-1]
    require_cpu(device)
    if other is not None:
        target = other.dtype
    if dtype is not None:
        target = resolve(dtype)
    if target is None or target is input.dtype:
        return clone(input) if copy else input
    return cast(input, target.numpy)


def type_of(input: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """'torch.FloatTensor' without an argument, else the tensor in that type."""
    if dtype is None:
        return input.dtype.tensor_type
    if isinstance(dtype, str):
        found = next((each for each in types.ALL if each.tensor_type == dtype), None)
        if found is None:
            raise ValueError(f"invalid type: '{dtype}'")
        dtype = found
    return cast(input, resolve(dtype).numpy)


def type_as(input: Tensor, other: Tensor) -> Tensor:
    """The tensor in the element type of `other`."""
    return cast(input, other._data.dtype)


def _converter(dtype: DType) -> Any:
    target = dtype.numpy

    def converted(input: Tensor, memory_format: Any = None) -> Tensor:
        return cast(input, target)

    converted.__doc__ = f"The tensor as {dtype}; itself if it is that already."
    return converted


# double(x), half(x), …: one for each name that PyTorch has as a method.
CONVERTERS = {
    "float": _converter(types.float32),
    "double": _converter(types.float64),
    "half": _converter(types.float16),
    "bfloat16": _converter(types.bfloat16),
    "long": _converter(types.int64),
    "int": _converter(types.int32),
    "short": _converter(types.int16),
    "char": _converter(types.int8),
    "byte": _converter(types.uint8),
    "bool": _converter(types.bool_),
    "cfloat": _converter(types.complex64),
    "cdouble": _converter(types.complex128),
}


def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy in memory of its own, recorded. Keeps the order of dense memory, as PyTorch does."""
    data = input._data
    out = from_data(data.copy("K"))
    if recording(input):
        attach(out, "CloneBackward0", _clone_backward, (input,))
    return out


def _clone_backward(node: Node, grad: Tensor) -> Tensor:
    return grad


def contiguous(input: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor in row-major memory; itself if it is so already."""
    if input._data.flags.c_contiguous:
        return input
    out = from_data(input._data.copy("C"))
    if recording(input):
        attach(out, "CloneBackward0", _clone_backward, (input,))
    return out


def is_contiguous(input: Tensor, memory_format: Any = None) -> bool:
    """Whether the memory is row-major without gaps."""
    return input._data.flags.c_contiguous


def detach(input: Tensor) -> Tensor:
    """The same memory and version counter, off the tape."""
    return input._alias()


def detach_(input: Tensor) -> Tensor:
    """Take this tensor itself off the tape."""
    if input._view is not None:
        raise RuntimeError(
            "Can't detach views in-place. Use detach() instead. If you are using "
            "DistributedDataParallel (DDP) for "
            "training, and gradient_as_bucket_view is set as True, gradients are views of DDP "
            "buckets, and hence "
            "detach_() cannot be called on these gradients. To fix this error, please refer to the "
            "Optimizer.zero_grad() function in torch/optim/optimizer.py as a reference."
        )
    input._grad_fn, input._req, input._nr = None, False, 0
    return input


def cpu(input: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself: it is on the CPU."""
    return input


def cuda(input: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """Raises AssertionError: there is no CUDA here."""
    require_cpu("cuda")
    return input
