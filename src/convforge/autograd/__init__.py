"""Tensor over NumPy memory, the tape, and random numbers: PyTorch's behaviour for convolutional nets."""

from __future__ import annotations

from . import methods as _methods
from .arrays import array_api, wrap_like
from .engine import backward, grad
from .function import Function, FunctionCtx, once_differentiable
from .grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .gradcheck import GradcheckError, gradcheck, gradgradcheck
from .size import Size
from .tensor import Tensor, from_data
from .variable import Variable

__all__ = [
    "Function",
    "FunctionCtx",
    "GradcheckError",
    "Size",
    "Tensor",
    "Variable",
    "array_api",
    "backward",
    "enable_grad",
    "from_data",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "once_differentiable",
    "set_grad_enabled",
    "wrap_like",
]
del _methods
