"""A model's shadow: modules of the same code whose tensors have no memory, so that the model is left alone.

Every module gets a twin of a subclass of its class, with a dict of its own: what a forward assigns, counts or
appends lands in the twin. Hooks are left behind. Batches are not counted, lazy modules take their shapes in
the twin alone.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from convforge.autograd.tensor import Tensor
from convforge.explain.abstract import AbstractTensor, Ledger
from convforge.nn.hooks import HookDict
from convforge.nn.module import Module
from convforge.nn.parameter import is_lazy

Caller = Callable[["Shadow", tuple[Any, ...], dict[str, Any]], Any]
_HOOKS = tuple(
    name for name in vars(Module()) if name.endswith(("_hooks", "_hooks_with_kwargs", "_hooks_always_called"))
)


class Unshaped(AbstractTensor):
    """A parameter or buffer of a lazy module, until the first input gives it a shape."""

    __slots__ = ()

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Becomes an ordinary one of that shape."""
        del device, dtype
        made = self.ledger.tensor(shape, self._data.dtype, counted=False)
        self._data, self.memory = made._data, made.memory
        self.__class__ = AbstractTensor  # type: ignore[assignment]


class Shadow(Module):
    """Mixed in before the class of a module: its calls go through `caller`."""

    original: Module
    caller: Caller

    def __init_subclass__(cls) -> None:
        """Not the module's own: some keep a list of their subclasses."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """A call of the module, written down."""
        return self.__dict__["caller"](self, args, kwargs)

    def forwarded(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The module's own forward, after a lazy module has taken its shapes."""
        if self.has_uninitialized_params():
            infer: Any = self
            infer.initialize_parameters(*args, **kwargs)
        return self.forward(*args, **kwargs)

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer waits for its shape."""
        state = self.__dict__
        return any(
            isinstance(each, Unshaped)
            for each in (*state["_parameters"].values(), *state["_buffers"].values())
        )

    def reset_parameters(self) -> None:
        """There are no values to draw."""


class Shadows:
    """Makes the twins of a model's modules and tensors, one each, and remembers whose they are."""

    def __init__(self, ledger: Ledger, caller: Caller) -> None:
        self._ledger = ledger
        self._caller = caller
        self._twins: dict[int, Any] = {}
        self._kinds: dict[type, type] = {}

    def module(self, module: Module) -> Any:
        """The twin of a module."""
        known = self._twins.get(id(module))
        if known is not None:
            return known
        twin = object.__new__(self._kind(type(module)))
        self._twins[id(module)] = twin
        state: dict[str, Any] = {}
        for name, value in vars(module).items():
            if name in _HOOKS:
                state[name] = HookDict() if isinstance(value, HookDict) else type(value)()
            else:
                state[name] = self.value(value)
        if "num_batches_tracked" in state["_buffers"]:
            state["_buffers"]["num_batches_tracked"] = None
        vars(twin).update(state, original=module, caller=self._caller)
        return twin

    def value(self, value: Any) -> Any:
        """The twin of an attribute: modules and tensors in containers too; anything else is itself."""
        known = self._twins.get(id(value))
        if known is not None:
            return known
        if isinstance(value, Module):
            return self.module(value)
        if isinstance(value, Tensor):
            twin = self._tensor(value)
            self._twins[id(value)] = twin
            return twin
        kind: Any = type(value)
        if kind is types.MethodType and isinstance(value.__self__, Module):
            return types.MethodType(value.__func__, self.module(value.__self__))
        if kind in (list, set):
            return kind([self.value(each) for each in value])
        if kind is tuple:
            return tuple([self.value(each) for each in value])
        if isinstance(value, dict) and kind.__module__ in ("builtins", "collections"):
            copied = value.copy()
            copied.update((name, self.value(each)) for name, each in copied.items())
            return copied
        return value

    def _kind(self, kind: type) -> type:
        known = self._kinds.get(kind)
        if known is None:
            names = {
                "__module__": kind.__module__,
                "__qualname__": kind.__qualname__,
                "__doc__": kind.__doc__,
            }
            known = self._kinds[kind] = type.__new__(type(kind), kind.__name__, (Shadow, kind), names)
        return known

    def _tensor(self, tensor: Tensor) -> AbstractTensor:
        if is_lazy(tensor):
            waiting: Any = Unshaped((), tensor.dtype.numpy)
            waiting.ledger, waiting.places = self._ledger, {}
            return waiting
        return self._ledger.tensor(tensor.shape, tensor.dtype.numpy, counted=False)
