"""Tensors as Python values, NumPy arrays, DLPack capsules, pickles and copies."""

# ruff: noqa: ARG001 - PyTorch's signatures are kept whole

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from convforge.memory import base_of

from .dtype import bfloat16
from .tensor import Tensor, from_data, handed_out


def numpy(input: Tensor, *, force: bool = False) -> np.ndarray[Any, Any]:
    """The memory as an array. Raises RuntimeError where grad is required: detach first, or force."""
    if input.requires_grad and not force:
        raise RuntimeError(
            "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
        )
    handed_out(input)
    return input._data


def item(input: Tensor) -> Any:
    """The one element as a Python number. Raises RuntimeError where there are more or none."""
    if input._data.size != 1:
        raise RuntimeError(f"a Tensor with {input._data.size} elements cannot be converted to Scalar")
    value = input._data.item()
    return float(value) if input._data.dtype == bfloat16.numpy else value


def tolist(input: Tensor) -> Any:
    """The elements as nested lists of Python numbers."""
    data = input._data
    return (data.astype(np.float32) if data.dtype == bfloat16.numpy else data).tolist()


def to_bool(input: Tensor) -> bool:
    """The truth of the one element. Raises RuntimeError where there are more or none."""
    size = input._data.size
    if size == 1:
        return bool(input._data.reshape(())[()])
    if size == 0:
        raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
    raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")


def to_float(input: Tensor) -> float:
    """float(tensor) of one element."""
    return float(item(input))


def to_int(input: Tensor) -> int:
    """int(tensor) of one element."""
    return int(item(input))


def to_complex(input: Tensor) -> complex:
    """complex(tensor) of one element."""
    return complex(item(input))


def to_index(input: Tensor) -> int:
    """A one-element integer tensor as an index. Raises TypeError otherwise."""
    if input._data.dtype.kind not in "iub" or input._data.size != 1:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(input._data.item())


def length(input: Tensor) -> int:
    """The size of the first dimension. Raises TypeError where there is none."""
    if not input._data.ndim:
        raise TypeError("len() of a 0-d tensor")
    return input._data.shape[0]


def iterate(input: Tensor) -> Iterator[Tensor]:
    """The views along the first dimension. Raises TypeError where there is none."""
    if not input._data.ndim:
        raise TypeError("iteration over a 0-d tensor")
    from .joining import unbind

    return iter(unbind(input, 0))


def contains(input: Tensor, element: Any) -> bool:
    """Whether an element equals a number or tensor."""
    if not isinstance(element, (Tensor, int, float, complex)):
        raise RuntimeError(
            f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}."
        )
    return bool((input == element)._data.any())


def to_numpy(input: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
    """`__array__`: what np.asarray(tensor) calls."""
    data = numpy(input)
    if dtype is not None and data.dtype != dtype:
        if copy is False:
            raise ValueError("Unable to avoid copy while creating an array as requested: the dtype differs")
        return data.astype(dtype)
    return data.copy() if copy else data


def from_ufunc(
    input: Tensor, array: np.ndarray[Any, Any], context: Any = None, return_scalar: bool = False
) -> Tensor:
    """`__array_wrap__`: np.sqrt(tensor) is a tensor."""
    return from_data(np.asarray(array))


def dlpack(
    input: Tensor, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None
) -> Any:
    """A DLPack capsule on the memory. Raises BufferError where grad is required, as PyTorch does."""
    if input.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    handed_out(input)
    data = input._data
    if data.dtype == bfloat16.numpy:
        raise BufferError("NumPy exports no bfloat16: use tensor.float(), or tensor.view(convforge.int16)")
    if not data.flags.writeable and max_version is None:
        data = data.copy()  # an old consumer cannot be told that memory is read-only
    return data.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)


