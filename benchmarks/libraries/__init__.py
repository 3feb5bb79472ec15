"""One adapter a library. Each runs only in a worker process of its own.

An adapter module has

    start(settings)                            import the library, bound its threads and instruction set
    versions() -> dict[str, str]               what is measured
    columns(settings) -> list[str]             the variants that it can have
    variants(layer, arrays, settings) -> dict[str, Prepared]

where a variant is one way in which people call the library (PyTorch: contiguous, channels-last).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

LIBRARIES = {
    "convforge": "benchmarks.libraries.convforge_layers",
    "torch": "benchmarks.libraries.torch_layers",
    "onnxruntime": "benchmarks.libraries.onnxruntime_layers",
    "openvino": "benchmarks.libraries.openvino_layers",
}


class UnsupportedError(Exception):
    """The library cannot run this layer in this dtype; the text says why."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A layer ready to be called: `call` computes, `result` gives what it computed as float64 NumPy, NC…

    The result is the output, or the gradients of input and weight. `keep` holds the memory that the library
    reads without owning it.
    """

    call: Callable[[], object]
    result: Callable[[Any], tuple[np.ndarray, ...]]
    keep: object = None


def load(name: str) -> ModuleType:
    """The adapter module of a library."""
    return importlib.import_module(LIBRARIES[name])
