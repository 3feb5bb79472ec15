"""An optimizer's state as a dictionary, in PyTorch's layout, and back."""

from __future__ import annotations

from collections import defaultdict
from copy import deepcopy
from itertools import chain
from typing import Any

import numpy as np

from convforge.autograd.filling import is_floating
from convforge.autograd.tensor import Tensor, from_data

Group = dict[str, Any]


def pack_state(state: dict[Any, Any], groups: list[Group]) -> dict[str, Any]:
    """The state with parameters replaced by their number, counted through all groups."""
    numbers: dict[int, int] = {}
    packed: list[Group] = []
    start = 0
    for group in groups:
        for i, param in enumerate(group["params"], start):
            numbers.setdefault(id(param), i)
        options = {key: value for key, value in group.items() if key != "params"}
        packed.append({**options, "params": [numbers[id(param)] for param in group["params"]]})
        start += len(group["params"])
    entries = {
        numbers.get(id(key), key) if isinstance(key, Tensor) else key: value for key, value in state.items()
    }
    return {"state": entries, "param_groups": packed}


def load_state(state_dict: dict[str, Any], groups: list[Group]) -> tuple[defaultdict[Any, Any], list[Group]]:
    """The state and the groups that `pack_state` was given, for the parameters of `groups`.

    Tensors are copied and take their parameter's dtype. Raises ValueError where the groups do not fit.
    """
    saved: list[Group] = deepcopy(state_dict["param_groups"])
    if len(groups) != len(saved):
        raise ValueError(
            f"loaded state dict has a different number of parameter groups: {len(saved)}, and the optimizer "
            f"{len(groups)}"
        )
    for group, saved_group in zip(groups, saved):
        if len(group["params"]) != len(saved_group["params"]):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's "
                f"group: {len(saved_group['params'])} parameters, and the optimizer {len(group['params'])}"
            )
    params = dict(
        zip(
            chain.from_iterable(group["params"] for group in saved),
            chain.from_iterable(group["params"] for group in groups),
        )
    )
    state: defaultdict[Any, Any] = defaultdict(dict)
    for key, value in state_dict["state"].items():
        if key in params:
            state[params[key]] = _adopted(value, params[key], None)
        else:
            state[key] = value
    for group, saved_group in zip(groups, saved):
        saved_group["params"] = group["params"]
        if "param_names" in group:
            saved_group.setdefault("param_names", group["param_names"])
    return state, saved


def _adopted(value: Any, param: Tensor, key: Any) -> Any:
    if isinstance(value, Tensor):
        return from_data(_copied(value._data, param, key))
    if isinstance(value, np.ndarray):
        return from_data(_copied(value, param, key))
    if isinstance(value, dict):
        return {name: _adopted(each, param, name) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_adopted(each, param, None) for each in value)
    return value


def _copied(array: np.ndarray[Any, Any], param: Tensor, key: Any) -> np.ndarray[Any, Any]:
    # The count of steps keeps its type: bfloat16 would not count past 256.
    if key == "step" or not (is_floating(param._data.dtype) or param._data.dtype.kind == "c"):
        return array.copy()
    return array.astype(param._data.dtype)
