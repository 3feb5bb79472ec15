"""State dicts: a module's parameters and buffers by dotted name, and the hooks around them."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from .hooks import Hook, RemovableHandle, WrappedHook

if TYPE_CHECKING:
    from ..autograd.tensor import Tensor
    from .module import Module
    from .parameter import Parameter

EXTRA_STATE_KEY_SUFFIX = "_extra_state"


class ModuleState:
    """The part of `Module` that writes state dicts and keeps the hooks of both directions."""

    _version: int = 1
    """Saved as metadata; `_load_from_state_dict` of a subclass can compare it to convert old state dicts."""

    _state_dict_hooks: OrderedDict[int, Hook]
    _state_dict_pre_hooks: OrderedDict[int, Hook]
    _load_state_dict_pre_hooks: OrderedDict[int, Hook]
    _load_state_dict_post_hooks: OrderedDict[int, Hook]

    if TYPE_CHECKING:
        _parameters: dict[str, Parameter | None]
        _buffers: dict[str, Tensor | None]
        _non_persistent_buffers_set: set[str]
        _modules: dict[str, Module | None]

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> Any:
        """Parameters and persistent buffers of this module and all below it, by dotted name.

        The tensors share memory with the module; they are detached unless `keep_vars`.
        prefix: put before every name. destination: a mapping to write into and return.
        Positional arguments (destination, prefix, keep_vars) still work, with a FutureWarning.
        """
        if args:
            warnings.warn(
                "Positional args are being deprecated, use kwargs instead. Refer to "
                "Module.state_dict for details.",
                FutureWarning,
                stacklevel=2,
            )
            given: tuple[Any, ...] = (*args, *(None, "", False)[len(args) :])
            destination = given[0] if destination is None else destination
            prefix = given[1] if prefix == "" else prefix
            keep_vars = given[2] if keep_vars is False else keep_vars
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=prefix + name + ".", keep_vars=keep_vars)
        for hook in self._state_dict_hooks.values():
            replaced = hook(self, destination, prefix, local_metadata)
            if replaced is None:
                continue
            if getattr(hook, "_from_public_api", False):
                raise RuntimeError("state_dict post-hook must return None")
            destination = replaced
        return destination

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Write this module's own state, not that of the modules below, into `destination`."""
        for name, parameter in self._parameters.items():
            if parameter is not None:
                destination[prefix + name] = parameter if keep_vars else parameter.detach()
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                destination[prefix + name] = buffer if keep_vars else buffer.detach()
        if type(self).get_extra_state is not ModuleState.get_extra_state:
            destination[prefix + EXTRA_STATE_KEY_SUFFIX] = self.get_extra_state()

    def get_extra_state(self) -> Any:
        """Further state for the state dict. A subclass that has some defines this and `set_extra_state`."""
        raise RuntimeError("get_extra_state() is called only on modules that define it")

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave."""
        del state
        raise RuntimeError("set_extra_state() is called only on modules that define it")

    def _register_state_dict_hook(self, hook: Hook) -> RemovableHandle:
        """Run `hook(module, state_dict, prefix, metadata) -> None or state_dict` after `state_dict()`."""
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was "
                "previously registered via register_state_dict_post_hook"
            )
        return _store(self._state_dict_hooks, hook)

    def register_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Run `hook(module, state_dict, prefix, metadata) -> None`, which may change the dict, at its end."""
        hook._from_public_api = True  # type: ignore[attr-defined]
        return _store(self._state_dict_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Run `hook(module, prefix, keep_vars) -> None` before `state_dict()`."""
        return _store(self._state_dict_pre_hooks, hook)

    def _register_load_state_dict_pre_hook(self, hook: Hook, with_module: bool = False) -> RemovableHandle:
        """As `register_load_state_dict_pre_hook`; the module is the first argument only `with_module`."""
        module: Any = self if with_module else None
        return _store(self._load_state_dict_pre_hooks, WrappedHook(hook, module))

    def register_load_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Run `hook` before this module's state is loaded.

        hook(module, state_dict, prefix, metadata, strict, missing_keys, unexpected_keys, error_msgs) -> None
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def register_load_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Run `hook(module, incompatible_keys) -> None` after loading; it may change the lists in place."""
        return _store(self._load_state_dict_post_hooks, hook)


def _store(hooks: OrderedDict[int, Hook], hook: Hook) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle
