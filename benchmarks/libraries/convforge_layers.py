"""convforge: the module on a Tensor under `no_grad`; weights are prepacked by the first use."""

from __future__ import annotations

import numpy as np

from benchmarks.arrays import Arrays
from benchmarks.layer_table import Layer
from benchmarks.libraries import Prepared
from benchmarks.settings import Settings


def start(settings: Settings) -> None:
    import convforge

    convforge.set_num_threads(settings.threads)
    convforge.set_grad_enabled(False)


def versions() -> dict[str, str]:
    import llvmlite

    import convforge

    return {"convforge": convforge.__version__, "llvmlite": llvmlite.__version__, "numpy": np.__version__}


def variants(layer: Layer, arrays: Arrays, settings: Settings) -> dict[str, Prepared]:
    import convforge
    from convforge import nn

    kind = getattr(convforge, settings.dtype)
    module = getattr(nn, layer.module_name())(**layer.arguments(), dtype=kind).eval()
    module.weight.copy_(convforge.from_numpy(arrays.weight))
    module.bias.copy_(convforge.from_numpy(arrays.bias))
    data = convforge.from_numpy(arrays.x).to(kind)
    return {"convforge": Prepared(lambda: module(data), lambda y: y.numpy().astype(np.float64))}
