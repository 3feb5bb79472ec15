"""Smooth activations: sigmoid, GELU, SiLU, softmax and their relatives."""

from __future__ import annotations

from typing import Any

from convforge.nn import functional as F
from convforge.nn.module import Module

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softsign",
    "Tanh",
    "Tanhshrink",
]


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.sigmoid(input)


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.tanh(input)


class SiLU(Module):
    """x · sigmoid(x), also called swish."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.silu(input, self.inplace)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return "inplace=True" if self.inplace else ""


class Mish(Module):
    """x · tanh(softplus(x))."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.mish(input, self.inplace)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return "inplace=True" if self.inplace else ""


class GELU(Module):
    """x · Φ(x), Φ the normal distribution; approximate "tanh" for its tanh form."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return f"approximate={self.approximate!r}"


class ELU(Module):
    """x above 0, alpha · (exp(x) - 1) below."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class CELU(Module):
    """x above 0, alpha · (exp(x / alpha) - 1) below."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.celu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class SELU(Module):
    """The self-normalising ELU."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.selu(input, self.inplace)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return "inplace=True" if self.inplace else ""


class Softplus(Module):
    """log(1 + exp(beta · x)) / beta; x where beta · x > threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Softsign(Module):
    """x / (1 + |x|)."""

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.softsign(input)


class Tanhshrink(Module):
    """x - tanh(x)."""

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.tanhshrink(input)


class LogSigmoid(Module):
    """log(sigmoid(x)), without overflow."""

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.logsigmoid(input)


class GLU(Module):
    """a · sigmoid(b), a and b the halves of the input along dim."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        """Apply the activation; any shape, kept."""
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return f"dim={self.dim}"


class Softmax(Module):
    """exp(x) / Σ exp(x) along `dim`; dim None is the old implicit choice, with a warning."""

    _function = staticmethod(F.softmax)
    dim: int | None

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        """Apply along `dim`; any shape, kept."""
        return self._function(input, self.dim, _stacklevel=5)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """log(softmax(x)) along `dim`."""

    _function = staticmethod(F.log_softmax)


class Softmin(Softmax):
    """softmax(-x) along `dim`."""

    _function = staticmethod(F.softmin)


class Softmax2d(Module):
    """Softmax over the channels at each position. input: (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Any) -> Any:
        """Apply along the channels. Raises ValueError for another number of dimensions."""
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead")
        return F.softmax(input, -3, _stacklevel=5)
