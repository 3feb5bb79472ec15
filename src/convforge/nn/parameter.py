"""Parameters and buffers: tensors that a module registers when they are assigned to it, some lazy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd.device import require_cpu
from ..autograd.dtype import get_default_dtype, resolve
from ..autograd.tensor import Tensor, from_data


def _tensor_of(data: Any) -> Tensor:
    if data is None:
        return from_data(np.empty(0, get_default_dtype().numpy))
    if isinstance(data, np.ndarray):
        return from_data(data)
    if not isinstance(data, Tensor):
        raise TypeError(
            f"data (={data!r}) must be a Tensor or a NumPy array, not {type(data).__name__}: "
            "make one with convforge.tensor(data)"
        )
    return data


class Parameter(Tensor):
    """A tensor that is a module's parameter: assigned to a module, it is registered.

    data: a Tensor, whose memory is shared, or a NumPy array; None for an empty one.
    requires_grad: whether it takes gradients, as it does by default even under `no_grad`.

    Raises RuntimeError where integers are to require gradients.
    """

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        """A parameter on the memory of `data`."""
        tensor = _tensor_of(data)
        if requires_grad and not (tensor.dtype.is_floating_point or tensor.dtype.is_complex):
            raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
        return Tensor._make_subclass(cls, tensor, requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.data.clone(), self.requires_grad)
        return memo[id(self)]

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # Hooks stay behind, as PyTorch leaves them: they are often not picklable.
        state = {name: value for name, value in self.__dict__.items() if name != "_post_accumulate"}
        return (_rebuild_parameter, (self.data, self.requires_grad, state))


def _rebuild_parameter(data: Tensor, requires_grad: bool, state: dict[str, Any]) -> Parameter:
    parameter = Parameter(data, requires_grad)
    parameter.__dict__.update(state)
    return parameter


class _BufferMeta(type):
    """Makes `isinstance(t, Buffer)` true for tensors that `Buffer(…)` returned: those are plain Tensors."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if cls is Buffer and isinstance(instance, Tensor) and getattr(instance, "_is_buffer", False):
            return True
        return super().__instancecheck__(instance)


class Buffer(Tensor, metaclass=_BufferMeta):
    """A tensor that is a module's state but no parameter: assigned to a module, it is registered as a buffer.

    data: a Tensor or a NumPy array, whose memory is shared; None for an empty one.
    persistent: whether the state dict has it.
    """

    persistent: bool

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        """A Tensor on the memory of `data`, marked as a buffer."""
        tensor = _tensor_of(data)
        buffer = tensor.detach().requires_grad_(tensor.requires_grad)
        buffer.__dict__["persistent"] = persistent
        buffer.__dict__["_is_buffer"] = True
        return buffer


class UninitializedTensorMixin:
    """A tensor whose shape is not known yet. It has a dtype; `materialize` gives it a shape and memory.

    Reading its memory raises ValueError: a lazy module has to be called once before.
    """

    cls_to_become: type[Tensor]
    __dict__: dict[str, Any]

    @property
    def _data(self) -> Any:
        raise ValueError(
            f"Attempted to use an uninitialized parameter in {type(self).__name__}. "
            "This error happens when you are using a `LazyModule` or "
            f"explicitly manipulating `torch.nn.parameter.{type(self).__name__}` "
            "objects. When using LazyModules Call `forward` with a dummy batch "
            "to initialize the parameters before calling torch functions"
        )

    @_data.setter
    def _data(self, array: Any) -> None:
        _memory.__set__(self, array)

    @property
    def data(self) -> Tensor:
        """An empty tensor of the dtype."""
        return from_data(_memory.__get__(self))

    @data.setter
    def data(self, value: Tensor) -> None:
        _memory.__set__(self, value._data)

    @property
    def dtype(self) -> Any:
        """The element type that memory will have."""
        return self.data.dtype

    @property
    def shape(self) -> Any:
        """Unknown: raises RuntimeError."""
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. "
            "This error usually happens in `load_state_dict` when trying to load "
            "an uninitialized parameter into an initialized one. "
            "Call `forward` to initialize the parameters before accessing their attributes."
        )

    def materialize(self, shape: Sequence[int], device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary parameter or tensor of that shape, its memory unset."""
        del device
        numpy_dtype = self.dtype.numpy if dtype is None else resolve(dtype).numpy
        _memory.__set__(self, np.empty(tuple(shape), numpy_dtype))
        # Layouts agree: the uninitialised classes add no slots.
        self.__class__ = self.cls_to_become  # type: ignore[assignment]

    def copy_(self, source: Any, non_blocking: bool = False) -> Any:
        """Take nothing from another uninitialised tensor; anything else has a shape and raises ValueError."""
        del non_blocking
        if not is_lazy(source):
            _ = self._data
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Set whether the parameter will take gradients."""
        _requires_grad.__set__(self, bool(requires_grad))
        return self

    def is_floating_point(self) -> bool:
        """Whether the dtype is a floating one."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether the dtype is a complex one."""
        return self.dtype.is_complex

    def _converted(self, empty: Tensor) -> Any:
        """What a conversion gives, from an empty tensor of the new dtype: it is put into `data`."""
        return empty

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """The same of another dtype."""
        return self._converted(self.data.to(*args, **kwargs))

    def type(self, dtype: Any = None) -> Any:
        """The same of another dtype; the name of this one's type without an argument."""
        return self.data.type() if dtype is None else self._converted(self.data.type(dtype))

    def cpu(self) -> Any:
        """The same."""
        return self._converted(self.data)

    def float(self) -> Any:
        """The same in float32."""
        return self._converted(self.data.float())

    def double(self) -> Any:
        """The same in float64."""
        return self._converted(self.data.double())

    def half(self) -> Any:
        """The same in float16."""
        return self._converted(self.data.half())

    def bfloat16(self) -> Any:
        """The same in bfloat16."""
        return self._converted(self.data.bfloat16())

    def share_memory_(self) -> Any:
        """Refuse: there is no memory."""
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. "
            "Call `forward` to initialize the parameters before calling `module.share_memory()`."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    __hash__ = object.__hash__


_memory: Any = Tensor.__dict__["_data"]
_requires_grad: Any = Tensor.__dict__["_req"]


def is_lazy(param: Any) -> bool:
    """Whether `param` is an UninitializedParameter or UninitializedBuffer."""
    return isinstance(param, UninitializedTensorMixin)


def _empty_of(dtype: Any) -> Tensor:
    return from_data(np.empty(0, (get_default_dtype() if dtype is None else resolve(dtype)).numpy))


class UninitializedParameter(UninitializedTensorMixin, Parameter):  # type: ignore[misc]
    """A parameter whose shape is not known yet; lazy modules hold them until their first call.

    requires_grad: whether it will take gradients. device: the CPU. dtype: of its memory once it has some.
    """

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        """A parameter without a shape."""
        require_cpu(device)
        return Tensor._make_subclass(cls, _empty_of(dtype), requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, None, self.dtype)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return (type(self), (self.requires_grad, None, self.dtype))


class UninitializedBuffer(UninitializedTensorMixin, Tensor):  # type: ignore[misc]
    """A buffer whose shape is not known yet.

    requires_grad, device, dtype: as of UninitializedParameter. persistent: whether the state dict has it.
    """

    cls_to_become = Tensor
    persistent: bool
    _is_buffer: bool

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> Any:
        """A buffer without a shape."""
        require_cpu(device)
        buffer = Tensor._make_subclass(cls, _empty_of(dtype), requires_grad)
        buffer.persistent = persistent
        buffer._is_buffer = True
        return buffer

    def _converted(self, empty: Tensor) -> Any:
        # Buffers are replaced by what a conversion gives, so that has to stay uninitialised.
        return type(self)(self.requires_grad, None, empty.dtype, self.persistent)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, None, self.dtype, self.persistent)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return (type(self), (self.requires_grad, None, self.dtype, self.persistent))
