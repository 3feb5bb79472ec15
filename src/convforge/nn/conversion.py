"""Changing the tensors of a module: dtype, gradients needed or zeroed, and `_apply` under all of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

from ..autograd.device import Device, require_cpu
from ..autograd.dtype import DType
from ..autograd.grad_mode import no_grad
from ..autograd.tensor import Tensor

if TYPE_CHECKING:
    from .module import Module
    from .parameter import Parameter


class ModuleConversion:
    """The part of `Module` that changes parameters and buffers in place."""

    if TYPE_CHECKING:
        _parameters: dict[str, Parameter | None]
        _buffers: dict[str, Tensor | None]

        children: Callable[[], Iterator[Module]]
        parameters: Callable[[], Iterator[Parameter]]

    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> Self:
        """Put `fn(tensor)` in place of each parameter, gradient and buffer; parameters keep identity."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for parameter in self._parameters.values():
            if parameter is None:
                continue
            with no_grad():
                parameter.data = fn(parameter)
                if parameter.grad is not None:
                    parameter.grad.data = fn(parameter.grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def apply(self, fn: Callable[[Any], Any]) -> Self:
        """Call `fn(module)` on every module below this one and then on this one; for initialising, say."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def cpu(self) -> Self:
        """Nothing: all tensors are in main memory."""
        return self._apply(lambda t: t.cpu())

    def cuda(self, device: Any = None) -> Self:
        """Refuse: convforge computes on the CPU."""
        return self._apply(lambda t: t.cuda(device))

    def share_memory(self) -> Self:
        """Nothing: there is no other memory that tensors could move to."""
        return self

    def type(self, dst_type: Any) -> Self:
        """Cast every parameter and buffer to `dst_type`."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self) -> Self:
        """Cast floating-point parameters and buffers to float32."""
        return self._apply(lambda t: t.float() if t.is_floating_point() else t)

    def double(self) -> Self:
        """Cast floating-point parameters and buffers to float64."""
        return self._apply(lambda t: t.double() if t.is_floating_point() else t)

    def half(self) -> Self:
        """Cast floating-point parameters and buffers to float16."""
        return self._apply(lambda t: t.half() if t.is_floating_point() else t)

    def bfloat16(self) -> Self:
        """Cast floating-point parameters and buffers to bfloat16."""
        return self._apply(lambda t: t.bfloat16() if t.is_floating_point() else t)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Cast floating-point and complex parameters and buffers; integer ones keep their dtype.

        to(device=None, dtype=None), to(dtype), to(tensor): arguments as of `Tensor.to`.
        Raises TypeError for an integer dtype.
        """
        dtype = dtype_of_to(*args, **kwargs)
        if dtype is not None:
            if not (dtype.is_floating_point or dtype.is_complex):
                raise TypeError(
                    "nn.Module.to only accepts floating point or complex "
                    f"dtypes, but got desired dtype={dtype}"
                )
            if dtype.is_complex:
                warnings.warn(
                    "Complex modules are a new feature under active development whose design may change, "
                    "and some modules might not work as expected when using complex tensors as parameters "
                    "or buffers.",
                    stacklevel=2,
                )

        def convert(tensor: Any) -> Any:
            if dtype is None or not (tensor.is_floating_point() or tensor.is_complex()):
                return tensor
            return tensor.to(dtype)

        return self._apply(convert)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether the parameters of this module and all below it need gradients."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros."""
        for parameter in self.parameters():
            grad = parameter.grad
            if grad is None:
                continue
            if set_to_none:
                parameter.grad = None
                continue
            if grad.grad_fn is not None:
                grad.detach_()
            else:
                grad.requires_grad_(False)
            grad.zero_()


def dtype_of_to(*args: Any, **kwargs: Any) -> DType | None:
    """The dtype that the arguments of `Module.to` ask for, or None.

    Raises TypeError for arguments that `to` does not take, and as `require_cpu` for another device.
    """
    dtype: DType | None = None
    unknown = kwargs.keys() - {"device", "dtype", "tensor", "other", "non_blocking", "copy", "memory_format"}
    if unknown:
        raise TypeError(f"to() got an unexpected keyword argument '{min(unknown)}'")
    for value in (*args, *(kwargs.get(name) for name in ("device", "dtype", "tensor", "other"))):
        if isinstance(value, DType):
            dtype = value
        elif isinstance(value, Tensor):
            dtype = value.dtype
        elif isinstance(value, str | Device):
            require_cpu(value)
        elif value is not None and not isinstance(value, bool):
            raise TypeError(
                "to() received an invalid combination of arguments: "
                f"{value!r} is no device, dtype or tensor: use for example to(convforge.float64)"
            )
    return dtype
