"""Random values into a tensor's own memory: uniform_, normal_, random_, bernoulli_, exponential_, …

The draws do not depend on what was there: on the tape, each sends back zeros.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import random as _random
from .inplace import forbid_leaf, overwrite
from .node import Node, attach
from .tensor import Tensor, from_data, recording


def _drawn(input: Tensor, name: str, fill: Any, *arguments: Any) -> Tensor:
    forbid_leaf(input)
    if recording(input):
        fresh = from_data(np.empty_like(input._data))
        fill(fresh._data, *arguments)
        attach(fresh, name, _no_slope, (input._shadow(),))
        return overwrite(input, fresh)
    fill(input._data, *arguments)
    input._vbox[0] += 1
    return input


def _no_slope(node: Node, grad: Tensor) -> Tensor:  # noqa: ARG001 - the form of all backward functions
    return from_data(np.zeros_like(grad._data))


def uniform_(input: Tensor, a: float = 0, b: float = 1, *, generator: Any = None, **named: float) -> Tensor:
    """Uniform draws from [a, b)."""
    low, high = named.pop("from", a), named.pop("to", b)
    return _drawn(input, "UniformBackward0", _random.uniform_, float(low), float(high), generator)


def normal_(input: Tensor, mean: float = 0, std: float = 1, *, generator: Any = None) -> Tensor:
    """Normal draws."""
    return _drawn(input, "NormalBackward0", _random.normal_, float(mean), float(std), generator)


def random_(input: Tensor, *bounds: Any, generator: Any = None) -> Tensor:
    """random_(), random_(to), random_(from, to): integers from `from` up to, not including, `to`."""
    low, high = (None, None) if not bounds else (0, bounds[0]) if len(bounds) == 1 else bounds
    return _drawn(input, f"RandomBackward{2 - len(bounds)}", _random.random_, low, high, generator)


def bernoulli_(input: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """1 with probability p (a number or a tensor), else 0."""
    each = isinstance(p, Tensor)
    name = "BernoulliBackward1" if each else "BernoulliBackward2"
    return _drawn(input, name, _random.bernoulli_, p._data if each else float(p), generator)


def exponential_(input: Tensor, lambd: float = 1, *, generator: Any = None) -> Tensor:
    """Exponential draws of rate `lambd`."""
    return _drawn(input, "ExponentialBackward0", _random.exponential_, float(lambd), generator)


def geometric_(input: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """The number of trials up to the first success, each of chance p."""
    return _drawn(input, "GeometricBackward0", _random.geometric_, float(p), generator)


def cauchy_(input: Tensor, median: float = 0, sigma: float = 1, *, generator: Any = None) -> Tensor:
    """Cauchy draws around `median`."""
    return _drawn(input, "CauchyBackward0", _random.cauchy_, float(median), float(sigma), generator)


def log_normal_(input: Tensor, mean: float = 1, std: float = 2, *, generator: Any = None) -> Tensor:
    """exp of normal draws."""
    return _drawn(input, "LogNormalBackward0", _random.log_normal_, float(mean), float(std), generator)
