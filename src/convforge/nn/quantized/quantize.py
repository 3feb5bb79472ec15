"""A float model, quantised: batch norms folded, ranges observed, layers replaced.

Conv, BatchNorm, ReLU, MaxPool, Conv, ReLU, AvgPool, Linear

Quantize, ConvReLU, OnBytes(MaxPool), ConvReLU, DeQuantize, AvgPool, Quantize, Linear, DeQuantize
└──────── bytes all the way: one run ────────┘
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from convforge.autograd.grad_mode import no_grad
from convforge.errors import ConvTypeError, ConvValueError
from convforge.nn import conv as float_conv, norm, pooling
from convforge.nn.containers import Sequential
from convforge.nn.dropout import Dropout, Dropout1d, Dropout2d, Dropout3d
from convforge.nn.flatten import Flatten, Unflatten
from convforge.nn.identity import Identity
from convforge.nn.linear import Linear as FloatLinear
from convforge.nn.module import Module
from convforge.nn.quantized import conv, linear
from convforge.nn.quantized.boundary import DeQuantize, OnBytes, Quantize
from convforge.nn.quantized.observer import MinMaxObserver
from convforge.nn.rectifier import ReLU
from convforge.nn.utils.fusion import fuse_conv_bn

# The quantised layers of a float layer: alone, and with a ReLU behind it (None: there is none of that name).
_LAYERS: dict[type[Module], tuple[Any, Any]] = {
    float_conv.Conv1d: (conv.Conv1d, conv.ConvReLU1d),
    float_conv.Conv2d: (conv.Conv2d, conv.ConvReLU2d),
    float_conv.Conv3d: (conv.Conv3d, conv.ConvReLU3d),
    float_conv.ConvTranspose1d: (conv.ConvTranspose1d, None),
    float_conv.ConvTranspose2d: (conv.ConvTranspose2d, None),
    float_conv.ConvTranspose3d: (conv.ConvTranspose3d, None),
    FloatLinear: (linear.Linear, linear.LinearReLU),
}
_BATCH_NORMS = (norm.BatchNorm1d, norm.BatchNorm2d, norm.BatchNorm3d)
# Modules that only move or compare elements: bytes go through them as they are.
_ON_BYTES = (
    *(pooling.MaxPool1d, pooling.MaxPool2d, pooling.MaxPool3d, Flatten, Unflatten, Identity),
    *(Dropout, Dropout1d, Dropout2d, Dropout3d),
)


def quantize(model: Module, calibration_batches: Iterable[Any]) -> Module:
    """A quantised copy of a model: Tensors in, Tensors out, its convolutions and linear maps in int8.

    Weights get one scale for each output channel; inputs and outputs of each layer one, by the smallest and
    the largest number that they take on the calibration batches. Batch norms behind a convolution in a
    Sequential are folded into it, ReLUs behind a layer are part of it. Neighbours in a Sequential hand on
    bytes; layers elsewhere have a Quantize before and a DeQuantize behind them. The model is left as it was.

    model: is copied, and the copy put into evaluation mode. calibration_batches: inputs, at least one; a
    tuple is several arguments.

    Raises TypeError where the model is no Module, ValueError where there is no batch, or a layer saw none.
    """
    if not isinstance(model, Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConvTypeError(
            f"model must be a Module, not {type(model).__name__}: use a layer or a Sequential"
        )
    whole = Sequential(copy.deepcopy(model).eval())
    _fold(whole)
    ranges = _observe(whole, calibration_batches)
    _replace(whole, ranges)
    return whole[0] if len(whole) == 1 else whole


class _WithReLU(Module):
    """A float layer and the ReLU behind it, while ranges are observed."""

    def __init__(self, layer: Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Any) -> Any:
        return self.layer(x).relu()


class _Range:
    """What goes into a layer, and what comes out."""

    def __init__(self) -> None:
        self.inputs, self.outputs = MinMaxObserver(), MinMaxObserver()
        self.seen = False

    def __call__(self, module: Module, inputs: tuple[Any, ...], output: Any) -> None:
        del module
        self.inputs(inputs[0].detach())
        self.outputs(output.detach())
        self.seen = True


def _fold(module: Module) -> None:
    """Fold batch norms and ReLUs of all Sequentials into the layers before them."""
    for child in module.children():
        _fold(child)
    if isinstance(module, Sequential):
        folded: list[Module] = []
        for child in module:
            before = folded[-1] if folded else None
            if isinstance(child, _BATCH_NORMS) and isinstance(before, float_conv.ConvNd) and _is_known(child):
                folded[-1] = fuse_conv_bn(before, child)
            elif isinstance(child, ReLU) and before is not None and _takes_relu(before):
                folded[-1] = _WithReLU(before)
            else:
                folded.append(child)
        _refill(module, folded)


def _takes_relu(layer: Module) -> bool:
    return type(layer) in _LAYERS and _LAYERS[type(layer)][1] is not None


def _is_known(batch_norm: Any) -> bool:
    return batch_norm.running_mean is not None


def _observe(model: Module, batches: Iterable[Any]) -> dict[Module, _Range]:
    layers = {module: _Range() for module in _layers(model)}
    handles = [module.register_forward_hook(seen) for module, seen in layers.items()]
    count = 0
    with no_grad():
        for count, batch in enumerate(batches, 1):  # noqa: B007 - counted
            model(*batch) if isinstance(batch, tuple) else model(batch)
    for handle in handles:
        handle.remove()
    if count == 0:
        raise ConvValueError("calibration_batches is empty: use at least one batch of typical inputs")
    for module, seen in layers.items():
        if not seen.seen:
            raise ConvValueError(
                f"{module!r} was not called on the calibration batches, so its range is not known: use "
                "batches that reach all layers"
            )
    return layers


def _layers(module: Module) -> Iterator[Module]:
    """The layers to quantise, each once."""
    for child in module.children():
        if _is_layer(child):
            yield child
        else:
            yield from _layers(child)


def _is_layer(module: Module) -> bool:
    return isinstance(module, _WithReLU) or type(module) in _LAYERS


def _replace(module: Module, ranges: dict[Module, _Range]) -> None:
    """Put quantised layers in the places of float ones, with the way in and out of bytes around them."""
    if isinstance(module, Sequential):
        _refill(module, [made for run in _runs(list(module)) for made in _quantised_run(run, ranges)])
    for name, child in list(module.named_children()):
        if _is_layer(child):
            setattr(module, name, Sequential(*_quantised_run([child], ranges)))
        else:
            _replace(child, ranges)


def _runs(modules: Sequence[Module]) -> Iterator[list[Module]]:
    """Neighbours that can hand on bytes, together: from a layer to a layer. All others alone."""
    at = 0
    while at < len(modules):
        stop = at + 1
        if _is_layer(modules[at]):
            ahead = at + 1
            while ahead < len(modules) and (
                _is_layer(modules[ahead]) or isinstance(modules[ahead], _ON_BYTES)
            ):
                ahead += 1
                stop = ahead if _is_layer(modules[ahead - 1]) else stop
        yield list(modules[at:stop])
        at = stop


def _quantised_run(run: Sequence[Module], ranges: dict[Module, _Range]) -> list[Module]:
    if not _is_layer(run[0]):
        return list(run)
    scale, zero_point = ranges[run[0]].inputs.calculate_qparams()
    inner = [_quantised(each, ranges[each]) if _is_layer(each) else OnBytes(each) for each in run]
    return [Quantize(scale.item(), zero_point.item()), *inner, DeQuantize()]


def _quantised(module: Module, seen: _Range) -> Module:
    layer, number = (module.layer, 1) if isinstance(module, _WithReLU) else (module, 0)
    scale, zero_point = seen.outputs.calculate_qparams()
    return _LAYERS[type(layer)][number].from_float(layer, scale.item(), zero_point.item())


def _refill(module: Sequential, children: Sequence[Module]) -> None:
    module._modules.clear()
    for i, child in enumerate(children):
        module.add_module(str(i), child)
