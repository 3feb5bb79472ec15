"""Random values into a tensor's own memory: uniform_, normal_, random_, bernoulli_."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import random as _random
from .inplace import forbid_leaf, overwrite
from .tensor import Tensor, from_data, recording


def _drawn(input: Tensor, fill: Any, *arguments: Any) -> Tensor:
    forbid_leaf(input)
    if recording(input):
        fresh = np.empty_like(input._data)
        fill(fresh, *arguments)
        return overwrite(input, from_data(fresh))
    fill(input._data, *arguments)
    input._vbox[0] += 1
    return input


def uniform_(input: Tensor, a: float = 0, b: float = 1, *, generator: Any = None, **named: float) -> Tensor:
    """Uniform draws from [a, b)."""
    low, high = named.pop("from", a), named.pop("to", b)
    return _drawn(input, _random.uniform_, float(low), float(high), generator)


def normal_(input: Tensor, mean: float = 0, std: float = 1, *, generator: Any = None) -> Tensor:
    """Normal draws."""
    return _drawn(input, _random.normal_, float(mean), float(std), generator)


def random_(input: Tensor, *bounds: Any, generator: Any = None) -> Tensor:
    """random_(), random_(to), random_(from, to): integers from `from` up to, not including, `to`."""
    low, high = (None, None) if not bounds else (0, bounds[0]) if len(bounds) == 1 else bounds
    return _drawn(input, _random.random_, low, high, generator)


def bernoulli_(input: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """1 with probability p (a number or a tensor), else 0."""
    return _drawn(input, _random.bernoulli_, p._data if isinstance(p, Tensor) else float(p), generator)
