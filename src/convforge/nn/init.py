"""Filling weights before training, as torch.nn.init does: same names, same seed, same numbers.

Every function fills its first argument in place and returns it: a Tensor (off the tape; its version rises) or
a NumPy array. Uniform numbers are PyTorch's bit for bit, normal ones within 1e-6.
Source: torch/nn/init.py of PyTorch 2.13.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from convforge.autograd import random
from convforge.autograd.random import Generator
from convforge.autograd.tensor import Tensor
from convforge.nn.init_old_names import old_name
from convforge.nn.init_truncated import fill_truncated

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]

# Tensor, or NDArray[Any]: what comes in is what goes out.
Weights = TypeVar("Weights")
Array = NDArray[Any]

_GAINS: dict[str, float] = {
    **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d", "sigmoid"), 1),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), 1),
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a nonlinearity shrinks the standard deviation, to be made up for in the weights.

        linear, convN, conv_transposeN, sigmoid  1        tanh  5/3        relu  √2
        leaky_relu  √(2 / (1 + param²)), param 0.01 unless given           selu  3/4

    Raises ValueError for other names, and where leaky_relu's slope is not a number.
    """
    if nonlinearity == "leaky_relu":
        if param is None:
            param = 0.01
        if isinstance(param, bool) or not isinstance(param, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"negative_slope {param} not a valid number: use an int or a float")
        return math.sqrt(2.0 / (1 + param**2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}: use one of {[*_GAINS, 'leaky_relu']}")
    return _GAINS[nonlinearity]


def _filled(weights: Weights, fill: Callable[[Array], Any]) -> Weights:
    """Run `fill` on the memory of `weights` and count the change in a Tensor's version."""
    if isinstance(weights, Tensor):
        fill(weights._data)
        weights._vbox[0] += 1
    else:
        fill(_memory(weights))
    return weights


def _memory(weights: Any) -> Array:
    if isinstance(weights, Tensor):
        return weights._data
    if isinstance(weights, np.ndarray):
        return cast(Array, weights)
    raise TypeError(f"tensor must be a Tensor or a NumPy array, not {type(weights).__name__}")


def uniform_(tensor: Weights, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Weights:
    """Fill with uniform numbers of [a, b)."""
    return _filled(tensor, lambda array: random.uniform_(array, a, b, generator))


def normal_(
    tensor: Weights, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Weights:
    """Fill with normal numbers."""
    return _filled(tensor, lambda array: random.normal_(array, mean, std, generator))


def trunc_normal_(
    tensor: Weights,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Weights:
    """Fill with normal numbers of [a, b]; what falls outside is drawn again.

    Warns where the mean lies more than two standard deviations outside [a, b].
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=2,
        )
    return _filled(tensor, lambda array: fill_truncated(array, mean, std, a, b, generator))


def constant_(tensor: Weights, val: float) -> Weights:
    """Fill with `val`."""
    return _filled(tensor, lambda array: array.fill(val))


def ones_(tensor: Weights) -> Weights:
    """Fill with 1."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Weights) -> Weights:
    """Fill with 0."""
    return constant_(tensor, 0.0)


def eye_(tensor: Weights) -> Weights:
    """Fill a matrix with ones on the diagonal, zeros elsewhere. Raises ValueError unless it is a matrix."""
    if _memory(tensor).ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported" + _got(tensor))

    def fill(array: Array) -> None:
        array[...] = 0
        np.fill_diagonal(array[: array.shape[1]], 1)

    return _filled(tensor, fill)


def dirac_(tensor: Weights, groups: int = 1) -> Weights:
    """Make a convolution that hands its input on: a 1 in the centre of kernel (i, i) of each group.

    tensor: (out_channels, in_channels / groups, *kernel), 3 to 5 dimensions.

    Raises ValueError for other ranks, and where `groups` does not divide out_channels.
    """
    shape = _memory(tensor).shape
    if len(shape) not in {3, 4, 5}:
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported" + _got(tensor))
    if groups < 1 or shape[0] % groups:
        raise ValueError(
            f"dim 0 must be divisible by groups: groups (={groups}) must divide out_channels (={shape[0]})"
        )

    def fill(array: Array) -> None:
        array[...] = 0
        channels = array.shape[0] // groups
        centre = tuple(size // 2 for size in array.shape[2:])
        for group in range(groups):
            for channel in range(min(channels, array.shape[1])):
                array[(group * channels + channel, channel, *centre)] = 1

    return _filled(tensor, fill)


def _got(tensor: Any) -> str:
    return f": got shape {_memory(tensor).shape}"


def _calculate_fan_in_and_fan_out(tensor: Any) -> tuple[int, int]:  # pyright: ignore[reportUnusedFunction]
    return fans(tensor)


def fans(tensor: Any) -> tuple[int, int]:
    """How many inputs an output sums over, and how many outputs an input goes to.

    tensor: (out, in, *kernel) -> (in × kernel, out × kernel). Raises ValueError below 2 dimensions.
    """
    shape = _memory(tensor).shape
    if len(shape) < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions" + _got(tensor)
        )
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def xavier_uniform_(tensor: Weights, gain: float = 1.0, generator: Generator | None = None) -> Weights:
    """Fill with uniform numbers of ±gain √(6 / (fan_in + fan_out)).

    Source: Glorot & Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010.
    """
    bound = math.sqrt(3.0) * _xavier_std(tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Weights, gain: float = 1.0, generator: Generator | None = None) -> Weights:
    """Fill with normal numbers of standard deviation gain √(2 / (fan_in + fan_out)), as xavier_uniform_."""
    return normal_(tensor, 0.0, _xavier_std(tensor, gain), generator)


def _xavier_std(tensor: Any, gain: float) -> float:
    return gain * math.sqrt(2.0 / float(sum(fans(tensor))))


def kaiming_uniform_(
    tensor: Weights,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Weights:
    """Fill with uniform numbers of ±gain √(3 / fan).

    a: the slope of the leaky_relu that follows. mode: "fan_in" keeps the variance of the outputs, "fan_out"
    that of the gradients. Warns, and does nothing, where the tensor has no elements.
    Source: He et al., Delving deep into rectifiers, 2015.
    """
    if 0 in _memory(tensor).shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Weights,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Weights:
    """Fill with normal numbers of standard deviation gain / √fan; the rest as in kaiming_uniform_."""
    if 0 in _memory(tensor).shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    return normal_(tensor, 0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Any, a: float, mode: str, nonlinearity: str) -> float:
    modes = ["fan_in", "fan_out"]
    if mode.lower() not in modes:
        raise ValueError(f"Mode {mode.lower()} not supported, please use one of {modes}")
    fan = fans(tensor)[modes.index(mode.lower())]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def orthogonal_(tensor: Weights, gain: float = 1, generator: Generator | None = None) -> Weights:
    """Fill with an orthogonal matrix times `gain`: (rows, …) is seen as (rows, columns).

    Orthonormal rows where there are no more rows than columns, else orthonormal columns. Raises ValueError
    below 2 dimensions, NotImplementedError for the 16-bit types. Source: Saxe et al., Exact solutions to the
    nonlinear dynamics of learning in deep linear neural networks, 2013.
    """
    shape = _memory(tensor).shape
    if len(shape) < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported" + _got(tensor))
    if 0 in shape:
        return tensor
    dtype = _memory(tensor).dtype
    if dtype.itemsize < 4:
        raise NotImplementedError(f'"geqrf_cpu" not implemented for {dtype}: use float32 and convert')
    rows, columns = shape[0], math.prod(shape[1:])
    normal = random.normal_(np.empty((rows, columns), dtype), 0, 1, generator)
    q, r = np.linalg.qr(normal.T if rows < columns else normal)
    # Which of the many decompositions comes out is LAPACK's choice; a positive diagonal of R leaves one.
    q = q * np.sign(np.diagonal(r))
    return _filled(tensor, lambda array: _assign(array, (q.T if rows < columns else q), gain))


def _assign(array: Array, matrix: Array, gain: float) -> None:
    array[...] = matrix.reshape(array.shape)
    array *= gain


def sparse_(
    tensor: Weights, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Weights:
    """Fill a matrix with normal numbers, and ⌈sparsity × rows⌉ zeros in every column.

    The zeros' places come from the default generator whatever `generator` is, as in PyTorch. Raises
    ValueError unless it is a matrix. Source: Martens, Deep learning via Hessian-free optimization, 2010.
    """
    if _memory(tensor).ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported" + _got(tensor))

    def fill(array: Array) -> None:
        rows, columns = array.shape
        zeros = math.ceil(sparsity * rows)
        random.normal_(array, 0, std, generator)
        for column in range(columns):
            array[random.randperm(rows)[:zeros], column] = 0

    return _filled(tensor, fill)


constant = old_name(constant_)
dirac = old_name(dirac_)
eye = old_name(eye_)
kaiming_normal = old_name(kaiming_normal_)
kaiming_uniform = old_name(kaiming_uniform_)
normal = old_name(normal_)
orthogonal = old_name(orthogonal_)
sparse = old_name(sparse_)
uniform = old_name(uniform_)
xavier_normal = old_name(xavier_normal_)
xavier_uniform = old_name(xavier_uniform_)
