"""convforge: the module under `no_grad`, weights prepacked by the first use; or `autograd.grad`."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.arrays import Arrays
from benchmarks.isa import hidden
from benchmarks.layer_table import Layer
from benchmarks.libraries import Prepared
from benchmarks.settings import Settings


def start(settings: Settings) -> None:
    import convforge
    from convforge.target import Target, mask_features

    mask_features(*hidden(settings.isa, Target.host().features))
    convforge.set_num_threads(settings.threads)
    convforge.set_grad_enabled(settings.product == "gradients")
    if settings.precision != "highest":
        convforge.set_float32_matmul_precision(settings.precision)


def versions() -> dict[str, str]:
    import llvmlite

    import convforge

    return {"convforge": convforge.__version__, "llvmlite": llvmlite.__version__, "numpy": np.__version__}


def columns(_: Settings) -> list[str]:
    return ["convforge"]


def variants(layer: Layer, arrays: Arrays, settings: Settings) -> dict[str, Prepared]:
    import convforge
    from convforge import nn

    kind = getattr(convforge, settings.dtype)
    module = getattr(nn, layer.module_name())(**layer.arguments(), dtype=kind).eval()
    with convforge.no_grad():
        module.weight.copy_(convforge.from_numpy(arrays.weight))
        module.bias.copy_(convforge.from_numpy(arrays.bias))
    data = convforge.from_numpy(arrays.x).to(kind)

    def result(tensors: tuple[Any, ...]) -> tuple[np.ndarray, ...]:
        return tuple(tensor.numpy().astype(np.float64) for tensor in tensors)

    if settings.product == "output":
        return {"convforge": Prepared(lambda: module(data), lambda y: result((y,)))}
    output, grad = module(data.requires_grad_()), convforge.from_numpy(arrays.grad).to(kind)

    def backward() -> tuple[Any, ...]:
        return convforge.autograd.grad(output, (data, module.weight), grad, retain_graph=True)

    return {"convforge": Prepared(backward, result)}
