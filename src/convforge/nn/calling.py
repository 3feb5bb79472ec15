"""The call of a module: straight to `forward`, or through its hooks where there are any."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from .hooks import Hook, HookDict, RemovableHandle, armed, common

if TYPE_CHECKING:
    from .backward_hooks import BackwardHook


def _forward_unimplemented(self: ModuleCall, *args: Any) -> NoReturn:
    """Compute the module's output. A subclass defines it; users call the module, so that hooks run."""
    raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')


class ModuleCall:
    """The part of `Module` that is called, and that keeps the hooks of the call."""

    _backward_pre_hooks: HookDict
    _backward_hooks: HookDict
    _is_full_backward_hook: bool | None
    _forward_hooks: HookDict
    _forward_hooks_with_kwargs: OrderedDict[int, bool]
    _forward_hooks_always_called: OrderedDict[int, bool]
    _forward_pre_hooks: HookDict
    _forward_pre_hooks_with_kwargs: OrderedDict[int, bool]

    forward: Callable[..., Any] = _forward_unimplemented

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`forward` of the arguments, with the hooks around it."""
        # One test of one list is all that a call adds where the process has no hooks.
        if armed:
            state = self.__dict__
            if (
                state["_backward_hooks"]
                or state["_backward_pre_hooks"]
                or state["_forward_hooks"]
                or state["_forward_pre_hooks"]
                or common.any_for_call()
            ):
                return _HookedCall(self, args, kwargs).run()
        return self.forward(*args, **kwargs)

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        return self(*args, **kwargs)

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Run `hook(module, args) -> None or new args` before every forward.

        with_kwargs: the hook is `hook(module, args, kwargs) -> None or (new args, new kwargs)`.
        prepend: run it before the hooks registered so far.
        """
        handle = RemovableHandle(self._forward_pre_hooks, extra_dict=self._forward_pre_hooks_with_kwargs)
        if with_kwargs:
            self._forward_pre_hooks_with_kwargs[handle.id] = True
        return _store(self._forward_pre_hooks, handle, hook, prepend)

    def register_forward_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Run `hook(module, args, output) -> None or new output` after every forward.

        with_kwargs: the hook is `hook(module, args, kwargs, output)`.
        prepend: run it before the hooks registered so far.
        always_call: run it even if the forward raised (its own error is then a warning).
        """
        handle = RemovableHandle(
            self._forward_hooks,
            extra_dict=[self._forward_hooks_with_kwargs, self._forward_hooks_always_called],
        )
        if with_kwargs:
            self._forward_hooks_with_kwargs[handle.id] = True
        if always_call:
            self._forward_hooks_always_called[handle.id] = True
        return _store(self._forward_hooks, handle, hook, prepend)

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Run `hook(module, grad_output) -> None or new grad_output` before the module's backward."""
        handle = RemovableHandle(self._backward_pre_hooks)
        return _store(self._backward_pre_hooks, handle, hook, prepend)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Run `hook(module, grad_input, grad_output) -> None or new grad_input` in the module's backward.

        It fires when the gradients of the module's inputs are ready; where no input requires a gradient,
        when those of its outputs are. Both arguments are tuples with None for what is not a Tensor.

        Raises RuntimeError if the module has a non-full backward hook.
        """
        self._claim_backward_hooks(full=True)
        handle = RemovableHandle(self._backward_hooks)
        return _store(self._backward_hooks, handle, hook, prepend)

    def register_backward_hook(self, hook: Hook) -> RemovableHandle:
        """Run a non-full backward hook, which sees the last operation of the module only.

        Deprecated by PyTorch: use `register_full_backward_hook`.
        Raises RuntimeError if the module has a full backward hook.
        """
        self._claim_backward_hooks(full=False)
        handle = RemovableHandle(self._backward_hooks)
        return _store(self._backward_hooks, handle, hook, prepend=False)

    def _claim_backward_hooks(self, full: bool) -> None:
        if self._is_full_backward_hook is (not full):
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a "
                "single Module. Please use only one of them."
            )
        self._is_full_backward_hook = full

    def _backward_hooks_of_kind(self, full: bool) -> list[Hook]:
        hooks: list[Hook] = []
        if common.is_full_backward is full:
            hooks += common.backward.values()
        if self._is_full_backward_hook is full:
            hooks += self._backward_hooks.values()
        return hooks


def _store(hooks: HookDict, handle: RemovableHandle, hook: Hook, prepend: bool) -> RemovableHandle:
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


class _HookedCall:
    """One call of a module that has hooks: pre-hooks, forward, hooks, and the ties to the backward hooks."""

    def __init__(self, module: ModuleCall, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.module = module
        self.args = args
        self.kwargs = kwargs
        self.result: Any = None
        self.called_always: set[int] = set()

    def run(self) -> Any:
        try:
            self.run_forward_pre_hooks()
            backward_hook = self.tie_inputs()
            self.result = self.module.forward(*self.args, **self.kwargs)
            self.run_forward_hooks()
            if backward_hook is not None:
                self.result = backward_hook.tie_outputs(self.result)
            self.tie_non_full_hooks()
        except Exception:
            self.run_always_called_hooks()
            raise
        return self.result

    def run_forward_pre_hooks(self) -> None:
        module = self.module
        for hook_id, hook in (*common.forward_pre.items(), *module._forward_pre_hooks.items()):
            if hook_id in module._forward_pre_hooks_with_kwargs:
                changed = hook(module, self.args, self.kwargs)
                if changed is None:
                    continue
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(
                        "forward pre-hook must return None or a tuple "
                        f"of (new_args, new_kwargs), but got {changed}."
                    )
                self.args, self.kwargs = changed
            else:
                changed = hook(module, self.args)
                if changed is not None:
                    self.args = changed if isinstance(changed, tuple) else (changed,)

    def tie_inputs(self) -> BackwardHook | None:
        hooks = self.module._backward_hooks_of_kind(full=True)
        pre_hooks: list[Hook] = [*common.backward_pre.values(), *self.module._backward_pre_hooks.values()]
        if not (hooks or pre_hooks):
            return None
        from .backward_hooks import BackwardHook

        backward_hook = BackwardHook(self.module, hooks, pre_hooks)
        self.args = backward_hook.tie_inputs(self.args)
        return backward_hook

    def run_forward_hooks(self) -> None:
        for hook_id, hook in (*common.forward.items(), *self.module._forward_hooks.items()):
            if hook_id in self.module._forward_hooks_always_called or hook_id in common.forward_always_called:
                self.called_always.add(hook_id)
            self.run_forward_hook(hook_id, hook)

    def run_forward_hook(self, hook_id: int, hook: Hook) -> None:
        if hook_id in self.module._forward_hooks_with_kwargs or hook_id in common.forward_with_kwargs:
            changed = hook(self.module, self.args, self.kwargs, self.result)
        else:
            changed = hook(self.module, self.args, self.result)
        if changed is not None:
            self.result = changed

    def run_always_called_hooks(self) -> None:
        """After an error: the `always_call` hooks that have not run. Their own errors are only told."""
        module = self.module
        for label, hooks, always in (
            ("global module", common.forward, common.forward_always_called),
            ("module", module._forward_hooks, module._forward_hooks_always_called),
        ):
            for hook_id, hook in hooks.items():
                if hook_id not in always or hook_id in self.called_always:
                    continue
                try:
                    self.run_forward_hook(hook_id, hook)
                except Exception as error:
                    warnings.warn(
                        f"{label} forward hook with ``always_call=True`` raised an exception "
                        f"that was silenced as another error was raised in forward: {error}",
                        stacklevel=4,
                    )

    def tie_non_full_hooks(self) -> None:
        hooks = self.module._backward_hooks_of_kind(full=False)
        if hooks:
            from .backward_hooks import tie_non_full_hooks

            tie_non_full_hooks(self.module, hooks, self.args, self.result)
