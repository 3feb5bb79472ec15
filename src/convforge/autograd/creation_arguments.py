"""The arguments that all creation functions share: out, layout, device, pin_memory, memory_format."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from .device import require_cpu
from .dtype import resolve
from .tensor import Tensor

F = TypeVar("F", bound=Callable[..., Tensor])


def _check_storage(name: str, layout: Any, pin_memory: Any) -> None:
    """Raise where a tensor would not lie densely in ordinary memory."""
    if layout not in (None, "strided"):
        raise RuntimeError(f"{name}(): layout (={layout!r}) must be torch.strided: tensors are dense here")
    if pin_memory is None or pin_memory is False:
        return
    if pin_memory is not True:
        raise TypeError(f"{name}(): argument 'pin_memory' must be bool, not {type(pin_memory).__name__}")
    raise RuntimeError(
        "pin_memory=True requires a CUDA or other accelerator backend; no pinned memory allocator is "
        "available "
        "on this system: leave pin_memory out"
    )


def storage_arguments(takes_out: bool = True) -> Callable[[F], F]:
    """A decorator: the function also takes `layout`, `device`, `pin_memory`, and `out` or `memory_format`.

    out: a tensor that becomes the result; it keeps its dtype, and takes the result's size where that is
    another.
    """

    def decorate(function: F) -> F:
        name = function.__name__
        own = inspect.signature(function)
        knows_device = "device" in own.parameters
        knows_format = "memory_format" in own.parameters
        extra = ["layout", "pin_memory"] + ["out"] * takes_out + ["device"] * (not knows_device)

        @functools.wraps(function)
        def made(*args: Any, layout: Any = None, pin_memory: Any = False, **named: Any) -> Tensor:
            if layout is not None or pin_memory is not False:
                _check_storage(name, layout, pin_memory)
            if not knows_device and "device" in named:
                require_cpu(named.pop("device"))
            if takes_out:
                out = named.pop("out", None)
                if out is not None:
                    return _into(out, name, function, args, named)
            elif not knows_format:
                named.pop("memory_format", None)
            return function(*args, **named)

        keyword = inspect.Parameter.KEYWORD_ONLY
        given = [each for each in own.parameters.values() if each.name not in extra]
        added = [inspect.Parameter(each, keyword, default=None) for each in extra]
        made.__dict__["__signature__"] = own.replace(parameters=[*given, *added])
        return cast(F, made)

    return decorate


def _into(out: Any, name: str, function: Callable[..., Tensor], args: Any, named: dict[str, Any]) -> Tensor:
    """Call the function and make its result that of `out`."""
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    dtype = named.pop("dtype", None)
    if dtype is not None and resolve(dtype) is not out.dtype:
        raise RuntimeError(
            f"dtype {resolve(dtype).scalar_name} does not match dtype of out parameter "
            f"({out.dtype.scalar_name}): "
            "leave dtype away"
        )
    if out.requires_grad:
        raise RuntimeError(
            f"aten::{name}(): functions with out=... arguments don't support automatic "
            "differentiation, but one "
            "of the arguments requires grad."
        )
    requires_grad = named.pop("requires_grad", False)
    if name == "empty":
        made = function(*args, **named)
        if made._data.shape != out._data.shape:
            out._data = np.empty(made._data.shape, out._data.dtype)
        return out.requires_grad_() if requires_grad else out
    made = function(*args, dtype=out.dtype, **named)
    if made._data.shape == out._data.shape:
        out._data[...] = made._data
    else:
        out._data = made._data
    out._vbox[0] += 1
    return out.requires_grad_() if requires_grad else out
