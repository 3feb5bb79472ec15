"""The arrays of a layer and their float64 answer, made once and read by every library's worker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.contract import plain_output_error, plain_weight_error
from benchmarks.layer_table import Layer, make_arrays, make_grad
from benchmarks.settings import Settings

if TYPE_CHECKING:
    from convforge.problem.spec import ConvSpec

CHECKED_FLOPS = 4e9
CHECKED_IMAGES = 2
"""Batches above 4 GFLOP are compared with float64 on two images: NumPy takes a minute for sixteen."""


@dataclass(frozen=True, slots=True)
class Arrays:
    """x, weight, bias and the output's gradient in float32, and the float64 answer for the first images.

    The answer is the output, or the gradients of input and weight.
    """

    x: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    grad: np.ndarray
    expected: tuple[np.ndarray, ...]

    @property
    def images(self) -> int:
        """How many images the answer is for."""
        return self.expected[0].shape[0]

    def checked(self) -> Arrays:
        """The images that have an answer."""
        return replace(self, x=self.x[: self.images], grad=self.grad[: self.images])


INPUTS = ("x", "weight", "bias", "grad")


def write_arrays(folder: Path, layer: Layer, settings: Settings) -> list[float]:
    """Writes float32 numbers that the dtype holds exactly, and the float64 answer.

    Returns the relative error that a plain fp32 convolution has in each part of the answer; nothing for other
    dtypes.
    """
    batch, gradients = settings.batch, settings.product == "gradients"
    x, weight, bias = (round_to(array, settings.dtype) for array in make_arrays(layer, batch))
    grad = (
        round_to(make_grad(layer, batch), settings.dtype) if gradients else np.empty((batch, 0), np.float32)
    )
    images = checked_images(layer, batch)
    x_checked, grad_checked = x[:images], grad[:images]
    if gradients:
        expected = gradients_in_float64(layer, x_checked, weight, grad_checked)
    else:
        expected = (oracle(layer, x_checked, weight, bias),)
    for name, array in zip(INPUTS, (x, weight, bias, grad), strict=True):
        np.save(folder / f"{name}.npy", array)
    for old in folder.glob("expected*.npy"):
        old.unlink()
    for number, array in enumerate(expected):
        np.save(folder / f"expected{number}.npy", array)
    if settings.dtype != "float32":
        return []
    spec = layer_spec(layer, images, np.dtype(np.float32))
    if not gradients:
        return [plain_output_error(spec, x_checked, weight, bias, expected[0])]
    from convforge.problem import grad_input_spec

    return [
        plain_output_error(grad_input_spec(spec), grad_checked, weight, None, expected[0]),
        plain_weight_error(spec, x_checked, grad_checked, expected[1]),
    ]


def read_arrays(folder: Path) -> Arrays:
    """The arrays as `write_arrays` left them, on lines of the cache as those that libraries make."""
    inputs = {name: _on_lines(np.load(folder / f"{name}.npy")) for name in INPUTS}
    return Arrays(**inputs, expected=tuple(np.load(path) for path in sorted(folder.glob("expected*.npy"))))


def _on_lines(array: np.ndarray) -> np.ndarray:
    # As convforge.memory has it, which the peers' processes do not import.
    memory = np.empty(array.nbytes + 64, np.uint8)
    skipped = -memory.ctypes.data % 64
    moved = memory[skipped : skipped + array.nbytes].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def checked_images(layer: Layer, batch: int) -> int:
    """How many images of a batch are compared with float64."""
    return batch if layer.flops(batch) <= CHECKED_FLOPS else min(batch, CHECKED_IMAGES)


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


def gradients_in_float64(
    layer: Layer, x: np.ndarray, weight: np.ndarray, grad: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The gradients of input and weight in float64 by convforge's NumPy reference."""
    from convforge import reference

    spec = layer_spec(layer, x.shape[0], np.dtype(np.float64))
    wide_x, wide_weight, wide_grad = (array.astype(np.float64) for array in (x, weight, grad))
    return reference.grad_input(spec, wide_grad, wide_weight), reference.grad_weight(spec, wide_x, wide_grad)


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
