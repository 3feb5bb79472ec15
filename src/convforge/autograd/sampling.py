"""New tensors of random draws: PyTorch's numbers for the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import random as _random
from .creation import checked_sizes, finished
from .creation_arguments import storage_arguments
from .dtype import numpy_of
from .node import Node, attach
from .tensor import Tensor, from_data, recording


@storage_arguments()
def rand(
    *sizes: Any,
    size: Any = None,
    generator: Any = None,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Uniform draws from [0, 1), PyTorch's for the same seed."""
    array = np.empty(checked_sizes(sizes, size), numpy_of(dtype))
    _random.uniform_(array, 0.0, 1.0, generator)
    return finished(array, requires_grad, device)


@storage_arguments()
def randn(
    *sizes: Any,
    size: Any = None,
    generator: Any = None,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Draws from the standard normal distribution, PyTorch's for the same seed."""
    array = np.empty(checked_sizes(sizes, size), numpy_of(dtype))
    _random.normal_(array, 0.0, 1.0, generator)
    return finished(array, requires_grad, device)


@storage_arguments()
def randint(
    *bounds: Any,
    size: Any = None,
    generator: Any = None,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
    low: int = 0,
    high: int | None = None,
) -> Tensor:
    """randint(high, size) and randint(low, high, size): integers from low up to, not including, high."""
    given = list(bounds)
    if size is None:
        if not given:
            raise TypeError("randint() missing 1 required argument: 'size'")
        size = given.pop()
    if given:
        low, high = (0, given[0]) if len(given) == 1 else (given[0], given[1])
    if high is None:
        raise TypeError("randint() missing 1 required argument: 'high'")
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    array = np.empty(checked_sizes((size,)), numpy_of(np.int64 if dtype is None else dtype))
    _random.random_(array, low, high, generator)
    return finished(array, requires_grad, device)


@storage_arguments()
def randperm(
    n: int, *, generator: Any = None, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """A random order of 0 … n - 1."""
    order = _random.randperm(n, generator)
    return finished(order.astype(numpy_of(np.int64 if dtype is None else dtype)), requires_grad, device)


def _like(input: Tensor, dtype: Any) -> Any:
    """Memory for draws of the size and order of `input`, which says in what order they go."""
    return np.empty_like(input._data, None if dtype is None else numpy_of(dtype))


@storage_arguments(takes_out=False)
def rand_like(
    input: Tensor,
    *,
    generator: Any = None,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """`rand` of the size and dtype of `input`."""
    array = _like(input, dtype)
    _random.uniform_(array, 0.0, 1.0, generator)
    return finished(array, requires_grad, device)


@storage_arguments(takes_out=False)
def randn_like(
    input: Tensor,
    *,
    generator: Any = None,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """`randn` of the size and dtype of `input`."""
    array = _like(input, dtype)
    _random.normal_(array, 0.0, 1.0, generator)
    return finished(array, requires_grad, device)


@storage_arguments(takes_out=False)
def randint_like(input: Tensor, *bounds: int, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`randint` of the size and dtype of `input`."""
    return randint(*bounds, size=input._data.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


@storage_arguments()
def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal draws: of a size for numbers, else of the size of the tensors."""
    if size is None:
        shape = np.broadcast_shapes(*[each._data.shape for each in (mean, std) if isinstance(each, Tensor)])
        return randn(shape, generator=generator, dtype=dtype) * std + mean
    array = np.empty(checked_sizes((size,)), numpy_of(dtype))
    _random.normal_(array, float(mean), float(std), generator)
    return finished(array, requires_grad)


def bernoulli(input: Tensor, p: float | None = None, *, generator: Any = None) -> Tensor:
    """1 with the probability that each element (or p) gives, else 0. Its gradient is 0 everywhere."""
    # In index order, also where the probabilities lie otherwise in memory.
    array = np.empty(input._data.shape, input._data.dtype)
    _random.bernoulli_(array, input._data if p is None else p, generator)
    out = from_data(array)
    if recording(input):
        attach(out, "BernoulliBackward0", _no_slope, (input,))
    return out


def _no_slope(node: Node, grad: Tensor) -> Tensor:  # noqa: ARG001 - the form of all backward functions
    return from_data(np.zeros_like(grad._data))
