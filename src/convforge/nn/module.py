"""Module: the base of all layers and models."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from typing import Any, Self

from ..autograd.tensor import Tensor
from .calling import ModuleCall
from .conversion import ModuleConversion
from .foreign import typename
from .hooks import Hook, HookDict, common, run_registration
from .loading import ModuleLoading
from .parameter import Buffer, Parameter
from .traversal import ModuleTraversal


def _hooks() -> OrderedDict[int, Hook]:
    return OrderedDict()


class Module(ModuleCall, ModuleLoading, ModuleConversion, ModuleTraversal):
    """Base of layers and models: assigned parameters, buffers and modules are registered under their names.

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = nn.Conv2d(3, 8, 3)

            def forward(self, x):
                return self.conv(x).relu()

        y = Model()(x)

    A subclass calls `super().__init__()` before it assigns anything, and defines `forward`; users call the
    module. `training` says whether it is in training mode.
    """

    dump_patches: bool = False
    call_super_init: bool = False
    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _non_persistent_buffers_set: set[str]
    _modules: dict[str, Module | None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if self.call_super_init is False and kwargs:
            raise TypeError(
                f"{type(self).__name__}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'"
            )
        if self.call_super_init is False and args:
            raise TypeError(
                f"{type(self).__name__}.__init__() takes 1 positional argument but {len(args) + 1} were given"
            )
        # Past `__setattr__`, which would look each name up in what is being made here.
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _non_persistent_buffers_set=set(),
            _is_full_backward_hook=None,
            _modules={},
            **_empty_hooks(),
        )
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a buffer: state that is no parameter, such as a running mean.

        tensor: None registers the name alone. persistent: whether the state dict has it.
        Raises KeyError for a name that is taken, empty or dotted, TypeError for another kind of value.
        """
        self._check_name(name, "buffer", self.__dict__.get("_buffers"))
        given: Any = tensor
        if given is not None and not isinstance(given, Tensor):
            raise TypeError(
                f"cannot assign '{typename(given)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        self._buffers[name] = run_registration(common.buffer_registration, self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter. None registers the name alone.

        Raises KeyError for a name that is taken, empty or dotted, TypeError for another kind of value,
        ValueError for a tensor that was computed.
        """
        self._check_name(name, "parameter", self.__dict__.get("_parameters"))
        given: Any = param
        if given is not None and not isinstance(given, Parameter):
            raise TypeError(
                f"cannot assign '{typename(given)}' object to parameter '{name}' "
                "(torch.nn.Parameter or None required)"
            )
        if param is not None:
            if param.grad_fn is not None:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model "
                    f"parameters must be created explicitly. To express '{name}' "
                    "as a function of another Tensor, compute the value in the forward() method."
                )
            param = run_registration(common.parameter_registration, self, name, param)
        self._parameters[name] = param

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a module below this one. None registers the name alone.

        Raises KeyError for a name that is taken, empty or dotted, TypeError for another kind of value.
        """
        given: Any = module
        if given is not None and not isinstance(given, Module):
            raise TypeError(f"{typename(given)} is not a Module subclass")
        given = name
        if not isinstance(given, str):
            raise TypeError(f"module name should be a string. Got {typename(given)}")
        if hasattr(self, name) and name not in self._modules:
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            raise KeyError(f'module name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError('module name can\'t be empty string ""')
        self._modules[name] = run_registration(common.module_registration, self, name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """Another name of `add_module`."""
        self.add_module(name, module)

    def _check_name(self, name: Any, kind: str, taken: dict[str, Any] | None) -> None:
        if taken is None:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {typename(name)}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain "."')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and name not in taken:
            raise KeyError(f"attribute '{name}' already exists")

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__
        for kind in ("_parameters", "_buffers", "_modules"):
            members = state.get(kind)
            if members is not None and name in members:
                return members[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        parameters = self.__dict__.get("_parameters")
        if isinstance(value, Parameter):
            if parameters is None:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, self._buffers, self._modules)
            self.register_parameter(name, value)
        elif parameters is not None and name in parameters:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{typename(value)}' as parameter '{name}' "
                    "(torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if "_modules" not in self.__dict__:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, self._parameters, self._buffers)
            self._modules[name] = run_registration(common.module_registration, self, name, value)
        elif parameters is not None and name in self._modules:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{typename(value)}' as child module '{name}' "
                    "(torch.nn.Module or None expected)"
                )
            self._modules[name] = run_registration(common.module_registration, self, name, value)
        elif isinstance(value, Buffer) or (parameters is not None and name in self._buffers):
            self._assign_buffer(name, value)
        else:
            super().__setattr__(name, value)

    def _forget(self, name: str, *others: dict[str, Any]) -> None:
        """Take `name` out of where it is no longer kept, before it is registered elsewhere."""
        for members in (self.__dict__, *others):
            members.pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def _assign_buffer(self, name: str, value: Any) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(
                f"cannot assign '{typename(value)}' as buffer '{name}' "
                "(torch.nn.Buffer, torch.Tensor or None expected)"
            )
        persistent = (
            value.persistent if isinstance(value, Buffer) else name not in self._non_persistent_buffers_set
        )
        plain = type(self).register_buffer is Module.register_buffer
        if plain or "persistent" in inspect.signature(self.register_buffer).parameters:
            self.register_buffer(name, value, persistent)
        elif persistent:
            # A subclass may define register_buffer(name, tensor) alone.
            self.register_buffer(name, value)
        else:
            raise RuntimeError(
                "Registering a non-persistent buffer on a Module subclass that implements "
                "register_buffer() without the persistent argument is not allowed."
            )

    def __delattr__(self, name: str) -> None:
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
        else:
            super().__delattr__(name)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__.copy()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(_empty_hooks() | {"_non_persistent_buffers_set": set()} | state)
        self.__dict__.setdefault("_is_full_backward_hook", None)

    def __dir__(self) -> list[str]:
        names = [*dir(type(self)), *self.__dict__, *self._parameters, *self._modules, *self._buffers]
        return sorted(name for name in names if not name[0].isdigit())

    def train(self, mode: bool = True) -> Self:
        """Put this module and all below it into training mode, or out of it. Returns the module."""
        given: Any = mode
        if not isinstance(given, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Put this module and all below it into evaluation mode: `train(False)`."""
        return self.train(False)

    def extra_repr(self) -> str:
        """What `repr` prints between the parentheses; lines of it stand before the modules below."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        extra_lines = extra.split("\n") if extra else []
        child_lines = [f"({name}): {indent(repr(module))}" for name, module in self._modules.items()]
        if len(extra_lines) == 1 and not child_lines:
            return f"{self._get_name()}({extra_lines[0]})"
        lines = extra_lines + child_lines
        inner = "\n  " + "\n  ".join(lines) + "\n" if lines else ""
        return f"{self._get_name()}({inner})"


def _empty_hooks() -> dict[str, Any]:
    hooks: dict[str, Any] = {
        name: HookDict()
        for name in ("_backward_pre_hooks", "_backward_hooks", "_forward_hooks", "_forward_pre_hooks")
    }
    for name in (
        "_forward_hooks_with_kwargs",
        "_forward_hooks_always_called",
        "_forward_pre_hooks_with_kwargs",
        "_state_dict_hooks",
        "_state_dict_pre_hooks",
        "_load_state_dict_pre_hooks",
        "_load_state_dict_post_hooks",
    ):
        hooks[name] = _hooks()
    return hooks


def indent(text: str, blank: bool = False) -> str:
    """`text` with two spaces before every line but the first and, unless `blank`, the blank ones."""
    first, *rest = text.split("\n")
    return "\n".join([first, *("  " + line if blank or line.strip() else "" for line in rest)])