def dlpack_device(input: Tensor) -> tuple[int, int]:
    """(kDLCPU, 0)."""
    return (1, 0)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor on the memory of another library's array: NumPy, PyTorch, JAX on the CPU, …"""
    from .device import require_cpu
    from .nested import native

    require_cpu(device)
    if isinstance(ext_tensor, Tensor):
        if ext_tensor.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return from_data(ext_tensor._data.copy() if copy else ext_tensor._data)
    if not hasattr(ext_tensor, "__dlpack__"):
        raise TypeError(
            "from_dlpack() takes an object with __dlpack__ and __dlpack_device__, not "
            f"{type(ext_tensor).__name__}"
        )
    kind, _ = ext_tensor.__dlpack_device__()
    if int(kind) != 1:
        raise BufferError(
            f"from_dlpack() takes memory of the CPU (device type 1), not of device type {int(kind)}"
        )
    array = np.from_dlpack(ext_tensor)
    return from_data(native(array.copy() if copy else array))


def to_dlpack(tensor: Tensor) -> Any:
    """The DLPack capsule of a tensor."""
    return dlpack(tensor)


def deep_copy(input: Tensor, memo: dict[int, Any]) -> Tensor:
    """`copy.deepcopy` of a leaf, with memory of its own. Raises RuntimeError for a non-leaf."""
    import copy

    if not input.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol at the moment.  "
            "If you were attempting to deepcopy a module, this may be because of a "
            "torch.nn.utils.weight_norm usage, see https://github.com/pytorch/pytorch/pull/103001"
        )
    if id(input) in memo:
        return memo[id(input)]
    made = Tensor._make_subclass(type(input), from_data(input._data.copy("K")), input._req)
    memo[id(input)] = made
    if input.grad is not None:
        made.grad = copy.deepcopy(input.grad, memo)
    if input.__dict__:
        made.__dict__.update(copy.deepcopy(input.__dict__, memo))
    return made


def rebuild(kind: type, array: np.ndarray[Any, Any], requires_grad: bool, state: Any) -> Tensor:
    """What unpickling calls."""
    made = Tensor._make_subclass(kind, from_data(array), requires_grad)
    if state:
        made.__dict__.update(state)
    return made


def reduce_ex(input: Tensor, protocol: int) -> tuple[Any, ...]:
    """Pickling: the class, the array, requires_grad and attributes. Raises RuntimeError for hooks' owners."""
    return (rebuild, (type(input), input._data, input.requires_grad, dict(input.__dict__) or None))


def size(input: Tensor, dim: int | None = None) -> Any:
    """The sizes, or the size of one dimension."""
    if dim is None:
        return input.shape
    from .dims import wrap_dim

    if not input._data.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    return input._data.shape[wrap_dim(dim, input._data.ndim)]


def stride(input: Tensor, dim: int | None = None) -> Any:
    """How many elements lie between neighbours of each dimension, or of one."""
    from .dims import wrap_dim

    steps = tuple([each // input._data.itemsize for each in input._data.strides])
    return steps if dim is None else steps[wrap_dim(dim, len(steps))]


def numel(input: Tensor) -> int:
    """The number of elements."""
    return input._data.size


def dim(input: Tensor) -> int:
    """The number of dimensions."""
    return input._data.ndim


def element_size(input: Tensor) -> int:
    """Bytes of an element."""
    return input._data.itemsize


def data_ptr(input: Tensor) -> int:
    """The address of the first element."""
    handed_out(input, for_good=True)
    return input._data.ctypes.data


def storage_offset(input: Tensor) -> int:
    """How many elements before the first lie in the memory that this is a view of."""
    base: Any = input._data
    while (behind := base_of(base)) is not None:
        base = behind
    return (input._data.ctypes.data - base.ctypes.data) // input._data.itemsize


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a real floating type."""
    return input.dtype.is_floating_point


def is_complex(input: Tensor) -> bool:
    """Whether the dtype is complex."""
    return input.dtype.is_complex


def is_tensor(obj: Any) -> bool:
    """Whether an object is a Tensor."""
    return isinstance(obj, Tensor)


def typename(obj: Any) -> str:
    """'torch.FloatTensor' of a tensor, else the name of the object or of its class, with its module."""
    if isinstance(obj, Tensor):
        return obj.dtype.tensor_type
    module = getattr(obj, "__module__", "") or ""
    name = getattr(obj, "__qualname__", None) or getattr(obj, "__name__", None)
    if name is None:
        module, name = type(obj).__module__, type(obj).__qualname__
    return name if module in ("", "builtins") else f"{module}.{name}"
