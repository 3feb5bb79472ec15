"""Layers, containers and losses under PyTorch's names: what `torch.nn` has, for convolutional nets."""

from __future__ import annotations

from . import parameter as parameter
from . import utils as utils
from .containers import ModuleDict, ModuleList, Sequential
from .identity import Identity
from .lazy import LazyModuleMixin
from .module import Module
from .parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter
from .parameter_containers import ParameterDict, ParameterList

__all__ = [
    "Buffer",
    "Identity",
    "LazyModuleMixin",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "Sequential",
    "UninitializedBuffer",
    "UninitializedParameter",
]
