"""Smooth activations: sigmoid, tanh, GELU, SiLU and their relatives, with two derivatives each."""

from __future__ import annotations

import math

import numpy as np

from convforge.autograd import pointwise
from convforge.autograd.arrays import array_api
from convforge.autograd.naming import named
from convforge.autograd.tensor import Tensor
from convforge.nn.functional.curve import Curve, apply_curve
from convforge.nn.functional.erf import erf
from convforge.nn.functional.precision import Array, is_floating
from convforge.nn.functional.refusal import require_floating

__all__ = [
    "celu",
    "celu_",
    "elu",
    "elu_",
    "gelu",
    "glu",
    "logsigmoid",
    "mish",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "tanh",
    "tanhshrink",
]

# Klambauer et al., Self-Normalizing Neural Networks, 2017.
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _log1p_exp(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


_SIGMOID = Curve(
    "sigmoid",
    _sigmoid,
    lambda x: (s := _sigmoid(x)) * (1 - s),
    lambda x: (s := _sigmoid(x)) * (1 - s) * (1 - 2 * s),
)
_TANH = Curve(
    "tanh",
    np.tanh,
    lambda x: 1 - np.square(np.tanh(x)),
    lambda x: -2 * (t := np.tanh(x)) * (1 - t * t),
)


def _silu_slope(x: Array) -> Array:
    s = _sigmoid(x)
    return s * (1 + x * (1 - s))


def _silu_bend(x: Array) -> Array:
    s = _sigmoid(x)
    return s * (1 - s) * (2 + x * (1 - 2 * s))


_SILU = Curve("silu", lambda x: x / (1 + np.exp(-x)), _silu_slope, _silu_bend)


def _mish_slope(x: Array) -> Array:
    t = np.tanh(_log1p_exp(x))
    return t + x * (1 - t * t) * _sigmoid(x)


def _mish_bend(x: Array) -> Array:
    t, s = np.tanh(_log1p_exp(x)), _sigmoid(x)
    u = 1 - t * t
    return 2 * u * s + x * u * s * (1 - s - 2 * t * s)


_MISH = Curve("mish", lambda x: x * np.tanh(_log1p_exp(x)), _mish_slope, _mish_bend)


def _cdf(x: Array) -> Array:
    return x.dtype.type(0.5) * (1 + erf(x * x.dtype.type(math.sqrt(0.5))))


def _pdf(x: Array) -> Array:
    return np.exp(-x * x / 2) * x.dtype.type(1 / math.sqrt(2 * math.pi))


_GELU = Curve(
    "gelu",
    lambda x: x * _cdf(x),
    lambda x: _cdf(x) + x * _pdf(x),
    lambda x: _pdf(x) * (2 - x * x),
)

_TANH_GELU_SCALE, _TANH_GELU_CUBE = math.sqrt(2 / math.pi), 0.044715


def _tanh_gelu_inner(x: Array) -> tuple[Array, Array, Array]:
    """tanh(u), u', u'' for u = sqrt(2/π) (x + 0.044715 x³)."""
    kind = x.dtype.type
    scale, cube = kind(_TANH_GELU_SCALE), kind(_TANH_GELU_CUBE)
    square = x * x
    t = np.tanh(scale * x * (1 + cube * square))
    return t, scale * (1 + 3 * cube * square), 6 * scale * cube * x


def _tanh_gelu(x: Array) -> Array:
    return x * (1 + _tanh_gelu_inner(x)[0]) / 2


def _tanh_gelu_slope(x: Array) -> Array:
    t, first, _ = _tanh_gelu_inner(x)
    return (1 + t + x * (1 - t * t) * first) / 2


def _tanh_gelu_bend(x: Array) -> Array:
    t, first, second = _tanh_gelu_inner(x)
    u = 1 - t * t
    return u * first + x * u * (second / 2 - t * first * first)


_TANH_GELU = Curve("gelu", _tanh_gelu, _tanh_gelu_slope, _tanh_gelu_bend)
_LOGSIGMOID = Curve(
    "logsigmoid", lambda x: -_log1p_exp(-x), lambda x: _sigmoid(-x), lambda x: -_SIGMOID.slope(x)
)
_SOFTSIGN = Curve(
    "softsign",
    lambda x: x / (1 + np.abs(x)),
    lambda x: 1 / np.square(1 + np.abs(x)),
    lambda x: -2 * np.sign(x) / (1 + np.abs(x)) ** 3,
)
_TANHSHRINK = Curve(
    "tanhshrink",
    lambda x: x - np.tanh(x),
    lambda x: np.square(np.tanh(x)),
    lambda x: 2 * (t := np.tanh(x)) * (1 - t * t),
)


@array_api
def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), elementwise; integers give the default float."""
    if not is_floating(input._data.dtype):
        return pointwise.sigmoid(input)
    return apply_curve(input, _SIGMOID)


@array_api
def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent, elementwise; integers give the default float."""
    if not is_floating(input._data.dtype):
        return pointwise.tanh(input)
    return apply_curve(input, _TANH)


