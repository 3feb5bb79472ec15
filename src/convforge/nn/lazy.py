"""Lazy modules: layers that learn the sizes of their parameters from the first input."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .hooks import Hook, RemovableHandle
from .parameter import is_lazy


class LazyModuleMixin:
    """Mixed into a module (before it) whose parameters wait for the first input.

        class LazyConv2d(LazyModuleMixin, Conv2d):
            cls_to_become = Conv2d
            def initialize_parameters(self, input): …   # materialises the uninitialised parameters

    The first call runs `initialize_parameters` and turns the module into a `cls_to_become`. State dicts of
    modules that have run load into those that have not, and the other way round nothing is lost.
    """

    cls_to_become: type[Any] | None = None
    """What the module turns into after its first call; None to stay."""

    if TYPE_CHECKING:
        _parameters: dict[str, Any]
        _buffers: dict[str, Any]
        _non_persistent_buffers_set: set[str]
        _initialize_hook: RemovableHandle
        _load_hook: RemovableHandle

        _register_load_state_dict_pre_hook: Callable[[Hook], RemovableHandle]
        register_forward_pre_hook: Callable[..., RemovableHandle]
        _get_name: Callable[[], str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(self._lazy_load_hook)
        self._initialize_hook = self.register_forward_pre_hook(self._infer_parameters, with_kwargs=True)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        # An uninitialised tensor cannot be detached: it is saved itself.
        persistent = {k: v for k, v in self._buffers.items() if k not in self._non_persistent_buffers_set}
        for name, tensor in (*self._parameters.items(), *persistent.items()):
            if tensor is not None:
                destination[prefix + name] = tensor if keep_vars or is_lazy(tensor) else tensor.detach()

    def _lazy_load_hook(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Give the uninitialised tensors the shapes of what is going to be loaded into them."""
        del local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        for name, tensor in (*self._parameters.items(), *self._buffers.items()):
            given = state_dict.get(prefix + name)
            if tensor is not None and given is not None and is_lazy(tensor) and not is_lazy(given):
                tensor.materialize(given.shape)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Materialise the parameters for the inputs of the first call. Every lazy module defines it."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer of this module has no shape yet."""
        return any(is_lazy(tensor) for tensor in (*self._parameters.values(), *self._buffers.values()))

    def _infer_parameters(
        self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None
    ) -> None:
        """The hook of the first call: it initialises the module and takes itself out."""
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {self._get_name()} has not been fully initialized")
        module._initialize_hook.remove()
        module._load_hook.remove()
        del module._initialize_hook
        del module._load_hook
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become
