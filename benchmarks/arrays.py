"""The arrays of a layer and their float64 answer, made once and read by every library's worker."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.layer_table import Layer, make_arrays
from benchmarks.settings import Settings

if TYPE_CHECKING:
    from convforge.problem.spec import ConvSpec


@dataclass(frozen=True, slots=True)
class Arrays:
    """x, weight and bias in float32, and the layer's float64 output."""

    x: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    expected: np.ndarray


def write_arrays(folder: Path, layer: Layer, settings: Settings) -> None:
    """Writes x, weight, bias (float32 numbers that the dtype holds exactly) and the float64 output."""
    inputs = [round_to(array, settings.dtype) for array in make_arrays(layer, settings.batch)]
    arrays = Arrays(*inputs, expected=oracle(layer, *inputs))
    for field in fields(Arrays):
        np.save(folder / f"{field.name}.npy", getattr(arrays, field.name))


def read_arrays(folder: Path) -> Arrays:
    """The arrays as `write_arrays` left them."""
    return Arrays(**{field.name: np.load(folder / f"{field.name}.npy") for field in fields(Arrays)})


def round_to(array: np.ndarray, dtype: str) -> np.ndarray:
    """float32 array whose numbers survive a cast to `dtype`, so that the cast is not counted as error."""
    import ml_dtypes

    narrow = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    return array.astype(narrow).astype(np.float32)


def oracle(layer: Layer, x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The layer in float64 by convforge's NumPy reference."""
    from convforge import reference

    wide = (array.astype(np.float64) for array in (x, weight, bias))
    return reference.output(layer_spec(layer, x.shape[0], np.dtype(np.float64)), *wide)


def layer_spec(layer: Layer, batch: int, dtype: np.dtype) -> ConvSpec:
    """The layer as convforge's planner sees it."""
    from convforge import problem

    spec, _ = problem.normalize_conv(
        layer.input_shape(batch),
        layer.weight_shape,
        (layer.cout,),
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        rank=layer.ndim,
        transposed=layer.transposed,
        output_padding=layer.output_padding,
        dtype=dtype,
    )
    return spec


def relative_error(result: np.ndarray, expected: np.ndarray) -> float:
    """‖result − expected‖ / ‖expected‖; infinite where the shapes differ or a number is not finite."""
    if result.shape != expected.shape or not np.isfinite(result).all():
        return float("inf")
    return float(np.linalg.norm(result - expected) / np.linalg.norm(expected))
