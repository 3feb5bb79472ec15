"""Variable, as notes from before PyTorch 0.4 wrap their tensors: today simply a tensor."""

from __future__ import annotations

from typing import Any

from .tensor import Tensor


class _VariableMeta(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_VariableMeta):
    """Variable(tensor) is the tensor, with requires_grad as told."""

    def __new__(cls, data: Any = None, requires_grad: bool = False, volatile: bool = False) -> Any:  # noqa: ARG004
        """A tensor on the memory of `data`."""
        made = Tensor._make_subclass(Tensor, data if data is not None else Tensor())
        return made.requires_grad_() if requires_grad else made