@array_api
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x · sigmoid(x), elementwise (also called swish)."""
    if input._data.dtype.kind == "c":
        result = input * pointwise.sigmoid(input)
        return input.copy_(result) if inplace else result
    return apply_curve(input, _SILU, inplace)


@array_api
def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · tanh(softplus(x)), elementwise."""
    return apply_curve(input, _MISH, inplace)


@array_api
def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x · Φ(x), Φ the normal distribution's; or its tanh approximation.

    Raises RuntimeError where approximate is neither 'none' nor 'tanh'.
    """
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"approximate argument must be either none or tanh, not {approximate!r}")
    return apply_curve(input, _GELU if approximate == "none" else _TANH_GELU)


@array_api
def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(x)), elementwise, without overflow."""
    return apply_curve(input, _LOGSIGMOID)


@array_api
def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|), elementwise; integers give the default float."""
    if not is_floating(input._data.dtype):
        return input / (input.abs() + 1)
    return apply_curve(input, _SOFTSIGN)


@array_api
def tanhshrink(input: Tensor) -> Tensor:
    """The difference x - tanh(x), elementwise; integers give the default float."""
    if not is_floating(input._data.dtype):
        return input - pointwise.tanh(input)
    return apply_curve(input, _TANHSHRINK)


@array_api
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta·x)) / beta, elementwise; x itself where beta·x > threshold."""

    def slope(x: Array) -> Array:
        return np.where(x * beta > threshold, x.dtype.type(1), _sigmoid(x * beta))

    def bend(x: Array) -> Array:
        return np.where(x * beta > threshold, x.dtype.type(0), _SIGMOID.slope(x * beta) * beta)

    curve = Curve(
        "softplus",
        lambda x: np.where(x * beta > threshold, x, _log1p_exp(x * beta) / beta),
        slope,
        bend,
    )
    return apply_curve(input, curve)


def _elu_curve(name: str, alpha: float, scale: float, rate: float) -> Curve:
    """Scale·x above 0, scale·alpha·(exp(rate·x) - 1) below."""

    def value(x: Array) -> Array:
        kind = x.dtype.type
        return np.where(x > 0, x * kind(scale), np.expm1(x * kind(rate)) * kind(alpha * scale))

    def slope(x: Array) -> Array:
        kind = x.dtype.type
        return np.where(x > 0, kind(scale), np.exp(x * kind(rate)) * kind(alpha * scale * rate))

    def bend(x: Array) -> Array:
        kind = x.dtype.type
        return np.where(x > 0, kind(0), np.exp(x * kind(rate)) * kind(alpha * scale * rate * rate))

    return Curve(name, value, slope, bend)


@array_api
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x above 0, alpha·(exp(x) - 1) below."""
    return apply_curve(input, _elu_curve("elu", alpha, 1.0, 1.0), inplace)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`elu`, in place."""
    return elu(input, alpha, True)


@array_api
def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """The self-normalising `elu`: its two constants keep mean 0 and variance 1 from layer to layer."""
    return apply_curve(input, _elu_curve("selu", _SELU_ALPHA, _SELU_SCALE, 1.0), inplace)


def selu_(input: Tensor) -> Tensor:
    """`selu`, in place."""
    return selu(input, True)


@array_api
def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x above 0, alpha·(exp(x / alpha) - 1) below.

    Raises RuntimeError where alpha is 0.
    """
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha (=0) cannot be 0 for CELU")
    return apply_curve(input, _elu_curve("celu", alpha, 1.0, 1.0 / alpha), inplace)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`celu`, in place."""
    return celu(input, alpha, True)


@array_api
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a · sigmoid(b), where a and b are the halves of `input` along `dim`.

    Raises RuntimeError where that axis has an odd size or there is none.
    """
    if input.ndim == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    size = input.shape[dim]
    if size % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {size}")
    require_floating("glu_cpu", input)
    value, gate = input.chunk(2, dim)
    return named(value * apply_curve(gate, _SIGMOID), "GluBackward0")
