"""Layers, containers and losses under PyTorch's names: what `torch.nn` has, for convolutional nets."""

from __future__ import annotations

from .containers import ModuleDict, ModuleList, Sequential
from .lazy import LazyModuleMixin
from .module import Module
from .parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter
from .parameter_containers import ParameterDict, ParameterList

__all__ = [
    "Buffer",
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
