"""Optimizer: parameter groups with options, state for each parameter, and the frame of a step.

A subclass says in `_update` how one parameter moves, in NumPy on the parameter's own memory.
Source: torch/optim/optimizer.py of PyTorch 2.13.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.autograd.grad_mode import enable_grad, no_grad
from convforge.autograd.node import RemovableHandle
from convforge.autograd.tensor import Tensor
from convforge.optim.state import load_state, pack_state

Array = NDArray[Any]
Group = dict[str, Any]


class _Required:
    """The default of an option that every group must give itself."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()


class Optimizer:
    """Base of the optimizers.

    params: an iterable of Tensors, of (name, Tensor) pairs, or of dicts {"params": …, option: value, …}.
    defaults: the options of groups that do not give their own.

    Raises TypeError where params is a Tensor or holds something else, ValueError where it is empty, repeats a
    parameter, or holds the result of an operation.
    """

    state: defaultdict[Any, dict[str, Any]]
    param_groups: list[Group]

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._make_hooks()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                f"{type(params).__name__}: use [tensor]"
            )
        self.state = defaultdict(dict)
        self.param_groups = []
        groups = list(params)
        if not groups:
            raise ValueError(
                "optimizer got an empty parameter list: give module.parameters() of a module with some"
            )
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _make_hooks(self) -> None:
        self._step_pre_hooks: dict[int, Any] = {}
        self._step_post_hooks: dict[int, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "_step_pre_hooks" not in self.__dict__:
            self._make_hooks()

    def __repr__(self) -> str:
        text = type(self).__name__ + " ("
        for i, group in enumerate(self.param_groups):
            options = (f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params")
            text += f"\nParameter Group {i}\n" + "".join(options)
        return text + ")"

    def add_param_group(self, param_group: Group) -> None:
        """Optimize more parameters, with options of their own: {"params": …, option: value, …}."""
        if not isinstance(param_group, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        given = param_group["params"]
        if isinstance(given, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of "
                "tensors in sets will change between runs. Please use a list instead."
            )
        _take_params(param_group, [given] if isinstance(given, Tensor) else list(given))
        for param in param_group["params"]:
            _check_param(param)
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    f"parameter group didn't specify a value of required optimization parameter {name}"
                )
            param_group.setdefault(name, default)
        self._check_unique(param_group)
        self.param_groups.append(param_group)

    def _check_unique(self, new: Group) -> None:
        ids = [id(param) for param in new["params"]]
        if len(set(ids)) != len(ids):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause "
                "an error; see github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=3,
            )
        for group in self.param_groups:
            if ("param_names" in new) != ("param_names" in group):
                kind = "with names" if "param_names" in new else "without names"
                raise ValueError(
                    "all optimizer param groups should be with/without names. cannot add param group "
                    f"{kind} to the optimizer"
                )
            if not set(ids).isdisjoint(id(param) for param in group["params"]):
                raise ValueError("some parameters appear in more than one parameter group: leave them in one")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients: set them to None, or fill them with 0."""
        for group in self.param_groups:
            for param in group["params"]:
                if set_to_none:
                    param.grad = None
                elif param.grad is not None:
                    param.grad = _zeroed(param.grad)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient once.

        closure: computes the loss again and calls backward; what it returns is returned.
        """
        arguments: tuple[Any, Any] = ((), {} if closure is None else {"closure": closure})
        for hook in tuple(self._step_pre_hooks.values()):
            changed = hook(self, *arguments)
            if changed is not None:
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(
                        "a step pre-hook must return None or a tuple of (new_args, new_kwargs), but got "
                        f"{changed}."
                    )
                arguments = changed
                closure = (list(changed[0]) or [changed[1].get("closure")])[0]
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                for param in group["params"]:
                    if param.grad is not None:
                        self._update(param, group)
                        param._vbox[0] += 1
        for hook in tuple(self._step_post_hooks.values()):
            hook(self, *arguments)
        return loss

    def _update(self, param: Any, group: Group) -> None:
        """Move one parameter along its gradient, in place, and keep what is needed in `self.state[param]`."""
        raise NotImplementedError(
            f"{type(self).__name__} must define _update(param, group), or step(closure)"
        )

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number of a parameter: its state}, "param_groups": [options and numbers]}."""
        return pack_state(self.state, self.param_groups)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave. Raises ValueError where the groups or their sizes differ."""
        state, groups = load_state(state_dict, self.param_groups)
        self.__setstate__({"state": state, "param_groups": groups})

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """hook(optimizer, args, kwargs) runs before each step; it may return new (args, kwargs)."""
        return RemovableHandle(self._step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """hook(optimizer, args, kwargs) runs after each step."""
        return RemovableHandle(self._step_post_hooks, hook)


def _zeroed(grad: Tensor) -> Tensor:
    """The gradient filled with 0, off the tape."""
    grad._data[...] = 0
    grad._vbox[0] += 1
    return grad if grad.grad_fn is None and not grad.requires_grad else grad._alias()


def _take_params(group: Group, given: list[Any]) -> None:
    names = [each[0] for each in given if isinstance(each, tuple)]
    group["params"] = [each[1] if isinstance(each, tuple) else each for each in given]
    if names and len(names) != len(given):
        raise ValueError("all optimizer params should be with/without names. Some param names are missing")
    if names:
        group["param_names"] = names


def _check_param(param: Any) -> None:
    if not isinstance(param, Tensor):
        raise TypeError(
            f"optimizer can only optimize Tensors, but one of the params is {type(param).__name__}"
        )
    if not (param.is_leaf or param.retains_grad):
        raise ValueError("can't optimize a non-leaf Tensor: give the leaves it was computed from")


def check_not_negative(name: str, value: Any) -> None:
    """Raise ValueError, worded as PyTorch's, where an option is negative or NaN."""
    if not number(value) >= 0.0:
        raise ValueError(f"Invalid {name}: {value}: it must be 0 or more")


def number(value: Any) -> float:
    """An option as a number; PyTorch lets a Tensor of one element stand for it."""
    return float(value._data.reshape(()) if isinstance(value, Tensor) else value)


def check_lr(lr: Any) -> None:
    """Raise ValueError unless lr is a number, or a Tensor of one element, that is 0 or more."""
    if isinstance(lr, Tensor) and lr._data.size != 1:
        raise ValueError(f"Tensor lr must be 1-element: got shape {tuple(lr._data.shape)}")
    check_not_negative("learning rate", lr)


def check_unsupported(**options: Any) -> None:
    """Raise ValueError where an option that only PyTorch's other devices or modes know is switched on."""
    for name, value in options.items():
        if value:
            raise ValueError(f"{name} (={value}) is not supported on NumPy memory: leave it at its default")


def widened(array: Array) -> Array:
    """The array itself, or a float32 copy of a 16-bit one: updates are computed in no less than float32."""
    return array.astype(np.float32) if array.dtype.itemsize == 2 else array
