"""PyTorch: the module in inference mode, or `autograd.grad`; contiguous and channels-last (`torch-cl`)."""

from __future__ import annotations

import contextlib

import numpy as np

from benchmarks.arrays import Arrays
from benchmarks.layer_table import Layer
from benchmarks.libraries import Prepared
from benchmarks.settings import Settings

_for_the_whole_process = contextlib.ExitStack()


def start(settings: Settings) -> None:
    import torch

    torch.set_num_threads(settings.threads)
    if settings.product == "output":
        # A context entered per call would be timed with the layer.
        _for_the_whole_process.enter_context(torch.inference_mode())


def versions() -> dict[str, str]:
    import torch

    return {"torch": torch.__version__}


def columns(_: Settings) -> list[str]:
    return ["torch", "torch-cl"]


def variants(layer: Layer, arrays: Arrays, settings: Settings) -> dict[str, Prepared]:
    import torch

    kind = getattr(torch, settings.dtype)

    def build(memory_format: torch.memory_format | None) -> Prepared:
        module = getattr(torch.nn, layer.module_name())(**layer.arguments(), dtype=kind).eval()
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(arrays.weight))
            module.bias.copy_(torch.from_numpy(arrays.bias))
        data, grad = (torch.from_numpy(array).to(kind) for array in (arrays.x, arrays.grad))
        if memory_format is not None:
            module = module.to(memory_format=memory_format)
            data = data.contiguous(memory_format=memory_format)
        if settings.product == "output":
            return Prepared(lambda: module(data), lambda y: result((y,)))
        if memory_format is not None:
            grad = grad.contiguous(memory_format=memory_format)
        output = module(data.requires_grad_())
        wanted = (data, module.weight)
        return Prepared(lambda: torch.autograd.grad(output, wanted, grad, retain_graph=True), result)

    def result(tensors: tuple[torch.Tensor, ...]) -> tuple[np.ndarray, ...]:
        return tuple(tensor.to(torch.float64).contiguous().numpy() for tensor in tensors)

    ways: dict[str, Prepared] = {"torch": build(None)}
    if layer.ndim == 2:
        ways["torch-cl"] = build(torch.channels_last)
    elif layer.ndim == 3:
        ways["torch-cl"] = build(torch.channels_last_3d)
    return ways
