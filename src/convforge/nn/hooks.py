"""Hooks of modules: where they are kept, how they are removed, and those common to all modules.

A hook is kept in an ordered dict under the id of its `RemovableHandle`; the call of a module (`calling`)
reads the dicts. Hooks run in the order of the dict, the common ones before a module's own.
"""

from __future__ import annotations

import functools
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .module import Module

Hook = Callable[..., Any]

armed: list[bool] = []
"""Empty until some hook has been stored in this process.

A module's call looks at this one list first: a program without hooks never pays for reading four dicts
(0.25 µs of a call). It is never emptied: hooks may still be anywhere.
"""


class HookDict(OrderedDict[int, Hook]):
    """Hooks by handle id, in the order they run. Storing one arms the hook checks of every module's call."""

    def __setitem__(self, key: int, hook: Hook) -> None:
        if not armed:
            armed.append(True)
        super().__setitem__(key, hook)


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook out, as does the end of a `with` block.

    hooks_dict: where the hook is kept. extra_dict: further dicts that hold the same id.
    The dicts are referred to weakly, so a handle does not keep a module alive.
    """

    next_id: int = 0

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        self.hooks_dict_ref: Callable[[], Any] = weakref.ref(hooks_dict)
        self.id: int = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        extra: Iterable[Any] = ()
        if isinstance(extra_dict, dict):
            extra = (extra_dict,)
        elif extra_dict is not None:
            extra = extra_dict
        self.extra_dict_ref: tuple[Callable[[], Any], ...] = tuple(weakref.ref(d) for d in extra)

    def remove(self) -> None:
        """Take the hook out. Doing so twice is allowed."""
        for ref in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = ref()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self) -> tuple[Any, int, tuple[Any, ...]]:
        return (self.hooks_dict_ref(), self.id, tuple(ref() for ref in self.extra_dict_ref))

    def __setstate__(self, state: tuple[Any, int, tuple[Any, ...]]) -> None:
        hooks, self.id, extra = state
        # A dict that was gone when the handle was pickled: refer to one that dies at once.
        self.hooks_dict_ref = weakref.ref(HookDict() if hooks is None else hooks)
        self.extra_dict_ref = tuple(weakref.ref(OrderedDict() if d is None else d) for d in extra)
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


class WrappedHook:
    """A hook that is given its module first, without keeping the module alive."""

    def __init__(self, hook: Hook, module: Module | None = None) -> None:
        self.hook = hook
        functools.update_wrapper(self, hook)
        self.with_module = module is not None
        if module is not None:
            self.module: Callable[[], Module | None] = weakref.ref(module)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the hook. Raises RuntimeError if its module is gone."""
        if not self.with_module:
            return self.hook(*args, **kwargs)
        module = self.module()
        if module is None:
            raise RuntimeError("You are trying to call the hook of a dead Module!")
        return self.hook(module, *args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = {"hook": self.hook, "with_module": self.with_module}
        if self.with_module:
            state["module"] = self.module()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.hook = state["hook"]
        self.with_module = state["with_module"]
        if self.with_module:
            if state["module"] is None:
                raise RuntimeError("You are trying to revive the hook of a dead Module!")
            self.module = weakref.ref(state["module"])


def _flags() -> OrderedDict[int, bool]:
    return OrderedDict()


class CommonHooks:
    """The hooks that every module runs. One object, `common`, is made; it is for debugging and profiling."""

    def __init__(self) -> None:
        self.backward_pre = HookDict()
        self.backward = HookDict()
        self.is_full_backward: bool | None = None
        self.forward_pre = HookDict()
        self.forward = HookDict()
        self.forward_always_called = _flags()
        self.forward_with_kwargs = _flags()
        # Registration hooks are no part of a call, so plain dicts: they need not arm it.
        self.buffer_registration: OrderedDict[int, Hook] = OrderedDict()
        self.module_registration: OrderedDict[int, Hook] = OrderedDict()
        self.parameter_registration: OrderedDict[int, Hook] = OrderedDict()

    def any_for_call(self) -> bool:
        """Whether a call of a module has to run one of these."""
        return bool(self.backward_pre or self.backward or self.forward_pre or self.forward)


common = CommonHooks()


def run_registration(hooks: OrderedDict[int, Hook], module: Module, name: str, value: Any) -> Any:
    """`value` as the registration hooks return it: each may give a replacement, or None to leave it."""
    for hook in hooks.values():
        output = hook(module, name, value)
        if output is not None:
            value = output
    return value


def _store(hooks: OrderedDict[int, Hook], hook: Hook) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


def register_module_buffer_registration_hook(hook: Hook) -> RemovableHandle:
    """Run `hook(module, name, buffer) -> None or new buffer` whenever any module registers a buffer."""
    return _store(common.buffer_registration, hook)


def register_module_module_registration_hook(hook: Hook) -> RemovableHandle:
    """Run `hook(module, name, submodule) -> None or new submodule` whenever any module registers a child."""
    return _store(common.module_registration, hook)


def register_module_parameter_registration_hook(hook: Hook) -> RemovableHandle:
    """Run `hook(module, name, param) -> None or new parameter` whenever any module registers a parameter."""
    return _store(common.parameter_registration, hook)


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Run `hook(module, args) -> None or new args` before every module's forward, ahead of its own hooks."""
    return _store(common.forward_pre, hook)


def register_module_forward_hook(
    hook: Hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Run `hook(module, args, output) -> None or new output` after the forward of every module.

    with_kwargs: the hook is `hook(module, args, kwargs, output)`.
    always_call: it runs even if the forward raised.
    """
    handle = RemovableHandle(
        common.forward, extra_dict=[common.forward_with_kwargs, common.forward_always_called]
    )
    common.forward[handle.id] = hook
    if with_kwargs:
        common.forward_with_kwargs[handle.id] = True
    if always_call:
        common.forward_always_called[handle.id] = True
    return handle


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """Run `hook(module, grad_output) -> None or new grad_output` before the backward of every module."""
    return _store(common.backward_pre, hook)


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """Run `hook(module, grad_input, grad_output) -> None or new grad_input` in the backward of every module.

    Raises RuntimeError if a non-full common hook was registered before.
    """
    if common.is_full_backward is False:
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a "
            "global Module hook. Please use only one of them."
        )
    common.is_full_backward = True
    return _store(common.backward, hook)


def register_module_backward_hook(hook: Hook) -> RemovableHandle:
    """Run a non-full backward hook in every module. Deprecated by PyTorch: use the full form.

    Raises RuntimeError if a full common hook was registered before.
    """
    if common.is_full_backward is True:
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a "
            "global Module hook. Please use only one of them."
        )
    common.is_full_backward = False
    return _store(common.backward, hook)
