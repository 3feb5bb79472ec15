"""The numbers in a drawing: small ones that can be added up in the head, or a module's own.

one axis    x = 0 1 2 3 …      w = 0.1 0.2 0.3      0×0.1 + 1×0.2 + 2×0.3 = 0.8, as in the notes
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from convforge.errors import ConvShapeError, ConvValueError
from convforge.nn.conv_nd import ConvNd
from convforge.problem import ConvSpec
from convforge.reference import output

Array = npt.NDArray[np.float64]
LARGEST_ARRAY = 1_000_000
LARGEST_WORK = 500_000_000


@dataclass(frozen=True)
class Numbers:
    """x: (in_channels, …), weight: as the spec has it, bias: (out_channels,) or None, y: (out_channels, …)"""

    x: Array
    weight: Array
    bias: Array | None
    y: Array


def numbers_of(spec: ConvSpec, layer: Any, *, has_bias: bool, x: Any = None, unique: bool = False) -> Numbers:
    """The numbers of a layer on one input; the output is computed by the reference.

    layer: where it is a module, its weights are taken. x: (in_channels, …), else small numbers; unique: that
    differ from cell to cell.

    Raises ValueError where there are too many to compute for a drawing.
    """
    check_work(spec)
    shape = spec.input_shape[1:]
    data = small_input(shape, unique=unique) if x is None else np.asarray(x, np.float64)
    if data.shape != shape:
        raise ConvShapeError(
            f"x of shape {data.shape} does not fit the layer and input_size: give {shape}, channels first"
        )
    if isinstance(layer, ConvNd):
        weight = np.asarray(layer.weight.detach().numpy(), np.float64)
        bias = None if layer.bias is None else np.asarray(layer.bias.detach().numpy(), np.float64)
    else:
        weight, bias = small_weight(spec), np.zeros(spec.out_channels) if has_bias else None
    y = output(replace(spec, dtype=np.dtype(np.float64)), data[None], weight, bias)[0]
    return Numbers(data, weight, bias, y)


def check_work(spec: ConvSpec) -> None:
    """Refuses what is too large to be computed for a drawing, naming the bound."""
    for name, shape in (
        ("input", spec.input_shape),
        ("output", spec.output_shape),
        ("weight", spec.weight_shape),
    ):
        if prod(shape) > LARGEST_ARRAY:
            raise ConvValueError(
                f"{name} of {'x'.join(map(str, shape))} has {prod(shape):,} numbers, more than the "
                f"{LARGEST_ARRAY:,} that a drawing computes: use a smaller input_size or fewer channels"
            )
    products = prod(spec.output_shape) * prod(spec.weight_shape[1:])
    if products > LARGEST_WORK:
        raise ConvValueError(
            f"{products:,} products are more than the {LARGEST_WORK:,} that a drawing computes: "
            "use a smaller input_size or fewer channels"
        )


def small_input(shape: tuple[int, ...], *, unique: bool = False) -> Array:
    """0 1 2 … along an axis; of pictures the last digit, unless every cell is to differ; channels 3 apart."""
    modulus = 10 if len(shape) > 2 and not unique else 100
    count = prod(shape)
    plane = np.arange(count // max(shape[:1])).reshape(shape[1:])
    steps = 3 * np.arange(max(shape[:1])).reshape(-1, *(1,) * plane.ndim)
    return ((plane + steps) % modulus).astype(np.float64)


def small_weight(spec: ConvSpec) -> Array:
    """0.1 0.2 … 0.9, and on from 0.1 again."""
    first, second, *kernel = spec.weight_shape
    taps = np.arange(prod(kernel)).reshape(1, 1, *kernel)
    ones = (1,) * len(kernel)
    steps = 4 * np.arange(first).reshape(-1, 1, *ones) + 2 * np.arange(second).reshape(1, -1, *ones)
    return ((taps + steps) % 9 + 1) / 10.0


def short(value: float) -> str:
    """At most four digits, with a true minus sign: 0.30000000000000004 -> 0.3, -2.5 -> −2.5."""
    text = f"{float(value):.4g}"
    return ("0" if text == "-0" else text).replace("-", "−")


def is_short(value: float) -> bool:
    """Whether `short` says all of the number, but for rounding in the last place of a float64."""
    return bool(np.isclose(float(f"{float(value):.4g}"), value, rtol=1e-12, atol=1e-300))
