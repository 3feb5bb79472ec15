"""Layers that can run, for drawings of real numbers: modules as they are, or made from their spelling."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import fields
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from convforge.autograd import generator
from convforge.autograd.grad_mode import no_grad
from convforge.autograd.tensor import from_data
from convforge.errors import ConvShapeError, ConvTypeError, ConvValueError
from convforge.explain.layers import as_layer
from convforge.nn import conv
from convforge.nn.conv_nd import ConvNd
from convforge.nn.module import Module
from convforge.problem import ConvLayer

SEED = 2
MOST_WEIGHTS = 50_000_000
MOST_OUTPUTS = 100_000_000


def module_of(layer: Any, *, seed: int = SEED, weight: npt.ArrayLike | None = None) -> Module:
    """A module that can be called: itself, or made from a spelling with weights drawn with the seed.

    weight: the module's, in place of drawn ones; the bias is then zero. The generator of random numbers is
    left as it was.

    Raises what the layer raises, and ValueError for a weight too large to be made for a drawing.
    """
    if isinstance(layer, Module):
        return layer
    if not isinstance(layer, str | ConvLayer):
        raise ConvTypeError(
            f"layer (={type(layer).__name__}) must be a module or its spelling: give nn.Conv2d(3, 8, 3) or "
            '"Conv2d(3, 8, 3)"'
        )
    value = as_layer(layer)
    if prod(value.weight_shape) > MOST_WEIGHTS:
        raise ConvValueError(
            f"{value.text}: {prod(value.weight_shape):,} weights, more than {MOST_WEIGHTS:,}: "
            "use fewer channels"
        )
    arguments = {field.name: getattr(value, field.name) for field in fields(value)}
    del arguments["transposed"]
    if not value.transposed:
        del arguments["output_padding"]
    with _seeded(seed):
        module: ConvNd = getattr(conv, value.name)(**arguments)
    if weight is not None:
        array = np.asarray(weight, np.float32)
        if array.shape != value.weight_shape:
            raise ConvShapeError(
                f"weight has shape {array.shape} and {value.text} takes {value.weight_shape}"
            )
        with no_grad():
            module.weight.copy_(from_data(np.ascontiguousarray(array)))
            if module.bias is not None:
                module.bias.zero_()
    return module


@contextmanager
def _seeded(seed: int) -> Generator[None]:
    state = generator.get_rng_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_rng_state(state)


def convolutions(module: Module) -> list[ConvNd]:
    """The convolution layers in a module, in the order they were registered."""
    return [part for part in module.modules() if isinstance(part, ConvNd)]


def picture_channels(module: Module) -> int:
    """Channels of the pictures that a module takes: of its first convolution, else 3.

    Raises ValueError where no photograph has as many.
    """
    found = convolutions(module)
    channels = found[0].in_channels if found else 3
    if channels not in (1, 2, 3, 4):
        raise ConvValueError(
            f"in_channels (={channels}): a photograph has 1 (grey), 2, 3 (RGB) or 4 channels: use "
            "one of these"
        )
    return channels


def run_on_picture(module: Module, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What the library makes of a picture: (height, width, channels) -> (channels, height, width).

    Raises what the module raises, and ValueError for a result that is not a picture's.
    """
    if isinstance(module, ConvNd):
        layer = as_layer(module)
        if layer.rank != 2:
            raise ConvValueError(f"{layer.text}: a photograph has 2 axes: use {layer.name[:-2]}2d")
        count = prod(layer.spec(pixels.shape[:2]).output_shape)
        if count > MOST_OUTPUTS:
            raise ConvValueError(
                f"{layer.text}: a result of {count:,} numbers, more than {MOST_OUTPUTS:,}: use a smaller "
                "photograph"
            )
    x = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
    with no_grad():
        y: npt.NDArray[np.float32] = np.asarray(module(from_data(x)).numpy(), np.float32)
    if y.ndim != 4 or 0 in y.shape:
        raise ConvValueError(
            f"the result has shape {y.shape}, and feature maps are (1, channels, height, width): give layers "
            "that keep the picture"
        )
    return y[0]
